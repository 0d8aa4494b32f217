"""Generates and compiles clients, as many at once as there are processors."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.clients.commands import HERE, generate, run
from tests.clients.generators import Generator


@dataclass(frozen=True)
class Client:
    """A client beside a program that uses it. ``output`` is what the generator printed."""

    generator: Generator
    directory: Path
    output: str

    def walk(self, url: str, transport: str) -> list[str]:
        """Return the lines that the program prints. ``url`` is that of the service."""
        return run(self.directory, *self.generator.walk(url, transport)).splitlines()

    def names(self) -> list[str]:
        """Return the public names of the client."""
        return self.generator.names(self.directory / "client")


class Workshop:
    """Makes the clients of generators in a directory. ``url`` is that of the OpenAPI document."""

    def __init__(self, directory: Path, url: str, generators: list[Generator]) -> None:
        self._directory = directory
        self._url = url
        self._threads = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
        self._generated = {each: self._threads.submit(self._generate, each) for each in generators}
        # The queue is in order: what they wait for has begun.
        self._compiled = {
            generator: self._threads.submit(_compile, generated)
            for generator, generated in self._generated.items()
        }

    def generated(self, generator: Generator) -> Client:
        """Return a client. Raises `AssertionError` if the generator failed."""
        return self._generated[generator].result()

    def compiled(self, generator: Generator) -> Client:
        """Return a client that compiles. Raises `AssertionError` if it does not."""
        return self._compiled[generator].result()

    def close(self) -> None:
        """Wait for what has begun, and remove the clients."""
        self._threads.shutdown(cancel_futures=True)
        shutil.rmtree(self._directory)

    def _generate(self, generator: Generator) -> Client:
        directory = self._directory / generator.slug
        directory.mkdir()
        output = generate(generator.name, directory, self._url)
        shutil.copy(HERE / "programs" / generator.program, directory / generator.program_name)
        return Client(generator, directory, output)


def _compile(generated: Future[Client]) -> Client:
    client = generated.result()
    client.generator.compile(client.directory)
    return client
