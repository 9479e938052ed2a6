from comfy_execution.graph_utils import ExecutionBlocker

__all__ = ["DynamicPrompt", "ExecutionBlocker"]


class DynamicPrompt:
    def __init__(self, original_prompt):
        self.original_prompt = original_prompt
        self.ephemeral_prompt = {}
        self.ephemeral_parents = {}

    def get_node(self, node_id):
        return self.ephemeral_prompt.get(node_id) or self.original_prompt[node_id]

    def has_node(self, node_id):
        return node_id in self.original_prompt or node_id in self.ephemeral_prompt

    def add_ephemeral_node(self, node_id, node_info, parent_id, display_id):
        self.ephemeral_prompt[node_id] = node_info
        self.ephemeral_parents[node_id] = parent_id

    def get_parent_node_id(self, node_id):
        return self.ephemeral_parents.get(node_id, None)

    def get_display_node_id(self, node_id):
        while node_id in self.ephemeral_parents:
            node_id = self.ephemeral_parents[node_id]
        return node_id

    def all_node_ids(self):
        return {*self.original_prompt, *self.ephemeral_prompt}
