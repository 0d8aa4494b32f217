"""What is reported before ``ostiary serve`` starts, and makes anything."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from service.server import supervisor
from tests.cli.running import run
from tests.services import reserved_port


def test_a_port_in_use_is_reported_before_anything_is_made(empty_directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = run("serve", OSTIARY_DATA_DIR=str(empty_directory), OSTIARY_PORT=str(port))
    assert result.returncode == 1
    assert result.stderr == f"Cannot listen on 127.0.0.1:{port}: Address already in use.\n"
    assert not empty_directory.exists()


def test_too_few_open_files_are_reported_before_anything_is_made(
    empty_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "raise_limit", lambda: 64)
    with reserved_port() as port:
        result = run("serve", OSTIARY_DATA_DIR=str(empty_directory), OSTIARY_PORT=str(port))
    assert result.returncode == 1
    assert result.stderr.startswith("The limit of open files is 64, but a worker needs ")
    assert result.stderr.count("\n") == 1
    assert not empty_directory.exists()


def test_a_data_directory_that_is_a_file_is_reported_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_text("mine")
    for command in (["user", "list"], ["migrate"]):
        result = run(*command, OSTIARY_DATA_DIR=str(file))
        assert result.returncode == 1
        assert result.stderr == f"{file} is not a directory: set OSTIARY_DATA_DIR.\n"
    assert file.read_text() == "mine"


@pytest.mark.parametrize("host", ["..", "a" * 70, "256.1.1.1"])
def test_what_is_no_host_to_listen_on_is_told(empty_directory: Path, host: str) -> None:
    result = run("serve", "--host", host, OSTIARY_DATA_DIR=str(empty_directory))
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Cannot listen on {host}:")
    assert not empty_directory.exists()


@pytest.mark.parametrize("rp_id", ["", "example.com"])
def test_production_without_passkeys_says_so(database_url: str, rp_id: str) -> None:
    """It stops there, for want of a free port."""
    result = run(
        *("serve", "--port", "1", "--host", "192.0.2.1"),
        DATABASE_URL=database_url,
        OSTIARY_ENV="production",
        OSTIARY_PASSKEY_RP_ID=rp_id,
    )
    assert result.stderr.count("passkeys_unavailable") == (not rp_id)
