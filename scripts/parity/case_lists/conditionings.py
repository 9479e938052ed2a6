"""The conditioning nodes: what they put into a conditioning, and what the sampler makes of it."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.parity.case_file import Case
from scripts.parity.case_lists.samplers import LATENT
from scripts.parity.graph import Graph, encoded, to_latent

LONG = ", ".join(f"stone number {index}" for index in range(40))


def cases() -> Iterator[Case]:
    """Joining conditionings, then areas, masks and ranges of time, alone and together."""
    yield from _joined()
    yield from _areas()
    yield from _masks()
    yield from _ranges()
    yield from _batched_together()


def _graph(checkpoint: str = "sd1_mini", *, second: str = "a green field", size: tuple[int, int] = (64, 64)) -> Graph:
    """Two prompts beside the negative, `pos` and `pos2`, sampled from what the case puts into `ks`."""
    graph = encoded(checkpoint).add("pos2", "CLIPTextEncode", text=second, clip=("ckpt", 1))
    return to_latent(graph, size=size, steps=3)


def _case(graph: Graph, name: str, *, positive: str = "out") -> Case:
    graph.set("ks", positive=(positive, 0))
    return graph.case(f"conditioning_{name}", {**LATENT, "conditioning": (positive, 0)})


def _joined() -> Iterator[Case]:
    for name, second in (("concat", "a green field"), ("concat_long", LONG)):
        graph = _graph(second=second)
        graph.add("out", "ConditioningConcat", conditioning_to=("pos", 0), conditioning_from=("pos2", 0))
        yield _case(graph, name)
    graph = _graph()
    graph.add("both", "ConditioningCombine", conditioning_1=("pos2", 0), conditioning_2=("neg", 0))
    graph.add("out", "ConditioningConcat", conditioning_to=("both", 0), conditioning_from=("both", 0))
    yield _case(graph, "concat_of_two")
    for name, second, strength in (("long_from", LONG, 0.4), ("strength_0", "a green field", 0.0)):
        yield _case(_averaged("pos", "pos2", second, strength), f"average_{name}")
    yield _case(_averaged("pos2", "pos", LONG, 0.6), "average_long_to")
    sdxl = _graph("sdxl_mini")
    average = {"conditioning_to": ("pos", 0), "conditioning_from": ("pos2", 0), "conditioning_to_strength": 0.25}
    sdxl.add("out", "ConditioningAverage", **average).set("ks", positive=("out", 0))
    yield sdxl.case("conditioning_average_sdxl", {**LATENT, "pooled": ("out", 0)})
    for checkpoint in ("sd1", "sdxl"):
        graph = _graph(f"{checkpoint}_mini").add("none", "ConditioningZeroOut", conditioning=("pos", 0))
        graph.set("ks", negative=("none", 0))
        yield graph.case(f"conditioning_zero_out_{checkpoint}", {**LATENT, "pooled": ("none", 0)})


def _averaged(to: str, origin: str, second: str, strength: float) -> Graph:
    graph = _graph(second=second)
    average = {"conditioning_to": (to, 0), "conditioning_from": (origin, 0), "conditioning_to_strength": strength}
    return graph.add("out", "ConditioningAverage", **average)


def _areas() -> Iterator[Case]:
    for name, (width, height, x, y), strength in (
        ("corner", (64, 64, 64, 32), 1.0),
        ("strong", (64, 64, 32, 0), 2.5),
        ("beyond_the_edge", (128, 64, 64, 64), 1.0),
    ):
        graph = _graph(size=(128, 96))
        place = {"width": width, "height": height, "x": x, "y": y, "strength": strength}
        graph.add("area", "ConditioningSetArea", conditioning=("pos2", 0), **place)
        graph.add("out", "ConditioningCombine", conditioning_1=("pos", 0), conditioning_2=("area", 0))
        yield graph.set("ks", positive=("out", 0)).case(f"conditioning_area_{name}", LATENT)
    yield _two_areas("overlap", (0, 40))
    yield _two_areas("adjoin", (0, 64))
    alone = _graph(size=(128, 64))
    place = {"width": 64, "height": 64, "x": 32, "y": 0, "strength": 1.0}
    alone.add("out", "ConditioningSetArea", conditioning=("pos2", 0), **place)
    yield _case(alone, "area_alone")


def _two_areas(name: str, starts: tuple[int, int]) -> Case:
    graph = _graph(size=(128, 64))
    for node_id, prompt, x, strength in (("left", "pos", starts[0], 1.0), ("right", "pos2", starts[1], 0.6)):
        place = {"width": 64, "height": 64, "x": x, "y": 0, "strength": strength}
        graph.add(node_id, "ConditioningSetArea", conditioning=(prompt, 0), **place)
    graph.add("out", "ConditioningCombine", conditioning_1=("left", 0), conditioning_2=("right", 0))
    return _case(graph, f"areas_{name}")


def _masks() -> Iterator[Case]:
    for title, area in (("default", "default"), ("bounds", "mask bounds")):
        for name, strength in (("", 1.0), ("_strong", 1.8)):
            graph = _masked(area, strength)
            graph.add("out", "ConditioningCombine", conditioning_1=("pos", 0), conditioning_2=("masked", 0))
            yield _case(graph, f"mask_{title}{name}")
        yield _case(_masked(area, 1.0), f"mask_{title}_alone", positive="masked")
    graph = _masked("mask bounds", 1.0, mask="empty").add("empty", "SolidMask", value=0.0, width=64, height=64)
    graph.add("out", "ConditioningCombine", conditioning_1=("pos", 0), conditioning_2=("masked", 0))
    yield _case(graph, "mask_bounds_empty")
    graph = _masked("default", 1.0, mask="frames").add("gif", "LoadImage", image="animated.gif")
    graph.add("frames", "ImageToMask", image=("gif", 0), channel="red").set("lat", batch_size=3)
    yield _case(graph, "mask_batch", positive="masked")


def _masked(area: str, strength: float, *, mask: str = "square") -> Graph:
    """`pos2` as `masked`, by default in a square of a picture that is not square."""
    graph = _graph(size=(96, 64)).add("ground", "SolidMask", value=0.0, width=96, height=64)
    graph.add("patch", "SolidMask", value=0.8, width=40, height=32)
    composite = {"destination": ("ground", 0), "source": ("patch", 0), "x": 24, "y": 8, "operation": "add"}
    graph.add("square", "MaskComposite", **composite)
    options = {"mask": (mask, 0), "strength": strength, "set_cond_area": area}
    return graph.add("masked", "ConditioningSetMask", conditioning=("pos2", 0), **options)


def _ranges() -> Iterator[Case]:
    for name, start, end in (("early", 0.0, 0.4), ("late", 0.4, 1.0), ("middle", 0.2, 0.7), ("all", 0.0, 1.0)):
        graph = _graph()
        graph.set("ks", steps=4, scheduler="karras")
        graph.add("part", "ConditioningSetTimestepRange", conditioning=("pos2", 0), start=start, end=end)
        graph.add("out", "ConditioningCombine", conditioning_1=("pos", 0), conditioning_2=("part", 0))
        yield graph.set("ks", positive=("out", 0)).case(f"conditioning_range_{name}", LATENT)
    yield _in_turns()
    yield _never()


def _in_turns() -> Case:
    graph = _graph()
    graph.add("first", "ConditioningSetTimestepRange", conditioning=("pos", 0), start=0.0, end=0.5)
    graph.add("then", "ConditioningSetTimestepRange", conditioning=("pos2", 0), start=0.5, end=1.0)
    graph.add("out", "ConditioningCombine", conditioning_1=("first", 0), conditioning_2=("then", 0))
    return _case(graph.set("ks", steps=4), "range_in_turns")


def _never() -> Case:
    """The only positive prompt has ended before the last steps: nothing is left to predict from."""
    graph = _graph().set("ks", steps=4)
    graph.add("out", "ConditioningSetTimestepRange", conditioning=("pos", 0), start=0.0, end=0.3)
    return _case(graph, "range_ends")


def _batched_together() -> Iterator[Case]:
    """Positive and negative of differing token counts, whose least common multiple decides whether they batch."""
    for checkpoint in ("sd1", "sdxl"):
        graph = _graph(f"{checkpoint}_mini", second=LONG).set("ks", positive=("pos2", 0))
        graph.set("lat", batch_size=2)
        yield graph.case(f"conditioning_longer_positive_{checkpoint}", LATENT)
    graph = _graph(second=LONG).set("ks", negative=("both", 0))
    graph.add("both", "ConditioningCombine", conditioning_1=("neg", 0), conditioning_2=("pos2", 0))
    yield graph.case("conditioning_two_negatives", LATENT)
    graph = _graph(second=" ".join([LONG, LONG])).set("ks", positive=("out", 0))
    graph.add("out", "ConditioningCombine", conditioning_1=("pos", 0), conditioning_2=("pos2", 0))
    yield graph.case("conditioning_three_lengths", LATENT)
