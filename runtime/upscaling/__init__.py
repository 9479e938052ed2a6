"""Models that make a picture larger."""
