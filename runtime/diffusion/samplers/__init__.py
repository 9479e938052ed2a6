"""The samplers, a family a file; `table.py` names them as ComfyUI does."""
