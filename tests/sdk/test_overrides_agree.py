"""The client's check of overrides says yes to what the deployment takes, and no to what it refuses."""

from __future__ import annotations

from typing import Any

from comfyui_serverless.errors import ClientError
from comfyui_serverless.workflows import check_overrides
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import InvalidRequest
from runtime.graph.overrides import apply_overrides

NAMES = st.sampled_from(["1", "2", "a", "b", "a.b", "seed", "noise_seed", "K", "x.y"])
VALUES = st.one_of(st.integers(0, 3), st.just(["1", 0]))
NODES = st.fixed_dictionaries(
    {"class_type": NAMES, "inputs": st.dictionaries(NAMES, VALUES, max_size=3)},
    optional={"_meta": st.fixed_dictionaries({"title": NAMES})},
)
KEYS = st.lists(NAMES, min_size=1, max_size=3).map(".".join)


def takes(check: Any, workflow: dict[str, Any], key: str, error: type[Exception]) -> bool:
    try:
        check(workflow, {key: 1})
    except error:
        return False
    return True


@settings(deadline=None)
@given(st.dictionaries(NAMES, NODES, max_size=4), KEYS)
def test_client_and_deployment_agree(workflow: dict[str, Any], key: str) -> None:
    assert takes(check_overrides, workflow, key, ClientError) == takes(apply_overrides, workflow, key, InvalidRequest)
