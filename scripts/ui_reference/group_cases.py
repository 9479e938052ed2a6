"""Cases about group nodes, which came before subgraphs."""

from __future__ import annotations

from typing import Any

from scripts.ui_reference.cases import BYPASSED, Sketch, empty_image, invert, save

_SAMPLER = (("model", "MODEL"), ("positive", "CONDITIONING"), ("negative", "CONDITIONING"), ("latent_image", "LATENT"))


def _inside(*nodes: Any) -> Any:
    """Nodes of a group, as one has them: without ids or links."""
    made = Sketch()
    for node_type, values, inputs, outputs, *fields in nodes:
        made.node(node_type, values, inputs=inputs, outputs=outputs, **(fields[0] if fields else {}))
    return [{**node, "index": at, "id": -1} for at, node in enumerate(made.nodes)]


def _with(name: str, group: Any) -> Any:
    return {"extra": {"groupNodes": {name: {"external": [], **group}}}}


_INVERT: Any = ("ImageInvert", [], (("image", "IMAGE"),), ("IMAGE",))
_TWICE = {"nodes": _inside(_INVERT, _INVERT), "links": [[0, 0, 1, 0, 1, "IMAGE"]]}


def group_node() -> Any:
    made = Sketch()
    group = made.node("workflow>Twice", [], inputs=(("image", "IMAGE"),), outputs=("IMAGE",))
    made.link(empty_image(made), 0, group, "image")
    made.link(group, 0, save(made), "images")
    return made.saved(**_with("Twice", _TWICE))


def group_node_with_an_old_separator() -> Any:
    made = Sketch()
    group = made.node("workflow/Twice", [], inputs=(("image", "IMAGE"),), outputs=("IMAGE",))
    made.link(empty_image(made), 0, group, "image")
    made.link(group, 0, save(made), "images")
    return made.saved(**_with("Twice", _TWICE))


def group_node_bypassed() -> Any:
    made = Sketch()
    group = made.node("workflow>Twice", [], inputs=(("image", "IMAGE"),), outputs=("IMAGE",), mode=BYPASSED)
    made.link(empty_image(made), 0, group, "image")
    made.link(group, 0, save(made), "images")
    return made.saved(**_with("Twice", _TWICE))


_ENCODE: Any = ("CLIPTextEncode", ["inside"], (("clip", "CLIP"),), ("CONDITIONING",))
_TEXTS = {
    "nodes": _inside(
        _ENCODE,
        ("CLIPTextEncode", ["second"], (("clip", "CLIP"),), ("CONDITIONING",), {"title": "Negative"}),
        ("KSampler", [1, "randomize", 20, 8, "euler", "normal", 1], _SAMPLER, ("LATENT",)),
    ),
    "links": [[0, 0, 2, 1, 1, "CONDITIONING"], [1, 0, 2, 2, 2, "CONDITIONING"]],
}


def widgets_of_a_group_node() -> Any:
    made = Sketch()
    loader = made.node("CheckpointLoaderSimple", ["a.safetensors"], outputs=("MODEL", "CLIP", "VAE"))
    latent = made.node("EmptyLatentImage", [64, 64, 1], outputs=("LATENT",))
    inputs = (("clip", "CLIP"), ("Negative clip", "CLIP"), ("model", "MODEL"), ("latent_image", "LATENT"))
    values = ["first text", "second text", 77, "fixed", 12, 3.5, "ddim", "simple", 0.75]
    group = made.node("workflow>Texts", values, inputs=inputs, outputs=("LATENT",))
    made.link(loader, 1, group, "clip")
    made.link(loader, 1, group, "Negative clip")
    made.link(loader, 0, group, "model")
    made.link(latent, 0, group, "latent_image")
    return made.saved(**_with("Texts", _TEXTS))


def two_instances_of_a_group_node() -> Any:
    made = Sketch()
    picture = empty_image(made)
    last = picture
    for _ in range(2):
        group = made.node("workflow>Twice", [], inputs=(("image", "IMAGE"),), outputs=("IMAGE",))
        made.link(last, 0, group, "image")
        last = group
    made.link(last, 0, save(made), "images")
    return made.saved(**_with("Twice", _TWICE))


def output_of_a_group_node_from_within() -> Any:
    group_data = {**_TWICE, "external": [[0, 0, "IMAGE"]]}
    made = Sketch()
    group = made.node("workflow>Twice", [], inputs=(("image", "IMAGE"),), outputs=("IMAGE", "IMAGE"))
    made.link(empty_image(made), 0, group, "image")
    made.link(group, 0, save(made, "once"), "images")
    made.link(group, 1, save(made, "twice"), "images")
    return made.saved(**_with("Twice", group_data))


def group_node_with_a_primitive() -> Any:
    nodes = _inside(
        ("PrimitiveNode", [5, "fixed"], (), ("INT",)),
        (
            "KSampler",
            [1, "randomize", 20, 8, "euler", "normal", 1],
            (*_SAMPLER, ("steps", "INT", "steps")),
            ("LATENT",),
        ),
    )
    nodes[0]["outputs"][0]["widget"] = {"name": "steps"}
    group_data = {"nodes": nodes, "links": [[0, 0, 1, 4, 1, "INT"]]}
    made = Sketch()
    values = [9, "fixed", 44, "fixed", 2.5, "ddim", "simple", 0.5]
    made.node("workflow>Steps", values, inputs=_SAMPLER, outputs=("LATENT",))
    return made.saved(**_with("Steps", group_data))


def group_node_with_settings_of_its_own() -> Any:
    config = {"0": {"input": {"image": {"name": "picture"}}}, "1": {"output": {"0": {"name": "result"}}}}
    made = Sketch()
    group = made.node("workflow>Twice", [], inputs=(("picture", "IMAGE"),), outputs=("IMAGE",))
    made.link(empty_image(made), 0, group, "picture")
    made.link(group, 0, invert(made), "image")
    return made.saved(**_with("Twice", {**_TWICE, "config": config}))


def widget_of_a_group_node_with_a_link() -> Any:
    nodes = _inside(("EmptyLatentImage", [64, 64, 1], (("width", "INT", "width"),), ("LATENT",)))
    made = Sketch()
    number = made.node("PrimitiveInt", [128, "fixed"], outputs=("INT",))
    group = made.node("workflow>Wide", [32, 2, 16], inputs=(("width", "INT", "width"),), outputs=("LATENT",))
    made.link(number, 0, group, "width")
    return made.saved(**_with("Wide", {"nodes": nodes, "links": []}))
