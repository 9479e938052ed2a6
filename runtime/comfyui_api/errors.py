"""What is wrong with a prompt, in ComfyUI's form: `{"error": {type, message, details, extra_info}, "node_errors"}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.api.problems import status_of
from runtime.errors import GraphRejected, InvalidRequest, ModelMissing, ServerlessError, UnknownNode
from runtime.graph.check import NO_OUTPUTS


class PromptRefused(InvalidRequest):
    """A prompt that cannot run. `kind` is ComfyUI's name of what is wrong."""

    def __init__(self, message: str, *, kind: str, node_errors: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, node_errors=node_errors)
        self.kind = kind

    @classmethod
    def of(cls, error: ServerlessError) -> PromptRefused:
        """The same error as ComfyUI would name it."""
        return cls(error.message, kind=_kind(error), node_errors=error.node_errors)

    def body(self) -> dict[str, Any]:
        """The answer's body."""
        error = {"type": self.kind, "message": _HEADLINES[self.kind], "details": self.message, "extra_info": {}}
        return {"error": error, "node_errors": self.node_errors or {}}


_HEADLINES = {
    "no_prompt": "The request has no prompt",
    "invalid_prompt": "The prompt is not valid",
    "prompt_no_outputs": "The prompt has no output node",
    "prompt_outputs_failed_validation": "No output of the prompt can run",
}


def status_here(error: ServerlessError) -> int:
    """The HTTP status: ComfyUI says 400 of everything that is wrong with what was asked."""
    status = status_of(error)
    return 400 if status == 422 else status


def _kind(error: ServerlessError) -> str:
    if isinstance(error, GraphRejected) and error.message == NO_OUTPUTS:
        return "prompt_no_outputs"
    if isinstance(error, GraphRejected | ModelMissing) and not isinstance(error, UnknownNode):
        return "prompt_outputs_failed_validation"
    return "invalid_prompt"
