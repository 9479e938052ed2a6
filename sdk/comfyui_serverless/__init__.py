"""ComfyUI workflows as serverless endpoints: the client side."""
