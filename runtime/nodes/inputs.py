"""How a node class declares its inputs: ComfyUI's `(type, options)` pairs, and the shapes of the values on links."""

from __future__ import annotations

from typing import Any

from runtime.errors import InputRejected, NodeFailed

Latent = dict[str, Any]
Conditioning = list[list[Any]]
Declared = tuple[Any, ...]
InputTypes = dict[str, dict[str, Any]]

MAX_RESOLUTION = 16384  # pixels, the longest side that any input accepts
MAX_SEED = 2**64 - 1


def integer(default: int, low: int, high: int, step: int | None = None, **options: object) -> Declared:
    """A whole number from `low` to `high`."""
    return ("INT", _bounded(default, low, high, step, options))


def decimal(default: float, low: float, high: float, step: float | None = None, **options: object) -> Declared:
    """A number from `low` to `high`; `round=False` keeps a client from rounding it to `step`."""
    return ("FLOAT", _bounded(default, low, high, step, options))


def seed() -> Declared:
    """A seed of noise, which clients change after each run."""
    return integer(0, 0, MAX_SEED, control_after_generate=True)


def text(**options: object) -> Declared:
    """A text; `multiline` and `dynamicPrompts` tell a client how to edit it."""
    return ("STRING", options)


def prompt() -> Declared:
    """A prompt of several lines, in which a client may resolve `{a|b}`."""
    return text(multiline=True, dynamicPrompts=True)


def flag(default: bool) -> Declared:
    """A truth value."""
    return ("BOOLEAN", {"default": default})


def choice(*names: str) -> Declared:
    """One of `names`, the first by default."""
    return (list(names),)


def present(value: Any, node: str, what: str) -> Any:
    """`value`, unless a loader had none to give. Raises NodeFailed that names the node and what is absent."""
    if value is None:
        raise NodeFailed(f"{node}: its {what} is None: the checkpoint that it comes from holds no {what}")
    return value


def check_channels(image: Any, count: int, taker: str) -> None:
    """Pass if the IMAGE has `count` channels; else raises InputRejected, which says that `taker` takes no other."""
    if image.shape[-1] != count:
        raise InputRejected(f"the {taker} takes pictures of {count} channels, but image has {image.shape[-1]}")


def _bounded(
    default: float, low: float, high: float, step: float | None, options: dict[str, object]
) -> dict[str, object]:
    stepped = {} if step is None else {"step": step}
    return {"default": default, "min": low, "max": high, **stepped, **options}
