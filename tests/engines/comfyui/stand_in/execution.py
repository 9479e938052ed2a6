import traceback
from collections import namedtuple
from enum import Enum

import comfy.model_management
import nodes
import torch
from comfy_execution.caching import CacheKeySetInputSignature, LRUCache, ObjectCache
from comfy_execution.graph import DynamicPrompt
from comfy_execution.graph_utils import ExecutionBlocker, GraphBuilder, is_link
from comfy_execution.progress import WebUIProgressHandler
from comfy_execution.utils import ExecutionContext, current_executing_context

CacheSet = namedtuple("CacheSet", "outputs ui objects")


class CacheType(Enum):
    CLASSIC = 0
    LRU = 1
    DEPENDENCY_AWARE = 2


class IsChangedCache:
    def __init__(self, prompt_id, dynprompt, outputs_cache):
        self.dynprompt = dynprompt

    async def get(self, node_id):
        node = self.dynprompt.get_node(node_id)
        ask = getattr(nodes.NODE_CLASS_MAPPINGS[node["class_type"]], "IS_CHANGED", None)
        return False if ask is None else ask(**{k: v for k, v in node["inputs"].items() if not is_link(v)})


class PromptExecutor:
    def __init__(self, server, cache_type=False, cache_size=None):
        self.cache_type = cache_type
        self.cache_size = cache_size
        self.server = server
        self.reset()

    def reset(self):
        results = [LRUCache(CacheKeySetInputSignature, max_size=self.cache_size) for _ in range(2)]
        self.caches = CacheSet(*results, ObjectCache())
        self.success = True

    def add_message(self, event, data, broadcast):
        if self.server.client_id is not None or broadcast:
            self.server.send_sync(event, data, self.server.client_id)

    def handle_execution_error(self, prompt_id, prompt, current_outputs, executed, error, ex):
        interrupted = isinstance(ex, comfy.model_management.InterruptProcessingException)
        event = "execution_interrupted" if interrupted else "execution_error"
        self.add_message(event, {"prompt_id": prompt_id, **error}, broadcast=interrupted)

    async def execute_async(self, prompt, prompt_id, extra_data={}, execute_outputs=[]):  # noqa: B006  # as there
        nodes.interrupt_processing(False)
        self.server.client_id = extra_data.get("client_id")
        self.add_message("execution_start", {"prompt_id": prompt_id}, broadcast=False)
        WebUIProgressHandler(self.server)
        with torch.inference_mode():
            run = Run(self, DynamicPrompt(prompt), prompt_id)
            for cache in (self.caches.outputs, self.caches.ui):
                await cache.set_prompt(run.dynprompt, prompt.keys(), IsChangedCache(prompt_id, run.dynprompt, cache))
                cache.clean_unused()
            cached = [node_id for node_id in prompt if self.caches.outputs.get(node_id) is not None]
            self.add_message("execution_cached", {"nodes": cached, "prompt_id": prompt_id}, broadcast=False)
            self.success = await run.all(list(execute_outputs))
            if self.success:
                self.add_message("execution_success", {"prompt_id": prompt_id}, broadcast=False)
            self.server.last_node_id = None


class Run:
    """One prompt's walk, output by output."""

    def __init__(self, executor, dynprompt, prompt_id):
        self.executor = executor
        self.caches = executor.caches
        self.dynprompt = dynprompt
        self.prompt_id = prompt_id

    async def all(self, outputs):
        self.outputs = outputs
        while self.outputs:
            stack = [self.outputs.pop(0)]
            while stack:
                try:
                    missing = await self.advance(stack[-1])
                except Exception as exc:
                    self.fail(stack[-1], exc)
                    return False
                stack = [*stack, *missing] if missing else stack[:-1]
        return True

    def fail(self, node_id, exc):
        shown = self.dynprompt.get_display_node_id(node_id)
        error = {"node_id": shown, "traceback": traceback.format_tb(exc.__traceback__), "exception_message": str(exc)}
        self.executor.handle_execution_error(self.prompt_id, self.dynprompt.original_prompt, [], set(), error, exc)

    async def advance(self, node_id):
        if self.caches.outputs.get(node_id) is not None:
            return []
        node = self.dynprompt.get_node(node_id)
        links = {name: value for name, value in node["inputs"].items() if is_link(value)}
        missing = [value[0] for value in links.values() if self.caches.outputs.get(value[0]) is None]
        if not missing:
            given = {name: self.caches.outputs.get(value[0])[value[1]][0] for name, value in links.items()}
            missing = await self.call(node_id, node, {**node["inputs"], **given})
        return missing

    async def call(self, node_id, node, values):
        shown, server = self.dynprompt.get_display_node_id(node_id), self.executor.server
        server.last_node_id = shown
        started = {"node": node_id, "display_node": shown, "prompt_id": self.prompt_id}
        server.send_sync("executing", started, server.client_id)
        returned = self.invoke(node_id, node, values)
        if isinstance(returned, dict) and returned.get("ui"):
            told = {**started, "output": returned["ui"]}
            self.caches.ui.set(node_id, told)
            server.send_sync("executed", told, server.client_id)
        expansion = returned.get("expand") if isinstance(returned, dict) else None
        if expansion:
            await self.expand(node_id, shown, expansion)
        result = returned.get("result", ()) if isinstance(returned, dict) else returned
        self.caches.outputs.set(node_id, [[value] for value in result])
        return []

    def invoke(self, node_id, node, values):
        nodes.before_node_execution()
        blocker = next((value for value in values.values() if isinstance(value, ExecutionBlocker)), None)
        if blocker is not None:
            return self.block(node_id, node, blocker)
        obj = self.caches.objects.get(node_id, node["class_type"])
        GraphBuilder.prefix = node_id
        token = current_executing_context.set(ExecutionContext(self.prompt_id, node_id, 0))
        try:
            return getattr(obj, obj.FUNCTION)(**values)
        finally:
            current_executing_context.reset(token)

    def block(self, node_id, node, blocker):
        if blocker.message is not None:
            told = {
                "node_id": node_id,
                "node_type": node["class_type"],
                "exception_message": f"Execution Blocked: {blocker.message}",
                "exception_type": "ExecutionBlocked",
            }
            self.executor.server.send_sync("execution_error", told, self.executor.server.client_id)
        return (ExecutionBlocker(None),)

    async def expand(self, node_id, shown, expansion):
        for new_id, new in expansion.items():
            self.dynprompt.add_ephemeral_node(new_id, new, node_id, shown)
            if getattr(nodes.NODE_CLASS_MAPPINGS[new["class_type"]], "OUTPUT_NODE", False):
                self.outputs.append(new_id)
        for cache in (self.caches.outputs, self.caches.ui):
            await cache.ensure_subcache_for(node_id, set(expansion))


async def validate_prompt(prompt_id, prompt, partial_execution_list):
    node_errors, good = {}, []
    for node_id, node in prompt.items():
        cls = nodes.NODE_CLASS_MAPPINGS[node["class_type"]]
        errors = [error for name, spec in cls.INPUT_TYPES()["required"].items() if (error := wrong(name, spec, node))]
        if errors:
            node_errors[node_id] = {"errors": errors, "dependent_outputs": [], "class_type": node["class_type"]}
    bad = set(node_errors)
    for node_id, node in prompt.items():
        above, stack = set(), [node_id]
        while stack:
            id = stack.pop()
            above.add(id)
            stack += [v[0] for v in prompt[id]["inputs"].values() if is_link(v) and v[0] not in above]
        if getattr(nodes.NODE_CLASS_MAPPINGS[node["class_type"]], "OUTPUT_NODE", False):
            if above & bad:
                for id in above & bad:
                    node_errors[id]["dependent_outputs"].append(node_id)
            else:
                good.append(node_id)
    return bool(good), None, good, node_errors


def wrong(name, spec, node):
    if name not in node["inputs"]:
        kind, details, info = "required_input_missing", name, {"input_name": name}
    elif isinstance(spec[0], list) and node["inputs"][name] not in spec[0]:
        value = node["inputs"][name]
        kind, details = "value_not_in_list", f"{name}: '{value}' not in {spec[0]}"
        info = {"input_name": name, "received_value": value}
    else:
        return None
    return {"type": kind, "message": kind, "details": details, "extra_info": info}
