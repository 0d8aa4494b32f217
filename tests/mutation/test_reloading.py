"""The mutation tests load the service anew in each fork: one that cannot be is never tested."""

from __future__ import annotations

import importlib
from multiprocessing import get_context

from tests.mutation.__main__ import unload_service


def test_the_service_can_be_loaded_again() -> None:
    process = get_context("fork").Process(target=load_again)
    process.start()
    process.join()
    assert process.exitcode == 0


def load_again() -> None:
    for _ in range(2):
        unload_service()
        importlib.import_module("service.app")
        importlib.import_module("service.cli.main")
