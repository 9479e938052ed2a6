"""The settings of the HTTP API and of what is told of a process: log, metrics, traces."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretStr

from runtime.setting import Names, setting

_Severity = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(str.upper)]
"""In any case, as other servers take it."""


class HttpSettings(BaseModel):
    """Part of `runtime.settings.Settings`."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    environment: Literal["development", "testing", "production"] = setting(
        "ENVIRONMENT", default="development", help="development, testing or production"
    )
    debug: bool = setting("DEBUG", default=False, help="log everything, as LOG_LEVEL=DEBUG; refused in production")
    log_level: _Severity = setting("LOG_LEVEL", default="INFO", help="the least severe lines that are logged")
    log_format: Literal["text", "json"] = setting(
        "LOG_FORMAT", default="text", help="text for people, or json: one object a line, with request, job and user"
    )
    traces_endpoint: str | None = setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        default=None,
        help="where OpenTelemetry traces of requests, jobs and nodes go, by OTLP over HTTP; none are made without",
        pattern=r"^https?://",
    )
    enable_metrics: bool = setting(
        "ENABLE_METRICS", default=True, help="whether the HTTP API measures, and answers /metrics"
    )
    metrics_export: Literal["none", "otlp", "cloudwatch"] = setting(
        "METRICS_EXPORT",
        default="none",
        help="where a worker's metrics go that nobody scrapes: otlp, to OTEL_EXPORTER_OTLP_ENDPOINT; cloudwatch, "
        "lines of its embedded format on standard output",
    )
    metrics_namespace: str = setting(
        "METRICS_NAMESPACE",
        default="ComfyUIServerless",
        help="CloudWatch's namespace for METRICS_EXPORT=cloudwatch; one for each deployment",
        pattern=r"^[A-Za-z0-9._/#-]{1,255}$",
    )
    metrics_port: int = setting(
        "METRICS_PORT", default=0, help="a port of its own for /metrics, on every address; 0 for none", ge=0, le=65535
    )
    metrics_token: SecretStr | None = setting(
        "METRICS_TOKEN", default=None, help="what /metrics of the HTTP API asks for where it asks for tokens"
    )

    api_title: str = setting("API_TITLE", default="ComfyUI Serverless", help="what the HTTP API calls itself")
    host: str = setting("HOST", default="127.0.0.1", help="the address that `serve` listens on")
    port: int = setting("PORT", default=8000, help="the port that `serve` listens on", ge=0, le=65535)
    secret_key: SecretStr | None = setting(
        "SECRET_KEY",
        default=None,
        help="signs access tokens, at least 32 characters; without it the HTTP API is open, on loopback alone",
    )
    algorithm: Literal["HS256", "HS384", "HS512"] = setting(
        "ALGORITHM", default="HS256", help="what access tokens are signed by"
    )
    access_token_minutes: int = setting(
        "ACCESS_TOKEN_EXPIRE_MINUTES", default=30, help="minutes that an access token lasts", ge=1, le=1440
    )
    refresh_token_days: int = setting(
        "REFRESH_TOKEN_EXPIRE_DAYS", default=7, help="days that a session lasts without being used", ge=1, le=365
    )
    disable_auth: bool = setting(
        "DISABLE_AUTH", default=False, help="ask for no token whatever SECRET_KEY is; with ENVIRONMENT=testing alone"
    )
    registration: bool = setting("REGISTRATION", default=True, help="whether anybody may make an account")
    enable_rate_limiting: bool = setting("ENABLE_RATE_LIMITING", default=True, help="whether the limits below are held")
    rate_limit_per_minute: int = setting(
        "RATE_LIMIT_PER_MINUTE",
        default=0,
        help="most HTTP requests of one account, all its keys together, in a minute; 0: any",
        ge=0,
    )
    rate_limit_per_hour: int = setting("RATE_LIMIT_PER_HOUR", default=0, help="the same in an hour", ge=0)
    rate_limit_per_day: int = setting("RATE_LIMIT_PER_DAY", default=0, help="the same in a day", ge=0)
    max_streams: int = setting(
        "MAX_STREAMS",
        default=1000,
        help="most event streams, waiting calls and websockets of one account on one instance; 0: any",
        ge=0,
    )
    max_running_jobs: int = setting(
        "MAX_RUNNING_JOBS", default=0, help="most jobs of one account that wait or run at a time; 0: any", ge=0
    )
    max_gpu_seconds_per_day: float = setting(
        "MAX_GPU_SECONDS_PER_DAY", default=0, help="most GPU seconds of one account in a day (UTC); 0: any", ge=0
    )
    result_cache_ttl_s: int = setting(
        "RESULT_CACHE_TTL_S",
        default=0,
        help="seconds in which the same request of an account over HTTP gets the earlier outputs; 0: it runs again",
        ge=0,
        le=30 * 86_400,
    )
    enable_cors: bool = setting("ENABLE_CORS", default=True, help="whether the pages of CORS_ORIGINS may call")
    cors_origins: Names = setting(
        "CORS_ORIGINS", default=(), help="web pages, comma separated, that may call the HTTP API from a browser"
    )
    trusted_hosts: Names = setting(
        "TRUSTED_HOSTS", default=(), help="host names, comma separated, that the HTTP API answers to; none: to all"
    )
    api_docs: bool = setting(
        "ENABLE_DOCS", "API_DOCS", default=True, help="whether the HTTP API shows /docs and /openapi.json"
    )
    enable_redoc: bool = setting("ENABLE_REDOC", default=True, help="whether it shows /redoc beside /docs")
