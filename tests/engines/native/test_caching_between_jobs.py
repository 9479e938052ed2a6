from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.nodes.protocol import InputFiles
from runtime.workspace import Workspace


def show(id: str) -> tuple[str, dict[str, Any]]:
    return "Show", {"value": [id, 0]}


@pytest.fixture
def sampling(bench: Any) -> Callable[[int], Any]:
    """Runs load -> encode -> sample(seed) -> decode -> show."""
    one = {"required": {"x": ("*",)}, "returns": ("*",)}
    bench.add("Load", lambda: ("model",), returns=("*",))
    bench.add("Encode", lambda x: (f"{x} text",), **one)
    seeded = {"required": {"x": ("*",), "seed": ("INT",)}, "returns": ("*",)}
    bench.add("Sample", lambda x, seed: (f"{x} {seed}",), **seeded)
    bench.add("Decode", lambda x: (f"{x} image",), **one)

    def run(seed: int) -> Any:
        return bench.run(
            {
                "l": ("Load", {}),
                "e": ("Encode", {"x": ["l", 0]}),
                "s": ("Sample", {"x": ["e", 0], "seed": seed}),
                "d": ("Decode", {"x": ["s", 0]}),
                "o": show("d"),
            }
        )

    return run


def test_another_seed_runs_the_sampler_and_what_follows_alone(bench: Any, sampling: Any) -> None:
    sampling(1)
    execution = sampling(2)
    assert set(execution.node_ms) == {"s", "d", "o"}
    assert execution.cached_nodes == ("e",)
    assert bench.shown == ["model text 1 image", "model text 2 image"]


def test_the_same_job_again_runs_its_outputs_alone(bench: Any, sampling: Any) -> None:
    sampling(1)
    assert set(sampling(1).node_ms) == {"o"}


def test_an_earlier_seed_again_is_still_known(bench: Any, sampling: Any) -> None:
    for seed in (1, 2):
        sampling(seed)
    assert sampling(1).cached_nodes == ("d",)


def test_nothing_is_known_after_memory_was_given_back(bench: Any, sampling: Any) -> None:
    sampling(1)
    bench.engine.free()
    assert sampling(1).cached_nodes == ()
    assert bench.models.freed == 1


def test_the_cache_of_a_long_series_of_jobs_stays_within_its_limit(bench: Any) -> None:
    bench.cache = type(bench.cache)(100_000)
    bench.add("Text", lambda n: ("x" * 10_000,), required={"n": ("INT",)}, returns=("STRING",))
    for number in range(50):
        bench.run({"t": ("Text", {"n": number}), "o": show("t")})
        assert bench.cache.size_bytes <= 100_000


@pytest.mark.parametrize(
    ("declared", "runs"),
    [
        ({}, 1),
        ({"IS_CHANGED": classmethod(lambda cls: 1)}, 1),
        ({"IS_CHANGED": classmethod(lambda cls: float("nan"))}, 3),
        ({"IS_CHANGED": classmethod(lambda cls: [1, float("nan")])}, 3),
        ({"IS_CHANGED": classmethod(lambda cls: 1 / 0)}, 3),
        ({"IS_CHANGED": classmethod(lambda cls, never_given: 1)}, 3),
        ({"NOT_IDEMPOTENT": True}, 1),
    ],
    ids=["plain", "unchanged", "nan", "nan in a list", "broken", "wrong signature", "not idempotent"],
)
def test_a_class_says_by_is_changed_whether_to_run_again(bench: Any, declared: dict[str, Any], runs: int) -> None:
    ran: list[int] = []
    bench.add("Maybe", lambda: (ran.append(1) or 1,), returns=("INT",), **declared)
    for _ in range(3):
        bench.run({"m": ("Maybe", {}), "o": show("m")})
    assert len(ran) == runs


def test_an_asynchronous_is_changed_is_awaited(bench: Any) -> None:
    async def changed(cls: type) -> int:
        return 1

    bench.add("Maybe", lambda: (1,), returns=("INT",), IS_CHANGED=classmethod(changed))
    graph = {"m": ("Maybe", {}), "o": show("m")}
    bench.run(graph)
    assert bench.run(graph).cached_nodes == ("m",)


def test_is_changed_is_asked_with_constants_and_the_id_and_none_for_links(bench: Any) -> None:
    asked: list[dict[str, Any]] = []
    inputs = {"required": {"k": ("INT",), "x": ("INT",)}, "hidden": {"me": "UNIQUE_ID", "context": "CONTEXT"}}
    changed = classmethod(lambda cls, **given: asked.append(given))
    bench.add("Ask", lambda k, x, me, context: (1,), **inputs, returns=("INT",), IS_CHANGED=changed)
    bench.run({"n": ("Number", {"value": 1}), "a": ("Ask", {"k": "5", "x": ["n", 0]}), "o": show("a")})
    assert asked == [{"k": 5, "x": None, "me": "a"}]


@pytest.mark.parametrize(
    ("declared", "runs"),
    [({}, 1), ({"NOT_IDEMPOTENT": True}, 2), ({"hidden": {"me": "UNIQUE_ID"}}, 2)],
    ids=["plain", "not idempotent", "asks for its id"],
)
def test_two_equal_nodes_run_once_unless_their_identity_counts(bench: Any, declared: Any, runs: int) -> None:
    ran: list[int] = []
    bench.add("Twin", lambda **_: (ran.append(1) or 1,), returns=("INT",), **declared)
    bench.run({"a": ("Twin", {}), "b": ("Twin", {}), "s": ("Sum", {"a": ["a", 0], "b": ["b", 0]}), "o": show("s")})
    assert len(ran) == runs


@pytest.fixture
def reading(bench: Any, tmp_path: Path) -> Callable[..., str]:
    """What a job of a tenant reads from its own `a.png`, which holds `content`."""
    read = {"required": {"name": (InputFiles("image"),)}, "hidden": {"context": "CONTEXT"}, "returns": ("STRING",)}
    bench.add("Read", lambda name, context: (context.input_path(name).read_text(),), **read)

    def job(content: str, *, tenant: str = "t") -> Any:
        with Workspace(root=tmp_path / "jobs") as bench.files:
            bench.files.new_input("a.png").write_text(content)
            execution = bench.run({"r": ("Read", {"name": "a.png"}), "o": show("r")}, tenant=tenant)
        return bench.shown.pop(), execution.cached_nodes

    return job


def test_two_tenants_pictures_of_one_name_never_meet(reading: Any) -> None:
    assert reading("cat", tenant="alice") == ("cat", ())
    assert reading("dog", tenant="bob") == ("dog", ())
    assert reading("cat", tenant="alice") == ("cat", ("r",))


def test_two_tenants_equal_pictures_are_each_read(reading: Any) -> None:
    reading("cat", tenant="alice")
    assert reading("cat", tenant="bob") == ("cat", ())


def test_new_content_under_an_old_name_is_read_again(reading: Any) -> None:
    assert [reading("cat"), reading("dog"), reading("cat")] == [("cat", ()), ("dog", ()), ("cat", ("r",))]
