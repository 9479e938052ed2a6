"""The widgets that the editor gives a node of a type: their order, their defaults and what it sends of them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.graph.ui.javascript import is_number, is_truthy, rounded, text_of

Spec = Sequence[Any]
"""An input's declaration in object_info: its type or its options, and its settings."""

_SEEDS = ("seed", "noise_seed")
_ANNOTATED = re.compile(r"\[(input|output|temp)\]", re.IGNORECASE)


@dataclass(slots=True)
class Widget:
    """One widget: `saved` where widgets_values has a place for it, `sent` where the API format has its value.

    `accept` is what becomes of a value that is put into it; None: it keeps what it has.
    """

    name: str
    value: Any
    saved: bool = True
    sent: bool = True
    spec: Spec = ("*", {})
    accept: Callable[[Any], Any] | None = field(default=lambda value: value, repr=False)

    def put(self, value: Any) -> None:
        """Set the value, as the editor does when it loads a workflow."""
        if self.accept is not None:
            self.value = self.accept(value)

    @property
    def has_dynamic_prompt(self) -> bool:
        return self.spec[0] == "STRING" and settings_of(self.spec).get("dynamicPrompts") is True


def settings_of(spec: Spec) -> Mapping[str, Any]:
    """The settings of a declaration."""
    return spec[1] if len(spec) > 1 and isinstance(spec[1], Mapping) else {}


def type_of(spec: Spec) -> str:
    """The type of a declaration; a list of options is COMBO."""
    return "COMBO" if isinstance(spec[0], list | tuple) else str(spec[0])


def is_widget(spec: Spec) -> bool:
    """Whether the editor shows an input of this declaration as a widget."""
    return str(settings_of(spec).get("widgetType") or type_of(spec)) in _MAKERS


def is_control(spec: Spec, name: str) -> bool:
    """Whether a seed's control (fixed, increment, randomize) stands behind the widget `name`."""
    control = settings_of(spec).get("control_after_generate")
    if type_of(spec) == "INT" and control is None:
        return name in _SEEDS
    return type_of(spec) in ("INT", "COMBO") and is_truthy(control)


def widgets_of(inputs: Mapping[str, Spec]) -> list[Widget]:
    """The widgets of a node with these inputs, in the editor's order."""
    made: list[Widget] = []
    for name, spec in inputs.items():
        if is_widget(spec) and not settings_of(spec).get("forceInput"):
            made.extend(_MAKERS[str(settings_of(spec).get("widgetType") or type_of(spec))](name, spec, made))
    return made


def adjusted(value: Any, spec: Spec) -> Any:
    """`value` as a number's widget keeps it when somebody, or a primitive node, sets it."""
    if not is_number(value):
        return value
    settings = settings_of(spec)
    if type_of(spec) == "INT":
        return _whole_steps(value, settings)
    return _rounded_float(value, settings) if type_of(spec) == "FLOAT" else value


def _whole_steps(value: float, settings: Mapping[str, Any]) -> Any:
    step = settings.get("step") or 1
    if step == 1:
        return rounded(value)
    offset = math.fmod(settings.get("min") or 0, step)
    return rounded((value - offset) / step) * step + offset


def _rounded_float(value: float, settings: Mapping[str, Any]) -> Any:
    step = settings.get("step")
    precision = max(0, -math.floor(math.log10(0.5 if step is None else step)))
    round_to = settings.get("round") or (10**-precision if precision else None)
    if not round_to:
        return value
    nearest = round(rounded(value / round_to) * round_to, precision)
    low, high = settings.get("min"), settings.get("max")
    return max(0 if low is None else low, min(nearest, 2048 if high is None else high))


def _number(name: str, spec: Spec, _: Sequence[Widget]) -> Iterator[Widget]:
    yield Widget(name, settings_of(spec).get("default") or 0, spec=spec)
    if is_control(spec, name):
        yield Widget(_control_name(spec), "randomize", sent=False)


def _control_name(spec: Spec) -> str:
    settings = settings_of(spec)
    given = settings.get("control_after_generate")
    if isinstance(given, str):
        return given
    prefix = settings.get("control_prefix")
    return f"{prefix} control_after_generate" if prefix else "control_after_generate"


def _switch(name: str, spec: Spec, _: Sequence[Widget]) -> Iterator[Widget]:
    default = settings_of(spec).get("default")
    yield Widget(name, False if default is None else default, spec=spec)


def _text(name: str, spec: Spec, _: Sequence[Widget]) -> Iterator[Widget]:
    default = settings_of(spec).get("default")
    default = "" if default is None else default
    if settings_of(spec).get("multiline"):
        yield Widget(name, _area_text(default), spec=spec, accept=_area_text)
    else:
        yield Widget(name, default, spec=spec)


def _area_text(value: Any) -> str:
    """What a text area makes of a value: a text, its lines ended by a newline alone."""
    return "" if value is None else text_of(value).replace("\r\n", "\n").replace("\r", "\n")


def _combo(name: str, spec: Spec, _: Sequence[Widget]) -> Iterator[Widget]:
    settings = settings_of(spec)
    options = settings.get("options") if isinstance(spec[0], str) else spec[0]
    default = settings.get("default") or (options[0] if options else None)
    remote = settings.get("remote")
    if settings.get("multi_select"):
        yield Widget(name, [], spec=spec)
        return
    if isinstance(remote, Mapping):
        yield Widget(name, default or "Loading...", spec=spec)
        yield Widget("Auto-refresh after generation", False, sent=False)
        if remote.get("refresh_button"):
            yield Widget("refresh", "refresh")
    else:
        yield Widget(name, default, spec=spec)
    if settings.get("control_after_generate"):
        yield Widget(_control_name(spec), "randomize", sent=False)
        yield Widget("control_filter_list", "", sent=False)


def _upload(name: str, spec: Spec, before: Sequence[Widget]) -> Iterator[Widget]:
    """The upload's button; the combo that it fills names its file with the folder where that is not `input`."""
    settings = settings_of(spec)
    combo = next((each for each in before if each.name == settings.get("imageInputName")), None)
    if combo is not None:
        folder = settings.get("image_folder") or "input"
        first = "undefined" if combo.value is None else text_of(combo.value)

        def accept(value: Any) -> Any:
            if not is_truthy(value):
                return first
            if isinstance(value, list):
                files = [_in_folder(each, folder) for each in value]
                return files if settings.get("allow_batch") else files[0] if files else None
            return _in_folder(value, folder)

        combo.accept = accept
        combo.put(first)
    yield Widget(name, "image", sent=False)


def _in_folder(file: Any, folder: str) -> str:
    name = text_of(file)
    return name if folder == "input" or _ANNOTATED.search(name) else f"{name} [{folder}]"


def _display(name: str, spec: Spec, _: Sequence[Widget]) -> Iterator[Widget]:
    """A view (of sound, of a model): it has a place in the file and always sends an empty text."""
    yield Widget(name, "", accept=None)


def _player(name: str, spec: Spec, _: Sequence[Widget]) -> Iterator[Widget]:
    yield Widget(name, "", saved=False, accept=None)


def _button(name: str, spec: Spec, _: Sequence[Widget]) -> Iterator[Widget]:
    yield Widget(name, "", sent=False)


def _recorder(name: str, spec: Spec, _: Sequence[Widget]) -> Iterator[Widget]:
    yield Widget(name, "", accept=None)
    yield Widget(name, "", sent=False)


def _scene(name: str, spec: Spec, _: Sequence[Widget]) -> Iterator[Widget]:
    yield Widget("upload 3d model", "upload3dmodel")
    yield Widget("upload extra resources", "uploadExtraResources")
    yield Widget("clear", "clear")
    yield Widget("image", "", accept=None)


def _starting(default: Callable[[Mapping[str, Any]], Any]) -> Callable[..., Iterator[Widget]]:
    """A maker of one widget whose default is `default` of the `options` in its settings."""

    def make(name: str, spec: Spec, _: Sequence[Widget]) -> Iterator[Widget]:
        options = settings_of(spec).get("options")
        yield Widget(name, default(options if isinstance(options, Mapping) else {}), spec=spec)

    return make


_MAKERS: Mapping[str, Callable[[str, Spec, Sequence[Widget]], Iterator[Widget]]] = {
    "INT": _number,
    "FLOAT": _number,
    "BOOLEAN": _switch,
    "STRING": _text,
    "MARKDOWN": lambda name, spec, _: iter([Widget(name, "", spec=spec, accept=_area_text)]),
    "COMBO": _combo,
    "IMAGEUPLOAD": _upload,
    "AUDIO_UI": _player,
    "AUDIOUPLOAD": _button,
    "AUDIO_RECORD": _recorder,
    "PREVIEW_3D": _display,
    "PREVIEW_3D_ANIMATION": _display,
    "LOAD_3D": _scene,
    "LOAD_3D_ANIMATION": _scene,
    "WEBCAM": _display,
    "FILEUPLOAD": _starting(lambda options: ""),
    "COLOR": _starting(lambda options: options.get("default") or "#000000"),
    "TEXTAREA": _starting(lambda options: options.get("default") or ""),
    "TREESELECT": _starting(lambda options: [] if options.get("multiple") else ""),
    "MULTISELECT": _starting(lambda options: []),
    "CHART": _starting(lambda options: options.get("data") or {}),
    "GALLERIA": _starting(lambda options: options.get("images") or []),
    "SELECTBUTTON": _starting(lambda options: next(iter(options.get("values") or [""]))),
    "IMAGECOMPARE": _starting(lambda options: ["", ""]),
}
