"""Measure what a LoRA costs on a network of SD 1.x's widths: `python -m scripts.bench.lora [--layers 400] [--runs 5]`.

It changes every second layer. Beside each figure stands a plain copy of the weights that it changes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import torch
from torch import nn

from runtime.diffusion.applied_loras import APPLIED
from runtime.diffusion.layers import size_bytes
from runtime.diffusion.lora import Lora
from runtime.diffusion.lora_stack import LoraStack
from scripts.bench.measure import Figure, median_seconds, print_table
from scripts.bench.switch import layer

_RANK = 16


def main() -> int:
    """Print the table; the exit status is 1 where a figure is over its bound."""
    parser = argparse.ArgumentParser(description="Measure a LoRA.")
    parser.add_argument("--layers", type=int, default=400)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    return print_table(_figures(arguments.layers, arguments.runs))


def _figures(layers: int, runs: int) -> Iterator[Figure]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    base = nn.Sequential(*(layer(index) for index in range(layers))).to(device)
    changed = {f"layer{index}": f"{index}.weight" for index in range(0, layers, 2)}
    lora = Lora({name: factor for key, at in changed.items() for name, factor in _factors(key, base, at).items()})

    def apply(run: int) -> None:
        _finish(LoraStack(base).with_lora(lora, changed, strength=1.0 + run).module)

    def copy(run: int) -> None:
        _finish([base.get_parameter(name).clone() for name in changed.values()])

    first, plain = median_seconds(apply, runs), median_seconds(copy, runs)
    yield Figure(
        name=f"a LoRA of rank {_RANK} applied to {len(changed)} of {layers} layers",
        value=first / plain,
        unit="copies",
        bound="none",
        holds=True,
        beside=f"{first * 1e3:.1f} ms; a plain copy of those weights {plain * 1e3:.1f} ms",
    )
    again = median_seconds(lambda _: apply(0), runs)
    yield Figure(
        name="the same LoRA in the next job",
        value=again / first,
        unit="of it",
        bound="at most 0.1",
        holds=again <= 0.1 * first,
        beside=f"{again * 1e3:.2f} ms",
    )
    own = APPLIED.size_bytes(device)
    changed_bytes = sum(base.get_parameter(name).nbytes for name in changed.values())
    yield Figure(
        name="memory beyond the base",
        value=own / changed_bytes,
        unit="of the weights that it changes",
        bound="at most 1",
        holds=own <= changed_bytes,
        beside=f"{own / 1e6:.0f} MB; the base {size_bytes(base) / 1e6:.0f} MB",
    )


def _factors(key: str, base: nn.Module, parameter: str) -> dict[str, torch.Tensor]:
    rows, columns = base.get_parameter(parameter).shape
    return {
        f"{key}.lora_up.weight": torch.full((rows, _RANK), 0.01, dtype=torch.float16),
        f"{key}.lora_down.weight": torch.full((_RANK, columns), 0.01, dtype=torch.float16),
    }


def _finish(_: object) -> None:
    """What was asked for is there, on a GPU too."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    raise SystemExit(main())
