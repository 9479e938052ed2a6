from __future__ import annotations

from typing import Any

import pytest
import torch

from runtime.engines.limits import GraphLimits
from runtime.errors import DeviceLost, GraphRejected, NodeFailed, OutOfMemory
from runtime.nodes.conditioning import NODE_CLASS_MAPPINGS
from runtime.nodes.pictures import Pictures


def out_of_memory(kind: str) -> Exception:
    if kind == "cuda":
        return torch.OutOfMemoryError("CUDA out of memory")
    if kind == "cublas":
        return RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
    if kind == "driver":
        return RuntimeError("CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA` to enable assertions.")
    if kind == "cpu":
        return RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
    return MemoryError()


@pytest.mark.parametrize("kind", ["cuda", "cublas", "driver", "cpu", "python"])
def test_a_node_out_of_memory_is_tried_once_more_after_freeing(bench: Any, kind: str) -> None:
    tries: list[int] = []

    def greedy() -> tuple[int]:
        tries.append(bench.models.freed)
        if len(tries) == 1:
            raise out_of_memory(kind)
        return (5,)

    bench.add("Greedy", greedy, returns=("INT",))
    bench.run({"g": ("Greedy", {}), "o": ("Show", {"value": ["g", 0]})})
    assert (tries, bench.shown) == ([0, 1], [5])


def test_a_node_that_stays_out_of_memory_says_so(bench: Any) -> None:
    def greedy() -> None:
        raise MemoryError

    bench.add("Greedy", greedy, returns=("INT",))
    with pytest.raises(OutOfMemory, match=r"Greedy \(node g\) needs more memory than there is") as caught:
        bench.run({"g": ("Greedy", {}), "o": ("Show", {"value": ["g", 0]})})
    assert (caught.value.node_id, caught.value.retryable, bench.models.freed) == ("g", True, 1)


def test_the_first_try_holds_no_memory_during_the_second(bench: Any) -> None:
    import weakref

    held: list[weakref.ref[Any]] = []

    def greedy() -> tuple[bool]:
        if held:
            return (held[0]() is None,)
        taken = torch.zeros(10)
        held.append(weakref.ref(taken))
        raise MemoryError

    bench.add("Greedy", greedy, returns=("BOOLEAN",))
    bench.run({"g": ("Greedy", {}), "o": ("Show", {"value": ["g", 0]})})
    assert bench.shown == [True]


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (
            "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be reported later",
            DeviceLost,
        ),
        ("CUDA error: uncorrectable ECC error encountered", DeviceLost),
        ("CUDA error: invalid configuration argument", NodeFailed),
        ("an unspecified launch failure of my own", NodeFailed),
    ],
)
def test_an_error_that_leaves_the_gpu_useless_says_so(bench: Any, message: str, error: type[Exception]) -> None:
    def fail() -> None:
        raise RuntimeError(message)

    bench.add("Fail", fail, returns=("INT",))
    with pytest.raises(error, match=message.partition("\n")[0]) as caught:
        bench.run({"f": ("Fail", {}), "o": ("Show", {"value": ["f", 0]})})
    assert type(caught.value) is error
    assert getattr(caught.value, "node_id", None) == "f"


def test_another_runtime_error_is_not_tried_again(bench: Any) -> None:
    tries: list[int] = []

    def broken() -> None:
        tries.append(1)
        raise RuntimeError("shapes do not match")

    bench.add("Broken", broken, returns=("INT",))
    with pytest.raises(NodeFailed, match="shapes do not match"):
        bench.run({"g": ("Broken", {}), "o": ("Show", {"value": ["g", 0]})})
    assert tries == [1]


@pytest.mark.parametrize(
    ("shape", "setting"),
    [
        ((1, 20, 30, 3), "a picture of 30x20; .*MAX_PIXELS"),
        ((4, 12, 12, 3), "4 pictures of 12x12 at once; .*MAX_PIXELS"),
        ((40, 2, 2, 3), "40 pictures at once; .*16 times MAX_BATCH"),
        ((4, 12, 12), "4 pictures of 12x12 at once; .*MAX_PIXELS"),
    ],
    ids=["pixels", "pixels of a batch", "batch", "masks"],
)
def test_a_picture_over_the_limits_ends_the_job(bench: Any, shape: tuple[int, ...], setting: str) -> None:
    bench.limits = GraphLimits(max_pixels=500, max_batch=2)
    bench.add("Make", lambda: (torch.zeros(shape),), returns=("IMAGE",))
    with pytest.raises(GraphRejected, match=r"Make \(node m\) makes .*" + setting):
        bench.run({"m": ("Make", {}), "o": ("Show", {"value": ["m", 0]})})


def test_a_latent_counts_as_the_pictures_that_it_stands_for(bench: Any) -> None:
    bench.limits = GraphLimits(max_pixels=500)
    bench.add("Make", lambda: ({"samples": torch.zeros(1, 4, 2, 8)},), returns=("LATENT",))
    with pytest.raises(GraphRejected, match=r"Make \(node m\) makes a picture of 64x16; .*MAX_PIXELS"):
        bench.run({"m": ("Make", {}), "o": ("Show", {"value": ["m", 0]})})


def test_a_number_that_comes_by_a_link_is_held_to_the_limits(bench: Any) -> None:
    bench.limits = GraphLimits(max_steps=50)
    calls: list[int] = []
    bench.add("Number", lambda: (51,), returns=("INT",))
    bench.add("Sample", calls.append, required={"steps": ("INT", {"min": 1, "max": 100})}, output=True)
    with pytest.raises(GraphRejected, match=r"Sample \(node s\) is given a steps of 51; .* 50 \(MAX_STEPS\)") as caught:
        bench.run({"n": ("Number", {}), "s": ("Sample", {"steps": ["n", 0]})})
    assert (calls, caught.value.node_id) == ([], "s")


def test_a_size_that_a_conditioning_holds_may_be_any(bench: Any) -> None:
    bench.limits = GraphLimits(max_pixels=500)
    bench.add("Number", lambda: (4096,), returns=("INT",))
    sizes = {"width": ("INT", {}), "height": ("INT", {})}
    bench.add("Tell", lambda width, height: ([width, height],), required=sizes, returns=("CONDITIONING",))
    told = {"width": ["n", 0], "height": ["n", 0]}
    bench.run({"n": ("Number", {}), "t": ("Tell", told), "o": ("Show", {"value": ["t", 0]})})
    assert bench.shown == [[4096, 4096]]


def test_a_node_whose_result_would_be_too_large_is_never_called(bench: Any) -> None:
    bench.limits = GraphLimits(max_pixels=500)
    calls: list[str] = []
    size = staticmethod(lambda text: Pictures(len(text), 10, 10))
    required = {"text": ("STRING", {})}
    bench.add("Grow", lambda text: calls.append(text) or {}, required=required, output=True, PICTURES=size)
    bench.run({"g": ("Grow", {"text": "five!"})})
    with pytest.raises(GraphRejected, match=r"Grow \(node g\) makes 6 pictures of 10x10 at once; .*MAX_PIXELS"):
        bench.run({"g": ("Grow", {"text": "is six"})})
    assert calls == ["five!"]


@pytest.mark.parametrize("value", [torch.zeros(40, 40), torch.zeros(1, 4, 30, 30), "text", None], ids=type)
def test_what_is_no_picture_has_no_limits_of_one(bench: Any, value: Any) -> None:
    bench.limits = GraphLimits(max_pixels=500)
    bench.add("Make", lambda: (value,), returns=("*",))
    bench.run({"m": ("Make", {}), "o": ("Show", {"value": ["m", 0]})})
    assert len(bench.shown) == 1


@pytest.mark.parametrize("name", ["ConditioningConcat", "ConditioningCombine"])
def test_a_conditioning_that_each_node_doubles_is_refused_in_time(bench: Any, name: str) -> None:
    bench.classes[name] = NODE_CLASS_MAPPINGS[name]
    bench.add("Make", lambda: ([[torch.zeros(1, 77, 1), {}]],), returns=("CONDITIONING",))
    first, second = bench.classes[name].INPUT_TYPES()["required"]
    chain = {str(n): (name, {first: [str(n - 1), 0], second: [str(n - 1), 0]}) for n in range(1, 60)}
    with pytest.raises(GraphRejected, match=rf"{name} \(node 11\) makes a conditioning of 157696 tokens; .* 78848"):
        bench.run({"0": ("Make", {}), **chain, "o": ("Show", {"value": ["59", 0]})})


def test_nodes_run_in_inference_mode(bench: Any) -> None:
    bench.add("Ask", lambda: (torch.is_inference_mode_enabled(),), returns=("BOOLEAN",))
    bench.run({"a": ("Ask", {}), "o": ("Show", {"value": ["a", 0]})})
    assert bench.shown == [True]


def test_an_endless_message_of_a_node_is_cut(bench: Any) -> None:
    def broken() -> None:
        raise ValueError("long\n" * 10_000)

    bench.add("Broken", broken, output=True)
    with pytest.raises(NodeFailed) as caught:
        bench.run({"b": ("Broken", {})})
    assert len(caught.value.message) < 600
    assert "\n" not in caught.value.message
