"""Models onto a volume that many workers share: fetched once, never seen half-written, and removed to make room."""
