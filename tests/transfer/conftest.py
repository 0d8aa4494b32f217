"""Exports and imports, in the process of the tests and by the command."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

from msgspec import Struct

from service.auth.secret_keys import Keyring
from service.settings.passwords import Argon2Cost
from service.settings.secret_keys import SecretKeys
from service.storage.bulk_load import bulk_load
from service.storage.connection import ADMIN_TIMEOUTS
from service.storage.transfer.pages import snapshot
from service.transfer.exporter import UserExport
from service.transfer.importer import UserImport
from service.transfer.loading import ImportCounts
from service.transfer.user_rows import UserRows
from tests.factors.conftest import alice, make_owner
from tests.flows.conftest import mailboxes, service
from tests.services import SECRET_KEYS

__all__ = ["alice", "mailboxes", "make_owner", "service"]

HEADER: dict[str, Any] = {"format": "ostiary", "version": 1}

KEYRING = Keyring(SecretKeys.parse(SECRET_KEYS))


class Imported(Struct):
    """What an import has told."""

    counts: ImportCounts
    rejected: dict[int, str]
    noted: dict[int, str]


class Report:
    """Collects what is told about lines."""

    def __init__(self) -> None:
        self.rejected: dict[int, str] = {}
        self.noted: dict[int, str] = {}

    def start(self, table: str, size: int) -> None:
        assert size >= 0

    def advance(self, size: int) -> None:
        assert size >= 0

    def reject(self, table: str, row: str | int, reason: str) -> None:
        assert int(row) not in self.rejected
        self.rejected[int(row)] = reason

    def note(self, table: str, row: str | int, remark: str) -> None:
        self.noted[int(row)] = remark


def file_of(*rows: dict[str, Any] | bytes, header: dict[str, Any] = HEADER) -> bytes:
    """Return a file; a row that is no JSON is given as it is."""
    lines = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in rows]
    return b"\n".join([json.dumps(header).encode(), *lines]) + b"\n"


def import_file(database_url: str, file: bytes, *, dry_run: bool = False) -> Imported:
    report = Report()

    async def run() -> ImportCounts:
        async with bulk_load(database_url, dry_run=dry_run) as target:
            rows = UserRows(KEYRING, Argon2Cost())
            return await UserImport(target, rows, report).run(io.BytesIO(file))

    counts = asyncio.run(run())
    return Imported(counts, report.rejected, report.noted)


def export_file(database_url: str, *, with_secrets: bool = False) -> bytes:
    written = io.BytesIO()

    async def run() -> int:
        async with snapshot(database_url, ADMIN_TIMEOUTS) as source:
            keyring = KEYRING if with_secrets else None
            return await UserExport(source, Report(), keyring).run(written.write)

    users = asyncio.run(run())
    assert written.getvalue().count(b"\n") == users + 1
    return written.getvalue()


def rows_of(file: bytes) -> list[dict[str, Any]]:
    """Return the users in a file."""
    return [json.loads(line) for line in file.splitlines()[1:]]
