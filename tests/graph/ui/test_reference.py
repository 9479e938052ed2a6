"""Conversion held against ComfyUI's own front end, run in a browser and recorded by scripts/ui_reference/record.py."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import UnknownNode
from scripts.ui_reference.canonical import canonical_sha256, templates

HERE = Path(__file__).parent
CASES = json.loads((HERE / "cases.json").read_text(encoding="utf-8"))
TEMPLATES = json.loads((HERE / "templates.json").read_text(encoding="utf-8"))["sha256"]
LOST_BY_THE_FRONT_END = {
    "two_instances_of_a_group_node": ("3:0", "image", ["2:1", 0]),
    "widget_of_a_group_node_with_a_link": ("2:0", "width", ["1", 0]),
}
"""Links of group nodes that the front end drops and conversion keeps: node, input, link."""
NODES_MISSING = ("video_wan2_2_14B_animate",)
"""Templates with nodes of custom node packs, which the recorded checkout does not have."""

Converted = Callable[[Any], dict[str, Any]]


@pytest.mark.parametrize("name", CASES)
def test_a_case_is_converted_as_the_front_end_does(name: str, converted: Converted) -> None:
    sent = converted(CASES[name]["workflow"])
    expected = CASES[name]["sent"]
    if name in LOST_BY_THE_FRONT_END:
        node, slot, link = LOST_BY_THE_FRONT_END[name]
        assert expected[node]["inputs"].get(slot) != link
        expected[node]["inputs"][slot] = link
    assert sent == expected


def test_every_template_is_converted_as_the_front_end_does(
    converted: Converted, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {name: workflow for name, workflow in templates() if name not in NODES_MISSING}
    matching = [name for name in given if canonical_sha256(converted(given[name])) == TEMPLATES[name]]
    with capsys.disabled():
        sys.stdout.write(f"\n{len(matching)} of {len(given)} templates convert exactly as ComfyUI's front end does\n")
    assert sorted(matching) == sorted(set(TEMPLATES) - set(NODES_MISSING))


def test_a_template_whose_nodes_are_missing_is_refused_by_name(converted: Converted) -> None:
    workflow = dict(templates())[NODES_MISSING[0]]
    with pytest.raises(UnknownNode, match=r"node 108 .*DownloadAndLoadSAM2Model") as refusal:
        converted(workflow)
    assert refusal.value.node_id is not None
