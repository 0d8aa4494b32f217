"""Metrics for Prometheus."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct


class MetricsSettings(Struct, frozen=True, kw_only=True):
    """Where the metrics are served, to Prometheus and to nobody else."""

    prefix: ClassVar[str] = "METRICS_"

    host: Annotated[
        str,
        Meta(description="Address or name on which the metrics are served: not a public one."),
    ] = "127.0.0.1"
    port: Annotated[
        Annotated[int, Meta(ge=1, le=65535)] | None,
        Meta(description="Port of `GET /metrics`, for Prometheus. Default: there are no metrics."),
    ] = None
