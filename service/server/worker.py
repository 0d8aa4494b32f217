"""A worker: a process that serves requests."""

from __future__ import annotations

import gc
from collections.abc import Callable

from litestar import Litestar

from service.app import create_app
from service.logging import configure_logging
from service.server.granian_workarounds import stop_with_supervisor, when_accepting
from service.server.metrics_files import MetricsPlace, collect_metrics
from service.server.metrics_server import serve_metrics
from service.settings import Settings

# Maximum time of a worker to finish its requests when it is stopped, in seconds.
SHUTDOWN_TIMEOUT = 10


def create_worker_app(  # noqa: PLR0913, PLR0917
    settings: Settings,
    database_url: str,
    is_draining: Callable[[], bool],
    metrics: MetricsPlace | None,
    index: int,
    on_accepting: Callable[[], None],
) -> Litestar:
    """Return the application of a worker, and prepare its process.

    ``index`` is the number of the worker, which one that replaces it has as well.
    """
    configure_logging(settings)
    stop_with_supervisor(SHUTDOWN_TIMEOUT)
    if metrics is not None:
        collect_metrics(metrics, index)
        serve_metrics(metrics)
    when_accepting(on_accepting)
    app = create_app(settings, database_url, is_draining)
    # Everything that exists now is permanent, and requests create no reference cycles: the garbage
    # collector need not traverse all of it every 700 objects.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    return app
