"""Nodes that hold one value and hand it on."""

from __future__ import annotations

import sys

from runtime.nodes.inputs import Declared, InputTypes, text


class _Primitive:
    """A node with one input, `value`, and that value as its output."""

    RETURN_TYPES: tuple[str, ...]
    FUNCTION = "execute"
    CATEGORY = "utils/primitive"
    VALUE: Declared

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"value": cls.VALUE}}

    def execute(self, value: object) -> tuple[object]:
        return (value,)


class PrimitiveString(_Primitive):
    """A text on one line."""

    RETURN_TYPES = ("STRING",)
    VALUE = text(multiline=False)


class PrimitiveStringMultiline(_Primitive):
    """A text of several lines."""

    RETURN_TYPES = ("STRING",)
    VALUE = text(multiline=True)


class PrimitiveInt(_Primitive):
    """A whole number."""

    RETURN_TYPES = ("INT",)
    VALUE = ("INT", {"min": -sys.maxsize, "max": sys.maxsize, "control_after_generate": True})


class PrimitiveFloat(_Primitive):
    """A number."""

    RETURN_TYPES = ("FLOAT",)
    VALUE = ("FLOAT", {"min": -sys.maxsize, "max": sys.maxsize})


class PrimitiveBoolean(_Primitive):
    """A truth value."""

    RETURN_TYPES = ("BOOLEAN",)
    VALUE = ("BOOLEAN", {})


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "PrimitiveString": PrimitiveString,
    "PrimitiveStringMultiline": PrimitiveStringMultiline,
    "PrimitiveInt": PrimitiveInt,
    "PrimitiveFloat": PrimitiveFloat,
    "PrimitiveBoolean": PrimitiveBoolean,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "PrimitiveString": "String",
    "PrimitiveStringMultiline": "String (Multiline)",
    "PrimitiveInt": "Int",
    "PrimitiveFloat": "Float",
    "PrimitiveBoolean": "Boolean",
}
