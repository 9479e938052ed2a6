from collections import namedtuple
from contextvars import ContextVar

ExecutionContext = namedtuple("ExecutionContext", "prompt_id node_id list_index")
current_executing_context = ContextVar("current_executing_context", default=None)


def get_executing_context():
    return current_executing_context.get(None)
