"""Upstream ComfyUI, imported and run in this process."""
