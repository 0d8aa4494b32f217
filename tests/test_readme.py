"""The README tells the truth: its walk works as it stands, its tables are those of the code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from service.api.http.problem_types import problems_table
from service.api.openapi import openapi_document
from tests.services import Service

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_the_walk_with_curl_works_as_it_stands_there(service: Service) -> None:
    (walk,) = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    walked = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", walk],
        env={**os.environ, "OSTIARY": service.url},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    promised = re.findall(r"# .*?: (\d{3})", walk) + re.findall(r"# Who am I\? (\d{3})", walk)
    statuses = re.findall(r"HTTP/1.1 (\d{3})", walked.stdout)
    assert statuses == ["201", "200", "204", "401", "200", "400"]
    assert sorted(statuses) == sorted(promised)


def test_the_errors_are_those_of_the_code() -> None:
    assert problems_table() in README


def test_every_endpoint_is_listed() -> None:
    for path, operations in openapi_document()["paths"].items():
        for method in operations:
            assert f"`{method.upper()} {path}`" in README
