from __future__ import annotations

from typing import Any

import pytest

from runtime.engines.limits import GraphLimits
from runtime.errors import GraphRejected
from runtime.graph.workflow import parse_workflow
from runtime.nodes.protocol import InputFiles, ModelFiles


def test_a_graph_over_the_limit_of_nodes_is_refused_before_it_is_looked_at(bench: Any) -> None:
    bench.limits = GraphLimits(max_nodes=2)
    graph = parse_workflow({str(n): {"class_type": "Gone"} for n in range(3)})
    with pytest.raises(GraphRejected, match=r"has 3 nodes; this deployment takes 2 \(MAX_NODES\)"):
        bench.engine.check(graph, bench.files)


def test_it_knows_its_classes(bench: Any) -> None:
    assert (bench.engine.knows("Sum"), bench.engine.knows("Gone")) == (True, False)


def test_it_describes_a_class_as_object_info_does(bench: Any) -> None:
    """A node class's declarations, as a client reads them."""
    bench.add(
        "Rich",
        lambda: (),
        required={"x": ("INT", {"min": 1}), "mode": (["a", "b"], {}), "ckpt": (ModelFiles("checkpoints"),)},
        optional={"image": (InputFiles("image"), {})},
        hidden={"me": "UNIQUE_ID", "context": "CONTEXT"},
        returns=("IMAGE", ["a"]),
        RETURN_NAMES=("picture", "mode"),
        OUTPUT_IS_LIST=(True, False),
        CATEGORY="made up",
        output=True,
    )
    assert bench.engine.object_info()["Rich"] == {
        "input": {
            "required": {"x": ["INT", {"min": 1}], "mode": [["a", "b"], {}], "ckpt": [[], {}]},
            "optional": {"image": [[], {"image_upload": True}]},
            "hidden": {"me": "UNIQUE_ID"},
        },
        "input_order": {"required": ["x", "mode", "ckpt"], "optional": ["image"], "hidden": ["me"]},
        "output": ["IMAGE", ["a"]],
        "output_is_list": [True, False],
        "output_name": ["picture", "mode"],
        "name": "Rich",
        "display_name": "Rich",
        "description": "",
        "python_module": bench.classes["Rich"].__module__,
        "category": "made up",
        "output_node": True,
    }


def test_values_reach_the_node_converted(bench: Any) -> None:
    bench.run({"n": ("Number", {"value": "5"}), "o": ("Show", {"value": ["n", 0]})})
    assert bench.shown == [5]


def test_a_graph_that_is_good_in_part_runs_in_part(bench: Any) -> None:
    execution = bench.run({"good": ("Show", {"value": 1}), "bad": ("Show", {"value": ["gone", 0]})})
    assert (bench.shown, set(execution.node_ms)) == ([1], {"good"})


def test_a_deployments_limits_are_checked_before_anything_runs(bench: Any) -> None:
    bench.limits = GraphLimits(max_batch=4)
    bench.add("Make", lambda batch_size: (1,), required={"batch_size": ("INT", {"max": 64})}, returns=("INT",))
    with pytest.raises(GraphRejected, match=r"MAX_BATCH"):
        bench.run({"m": ("Make", {"batch_size": 5}), "o": ("Show", {"value": ["m", 0]})})
