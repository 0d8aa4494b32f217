"""ETag and If-Match: no change of a user is lost, and each is seen."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.admin.conftest import USERS, Program
from tests.cli.running import run
from tests.databases import execute, result_during
from tests.services import Service


def test_a_change_of_another_revision_is_refused(program: Program, alice: str) -> None:
    read = program.etag(alice)
    changed = program.change(alice, roles=["a"], if_match=read)
    assert changed.status_code == 200
    refused = program.change(alice, roles=["b"], if_match=read)
    assert (refused.status_code, refused.json()["code"]) == (412, "precondition_failed")
    assert program.get(f"{USERS}/{alice}").json()["roles"] == ["a"]
    assert program.change(alice, roles=["b"], if_match=changed.headers["etag"]).status_code == 200


def test_a_user_of_another_revision_is_not_deleted(program: Program, alice: str) -> None:
    path, read = f"{USERS}/{alice}", program.etag(alice)
    program.change(alice, roles=["a"])
    assert program.send("DELETE", path, headers={"If-Match": read}).status_code == 412
    current = {"If-Match": program.etag(alice)}
    assert program.send("DELETE", path, headers=current).status_code == 204


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("*", 200),
        ("{tag}", 200),
        ('"x", {tag}', 200),
        ('{tag} , "x"', 200),
        (", {tag},", 200),
        ('"x", , {tag}', 200),
        ('"a,b", {tag}', 200),
        ('"x"', 412),
        ("W/{tag}", 412),
        ('W/{tag}, "x"', 412),
        ("*, {tag}", 400),
        ("{bare}", 400),
        ("", 400),
        ('"x', 400),
        ('w/"x"', 400),
    ],
)
def test_a_condition_has_the_forms_of_rfc_9110(
    program: Program, alice: str, condition: str, status: int
) -> None:
    tag = program.etag(alice)
    given = condition.format(tag=tag, bare=tag.strip('"'))
    answer = program.change(alice, roles=["a"], if_match=given)
    assert answer.status_code == status, answer.text
    assert program.get(f"{USERS}/{alice}").json()["roles"] == (["a"] if status == 200 else [])


def test_a_condition_may_be_split_into_several_headers(program: Program, alice: str) -> None:
    headers = [("If-Match", '"x"'), ("If-Match", program.etag(alice))]
    answer = program.client.patch(f"{USERS}/{alice}", json={"roles": ["a"]}, headers=headers)
    assert answer.status_code == 200


def test_a_user_who_is_changed_meanwhile_is_not_deleted(
    program: Program, service: Service, alice: str
) -> None:
    path, read = f"{USERS}/{alice}", {"If-Match": program.etag(alice)}
    change = """UPDATE "user" SET roles = '{a}', version = version + 1"""
    refused = result_during(
        service.database_url, change, lambda: program.send("DELETE", path, headers=read)
    )
    assert (refused.status_code, refused.json()["code"]) == (412, "precondition_failed")
    assert program.get(path).json()["roles"] == ["a"]


def test_of_two_changes_with_one_etag_one_is_made(program: Program, alice: str) -> None:
    """They wait for each other's lock; the second one sees what the first has made of the user."""
    with ThreadPoolExecutor(2) as pool:
        for number in range(50):
            tag = program.etag(alice)

            def change(role: str, tag: str = tag) -> httpx.Response:
                return program.change(alice, roles=[role], if_match=tag)

            answers = list(pool.map(change, [f"a{number}", f"b{number}"]))
            assert sorted(each.status_code for each in answers) == [200, 412]
            (made,) = (each for each in answers if each.status_code == 200)
            now = program.get(f"{USERS}/{alice}")
            assert now.json() == made.json()
            assert now.headers["etag"] == made.headers["etag"]


@pytest.mark.parametrize(
    ("there", "back"),
    [
        ({"roles": ["a"]}, {"roles": []}),
        ({"metadata": {"a": 1}}, {"metadata": {"a": None}}),
        ({"disabled": True}, {"disabled": False}),
        ({"username": "Alicia"}, {"username": "Alice"}),
    ],
)
def test_a_change_that_was_taken_back_is_seen(
    program: Program, alice: str, there: dict[str, Any], back: dict[str, Any]
) -> None:
    tags = [program.etag(alice)]
    tags += [program.change(alice, **fields).headers["etag"] for fields in (there, back)]
    assert len({*tags}) == 3


def test_a_user_who_renames_and_takes_it_back_is_seen(
    program: Program, client: httpx.Client, alice: str
) -> None:
    before = program.etag(alice)
    for name in ("Alicia", "Alice"):
        assert client.put("/me/username", json={"username": name}).status_code == 200
    assert program.etag(alice) != before


def by_command(*arguments: str) -> Callable[[Service], object]:
    def change(service: Service) -> None:
        result = run("user", *arguments, DATABASE_URL=service.database_url)
        assert result.returncode == 0, result.stderr

    return change


@pytest.mark.parametrize(
    "change",
    [
        by_command("roles", "Alice", "--add", "a"),
        by_command("disable", "Alice"),
        by_command("metadata", "Alice", "--merge", '{"a": 1}'),
    ],
    ids=["roles", "disable", "metadata"],
)
def test_a_change_on_the_command_line_is_seen(
    program: Program, service: Service, alice: str, change: Callable[[Service], object]
) -> None:
    before = program.etag(alice)
    change(service)
    assert program.etag(alice) != before


def test_a_name_that_moves_in_from_elsewhere_is_seen(
    program: Program, service: Service, alice: str
) -> None:
    """An import adds keys, and does not know of versions."""
    before = program.etag(alice)
    add = "INSERT INTO key SELECT 'email', 'a@x.com', user_id, 'A@x.com' FROM key"
    execute(service.database_url, add)
    assert program.etag(alice) != before
