"""Nodes that put texts together and ask about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from runtime.nodes.inputs import Declared, InputTypes, choice, flag, text

_LINES = text(multiline=True)
_WHOLE: Declared = ("INT", {})

_CASES: Mapping[str, Callable[[str], str]] = {
    "UPPERCASE": str.upper,
    "lowercase": str.lower,
    "Capitalize": str.capitalize,
    "Title Case": str.title,
}
_TRIMS: Mapping[str, Callable[[str], str]] = {"Both": str.strip, "Left": str.lstrip, "Right": str.rstrip}
_COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {
    "Starts With": str.startswith,
    "Ends With": str.endswith,
    "Equal": str.__eq__,
}


class _StringNode:
    """A node of texts."""

    FUNCTION = "execute"
    CATEGORY = "utils/string"
    RETURN_TYPES: tuple[str, ...] = ("STRING",)


class StringConcatenate(_StringNode):
    """Two texts with `delimiter` between them."""

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        delimiter = text(multiline=False, default="")
        return {"required": {"string_a": _LINES, "string_b": _LINES, "delimiter": delimiter}}

    def execute(self, string_a: str, string_b: str, delimiter: str) -> tuple[str]:
        return (f"{string_a}{delimiter}{string_b}",)


class StringSubstring(_StringNode):
    """The characters from `start` up to before `end`; negative ones count from the text's end."""

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"string": _LINES, "start": _WHOLE, "end": _WHOLE}}

    def execute(self, string: str, start: int, end: int) -> tuple[str]:
        return (string[start:end],)


class StringLength(_StringNode):
    """How many characters a text has."""

    RETURN_TYPES = ("INT",)
    RETURN_NAMES = ("length",)

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"string": _LINES}}

    def execute(self, string: str) -> tuple[int]:
        return (len(string),)


class CaseConverter(_StringNode):
    """A text in capitals, without, or with some."""

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"string": _LINES, "mode": choice(*_CASES)}}

    def execute(self, string: str, mode: str) -> tuple[str]:
        return (_CASES[mode](string),)


class StringTrim(_StringNode):
    """A text without the white space around it."""

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"string": _LINES, "mode": choice(*_TRIMS)}}

    def execute(self, string: str, mode: str) -> tuple[str]:
        return (_TRIMS[mode](string),)


class StringReplace(_StringNode):
    """A text with `replace` wherever `find` stood."""

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"string": _LINES, "find": _LINES, "replace": _LINES}}

    def execute(self, string: str, find: str, replace: str) -> tuple[str]:
        return (string.replace(find, replace),)


class StringContains(_StringNode):
    """Whether `substring` stands in a text."""

    RETURN_TYPES = ("BOOLEAN",)
    RETURN_NAMES = ("contains",)

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"string": _LINES, "substring": _LINES, "case_sensitive": flag(True)}}

    def execute(self, string: str, substring: str, case_sensitive: bool) -> tuple[bool]:
        string, substring = _of_case(case_sensitive, string, substring)
        return (substring in string,)


class StringCompare(_StringNode):
    """Whether a text is another, or starts or ends with it."""

    RETURN_TYPES = ("BOOLEAN",)

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        mode = choice(*_COMPARISONS)
        return {"required": {"string_a": _LINES, "string_b": _LINES, "mode": mode, "case_sensitive": flag(True)}}

    def execute(self, string_a: str, string_b: str, mode: str, case_sensitive: bool) -> tuple[bool]:
        return (_COMPARISONS[mode](*_of_case(case_sensitive, string_a, string_b)),)


def _of_case(matters: bool, *texts: str) -> tuple[str, str]:
    one, other = texts if matters else (text.lower() for text in texts)
    return one, other


_NODES: Mapping[str, type] = {
    "Concatenate": StringConcatenate,
    "Substring": StringSubstring,
    "Length": StringLength,
    "Case Converter": CaseConverter,
    "Trim": StringTrim,
    "Replace": StringReplace,
    "Contains": StringContains,
    "Compare": StringCompare,
}
NODE_CLASS_MAPPINGS: dict[str, type] = {cls.__name__: cls for cls in _NODES.values()}
NODE_DISPLAY_NAME_MAPPINGS = {cls.__name__: name for name, cls in _NODES.items()}
