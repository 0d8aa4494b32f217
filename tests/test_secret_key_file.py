"""The secret key that a development machine generates for itself."""

from __future__ import annotations

import stat
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from service.settings.secret_key_file import NAME, development_secret_keys


def generated(directory: Path) -> bytes:
    return development_secret_keys(directory)[0].secret


def test_a_key_is_generated_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    directory = tmp_path / "not" / "there"
    first = generated(directory)
    assert generated(directory) == first
    assert len(first) == 32
    assert stat.S_IMODE((directory / NAME).stat().st_mode) == 0o600
    assert [path.name for path in directory.iterdir()] == [NAME]
    assert generated(tmp_path / "elsewhere") != first


def test_processes_that_start_together_get_the_same_key(tmp_path: Path) -> None:
    with ProcessPoolExecutor(8, mp_context=get_context("fork")) as processes:
        for n in range(10):
            assert len(set(processes.map(generated, [tmp_path / str(n)] * 8))) == 1


def test_a_file_that_holds_no_key_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("nonsense")
    with pytest.raises(OSError, match="cannot be used") as caught:
        development_secret_keys(tmp_path)
    assert caught.value.filename == str(tmp_path / NAME)
