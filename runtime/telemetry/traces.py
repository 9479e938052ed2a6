"""Traces by OpenTelemetry: what a request, a job and its nodes took, as spans within one another.

Without an exporter a span costs one comparison, and nothing of OpenTelemetry is imported. Spans go with the context:
those of a job are below the one of the request that sent it, through the queue and the worker's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from runtime.errors import SettingsInvalid
from runtime.telemetry.context import fields_now

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

_NAME = "comfyui-serverless"


class _Tracing:
    tracer: Tracer | None = None


@contextmanager
def span(name: str, **attributes: str | float) -> Iterator[None]:
    """A span over the block, with the ids that the block belongs to; an exception out of it is recorded in it."""
    tracer = _Tracing.tracer
    if tracer is None:
        yield
        return
    about = {f"comfyui.{key}": value for key, value in {**fields_now(), **attributes}.items()}
    with tracer.start_as_current_span(name, attributes=about):
        yield


def start_tracing(endpoint: str) -> Callable[[], None]:
    """Send spans to the OTLP collector at `endpoint`, in the background, until the returned call, which sends the rest.

    Raises SettingsInvalid where OpenTelemetry is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as exc:
        raise SettingsInvalid(
            f"OTEL_EXPORTER_OTLP_ENDPOINT needs {exc.name}: pip install -c constraints.txt -e '.[telemetry]'"
        ) from exc
    return trace_with(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")))


def trace_with(processor: Any) -> Callable[[], None]:
    """Make spans and give them to an OpenTelemetry span processor, until the returned call."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    provider: TracerProvider = TracerProvider(resource=Resource.create({"service.name": _NAME}))
    provider.add_span_processor(processor)
    _Tracing.tracer = provider.get_tracer(_NAME)

    def stop() -> None:
        _Tracing.tracer = None
        provider.shutdown()

    return stop
