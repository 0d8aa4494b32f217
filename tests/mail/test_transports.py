"""SMTP: encrypted or not at all, and authenticated."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from service.storage.database import Database
from tests.databases import fetch
from tests.mail.conftest import MakeSender, put, send_all
from tests.smtp_server import PASSWORD, USER, SMTPServer, server_tls, serving, write_certificate

CREDENTIALS = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}"


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Return a certificate, which this process trusts, and its key."""
    paths = write_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(paths[0]))
    return paths


async def error_in(database_url: str) -> Any:
    (row,) = await asyncio.to_thread(fetch, database_url, "SELECT error, failed_at FROM mail")
    assert row["failed_at"] is None
    return row["error"]


async def test_smtps_is_encrypted_from_the_start(
    database: Database, make_sender: MakeSender, certificate: tuple[Path, Path]
) -> None:
    await put(database)
    with serving(SMTPServer(implicit_tls=server_tls(*certificate))) as smtp:
        await send_all(make_sender(f"smtps://127.0.0.1:{smtp.port}"))
    assert len(smtp.mails) == 1


async def test_smtp_is_encrypted_by_starttls_and_authenticated(
    database: Database, make_sender: MakeSender, certificate: tuple[Path, Path]
) -> None:
    await put(database)
    options: dict[str, Any] = {
        "tls_context": server_tls(*certificate),
        "require_starttls": True,
        "auth_required": True,
    }
    with serving(SMTPServer(**options)) as smtp:
        await send_all(make_sender(f"smtp://{CREDENTIALS}@127.0.0.1:{smtp.port}"))
    assert len(smtp.mails) == 1
    assert smtp.commands[0] == "AUTH"


async def test_without_starttls_nothing_is_said(
    database: Database, database_url: str, make_sender: MakeSender
) -> None:
    """Somebody in between may have removed the offer (RFC 3207, section 6)."""
    await put(database)
    with serving(SMTPServer(auth_require_tls=False)) as smtp:
        await send_all(make_sender(f"smtp://{CREDENTIALS}@127.0.0.1:{smtp.port}"))
        assert smtp.commands == []
    assert "STARTTLS" in await error_in(database_url)


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_server_without_a_trusted_certificate_is_told_nothing(
    database: Database, database_url: str, make_sender: MakeSender, tmp_path: Path, scheme: str
) -> None:
    tls = server_tls(*write_certificate(tmp_path))
    options = {"implicit_tls": tls} if scheme == "smtps" else {"tls_context": tls}
    await put(database)
    with serving(SMTPServer(**options)) as smtp:
        await send_all(make_sender(f"{scheme}://{CREDENTIALS}@127.0.0.1:{smtp.port}"))
        assert smtp.commands == []
    assert "certificate" in (await error_in(database_url)).lower()


async def test_a_wrong_password_of_ours_kills_no_mail_and_is_told_once(
    database: Database,
    database_url: str,
    make_sender: MakeSender,
    certificate: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    await put(database)
    with serving(SMTPServer(tls_context=server_tls(*certificate))) as smtp:
        sender = make_sender(f"smtp://ostiary:wrong-sesame@127.0.0.1:{smtp.port}")
        await send_all(sender)
        tried = [*smtp.commands]
        assert set(tried) == {"AUTH"}
        await send_all(sender)
        assert smtp.commands == tried
        assert smtp.mails == []
    error = await error_in(database_url)
    assert error == "the server refused user name and password: 535"
    logged = capsys.readouterr().out
    assert logged.count("mail_server_failed") == 1
    assert "wrong-sesame" not in logged
