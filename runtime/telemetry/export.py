"""Where a worker's metrics go that nobody can scrape, since it scales to zero."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from runtime.clock import Clock, SystemClock
from runtime.errors import SettingsInvalid

if TYPE_CHECKING:
    from runtime.settings import Settings
    from runtime.telemetry.emf import EmbeddedMetrics
    from runtime.telemetry.otlp import OtlpMetrics


def exporter(settings: Settings, *, clock: Clock | None = None) -> EmbeddedMetrics | OtlpMetrics | None:
    """What METRICS_EXPORT names; None for none. Raises SettingsInvalid for what it lacks."""
    if settings.metrics_export == "cloudwatch":
        from runtime.telemetry.emf import EmbeddedMetrics

        return EmbeddedMetrics(sys.stdout, clock=clock or SystemClock(), namespace=settings.metrics_namespace)
    if settings.metrics_export == "otlp":
        from runtime.telemetry.otlp import OtlpMetrics

        if settings.traces_endpoint is None:
            raise SettingsInvalid(
                "METRICS_EXPORT is otlp, and OTEL_EXPORTER_OTLP_ENDPOINT is not set; expected a collector's address, "
                "as in http://collector:4318"
            )
        return OtlpMetrics(settings.traces_endpoint)
    return None
