"""The limit of open files, and what the service needs of it."""

from __future__ import annotations

import multiprocessing
import resource
from multiprocessing.connection import Connection

import pytest

from service.server.open_files import (
    MAX_DEFAULT_CONNECTIONS,
    TooFewOpenFiles,
    files_beside_connections,
    max_connections,
    raise_limit,
)
from service.settings import Settings
from service.settings.database import DatabaseOptions
from service.settings.passwords import HashingSettings
from service.settings.server import ServerSettings


def test_without_a_setting_the_limit_decides_about_connections() -> None:
    settings = Settings()
    beside = files_beside_connections(settings)
    assert max_connections(settings, beside + 1000) == 1000
    assert max_connections(settings, 1 << 20) == MAX_DEFAULT_CONNECTIONS


def test_a_limit_that_is_too_low_is_an_error_that_names_what_is_needed() -> None:
    with pytest.raises(TooFewOpenFiles, match=r"limit of open files is 64,.*LimitNOFILE"):
        max_connections(Settings(), 64)


def test_more_connections_than_the_limit_allows_are_an_error() -> None:
    settings = Settings(server=ServerSettings(max_connections=5000))
    beside = files_beside_connections(settings)
    assert max_connections(settings, beside + 5000) == 5000
    with pytest.raises(TooFewOpenFiles, match=f"needs {beside + 5000:,}"):
        max_connections(settings, beside + 4999)


def test_pool_and_hash_processes_need_open_files() -> None:
    few = Settings(database=DatabaseOptions(pool_size=1), hashing=HashingSettings(processes=1))
    many = Settings(database=DatabaseOptions(pool_size=100), hashing=HashingSettings(processes=10))
    assert files_beside_connections(many) >= files_beside_connections(few) + 99 + 9


def send_raised_limit(connection: Connection) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    connection.send((raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE)))


def test_the_limit_is_raised_as_far_as_it_may_be() -> None:
    receiving, sending = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=send_raised_limit, args=(sending,))
    process.start()
    raised, soft, hard = receiving.recv()
    process.join()
    assert raised == soft == hard
