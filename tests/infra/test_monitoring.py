from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from runtime.telemetry.metrics import METRICS, PREFIX, Kind

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "infra" / "monitoring"
DASHBOARD = json.loads((FOLDER / "grafana.json").read_text())
RULES = [rule for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
EXPRESSIONS = [rule["expr"] for rule in RULES] + [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]
]


def exported() -> dict[str, set[str]]:
    """The labels of each series that Prometheus has, by its name."""
    series: dict[str, set[str]] = {}
    for metric in METRICS:
        parts = ("_bucket", "_sum", "_count") if metric.kind is Kind.HISTOGRAM else ("",)
        for part in parts:
            series[metric.name + part] = {*metric.labels, *(["le"] if part == "_bucket" else [])}
    return series


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_is_shown_or_watched_is_measured(expression: str) -> None:
    names = set(re.findall(rf"{PREFIX}_\w+", expression))
    assert names
    assert names <= set(exported())


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_labels_that_are_asked_for_are_there(expression: str) -> None:
    names = re.findall(rf"{PREFIX}_\w+", expression)
    labels = set(re.findall(r"(\w+)=~?\"", expression))
    for grouped in re.findall(r"by \(([^)]*)\)", expression):
        labels |= {name.strip() for name in grouped.split(",")}
    assert labels <= set.union(*(exported()[name] for name in names))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_every_alarm_has_a_page_that_says_what_to_do(rule: dict[str, Any]) -> None:
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    titles = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor in {re.sub(r"[^\w]+", "-", title.lower()).strip("-") for title in titles}


def test_panels_do_not_lie_over_each_other() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len(places) == len(set(places))
