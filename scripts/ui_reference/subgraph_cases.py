"""Cases about subgraphs."""

from __future__ import annotations

from typing import Any

from scripts.ui_reference.cases import BYPASSED, MUTED, Inside, Sketch, empty_image, invert, sampler, save

_ONE, _TWO, _THREE = (f"{number}1111111-2222-4333-8444-555555555555" for number in "abc")
_IN, _OUT = (("image", "IMAGE"),), (("IMAGE", "IMAGE"),)


def _inverting(id: str = _ONE, **fields: Any) -> Inside:
    inside = Inside(id, "Inverting", _IN, _OUT)
    turned = invert(inside, **fields)
    inside.link(None, 0, turned, "image")
    inside.link(turned, 0, None, 0, "IMAGE")
    return inside


def _instance(made: Sketch, id: str, values: Any = (), **fields: Any) -> Any:
    given = {"inputs": (("image", "IMAGE"),), "outputs": ("IMAGE",), **fields}
    return made.node(id, list(values), **given)


def _with(*insides: Inside) -> Any:
    return {"definitions": {"subgraphs": [inside.definition() for inside in insides]}}


def subgraph() -> Any:
    made = Sketch()
    instance = _instance(made, _ONE)
    made.link(empty_image(made), 0, instance, "image")
    made.link(instance, 0, save(made), "images")
    return made.saved(**_with(_inverting()))


def subgraph_in_schema_1() -> Any:
    made = Sketch(as_objects=True)
    instance = _instance(made, _ONE)
    made.link(empty_image(made), 0, instance, "image")
    made.link(instance, 0, save(made), "images")
    return made.saved(**_with(_inverting()))


def two_instances() -> Any:
    made = Sketch()
    one, two = _instance(made, _ONE), _instance(made, _ONE)
    made.link(empty_image(made), 0, one, "image")
    made.link(one, 0, two, "image")
    made.link(two, 0, save(made), "images")
    return made.saved(**_with(_inverting()))


def nested_subgraphs() -> Any:
    outer = Inside(_TWO, "Outer", _IN, _OUT)
    inner = _instance(outer, _ONE)
    turned = invert(outer)
    outer.link(None, 0, inner, "image")
    outer.link(inner, 0, turned, "image")
    outer.link(turned, 0, None, 0, "IMAGE")
    made = Sketch()
    instance = _instance(made, _TWO)
    made.link(empty_image(made), 0, instance, "image")
    made.link(instance, 0, save(made), "images")
    return made.saved(**_with(_inverting(), outer))


def subgraph_bypassed_within() -> Any:
    made = Sketch()
    instance = _instance(made, _ONE)
    made.link(empty_image(made), 0, instance, "image")
    made.link(instance, 0, save(made), "images")
    return made.saved(**_with(_inverting(mode=BYPASSED)))


def subgraph_bypassed() -> Any:
    made = Sketch()
    instance = _instance(made, _ONE, mode=BYPASSED)
    made.link(empty_image(made), 0, instance, "image")
    made.link(instance, 0, save(made), "images")
    return made.saved(**_with(_inverting(mode=BYPASSED)))


def subgraph_muted() -> Any:
    made = Sketch()
    instance = _instance(made, _ONE, mode=MUTED)
    made.link(empty_image(made), 0, instance, "image")
    made.link(instance, 0, save(made), "images")
    return made.saved(**_with(_inverting(mode=MUTED)))


def subgraph_with_nothing_linked_outside() -> Any:
    made = Sketch()
    instance = _instance(made, _ONE)
    made.link(instance, 0, save(made), "images")
    return made.saved(**_with(_inverting()))


def _sampling(id: str = _THREE) -> Inside:
    inside = Inside(
        id, "Sampling", (("model", "MODEL"), ("seed", "INT"), ("sampler_name", "COMBO")), (("LATENT", "LATENT"),)
    )
    converted = (("seed", "INT", "seed"), ("sampler_name", "COMBO", "sampler_name"))
    sampled = sampler(inside, [1, "randomize", 20, 8, "euler", "normal", 1], converted=converted)
    inside.link(None, 0, sampled, "model")
    inside.link(None, 1, sampled, "seed")
    inside.link(None, 2, sampled, "sampler_name")
    inside.link(sampled, 0, None, 0, "LATENT")
    return inside


_SAMPLING_INPUTS = (("model", "MODEL"), ("seed", "INT", "seed"), ("sampler_name", "COMBO", "sampler_name"))


def promoted_widgets() -> Any:
    made = Sketch()
    loader = made.node("CheckpointLoaderSimple", ["a.safetensors"], outputs=("MODEL", "CLIP", "VAE"))
    for values in ([5, "ddim"], [6, "euler"]):
        instance = made.node(_THREE, values, inputs=_SAMPLING_INPUTS, outputs=("LATENT",))
        made.link(loader, 0, instance, "model")
    return made.saved(**_with(_sampling()))


def promoted_widget_with_a_link() -> Any:
    made = Sketch()
    number = made.node("PrimitiveInt", [77, "fixed"], outputs=("INT",))
    instance = made.node(_THREE, [5, "ddim"], inputs=_SAMPLING_INPUTS, outputs=("LATENT",))
    made.link(number, 0, instance, "seed")
    return made.saved(**_with(_sampling()))


def promoted_widget_whose_link_ends() -> Any:
    made = Sketch()
    loose = made.node("Reroute", inputs=(("", "*"),), outputs=("INT",))
    instance = made.node(_THREE, [5, "ddim"], inputs=_SAMPLING_INPUTS, outputs=("LATENT",))
    made.link(loose, 0, instance, "seed")
    return made.saved(**_with(_sampling()))


def promoted_twice() -> Any:
    outer = Inside(_TWO, "Outer", (("seed", "INT"),), (("LATENT", "LATENT"),))
    inner = outer.node(_THREE, [5, "ddim"], inputs=_SAMPLING_INPUTS, outputs=("LATENT",))
    outer.link(None, 0, inner, "seed")
    outer.link(inner, 0, None, 0, "LATENT")
    made = Sketch()
    made.node(_TWO, [99], inputs=(("seed", "INT", "seed"),), outputs=("LATENT",))
    return made.saved(**_with(_sampling(), outer))


def promoted_text() -> Any:
    inside = Inside(_ONE, "Text", (("clip", "CLIP"), ("text", "STRING")), (("CONDITIONING", "CONDITIONING"),))
    encoder = inside.node(
        "CLIPTextEncode",
        ["within {a|b}"],
        inputs=(("clip", "CLIP"), ("text", "STRING", "text")),
        outputs=("CONDITIONING",),
    )
    inside.link(None, 0, encoder, "clip")
    inside.link(None, 1, encoder, "text")
    inside.link(encoder, 0, None, 0, "CONDITIONING")
    made = Sketch()
    made.node(_ONE, ["outside {a|b}"], inputs=(("clip", "CLIP"), ("text", "STRING", "text")), outputs=("CONDITIONING",))
    return made.saved(**_with(inside))


def one_input_for_two_widgets() -> Any:
    inside = Inside(_ONE, "Two", (("steps", "INT"),), (("LATENT", "LATENT"),))
    for _ in range(2):
        values = [1, "randomize", 20, 8, "euler", "normal", 1]
        sampled = sampler(inside, values, converted=(("steps", "INT", "steps"),))
        inside.link(None, 0, sampled, "steps")
    inside.link(sampled, 0, None, 0, "LATENT")
    made = Sketch()
    made.node(_ONE, [3], inputs=(("steps", "INT", "steps"),), outputs=("LATENT",))
    return made.saved(**_with(inside))


def nodes_inside_without_outputs() -> Any:
    inside = Inside(_ONE, "Saving", _IN, ())
    kept = save(inside, "inside")
    inside.link(None, 0, kept, "images")
    made = Sketch()
    instance = made.node(_ONE, [], inputs=_IN)
    made.link(empty_image(made), 0, instance, "image")
    return made.saved(**_with(inside))


def reroute_inside_a_subgraph() -> Any:
    inside = Inside(_ONE, "Passing", _IN, _OUT)
    passed = inside.node("Reroute", inputs=(("", "*"),), outputs=("IMAGE",))
    turned = invert(inside)
    inside.link(None, 0, passed, "", "IMAGE")
    inside.link(passed, 0, turned, "image")
    inside.link(turned, 0, None, 0, "IMAGE")
    made = Sketch()
    instance = _instance(made, _ONE)
    made.link(empty_image(made), 0, instance, "image")
    made.link(instance, 0, save(made), "images")
    return made.saved(**_with(inside))
