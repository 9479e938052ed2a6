import nodes
from comfy_execution.graph_utils import is_link


class CacheKeySetInputSignature:
    def __init__(self, dynprompt, node_ids, is_changed_cache):
        self.keys = {}
        self.dynprompt = dynprompt
        self.is_changed_cache = is_changed_cache

    async def add_keys(self, node_ids):
        for node_id in node_ids:
            self.keys[node_id] = await self.get_node_signature(self.dynprompt, node_id)

    async def get_node_signature(self, dynprompt, node_id):
        raise NotImplementedError("the engine names nodes itself")

    async def get_immediate_node_signature(self, dynprompt, node_id, ancestor_order_mapping):
        node = dynprompt.get_node(node_id)
        signature = [node["class_type"], await self.is_changed_cache.get(node_id)]
        for name, value in sorted(node["inputs"].items()):
            if is_link(value):
                signature.append((name, ("ANCESTOR", ancestor_order_mapping[value[0]], value[1])))
            else:
                signature.append((name, value))
        return signature

    def get_data_key(self, node_id):
        return self.keys.get(node_id, None)


class LRUCache:
    def __init__(self, key_class, max_size=100):
        self.key_class = key_class
        self.max_size = max_size
        self.cache = {}
        self.generation = 0
        self.used_generation = {}

    async def set_prompt(self, dynprompt, node_ids, is_changed_cache):
        self.dynprompt = dynprompt
        self.is_changed_cache = is_changed_cache
        self.cache_key_set = self.key_class(dynprompt, node_ids, is_changed_cache)
        await self.cache_key_set.add_keys(node_ids)
        self.generation += 1

    def clean_unused(self):
        for key in sorted(self.cache, key=self.used_generation.__getitem__)[: max(0, len(self.cache) - self.max_size)]:
            del self.cache[key]

    async def ensure_subcache_for(self, node_id, children_ids):
        await self.cache_key_set.add_keys(children_ids)
        return self

    def get(self, node_id):
        key = self.cache_key_set.get_data_key(node_id)
        self.used_generation[key] = self.generation
        return self.cache.get(key)

    def set(self, node_id, value):
        key = self.cache_key_set.get_data_key(node_id)
        self.used_generation[key] = self.generation
        self.cache[key] = value


class ObjectCache:
    def __init__(self):
        self.cache = {}
        self.subcaches = {}

    def get(self, node_id, class_type):
        if (node_id, class_type) not in self.cache:
            self.cache[node_id, class_type] = nodes.NODE_CLASS_MAPPINGS[class_type]()
        return self.cache[node_id, class_type]
