"""LoRA files: which weights they change, and how."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from torch import Tensor

from runtime.diffusion.weight_change import Change, Directed, Factors, Hadamard, Kronecker, LowRank, Whole
from runtime.errors import ModelCorrupt

# How the tools that train LoRAs name the two factors behind a layer's name: (B, A) of W + B A.
_FACTORS: tuple[tuple[str, str], ...] = (
    (".lora_up.weight", ".lora_down.weight"),
    (".lora_B.weight", ".lora_A.weight"),
    (".lora_B.default.weight", ".lora_A.default.weight"),
    (".lora_linear_layer.up.weight", ".lora_linear_layer.down.weight"),
    (".lora.up.weight", ".lora.down.weight"),
    ("_lora.up.weight", "_lora.down.weight"),
)
_ALPHA = ".alpha"
_MID = ".lora_mid.weight"
_MAGNITUDE = ".dora_scale"
_HADAMARD = (".hada_w1_a", ".hada_w1_b", ".hada_w2_a", ".hada_w2_b", ".hada_t1", ".hada_t2")
_KRONECKER = (".lokr_w1", ".lokr_w1_a", ".lokr_w1_b", ".lokr_w2", ".lokr_w2_a", ".lokr_w2_b", ".lokr_t2")
_WHOLE = (".w_norm", ".diff")
_WHOLE_BIAS = (".b_norm", ".diff_b")
_UNSUPPORTED = {
    ".a1.weight": "GLoRA",
    ".oft_blocks": "OFT",
    ".set_weight": "file of whole weights",
    ".reshape_weight": "LoRA that reshapes weights",
}
_SUFFIXES = (
    *(suffix for pair in _FACTORS for suffix in pair), _ALPHA, _MID, _MAGNITUDE, *_HADAMARD, *_KRONECKER, *_WHOLE,
    *_WHOLE_BIAS,
)  # fmt: skip


class Lora:
    """The changes that a file holds, by the names that it gives the layers: of their weights, and of their biases."""

    def __init__(self, tensors: Mapping[str, Tensor], *, name: str = "a LoRA") -> None:
        """`name` is what the log calls it. Raises ModelCorrupt for no LoRA, or one of a kind that is not supported."""
        check_lora(tensors)
        self.name = name
        self.deltas: Mapping[str, Change] = dict(_deltas(tensors))
        self.bias_deltas: Mapping[str, Change] = dict(_whole(tensors, _WHOLE_BIAS))
        self._unread = tuple(_unread(tensors, self.deltas.keys() | self.bias_deltas.keys()))

    def unused(self, layers: Collection[str]) -> list[str]:
        """What the file holds beyond changes of `layers`: other layers, and tensors that are part of no change."""
        names = dict.fromkeys([*self.deltas, *self.bias_deltas])
        return [*(name for name in names if name not in layers), *self._unread]


def check_lora(names: Collection[str]) -> None:
    """Raise ModelCorrupt where tensors of these names are no LoRA, or one of a kind that is not supported."""
    for suffix, kind in _UNSUPPORTED.items():
        if name := next((name for name in names if name.endswith(suffix)), None):
            raise ModelCorrupt(f"the tensor {name} is of a {kind}, expected a LoRA, LoHa, LoKr, DoRA or differences")
    if not any(name.endswith(_SUFFIXES) for name in names):
        raise ModelCorrupt(f"no LoRA: none of its {len(names)} tensors ends with {_FACTORS[0][0]} or the like")


def _deltas(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Change]]:
    """Every change of a weight; of two of one layer the later one counts, as in ComfyUI."""
    for up, down in _FACTORS:
        for name in _layers(tensors, up):
            yield name, _directed(tensors, name, _low_rank(tensors, name, up, down))
    for name in _layers(tensors, _HADAMARD[0]):
        yield name, _directed(tensors, name, _hadamard(tensors, name))
    for name in dict.fromkeys(name for part in _KRONECKER for name in _layers(tensors, part)):
        yield name, _directed(tensors, name, _kronecker(tensors, name))
    yield from _whole(tensors, _WHOLE)


def _layers(tensors: Iterable[str], suffix: str) -> list[str]:
    return [name.removesuffix(suffix) for name in tensors if name.endswith(suffix)]


def _low_rank(tensors: Mapping[str, Tensor], name: str, up: str, down: str) -> Change:
    return LowRank(
        up=tensors[name + up],
        down=_part(tensors, name, down),
        alpha=_alpha(tensors, name),
        mid=tensors.get(name + _MID),
    )


def _hadamard(tensors: Mapping[str, Tensor], name: str) -> Change:
    return Hadamard(
        first=_factors(tensors, name, ".hada_w1", core=".hada_t1"),
        second=_factors(tensors, name, ".hada_w2", core=".hada_t2"),
        alpha=_alpha(tensors, name),
    )


def _kronecker(tensors: Mapping[str, Tensor], name: str) -> Change:
    first, second = (
        Factors(tensors[name + part]) if name + part in tensors else _factors(tensors, name, part, core=core)
        for part, core in ((".lokr_w1", ".lokr_t1"), (".lokr_w2", ".lokr_t2"))
    )
    return Kronecker(first=first, second=second, alpha=_alpha(tensors, name))


def _factors(tensors: Mapping[str, Tensor], name: str, part: str, *, core: str) -> Factors:
    left, right = (_part(tensors, name, f"{part}_{side}") for side in "ab")
    around = [] if name + core not in tensors else [tensors[name + core]]
    return Factors(left, right, *around)


def _whole(tensors: Mapping[str, Tensor], suffixes: Iterable[str]) -> Iterator[tuple[str, Change]]:
    for suffix in suffixes:
        for name in _layers(tensors, suffix):
            yield name, Whole(difference=tensors[name + suffix])


def _directed(tensors: Mapping[str, Tensor], name: str, change: Change) -> Change:
    magnitude = tensors.get(name + _MAGNITUDE)
    return change if magnitude is None else Directed(change=change, magnitude=magnitude)


def _alpha(tensors: Mapping[str, Tensor], name: str) -> float | None:
    alpha = tensors.get(name + _ALPHA)
    return None if alpha is None else float(alpha)


def _part(tensors: Mapping[str, Tensor], name: str, suffix: str) -> Tensor:
    found = tensors.get(name + suffix)
    if found is None:
        raise ModelCorrupt(f"the LoRA has no tensor {name}{suffix} beside the others of {name}")
    return found


def _unread(tensors: Mapping[str, Tensor], layers: Collection[str]) -> Iterator[str]:
    """The tensors that no change is made of."""
    for name in tensors:
        if not any(name.endswith(suffix) and name.removesuffix(suffix) in layers for suffix in _SUFFIXES):
            yield name
