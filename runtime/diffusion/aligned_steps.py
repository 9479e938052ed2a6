"""Schedules that minimise a bound on a solver's error over a family's own data.

Align your steps (Sabour et al. 2024, arXiv:2404.14507); the sigmas are those of the authors' page,
research.nvidia.com/labs/toronto-ai/AlignYourSteps/howto.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

_TEN_STEPS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "SD1": (
            14.6146412293, 6.4745760956, 3.8636745985, 2.6946151520, 1.8841921177, 1.3943805092, 0.9642583904,
            0.6523686016, 0.3977456272, 0.1515232662, 0.0291671582,
        ),
        "SDXL": (
            14.6146412293, 6.3184485287, 3.7681790315, 2.1811480769, 1.3405244945, 0.8620721141, 0.5550693289,
            0.3798540708, 0.2332364134, 0.1114188177, 0.0291671582,
        ),
        "SVD": (700.00, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002),
    }
)  # fmt: skip


def aligned_sigmas(family: str, steps: int) -> Tensor:
    """The sigmas of `steps` steps for SD1, SDXL or SVD, (steps + 1,), the last one 0.

    Where they are not ten, the sigmas lie evenly on straight lines through the logarithms of the ten.
    """
    known = np.log(np.array(_TEN_STEPS[family]))
    places = np.linspace(0, len(known) - 1, steps + 1)
    sigmas = np.exp(np.interp(places, np.arange(len(known)), known))
    sigmas[-1] = 0.0
    return torch.tensor(sigmas, dtype=torch.float32)
