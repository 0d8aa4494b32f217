"""A proxy before PostgreSQL, by which tests cut, silence and refuse connections."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from urllib.parse import urlsplit

from tests.asyncio_workarounds import stop_accepting
from tests.databases import name_of
from tests.services import PATIENCE

# The message by which a client asks for TLS (PostgreSQL, "Message Formats").
SSL_REQUEST = (8).to_bytes(4) + (80877103).to_bytes(4)


class Proxy:
    """Passes bytes between clients and PostgreSQL, as long as a test wants it to.

    With a ``tls`` context it speaks TLS with the clients, as PostgreSQL does if it is built for it;
    a client that does not ask for TLS is sent away.
    """

    def __init__(self, database_url: str, tls: ssl.SSLContext | None = None) -> None:
        directory = urlsplit(database_url).query.removeprefix("host=")
        self._socket = f"{directory}/.s.PGSQL.5432"
        self._database = name_of(database_url)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._writers: set[asyncio.StreamWriter] = set()
        self._to_clients: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._gates: set[asyncio.Event] = set()
        self._is_silent = False
        self._refusals = 0.0
        self.connections = 0
        # How often bytes were held back.
        self.held = 0
        # Whether a connection that PostgreSQL ends is left open, and how many were ended.
        self.keeps_ended = False
        self.ended = 0
        self.port = 0
        self._tls = tls

    @property
    def url(self) -> str:
        """The URL of the database behind the proxy."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{self._database}"

    def silence(self, *, new: bool = True) -> None:
        """Pass nothing on all connections, or on those only that are open now."""
        self._run(lambda: self._silence(new))

    def speak(self) -> None:
        """Pass everything again."""
        self._run(self._speak)

    def cut(self) -> None:
        """Close all connections, without notice."""
        self._run(self._cut)

    def refuse(self, times: float = inf) -> None:
        """Close so many new connections at once."""
        self._refusals = times

    @contextmanager
    def running(self) -> Iterator[Proxy]:
        """Run in a thread."""
        self._thread.start()
        server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result(PATIENCE)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._end(server), self._loop).result(PATIENCE)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE)
            self._loop.close()

    def _run(self, work: Callable[[], object]) -> None:
        async def run() -> None:
            work()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(PATIENCE)

    async def _end(self, server: asyncio.Server) -> None:
        await stop_accepting(server)
        self._speak()
        self._cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _silence(self, new: bool) -> None:
        self._is_silent = new
        for gate in self._gates:
            gate.clear()

    def _speak(self) -> None:
        self._is_silent = False
        for gate in self._gates:
            gate.set()

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(to_client)
        self._to_clients.add(to_client)
        if self._refusals > 0:
            self._refusals -= 1
            to_client.transport.abort()
            return
        if self._tls is not None and not await begin_tls(client, to_client, self._tls):
            to_client.transport.abort()
            return
        server, to_server = await asyncio.open_unix_connection(self._socket)
        gate = asyncio.Event()
        if not self._is_silent:
            gate.set()
        self._gates.add(gate)
        self._writers.add(to_server)
        for source, target in ((client, to_server), (server, to_client)):
            task = self._loop.create_task(self._pump(source, target, gate))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, gate: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                self.held += not gate.is_set()
                await gate.wait()
                target.write(data)
        if target not in self._to_clients:
            target.close()
            return
        self.ended += 1
        if not self.keeps_ended:
            target.close()


async def begin_tls(
    client: asyncio.StreamReader, to_client: asyncio.StreamWriter, tls: ssl.SSLContext
) -> bool:
    """Begin TLS as PostgreSQL does; return whether the client wanted it and was content."""
    try:
        if await client.readexactly(len(SSL_REQUEST)) != SSL_REQUEST:
            return False
        to_client.write(b"S")
        await to_client.start_tls(tls)
    except (OSError, EOFError):
        return False
    return True
