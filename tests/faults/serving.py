"""``ostiary serve`` as it runs in production, but for cheap hashes: with all its time limits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.settings.variables import variables
from tests.cli.test_serve import Serving, started
from tests.cli.test_serve import serving as serving_frugally
from tests.services import FRUGAL, NO_LIMITS, reserved_port

# Two workers, one hash process each.
WORKERS = {"OSTIARY_WORKERS": "2", "OSTIARY_HASH_PROCESSES": "1"}

# What the other tests make longer than a busy machine could take.
TIME_LIMITS = {
    each.name: each.default_text
    for each in variables()
    if each.name in FRUGAL and each.name.endswith(("TIMEOUT", "TIME_LIMIT"))
}


@contextmanager
def serving(database_url: str, log: Path, **settings: str) -> Iterator[Serving]:
    """Run the service on a database; what it logs must hold no traceback."""
    with (
        log.open("a") as output,
        serving_frugally(
            log.parent / "unused", output, **environment(database_url, **settings)
        ) as service,
    ):
        assert service.output, f"the service did not start: {log.read_text()}"
        yield service
    require_no_traceback(log)


@contextmanager
def starting(database_url: str, log: Path, **settings: str) -> Iterator[str]:
    """Start the service, without waiting until it listens; return its URL."""
    with (
        log.open("a") as output,
        reserved_port() as port,
        started(output, OSTIARY_PORT=str(port), **environment(database_url, **settings)),
    ):
        yield f"http://127.0.0.1:{port}"
    require_no_traceback(log)


def environment(database_url: str, **settings: str) -> dict[str, str]:
    """Return the settings of the service on a database."""
    return {
        "DATABASE_URL": database_url,
        "OSTIARY_LOG_FORMAT": "json",
        **TIME_LIMITS,
        **WORKERS,
        **NO_LIMITS,
        **settings,
    }


def require_no_traceback(log: Path) -> None:
    """Check that no error was unexpected."""
    logged = log.read_text()
    for sign in ("Traceback", "internal_error"):
        assert sign not in logged, logged[max(0, logged.index(sign) - 500) :][:3000]
