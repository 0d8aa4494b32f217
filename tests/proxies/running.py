"""Proxies that run with their recipes."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.databases import searchable_directory
from tests.proxies.application import Application
from tests.proxies.proxied import Proxied
from tests.proxies.recipes import Place, Recipe
from tests.services import PATIENCE, Service, reserved_port, wait_for


class Proxies:
    """The proxies of one kind: one for each service, and for each change of the recipe."""

    def __init__(
        self,
        recipe: Recipe,
        application: Application,
        certificate: tuple[Path, Path],
        stack: ExitStack,
    ) -> None:
        self._recipe = recipe
        self._application = application
        self._certificate = certificate
        self._stack = stack
        self._running: dict[tuple[object, ...], Proxied] = {}

    def before(self, service: Service, replaced: Mapping[str, str]) -> Proxied:
        """Return a proxy that asks a service; start it if necessary."""
        key = (service.url, *replaced.items())
        if key not in self._running:
            self._running[key] = self._stack.enter_context(self._run(service, replaced))
        return self._running[key]

    @contextmanager
    def _run(self, service: Service, replaced: Mapping[str, str]) -> Iterator[Proxied]:
        program = program_of(self._recipe)
        # nginx works as another user.
        with reserved_port() as port, searchable_directory() as directory:
            place = Place(
                port=port,
                service=urlsplit(service.url).port or 0,
                application=self._application.port,
                certificate=self._certificate[0],
                key=self._certificate[1],
                directory=directory,
            )
            command = self._recipe.command(program, place, self._recipe.text(place, replaced))
            proxied = Proxied(port, service, self._application)
            with running(command, directory, lambda: answers(proxied)):
                yield proxied
            proxied.close()


def program_of(recipe: Recipe) -> str:
    """Return the path of a proxy; skip the test if it is not there, and Debian has no package."""
    program = shutil.which(recipe.program) or f"/usr/sbin/{recipe.program}"
    if not Path(program).exists():
        if recipe.package is None:
            pytest.skip(f"{recipe.name} is not installed, and Debian has no package of it")
        pytest.fail(f"on Debian: apt-get install {recipe.package}")
    return program


def answers(proxied: Proxied) -> bool:
    """Return whether a proxy answers as it does to clients without a session."""
    with suppress(httpx.TransportError, ssl.SSLError):
        return proxied.get().status_code == 401
    return False


@contextmanager
def running(
    command: Sequence[str], directory: Path, is_ready: Callable[[], bool]
) -> Iterator[None]:
    """Run a proxy, and wait until it is ready."""
    log, home = directory / "log", {"HOME": str(directory), "XDG_DATA_HOME": str(directory)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, **home}
        )

    def has_started() -> bool:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        return is_ready()

    try:
        wait_for(has_started, f"{command[0]} answers")
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)
