"""Node types as the editor sees them: object_info, with the inputs that the editor's own extensions add."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runtime.graph.ui.document import Slot
from runtime.graph.ui.widgets import Spec, Widget, is_widget, settings_of, type_of, widgets_of

_WITH_PLAYER = ("LoadAudio", "SaveAudio", "PreviewAudio", "SaveAudioMP3", "SaveAudioOpus")
_WITH_VIEW = {"SaveGLB": "PREVIEW_3D", "Preview3D": "PREVIEW_3D", "Preview3DAnimation": "PREVIEW_3D_ANIMATION"}
_TITLES = {
    "ImageBlend": "Image Blend",
    "ImageBlur": "Image Blur",
    "ImageQuantize": "Image Quantize",
    "ImageScaleToTotalPixels": "Scale Image to Total Pixels",
    "ImageSharpen": "Image Sharpen",
}
"""What the editor calls node types that have no display name of their own."""
_UPLOADS = ("image_upload", "video_upload", "animated_image_upload")


@dataclass(frozen=True, kw_only=True)
class NodeDef:
    """One node type: its inputs by name, in the order of its sockets' and widgets' making, and its outputs."""

    name: str
    title: str
    inputs: Mapping[str, Spec]
    output_types: tuple[str, ...]
    output_names: tuple[str, ...]

    def slots(self) -> list[Slot]:
        """The inputs' slots on a fresh node: sockets first, then one for each widget."""
        names = [name for name, spec in self.inputs.items() if not self._is_shown_as_widget(spec)]
        widgets = [name for name in self.inputs if name not in names]
        slots = [Slot(name=name, type=type_of(self.inputs[name])) for name in names]
        return slots + [Slot(name=name, type=type_of(self.inputs[name]), widget=name) for name in widgets]

    def widgets(self) -> list[Widget]:
        made = widgets_of(self.inputs)
        if self.name == "PreviewAny":
            made.append(Widget("preview", "", saved=False))
        return made

    @staticmethod
    def _is_shown_as_widget(spec: Spec) -> bool:
        return is_widget(spec) and not settings_of(spec).get("forceInput")


class NodeDefs:
    """The node types of an engine, each read when it is first asked for."""

    def __init__(self, object_info: Mapping[str, Any]) -> None:
        self._object_info = object_info
        self._read: dict[str, NodeDef] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._object_info

    def __getitem__(self, name: str) -> NodeDef:
        if name not in self._read:
            self._read[name] = read_node_def(name, self._object_info[name])
        return self._read[name]


def read_node_def(name: str, info: Mapping[str, Any]) -> NodeDef:
    """A node type out of its entry in object_info."""
    outputs = info.get("output") or ()
    types = tuple("COMBO" if isinstance(each, list | tuple) else str(each) for each in outputs)
    names = info.get("output_name") or ()
    return NodeDef(
        name=name,
        title=str(info.get("display_name") or _TITLES.get(name, name)),
        inputs=_inputs(name, info),
        output_types=types,
        output_names=tuple(str(names[at]) if at < len(names) and names[at] else each for at, each in enumerate(types)),
    )


def _inputs(name: str, info: Mapping[str, Any]) -> dict[str, Spec]:
    given, order = info.get("input") or {}, info.get("input_order") or {}
    required, optional = given.get("required") or {}, given.get("optional") or {}
    inputs = {**required, **dict(_added(name, required)), **optional}
    listed = [
        key
        for kind, own in (("required", required), ("optional", optional))
        for key in order.get(kind) or ()
        if key in own
    ]
    return {key: inputs[key] for key in dict.fromkeys((*listed, *inputs))}


def _added(name: str, required: Mapping[str, Spec]) -> Iterator[tuple[str, Spec]]:
    """The inputs that the editor's extensions give a node type."""
    media = next((key for key, spec in required.items() if _is_media(spec)), None)
    if media is not None:
        yield "upload", ("IMAGEUPLOAD", {**settings_of(required[media]), "imageInputName": media})
    if name in _WITH_PLAYER:
        yield "audioUI", ("AUDIO_UI", {})
    if "audio" in required and settings_of(required["audio"]).get("audio_upload") is True:
        yield "upload", ("AUDIOUPLOAD", {})
    if name in _WITH_VIEW:
        yield "image", (_WITH_VIEW[name], {})


def _is_media(spec: Spec) -> bool:
    return type_of(spec) == "COMBO" and any(settings_of(spec).get(key) is True for key in _UPLOADS)
