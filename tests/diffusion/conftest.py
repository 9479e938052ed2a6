"""A diffusion model whose answer can be foretold, for tests of what happens around the UNet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from runtime.diffusion.family import Family
from runtime.diffusion.model import DiffusionModel
from runtime.diffusion.prediction import Prediction
from runtime.diffusion.unet import Residuals, UNet
from runtime.diffusion.unet_spec import UNetSpec


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of the model."""

    x: Tensor
    sigma: Tensor
    context: Tensor
    y: Tensor | None
    concat: Tensor | None
    control: Residuals | None = None


@dataclass(frozen=True, kw_only=True)
class EchoModel(DiffusionModel):
    """Sees in every latent the mean of the prompt that it reads, and writes its calls down.

    With `rows_that_fit` a call of more rows runs out of memory.
    """

    calls: list[Call] = field(default_factory=list)
    rows_that_fit: int | None = None

    def denoise(
        self,
        x: Tensor,
        sigma: Tensor,
        context: Tensor,
        *,
        y: Tensor | None = None,
        concat: Tensor | None = None,
        control: Residuals | None = None,
    ) -> Tensor:
        self.calls.append(Call(x=x, sigma=sigma, context=context, y=y, concat=concat, control=control))
        if self.rows_that_fit is not None and len(x) > self.rows_that_fit:
            raise torch.OutOfMemoryError(f"{len(x)} rows do not fit")
        return context.mean(dim=(1, 2)).view(-1, 1, 1, 1).expand_as(x)


EchoModels = Callable[..., EchoModel]


@pytest.fixture
def echo_model() -> EchoModels:
    """A maker of echo models of any family."""

    def make(
        family: Family = Family.SD1, *, adm_channels: int | None = None, rows_that_fit: int | None = None
    ) -> EchoModel:
        spec = UNetSpec(
            in_channels=4,
            out_channels=4,
            model_channels=32,
            adm_channels=adm_channels,
            heads=8,
            head_channels=None,
            input_blocks=(),
            middle_block=(),
            output_blocks=(),
        )
        return EchoModel(
            unet=UNet(spec),
            family=family,
            prediction=Prediction(),
            device=torch.device("cpu"),
            dtype=torch.float32,
            rows_that_fit=rows_that_fit,
        )

    return make
