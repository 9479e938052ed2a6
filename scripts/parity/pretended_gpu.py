"""A GPU that is pretended on the CPU, so that code for GPUs shows there where it mixes the two up.

Tensors on it stay in the CPU's memory and are computed there, to the same values; but what a GPU would refuse is
refused: two devices in one operation, numpy, a generator of the other device. It sees what Python calls of torch, which
is all that the native engine does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
TOTAL_BYTES = 16 << 30

_OPERATORS = ("add", "sub", "mul", "div", "truediv", "pow", "mod", "remainder", "maximum", "minimum", "fmin", "fmax")
_COMPARISONS = ("lt", "gt", "le", "ge", "eq", "ne", "where")
# With these a GPU's tensors take a single number on the CPU.
_TAKES_A_NUMBER = frozenset({*_OPERATORS, *_COMPARISONS, *(f"r{name}" for name in _OPERATORS)})
# These look at the shape of the other tensor alone, or copy it, or take indices from the CPU.
_TAKES_BOTH = frozenset({"copy_", "expand_as", "view_as", "reshape_as", "zeros_like", "__setitem__"})
_WAITS = frozenset({"cpu", "item", "tolist", "nonzero", "equal", "__bool__", "__int__", "__float__", "__index__"})


class OnGpu(Tensor):
    """A tensor that is taken to be on the GPU."""


class PretendedGpu(TorchFunctionMode):
    """While it is entered, `cuda` is a device. `waits` are the calls that would have waited for a real one."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.device:
            return func(*args, **(kwargs or {}))
        name = func.__name__
        if name == "__get__" and (read := _PROPERTIES.get(getattr(func.__self__, "__name__", ""))):
            return read(device_of(args[0]))
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        device = _wanted(name, args, kwargs or {}) or _common(name, tensors)
        if name in _WAITS and device_of(tensors[0]) == GPU:
            self.waits.append(name)
        on_cpu: tuple[list[Any], dict[str, Any]] = tree_map(_on_cpu, (list(args), dict(kwargs or {})))
        positional, named = on_cpu
        _refuse(name, device, tensors, named)
        named.pop("pin_memory", None)
        with torch._C.DisableTorchFunctionSubclass():
            return tree_map(partial(_placed, device=device, given=tensors), func(*positional, **named))


class _Generator(torch.Generator):
    """A CPU's generator that knows which device it is for."""

    pretended = CPU

    def __new__(cls, device: Any = CPU) -> _Generator:
        generator = super().__new__(cls, CPU)  # type: ignore[call-arg]  # torch's stub declares __init__ alone
        generator.pretended = _normal(torch.device(device))
        return generator


class _Event:
    """A mark on a stream; what is computed on the CPU is done at once, so that nothing waits for it."""

    def record(self, stream: object = None) -> None: ...

    def synchronize(self) -> None: ...


class _Stream(_Event):
    def __init__(self, device: object = None) -> None: ...

    def wait_stream(self, other: object) -> None: ...


@contextmanager
def pretended_gpu() -> Iterator[PretendedGpu]:
    """A machine with a GPU of 16 GB, all of it free, that computes in bfloat16."""
    memory: dict[str, Any] = {"mem_get_info": (TOTAL_BYTES, TOTAL_BYTES), "memory_reserved": 0, "memory_allocated": 0}
    memory["empty_cache"] = None
    machine = {"is_available": True, "device_count": 1, "get_device_name": "Pretended", "get_device_capability": (9, 0)}
    fakes: dict[str, Any] = {name: mock.Mock(return_value=fact) for name, fact in {**memory, **machine}.items()}
    fakes |= {"Stream": _Stream, "Event": _Event, "current_stream": _Stream, "stream": nullcontext}
    with (
        mock.patch.multiple(torch.cuda, **fakes),
        mock.patch.object(torch, "Generator", _Generator),
        PretendedGpu() as gpu,
    ):
        yield gpu


def device_of(tensor: Tensor) -> torch.device:
    """Where `tensor` is taken to be."""
    return GPU if isinstance(tensor, OnGpu) else CPU


_PROPERTIES: Mapping[str, Callable[[torch.device], object]] = {
    "device": lambda device: device,
    "is_cuda": lambda device: device == GPU,
    "is_cpu": lambda device: device == CPU,
}


def _normal(device: torch.device) -> torch.device:
    return GPU if device.type == "cuda" else device


def _wanted(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.device | None:
    """The device that a call names; None where that of its tensors counts."""
    if name == "cpu":
        return CPU
    candidates = [kwargs.get("device"), *(args[1:] if name == "to" else ())]
    for candidate in candidates:
        if isinstance(candidate, str | torch.device):
            return _normal(torch.device(candidate))
        if isinstance(candidate, Tensor):
            return device_of(candidate)
    return None


def _common(name: str, tensors: Sequence[Tensor]) -> torch.device:
    """The one device of `tensors`. Raises RuntimeError where they are on two and the operation does not take that."""
    devices = {device_of(tensor) for tensor in tensors}
    if len(devices) < 2:
        return next(iter(devices), CPU)
    on_cpu = [tensor for tensor in tensors if device_of(tensor) == CPU]
    takes_number = name.strip("_") in _TAKES_A_NUMBER and all(tensor.ndim == 0 for tensor in on_cpu)
    changes_number = name.endswith("_") and not name.endswith("__") and device_of(tensors[0]) == CPU
    if name in _TAKES_BOTH or (name == "__getitem__" and device_of(tensors[0]) == GPU):
        return device_of(tensors[0])
    if takes_number and not changes_number:
        return GPU
    shapes = [f"{list(tensor.shape)} on {device_of(tensor)}" for tensor in tensors]
    raise RuntimeError(f"expected all tensors of {name} on one device, got {', '.join(shapes)}")


def _on_cpu(value: Any) -> Any:
    """A device in the arguments of a call, as the CPU."""
    return CPU if isinstance(value, torch.device) or (isinstance(value, str) and value.startswith("cuda")) else value


def _refuse(name: str, device: torch.device, tensors: Sequence[Tensor], kwargs: Mapping[str, Any]) -> None:
    """Raise what a GPU would for numpy and for a generator of another device."""
    if name in ("numpy", "__array__") and device_of(tensors[0]) == GPU:
        raise TypeError("a GPU's tensor cannot become numpy's: expected .cpu() before")
    generator = kwargs.get("generator")
    if generator is not None and generator.pretended != device:
        raise RuntimeError(f"expected a generator of {device}, got one of {generator.pretended}")


def _placed(value: Any, *, device: torch.device, given: Sequence[Tensor]) -> Any:
    """A result as on `device`: moving between devices copies, and what an operation changed in place stays itself."""
    if not isinstance(value, Tensor):
        return value
    is_given = any(value is tensor for tensor in given)
    if is_given and device_of(value) == device:
        return value
    return (value.clone() if is_given else value).as_subclass(OnGpu if device == GPU else Tensor)
