from __future__ import annotations

from typing import Any

import pytest

from runtime.engines.choice import Engines
from runtime.errors import GraphRejected, InvalidRequest
from runtime.graph.workflow import Graph, parse_workflow


class Named:
    """An engine that knows some classes, and lacks the family of models that a node `Foreign family` names."""

    def __init__(self, name: str, *classes: str) -> None:
        self.name = name
        self._classes = classes

    def lacks(self, graph: Graph) -> list[str]:
        return [node.class_type for node in graph.nodes.values() if node.class_type != "Own"]

    def knows(self, class_type: str) -> bool:
        return class_type in self._classes


def engines(default: str = "auto", *, comfyui: bool = True) -> Any:
    made: dict[str, Any] = {"native": lambda: Named("native", "Own", "Foreign family")}
    if comfyui:
        made["comfyui"] = lambda: Named("comfyui", "Own", "Foreign")
    return Engines(made, default=default)


def graph(*class_types: str) -> Any:
    return parse_workflow({str(n): {"class_type": name} for n, name in enumerate(class_types)})


@pytest.mark.parametrize(
    ("class_types", "wish", "default", "comfyui", "chosen"),
    [
        (["Own"], None, "auto", True, "native"),
        (["Own", "Foreign"], None, "auto", True, "comfyui"),
        (["Own", "Foreign"], None, "auto", False, "native"),
        (["Own"], "comfyui", "auto", True, "comfyui"),
        (["Foreign"], "native", "comfyui", True, "native"),
        (["Own"], None, "comfyui", True, "comfyui"),
        (["Foreign"], "auto", "native", True, "comfyui"),
        (["Foreign family"], None, "auto", True, "comfyui"),
    ],
    ids=["has all", "lacks one", "nothing else", "wish", "wish over default", "default", "wish for auto", "family"],
)
def test_the_engine_is_the_wish_else_the_deployments_else_the_one_that_can(
    class_types: list[str], wish: str | None, default: str, comfyui: bool, chosen: str
) -> None:
    assert engines(default, comfyui=comfyui).choose(graph(*class_types), wish).name == chosen


def test_an_engine_that_the_deployment_lacks_is_named_with_its_variable() -> None:
    with pytest.raises(InvalidRequest, match=r"engine is 'comfyui'; this deployment has native, and no ComfyUI"):
        engines(comfyui=False).choose(graph("Own"), "comfyui")


def test_an_engine_is_built_once_and_only_when_needed() -> None:
    built: list[str] = []
    made = Engines({"native": lambda: built.append("native") or Named("native")}, default="native")
    assert built == []
    assert made.get("native") is made.get("native")
    assert built == ["native"]


def test_a_model_of_another_family_is_refused_where_there_is_no_comfyui() -> None:
    with pytest.raises(GraphRejected, match=r"lacks Foreign family, and this deployment has no ComfyUI .*COMFYUI_PATH"):
        engines(comfyui=False).choose(graph("Foreign family"), None)
