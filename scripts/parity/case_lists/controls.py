"""Sampling under the control of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scripts.parity.case_file import Case, Link
from scripts.parity.graph import Graph, encoded, to_latent

KINDS = (
    "auto", "openpose", "depth", "hed/pidi/scribble/ted", "canny/lineart/anime_lineart/mlsd", "normal", "segment",
    "tile", "repaint",
)  # fmt: skip


def cases() -> Iterator[Case]:
    """Both nodes, each family, then strengths, ranges, chains, batches, areas and what is lent to the negative side."""
    for name, checkpoint, control in (
        ("sd1", "sd1_mini", "control_sd1_mini"),
        ("sd1_inpaint_model", "sd1_inpaint_mini", "control_sd1_mini"),
        ("sdxl", "sdxl_mini", "control_sdxl_mini"),
        ("sd1_shuffle", "sd1_mini", "control_sd1_mini_shuffle"),
    ):
        yield _case(name, _both(_net(encoded(checkpoint), control), ("pos", 0), ("neg", 0)))
    parts: tuple[tuple[str, dict[str, Any]], ...] = (
        ("strong", {"strength": 1.7}),
        ("off", {"strength": 0.0}),
        ("first_half", {"end_percent": 0.5}),
        ("last_half", {"start_percent": 0.4}),
        ("never", {"start_percent": 0.7, "end_percent": 0.3}),
    )
    for name, options in parts:
        yield _case(name, _both(_net(encoded()), ("pos", 0), ("neg", 0), **options), steps=4)
    yield _case("rectangle", _both(_net(encoded()), ("pos", 0), ("neg", 0)), size=(104, 72))
    yield _case("batch", _both(_net(encoded()), ("pos", 0), ("neg", 0)), batch=3)
    two = _both(_net(encoded(), picture="animated.gif"), ("pos", 0), ("neg", 0))
    yield _case("batch_of_pictures", two, batch=3)
    yield _case("cfg_1", _both(_net(encoded()), ("pos", 0), ("neg", 0)), cfg=1.0)
    yield from _chained()
    yield from _lent()
    for number, kind in enumerate(KINDS):
        graph = _net(encoded()).add("kind", "SetUnionControlNetType", control_net=("net", 0), type=kind)
        yield _case(f"kind_{number}_of_no_union", _both(graph, ("pos", 0), ("neg", 0), net="kind"), steps=1)


def _chained() -> Iterator[Case]:
    graph = _both(_net(encoded()), ("pos", 0), ("neg", 0), strength=0.6)
    graph.add("other", "LoadImage", image="gradient_alpha.png")
    second = {"control_net": ("net", 0), "image": ("other", 0), "strength": 0.8, "start_percent": 0.0}
    graph.add(
        "second", "ControlNetApplyAdvanced", positive=("both", 0), negative=("both", 1), end_percent=0.6, **second
    )
    yield _case("two", graph, positive=("second", 0), negative=("second", 1), steps=4)
    half = _both(_net(encoded()), ("pos", 0), ("neg", 0))
    yield _case("positive_alone", half, negative=("neg", 0))
    area = _net(encoded()).add("area", "ConditioningSetArea", **_area(("pos", 0)))
    area = _both(area, ("area", 0), ("neg", 0)).add("all", "CLIPTextEncode", text="a red house", clip=("ckpt", 1))
    area.add("sum", "ConditioningCombine", conditioning_1=("both", 0), conditioning_2=("all", 0))
    yield _case("area", area, positive=("sum", 0), size=(96, 80))


def _lent() -> Iterator[Case]:
    """By the older node, whose control is on the negative side too unless that has one."""
    yield _case("lent", _old(_net(encoded()), "one", ("pos", 0)), positive=("one", 0), negative=("neg", 0))
    sdxl = _old(_net(encoded("sdxl_mini"), "control_sdxl_mini"), "one", ("pos", 0), strength=0.5)
    yield _case("lent_sdxl", sdxl, positive=("one", 0), negative=("neg", 0))
    twice = _old(_old(_net(encoded()), "one", ("pos", 0)), "two", ("one", 0), strength=0.3)
    yield _case("lent_chain", twice, positive=("two", 0), negative=("neg", 0))
    own = _old(_old(_net(encoded()), "one", ("pos", 0)), "own", ("neg", 0), strength=0.2)
    yield _case("lent_to_one_with_its_own", own, positive=("one", 0), negative=("own", 0))
    several = _net(encoded()).add("all", "CLIPTextEncode", text="a red house", clip=("ckpt", 1))
    several = _old(_old(several, "one", ("pos", 0)), "two", ("all", 0), strength=0.4)
    several.add("sum", "ConditioningCombine", conditioning_1=("one", 0), conditioning_2=("two", 0))
    yield _case("lent_by_several", several, positive=("sum", 0), negative=("neg", 0))
    area = _net(encoded()).add("area", "ConditioningSetArea", **_area(("pos", 0)))
    area = _old(area, "one", ("area", 0)).add("all", "CLIPTextEncode", text="a red house", clip=("ckpt", 1))
    area.add("sum", "ConditioningCombine", conditioning_1=("one", 0), conditioning_2=("all", 0))
    yield _case("lent_by_none_of_an_area", area, positive=("sum", 0), negative=("neg", 0), size=(96, 80))


def _net(graph: Graph, control: str = "control_sd1_mini", *, picture: str = "odd.png") -> Graph:
    """A ControlNet `net` and the picture `img`."""
    graph.add("net", "ControlNetLoader", control_net_name=f"{control}.safetensors")
    return graph.add("img", "LoadImage", image=picture)


def _both(graph: Graph, positive: Link, negative: Link, *, net: str = "net", **options: Any) -> Graph:
    """Both sides under the control `both`."""
    given = {"strength": 0.9, "start_percent": 0.0, "end_percent": 1.0, **options}
    sides = {"positive": positive, "negative": negative, "control_net": (net, 0), "image": ("img", 0)}
    return graph.add("both", "ControlNetApplyAdvanced", **sides, **given)


def _old(graph: Graph, name: str, conditioning: Link, *, strength: float = 0.9) -> Graph:
    given = {"conditioning": conditioning, "control_net": ("net", 0), "image": ("img", 0), "strength": strength}
    return graph.add(name, "ControlNetApply", **given)


def _area(conditioning: Link) -> dict[str, Any]:
    return {"conditioning": conditioning, "width": 64, "height": 64, "x": 8, "y": 8, "strength": 0.9}


def _case(
    name: str, graph: Graph, *, positive: Link = ("both", 0), negative: Link = ("both", 1), **options: Any
) -> Case:
    graph = to_latent(graph, positive=positive, negative=negative, **{"steps": 3, **options})
    return graph.case(f"control_{name}", {"latent": ("ks", 0)})
