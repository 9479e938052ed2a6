import json
from collections import namedtuple

import nodes

Route = namedtuple("Route", "method path handler")
Response = namedtuple("Response", "text")


class Routes(list):
    def get(self, path):
        def register(handler):
            self.append(Route("GET", path, handler))
            return handler

        return register


class PromptServer:
    instance = None

    def __init__(self, loop):
        PromptServer.instance = self
        self.loop = loop
        self.client_id = None
        self.last_node_id = None
        self.routes = Routes([Route("GET", "/object_info", self._object_info)])

    async def _object_info(self, request):
        classes = nodes.NODE_CLASS_MAPPINGS.items()
        info = {
            name: {
                "input": cls.INPUT_TYPES(),
                "name": name,
                "output": list(cls.RETURN_TYPES),
                "output_node": getattr(cls, "OUTPUT_NODE", False),
            }
            for name, cls in classes
        }
        return Response(json.dumps(info))

    def send_sync(self, event, data, sid=None):
        raise NotImplementedError("there is no browser")
