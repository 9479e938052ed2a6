"""Texts as the editor sends them: choices drawn, comments left out, names of other widgets and dates filled in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime

from runtime.graph.ui.javascript import text_of
from runtime.graph.ui.nodes import LiveNode

Choose = Callable[[int], int]
"""A number below the one given: which of so many choices is taken."""

SAVES_FILES = frozenset(
    (
        "SaveImage",
        "SaveAnimatedWEBP",
        "SaveWEBM",
        "SaveAudio",
        "SaveGLB",
        "SaveAnimatedPNG",
        "CLIPSave",
        "VAESave",
        "ModelSave",
        "LoraSave",
        "SaveLatent",
    )
)
"""Node types whose `filename_prefix` may name other widgets."""

_COMMENT_START = re.compile(r"/[*/]")
_LINE_END = re.compile(r"[\n\r\u2028\u2029]")
_ESCAPED = re.compile(r"\\([{}|])")
_PLACEHOLDER = re.compile(r"%([^%]+)%")
_UNSAFE = re.compile(r'[/?<>\\:*|"\x00-\x1F\x7F]')
_DATE_PART = re.compile(r"dd?|MM?|hh?|mm?|ss?|yyy?y?")
_DEEPEST = 32


def with_choices(text: str, choose: Choose, depth: int = 0) -> str:
    """`text` without comments, with one of each `{a|b}` in its place; `\\{`, `\\|` and `\\}` stand for themselves."""
    text = _without_comments(text)
    made, at = [], 0
    while at < len(text):
        if text[at] == "{" and depth < _DEEPEST:
            options, at = _options(text, at + 1)
            made.append(with_choices(options[choose(len(options))], choose, depth + 1))
        elif text[at] == "\\":
            made.append(text[at : at + 2] if at + 1 < len(text) else "\\undefined")
            at += 2
        else:
            made.append(text[at])
            at += 1
    return _ESCAPED.sub(r"\1", "".join(made))


def _without_comments(text: str) -> str:
    """`text` without `/* this */` and `// this`; a first half without its other one stands for itself."""
    kept, at, is_open = [], 0, text.find("*/") >= 0
    while (start := _COMMENT_START.search(text, at)) is not None:
        kept.append(text[at : start.start()])
        if start[0] == "//":
            end = _LINE_END.search(text, start.end())
            at = end.start() if end else len(text)
            continue
        close = text.find("*/", start.end()) if is_open else -1
        is_open = close >= 0
        at = close + 2 if is_open else start.start() + 1
        if not is_open:
            kept.append("/")
    return "".join([*kept, text[at:]])


def _options(text: str, at: int) -> tuple[list[str], int]:
    """The options from `at`, behind a bracket, to its other half or the end; and where to go on."""
    options, start, depth = [], at, 0
    while at < len(text):
        mark = text[at]
        if mark == "\\":
            at += 1
        elif mark == "{":
            depth += 1
        elif mark == "}" and depth:
            depth -= 1
        elif mark == "}":
            break
        elif mark == "|" and not depth:
            options.append(text[start:at])
            start = at + 1
        at += 1
    return [*options, text[start:at]], at + 1


class TextReplacer:
    """Fills in `%Node.widget%`, by a node's name or title, and `%date:yyyy-MM-dd%`."""

    def __init__(self, nodes: Iterable[LiveNode], now: datetime) -> None:
        self._named: dict[str, LiveNode] = {}
        self._titled: dict[str, LiveNode] = {}
        self._now = now
        for node in nodes:
            self._titled.setdefault(node.title, node)
            name = _search_name(node)
            if isinstance(name, str):
                self._named.setdefault(name, node)

    def replace(self, text: str) -> str:
        """`text` filled in; what names nothing stays as it is."""
        return _PLACEHOLDER.sub(self._filled, text)

    def _filled(self, found: re.Match[str]) -> str:
        parts = found[1].split(".")
        if len(parts) != 2:
            return _date(parts[0][5:], self._now) if parts[0].startswith("date:") else found[0]
        node = self._named.get(parts[0]) or self._titled.get(parts[0])
        widget = node.widget(parts[1]) if node else None
        if widget is None:
            return found[0]
        return _UNSAFE.sub("_", "" if widget.value is None else text_of(widget.value))


def _search_name(node: LiveNode) -> object:
    """What the editor calls a node in its search, unless it is renamed: its type."""
    default = None if node.is_virtual or node.class_type in SAVES_FILES else node.class_type
    return node.properties.get("Node name for S&R", default)


def _date(pattern: str, now: datetime) -> str:
    numbers = {"d": now.day, "M": now.month, "h": now.hour, "m": now.minute, "s": now.second}

    def part(found: re.Match[str]) -> str:
        mark = found[0]
        if mark in ("yy", "yyyy"):
            return str(now.year)[-len(mark) :]
        return str(numbers[mark[0]]).rjust(len(mark), "0") if mark[0] in numbers else mark

    return _DATE_PART.sub(part, pattern)
