"""Random values of a node's numbers, texts and switches: the edges of the range first, in every form that is taken."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from scripts.parity.case_lists.prompts import PROMPTS

SIDES = (1, 7, 8, 9, 15, 16, 17, 24, 31, 33, 40, 48, 56, 63, 64, 64, 64, 64, 65, 72, 96, 100, 128)
SIDE_NAMES = ("width", "height")
PLACE_NAMES = ("x", "y")
COUNT_NAMES = ("batch_size", "amount", "length")
PREFIXES = (
    "p",
    "",
    "a/b/c",
    "%date:yyyy-MM-dd%/x",
    "%width%x%height%",
    "%4.seed%",
    "ü-日本",
    "a b",
    "x_00007_",
    "a%b%c",
)
SEEDS = (0, 1, 42, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1)
OTHER_FORM = 0.08


class RandomValues:
    """Draws from one generator."""

    def __init__(self, generator: random.Random) -> None:
        self._random = generator

    def value(self, class_type: str, name: str, type_: str, options: Mapping[str, Any]) -> Any:
        """A value for an input, now and then in another form that ComfyUI's conversion takes."""
        value = self.plain(class_type, name, type_, options)
        return self._other_form(value, type_) if self._random.random() < OTHER_FORM else value

    def plain(self, class_type: str, name: str, type_: str, options: Mapping[str, Any]) -> Any:
        """A value of the input's own type within its range."""
        if type_ == "STRING":
            return self._text(name)
        if type_ == "BOOLEAN":
            return self._random.random() < 0.5
        if type_ == "INT":
            return self._integer(class_type, name, options)
        return self._decimal(name, options)

    def _text(self, name: str) -> str:
        if name == "filename_prefix":
            return self._random.choice(PREFIXES)
        prompts = list(PROMPTS.values())
        return " ".join(self._random.sample(prompts, self._random.choice((1, 1, 1, 2, 3))))

    def _integer(self, class_type: str, name: str, options: Mapping[str, Any]) -> int:
        low, high = options.get("min", -(2**31)), options.get("max", 2**31)
        if "seed" in name:
            value = self._random.choice(SEEDS)
        elif name == "steps":
            value = self._random.choice((1, 1, 2, 2, 3, 4))
        elif name in SIDE_NAMES and "Condition" not in class_type and "TextEncode" not in class_type:
            value = self._random.choice((*SIDES, 0))
        elif name in COUNT_NAMES:
            value = self._random.choice((1, 1, 2, 3))
        elif name == "color":
            value = self._random.choice((low, high, 0xFF8040))
        elif class_type == "ImagePadForOutpaint" or name == "grow_mask_by":
            value = self._random.choice((0, 0, 1, 6, 8, 24, 40))
        elif name == "tile_size":
            value = self._random.choice((64, 64, 96, 128, 512, 100))
        elif class_type == "GrowMask":
            value = self._random.choice((-9, -3, -1, 0, 1, 2, 7))
        elif name == "overlap":
            value = self._random.choice((0, 16, 32, 64))
        elif name == "stop_at_clip_layer":
            value = self._random.choice((-1, -2, -3))
        else:
            value = self._random.choice((low, high, 0, 1, 2, 3, 8, 20, 31, 40, 64, 100, self._random.randint(0, 64)))
        return int(min(max(value, low), high))

    def _decimal(self, name: str, options: Mapping[str, Any]) -> float:
        low, high = options.get("min", -1e9), options.get("max", 1e9)
        if name == "scale_by":
            return self._random.choice((0.01, 0.33, 0.5, 0.77, 1.0, 1.5, 1.99))
        if name == "megapixels":
            return 0.01
        if name in ("strength_model", "strength_clip", "multiplier", "cfg"):
            value = self._random.choice((0.0, 1.0, 0.5, -0.7, 1.3, 4.5, 7.0))
        elif name.startswith("sigma_"):
            value = self._random.choice((14.61, 0.03, 0.0, 1.0, 80.0))
        elif name == "denoise":
            value = self._random.choice((1.0, 1.0, 0.0, 0.01, 0.5, 0.9999, 0.33))
        else:
            edges = (low, high, options.get("default", 0.0), 0.0, 1.0)
            value = self._random.choice((*edges, round(self._random.uniform(low, min(high, low + 10)), 3)))
        return float(min(max(value, low), high))

    def _other_form(self, value: Any, type_: str) -> Any:
        forms: list[Any]
        if type_ == "INT":
            forms = [str(value), float(value) if abs(value) < 2**53 else value, f" {value} "]
        elif type_ == "FLOAT":
            forms = [str(value), int(value) if value == int(value) else value, f"{value:e}"]
        elif type_ == "BOOLEAN":
            forms = [int(value), "yes" if value else "", 0.5 if value else 0.0]
        else:
            forms = [7, 1.5, True, None]
        return self._random.choice(forms)
