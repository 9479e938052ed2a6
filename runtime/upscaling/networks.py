"""The networks: ESRGAN in its residual dense blocks, and Real-ESRGAN's compact one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from runtime.diffusion.layers import Conv2d, assign_weights
from runtime.upscaling.layout import CompactSpec, EsrganSpec, Spec

_RESIDUAL = 0.2  # how much of a block's work is added to what came in
_SLOPE = 0.2


def build_network(spec: Spec, tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> nn.Module:
    """The network of `spec`, whose parameters are the very `tensors`, found under `names[parameter]`.

    It maps (B, 3, H, W) in 0..1 to (B, 3, scale * H, scale * W). Raises ModelCorrupt naming what is amiss.
    """
    network: nn.Module = Esrgan(spec) if isinstance(spec, EsrganSpec) else Compact(spec)
    assign_weights(network, tensors, file_name=lambda parameter: names.get(parameter, parameter))
    return network.eval()


class Esrgan(nn.Module):
    """ESRGAN (Wang et al. 2018, arXiv:1809.00219) and Real-ESRGAN (Wang et al. 2021, arXiv:2107.10833)."""

    def __init__(self, spec: EsrganSpec) -> None:
        super().__init__()
        channels = spec.channels
        self._shuffle = spec.shuffle
        self._scale = spec.scale
        self._ups = [f"conv_up{place + 1}" for place in range(spec.doublings)]
        self.conv_first = Conv2d(spec.channels_in, channels, 3, padding=1)
        self.body = nn.Sequential(*(_Block(spec) for _ in range(spec.blocks)))
        self.conv_body = Conv2d(channels, channels, 3, padding=1)
        for name in self._ups:
            self.add_module(name, Conv2d(channels, channels, 3, padding=1))
        self.conv_hr = Conv2d(channels, channels, 3, padding=1)
        self.conv_last = Conv2d(channels, 3, 3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        height, width = (size * self._scale for size in pictures.shape[-2:])
        x = self.conv_first(self._shuffled(pictures))
        x = x + self.conv_body(self.body(x))
        for name in self._ups:
            x = _activated(self.get_submodule(name)(F.interpolate(x, scale_factor=2, mode="nearest")))
        x = self.conv_last(_activated(self.conv_hr(x)))
        return x[..., :height, :width]

    def _shuffled(self, pictures: Tensor) -> Tensor:
        """As the first layer takes them: of at least two pixels a side, to be shuffled of a multiple of four."""
        if self._shuffle == 1:
            return _filled_up(pictures, multiple=1, at_least=2)
        return F.pixel_unshuffle(_filled_up(pictures, multiple=4, at_least=4), self._shuffle)


def _filled_up(pictures: Tensor, *, multiple: int, at_least: int) -> Tensor:
    """Pictures with more at the right and below: their mirror image, and where that is used up the last place."""
    missing = [max(at_least, size + -size % multiple) - size for size in (pictures.shape[-1], pictures.shape[-2])]
    mirrored = [min(pad, size - 1) for pad, size in zip(missing, (pictures.shape[-1], pictures.shape[-2]), strict=True)]
    if not any(missing):
        return pictures
    pictures = F.pad(pictures, (0, mirrored[0], 0, mirrored[1]), mode="reflect")
    return F.pad(pictures, (0, missing[0] - mirrored[0], 0, missing[1] - mirrored[1]), mode="replicate")


class _Block(nn.Module):
    """Three dense blocks in a row."""

    def __init__(self, spec: EsrganSpec) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = _Dense(spec), _Dense(spec), _Dense(spec)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.rdb3(self.rdb2(self.rdb1(x)))
        return changed * _RESIDUAL + x


class _Dense(nn.Module):
    """Five convolutions, each of which sees what all before it made.

    ESRGAN+ (Rakotonirina and Rasoanaivo 2020, arXiv:2001.08073) adds the input to the second, and that to the fourth.
    """

    __call__: Callable[..., Tensor]

    def __init__(self, spec: EsrganSpec) -> None:
        super().__init__()
        channels, growth = spec.channels, spec.growth
        self.conv1 = Conv2d(channels, growth, 3, padding=1)
        self.conv2 = Conv2d(channels + growth, growth, 3, padding=1)
        self.conv3 = Conv2d(channels + 2 * growth, growth, 3, padding=1)
        self.conv4 = Conv2d(channels + 3 * growth, growth, 3, padding=1)
        self.conv5 = Conv2d(channels + 4 * growth, channels, 3, padding=1)
        if spec.has_skips:
            self.conv1x1: Conv2d | None = Conv2d(channels, growth, 1)
            self.conv1x1.bias = None
        else:
            self.conv1x1 = None

    def forward(self, x: Tensor) -> Tensor:
        first = _activated(self.conv1(x))
        second = _activated(self.conv2(torch.cat((x, first), 1)))
        if self.conv1x1 is not None:
            second = second + self.conv1x1(x)
        third = _activated(self.conv3(torch.cat((x, first, second), 1)))
        fourth = _activated(self.conv4(torch.cat((x, first, second, third), 1)))
        if self.conv1x1 is not None:
            fourth = fourth + second
        return self.conv5(torch.cat((x, first, second, third, fourth), 1)) * _RESIDUAL + x


class Compact(nn.Module):
    """The network of Real-ESRGAN's small models: convolutions at the size of the input, then a pixel shuffle.

    What it makes is added to the picture itself, enlarged (source: github.com/xinntao/Real-ESRGAN).
    """

    def __init__(self, spec: CompactSpec) -> None:
        super().__init__()
        self._scale = spec.scale
        layers: list[nn.Module] = [Conv2d(3, spec.channels, 3, padding=1), _prelu(spec.channels)]
        for _ in range(spec.convolutions):
            layers += [Conv2d(spec.channels, spec.channels, 3, padding=1), _prelu(spec.channels)]
        layers.append(Conv2d(spec.channels, 3 * spec.scale**2, 3, padding=1))
        self.body = nn.Sequential(*layers)

    def forward(self, pictures: Tensor) -> Tensor:
        made = F.pixel_shuffle(self.body(pictures), self._scale)
        return made + F.interpolate(pictures, scale_factor=self._scale, mode="nearest")


def _prelu(channels: int) -> nn.PReLU:
    return nn.PReLU(channels, device="meta")


def _activated(x: Tensor) -> Tensor:
    return F.leaky_relu(x, _SLOPE, inplace=True)
