"""Traces by OpenTelemetry: what a request, a job and its nodes took, as spans within one another.

Without an exporter a span costs one comparison, and nothing of OpenTelemetry is imported. Spans go with the context
from thread to thread, and with the job's record from process to process: those of a job are below the one of the
request that sent it, whatever brought it to its worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from runtime.errors import SettingsInvalid
from runtime.telemetry.context import fields_now

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

EndSpan = Callable[[BaseException | None], None]

_NAME = "comfyui-serverless"
_NS = 1_000_000_000


class _Tracing:
    tracer: Tracer | None = None
    provider: TracerProvider | None = None


@contextmanager
def span(name: str, *, above: str | None = None, **attributes: str | float) -> Iterator[None]:
    """A span over the block, with the ids that the block belongs to; an exception out of it is recorded in it.

    It is below `above`, a span of another process by its `traceparent`, else below the context's own.
    """
    tracer = _Tracing.tracer
    if tracer is None:
        yield
        return
    with tracer.start_as_current_span(name, context=_below(above), attributes=_about(attributes)):
        yield


def begun_span(name: str, **attributes: str | float) -> EndSpan:
    """Begin a span below the context's that no block holds, and answer what ends it, with what went wrong in it."""
    tracer = _Tracing.tracer
    if tracer is None:
        return lambda failure: None
    begun = tracer.start_span(name, attributes=_about(attributes))

    def end(failure: BaseException | None) -> None:
        if failure is not None:
            from opentelemetry.trace import Status, StatusCode

            begun.record_exception(failure)
            begun.set_status(Status(StatusCode.ERROR, f"{type(failure).__name__}: {failure}"))
        begun.end()

    return end


def past_span(name: str, began_at: float, ended_at: float, *, above: str | None = None) -> None:
    """A span that is over, in epoch seconds; none where it took no time, which clocks apart may say as well."""
    tracer = _Tracing.tracer
    if tracer is not None and ended_at > began_at:
        past = tracer.start_span(name, context=_below(above), attributes=_about({}), start_time=round(began_at * _NS))
        past.end(round(ended_at * _NS))


def traceparent() -> str | None:
    """The context's span as another process is told of it (W3C Trace Context); None without an exporter or a span."""
    if _Tracing.tracer is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    told: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(told)
    return told.get("traceparent")


def _about(attributes: Mapping[str, str | float]) -> dict[str, str | float]:
    return {f"comfyui.{key}": value for key, value in {**fields_now(), **attributes}.items()}


def _below(above: str | None) -> Context | None:
    """The context of a span that `traceparent` told of; what is no such text is as none."""
    if above is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": above})


def flush_spans() -> None:
    """Send the spans that have ended now: for a process that may be frozen at any moment. Waits a second at most."""
    if _Tracing.provider is not None:
        _Tracing.provider.force_flush(timeout_millis=1000)


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
    _Tracing.tracer, _Tracing.provider = provider.get_tracer(_NAME), provider

    def stop() -> None:
        _Tracing.tracer = _Tracing.provider = None
        provider.shutdown()

    return stop
