"""Workflows in the format of ComfyUI's editor, converted to API format as its own front end does."""
