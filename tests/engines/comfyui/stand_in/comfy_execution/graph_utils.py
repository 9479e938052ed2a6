def is_link(obj):
    return isinstance(obj, list) and len(obj) == 2 and isinstance(obj[0], str) and isinstance(obj[1], int | float)


class ExecutionBlocker:
    def __init__(self, message):
        self.message = message


class GraphBuilder:
    """Nodes of an expansion; ids begin with that of the node that expands."""

    prefix = ""

    def __init__(self):
        self.nodes = {}

    def node(self, class_type, id=None, **kwargs):
        self.nodes[f"{GraphBuilder.prefix}.{len(self.nodes)}"] = {"class_type": class_type, "inputs": kwargs}

    def finalize(self):
        return self.nodes
