"""Stand-ins for torchvision and torchaudio, so that a ComfyUI checkout imports without them.

ComfyUI imports both at the top of files that no parity case runs (audio, video and Cascade models). A stand-in is
put into `sys.modules` only where the real package is absent; whatever is looked up on it is an empty class.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from types import ModuleType

STOOD_IN = {
    "torchvision": ("torchvision.transforms", "torchvision.transforms.functional"),
    "torchaudio": ("torchaudio.transforms", "torchaudio.functional"),
}


class StandIn(ModuleType):
    """A module that answers every public name with an empty class of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = importlib.machinery.ModuleSpec(name, loader=None, is_package=True)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def install_absent() -> None:
    """Put a stand-in into `sys.modules` for each of the two packages that is not installed."""
    for package, submodules in STOOD_IN.items():
        if importlib.util.find_spec(package) is None:
            for name in (package, *submodules):
                _install(name)


def _install(name: str) -> None:
    module = StandIn(name)
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)
