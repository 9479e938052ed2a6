from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from runtime.jobs.record import JobError, JobRecord, Status, Timings
from runtime.telemetry import metrics
from runtime.telemetry.jobs import record_end
from runtime.telemetry.metrics import METRICS, Kind, Metric, Reading
from runtime.telemetry.prometheus import PrometheusRecorder

HASHES = {"request_sha256": "", "workflow_sha256": ""}


def record(status: Status, **more: Any) -> JobRecord:
    facts: dict[str, Any] = {
        "tenant": "t",
        "job_id": "j",
        "request_sha256": "",
        "workflow_sha256": "",
        "created_at": "",
    }
    return JobRecord(**{**facts, "status": status, **more})


def samples(recorder: PrometheusRecorder) -> dict[str, float]:
    families = text_string_to_metric_families(recorder.text()[0].decode())
    told = [sample for family in families for sample in family.samples]
    return {f"{sample.name}{sorted(sample.labels.items())}": sample.value for sample in told}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_name_says_what_is_counted_in_which_unit(metric: Metric) -> None:
    endings = {Kind.COUNTER: "_total", Kind.HISTOGRAM: "_seconds", Kind.GAUGE: ""}
    assert re.fullmatch(r"comfyui_serverless_[a-z_]+", metric.name)
    assert metric.name.endswith(endings[metric.kind])
    assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)


def test_a_completed_job_is_counted_with_the_time_of_each_part() -> None:
    recorder = PrometheusRecorder()
    timings = Timings(queue=1000, load=2000, execute=3000, deliver=4000, total=10_000, nodes={"1": 1.0, "2": 2.0})
    ended = record(Status.COMPLETED, engine="native", gpu_seconds=5.0, timings_ms=timings, cached_nodes=("3",))
    record_end(recorder, ended)
    told = samples(recorder)
    assert told["comfyui_serverless_jobs_ended_total[('engine', 'native'), ('status', 'completed')]"] == 1
    assert told["comfyui_serverless_gpu_seconds_total[('engine', 'native')]"] == 5
    assert told["comfyui_serverless_nodes_total[('result', 'run')]"] == 2
    assert told["comfyui_serverless_nodes_total[('result', 'cached')]"] == 1
    for part, seconds in (("queue", 1), ("load", 2), ("execution", 3), ("delivery", 4)):
        assert told[f"comfyui_serverless_job_{part}_seconds_sum[('engine', 'native')]"] == seconds


def test_a_failed_job_is_counted_by_its_code_and_one_that_goes_on_not_at_all() -> None:
    recorder = PrometheusRecorder()
    error = JobError(code="out_of_memory", message="", retryable=True)
    record_end(recorder, record(Status.FAILED, error=error))
    record_end(recorder, record(Status.PENDING, error=error))
    told = samples(recorder)
    assert told["comfyui_serverless_jobs_failed_total[('code', 'out_of_memory')]"] == 1
    assert told["comfyui_serverless_jobs_ended_total[('engine', 'none'), ('status', 'failed')]"] == 1


def test_gauges_and_what_others_count_are_read_at_each_look() -> None:
    held = [100.0]

    def source() -> Iterator[Reading]:
        yield Reading(metric=metrics.MODEL_CACHE_BYTES, value=held[0], labels=("gpu",))
        yield Reading(metric=metrics.MODEL_CACHE_ASKED, value=7, labels=("hit",))

    recorder = PrometheusRecorder()
    recorder.read(source)
    assert samples(recorder)["comfyui_serverless_model_cache_bytes[('tier', 'gpu')]"] == 100
    held[0] = 50.0
    told = samples(recorder)
    assert told["comfyui_serverless_model_cache_bytes[('tier', 'gpu')]"] == 50
    assert told["comfyui_serverless_model_cache_asked_total[('result', 'hit')]"] == 7
