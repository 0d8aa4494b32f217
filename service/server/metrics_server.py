"""The metrics of all workers, for Prometheus.

Each worker collects its figures in files of one directory, and each serves those of all on one
port: whichever is asked, the answer is the same.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from socketserver import TCPServer, ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import structlog

from service.server.metrics_files import MetricsPlace
from service.server.sockets import SocketAddress

# What Prometheus asks for by default.
PATH = "/metrics"

PLAIN = [("Content-Type", "text/plain")]

# Maximum time to wait for a part of a request, or until a client reads a part of the response, in
# seconds.
CLIENT_TIMEOUT = 10.0

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class MetricsServer(ThreadingMixIn, WSGIServer):
    """A server that shares its port with those of the other workers."""

    daemon_threads = True
    allow_reuse_port = True
    request_queue_size = 128

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


def serve_metrics(place: MetricsPlace) -> None:
    """Serve the metrics of all workers in a thread; without them if that is not possible."""
    from prometheus_client import CollectorRegistry, make_wsgi_app  # noqa: PLC0415
    from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(place.directory))  # type: ignore[no-untyped-call]
    try:
        server = MetricsServer(place.address)
    except OSError as error:
        log.error("metrics_not_served", reason=str(error))  # noqa: TRY400
        return
    server.set_app(only_metrics(make_wsgi_app(registry)))
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


def only_metrics(app: WSGIApplication) -> WSGIApplication:
    """Return an application that answers `PATH` like ``app``, and every other path with 404."""

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != PATH:
            start("404 Not Found", PLAIN)
            return [b"Not found\n"]
        try:
            return app(environ, start)
        except Exception:
            # The server would print it in a form of its own.
            log.exception("metrics_not_sent")
            start("500 Internal Server Error", PLAIN)
            return [b"The metrics could not be collected.\n"]

    return answer
