"""A custom node of several files, with a pre-start script and a route of its own."""

import os

from server import PromptServer

STARTED = os.environ.pop("ROUTES_PACK_STARTED", "never")


@PromptServer.instance.routes.get("/routes_pack/started")
async def started(request):
    return STARTED


class Started:
    """Tells when the pre-start script ran."""

    RETURN_TYPES = ()
    FUNCTION = "tell"
    OUTPUT_NODE = True
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def tell(self):
        return {"ui": {"text": [STARTED]}}


NODE_CLASS_MAPPINGS = {"TestStarted": Started}
