"""The metrics of all workers, for Prometheus.

Each worker collects its figures in files of one directory, and each serves those of all on one
port: whichever is asked, the answer is the same.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from socketserver import TCPServer, ThreadingMixIn
from tempfile import TemporaryDirectory
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import structlog

from service.metrics import WORKERS_STARTED
from service.metrics.kinds import enable
from service.server.sockets import SocketAddress, resolve
from service.settings.metrics import MetricsSettings

# The library's name.
DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"

# What Prometheus asks for by default.
PATH = "/metrics"

# Maximum time of a client to send its request, or to read a part of the response, in seconds.
CLIENT_TIMEOUT = 10.0

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class MetricsServer(ThreadingMixIn, WSGIServer):
    """A server that shares its port with those of the other workers."""

    daemon_threads = True
    allow_reuse_port = True

    def __init__(self, address: SocketAddress) -> None:
        self.address_family, place = address
        super().__init__(place, MetricsHandler)

    def server_bind(self) -> None:
        """Bind, without a look-up of the host's name, which may take long."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:
        """Log what went wrong, unless the client left or was too slow."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            log.error("metrics_not_sent", exc_info=error)


class MetricsHandler(WSGIRequestHandler):
    """Answers a request."""

    timeout = CLIENT_TIMEOUT

    def log_message(self, *_: object) -> None:
        """Log nothing: the requests are Prometheus's own."""


def metrics_address(settings: MetricsSettings) -> SocketAddress | None:
    """Return the address to serve metrics on; ``None`` if they are off. Raises `OSError`."""
    return None if settings.port is None else resolve(settings.host, settings.port)


@contextmanager
def metrics_directory(settings: MetricsSettings) -> Iterator[None]:
    """Keep a directory for the figures of all workers, which inherit its name."""
    if settings.port is None:
        yield
        return
    with TemporaryDirectory(prefix="ostiary-metrics-") as directory:
        os.environ[DIRECTORY] = directory
        try:
            yield
        finally:
            del os.environ[DIRECTORY]


def serve_metrics(settings: MetricsSettings) -> None:
    """Collect the metrics of this worker, if wanted, and serve those of all in a thread."""
    address = metrics_address(settings)
    if address is None:
        return
    from prometheus_client import CollectorRegistry, make_wsgi_app  # noqa: PLC0415
    from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

    enable()
    WORKERS_STARTED.add()
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=os.environ[DIRECTORY])  # type: ignore[no-untyped-call]
    server = MetricsServer(address)
    server.set_app(only_metrics(make_wsgi_app(registry)))
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


def only_metrics(app: WSGIApplication) -> WSGIApplication:
    """Return an application that answers `PATH` like ``app``, and every other path with 404."""

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == PATH:
            return app(environ, start)
        start("404 Not Found", [("Content-Type", "text/plain")])
        return [b"Not found\n"]

    return answer


def forget_gauges(pid: int) -> None:
    """Leave the gauges of a worker that has died out of the sums."""
    if DIRECTORY not in os.environ:
        return
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415

    mark_process_dead(pid, os.environ[DIRECTORY])  # type: ignore[no-untyped-call]
