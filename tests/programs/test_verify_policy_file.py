"""`OSTIARY_VERIFY_POLICIES_FILE`: what is wrong in it stops the start, and is named in a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from service.settings.values import Duration
from service.settings.variables import InvalidSettings, read_settings
from service.settings.verify_policies import VerifyPolicy
from tests.cli.running import run

VARIABLE = "OSTIARY_VERIFY_POLICIES_FILE"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "policies.json"


def policies_in(path: Path) -> dict[str, VerifyPolicy]:
    found = read_settings({VARIABLE: str(path)}).verify.policies_file
    assert found is not None
    return found.by_name


def mistake_in(path: Path) -> str:
    """Return the only mistake that a file has, without the names of the variable and the file."""
    with pytest.raises(InvalidSettings) as caught:
        read_settings({VARIABLE: str(path)})
    (line,) = caught.value.errors
    assert "\n" not in line
    start = f"{VARIABLE}: {path}"
    assert line.startswith(start)
    return line.removeprefix(start).removeprefix(": ").strip()


def test_a_policy_has_what_its_members_say(path: Path) -> None:
    policy = {
        "roles": ["admin", "team:a.b-c_1"],
        "methods": ["passkey", "totp"],
        "max_age": "5m",
        "transport": "cookie",
        "method_from": "X-Original-Method",
        "origins": ["HTTPS://Pages.Example.com:443"],
    }
    path.write_text(json.dumps({"a": policy}), encoding="utf-8")
    (found,) = policies_in(path).values()
    assert found.roles == {"admin", "team:a.b-c_1"}
    assert found.methods == {"passkey", "totp"}
    assert found.max_age == Duration.parse("5m")
    assert found.method_from == "x-original-method"
    assert sorted(found.origins) == ["https://pages.example.com"]


def test_a_policy_asks_for_a_live_session_by_cookie_unless_it_says_otherwise(path: Path) -> None:
    path.write_text('{"a": {}}', encoding="utf-8")
    assert policies_in(path) == {"a": VerifyPolicy()}
    policy = VerifyPolicy()
    assert (policy.transport, policy.method_from) == ("cookie", "x-forwarded-method")


@pytest.mark.parametrize(
    ("member", "value", "mistake"),
    [
        ("role", ["admin"], "there is no such member"),
        ("Roles", ["admin"], "there is no such member"),
        ("", 1, "there is no such member"),
        ("roles", [], "must be a list of strings, and not empty"),
        ("roles", "admin", "must be a list of strings"),
        ("roles", {"admin": 1}, "must be a list of strings"),
        ("roles", None, "must be a list of strings"),
        ("roles", [1], "must be a string"),
        ("roles", ["Admin"], "'Admin' is no role"),
        ("roles", ["a,b"], "'a,b' is no role"),
        ("roles", [""], "'' is no role"),
        ("roles", ["a" * 65], "is no role"),
        ("roles", ["a", "a"], "'a' is there twice"),
        ("methods", [], "must be a list of strings, and not empty"),
        ("methods", ["Passkey"], "'Passkey' must be password, "),
        ("methods", ["passkey", ""], "'' must be password, "),
        ("methods", ["pw"], "'pw' must be password, "),
        ("max_age", 300, "must be a string"),
        ("max_age", "300", "must look like 90s"),
        ("max_age", "0s", "must look like 90s"),
        ("max_age", "-1s", "must look like 90s"),
        ("max_age", "1e3s", "must look like 90s"),
        ("max_age", "", "must look like 90s"),
        ("max_age", None, "must be a string"),
        ("transport", "both", "'both' must be cookie or bearer"),
        ("transport", ["cookie", "bearer"], "must be a string"),
        ("method_from", "", "must be the name of one header"),
        ("method_from", "a, b", "must be the name of one header"),
        ("method_from", "x y", "is not the name of a header"),
        ("origins", [], "must be a list of strings, and not empty"),
        ("origins", ["*"], "must look like https://app.example.com"),
        ("origins", ["https://*.example.com"], "is a pattern"),
        ("origins", ["https://a.example.com/x"], "has a path"),
        ("origins", ["https://a.example.com,https://b.example.com"], "has a path"),
        ("origins", ["null"], "must look like"),
    ],
)
def test_a_member_that_is_wrong_is_named(path: Path, member: str, value: Any, mistake: str) -> None:
    path.write_text(json.dumps({"good": {}, "bad": {member: value}}), encoding="utf-8")
    found = mistake_in(path)
    assert found.startswith(f"bad.{member}: ")
    assert mistake in found


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "not JSON: "),
        ("{", "not JSON: "),
        ('{"a": {}} x', "not JSON: "),
        ("[]", "must be an object"),
        ("null", "must be an object"),
        ('{"a": []}', "a: must be an object"),
        ('{"a": null}', "a: must be an object"),
        ('{"a": {}, "a": {"roles": ["admin"]}}', "the member 'a' is there twice"),
        ('{"a": {"max_age": "5m", "max_age": "5d"}}', "a: the member 'max_age' is there twice"),
        ('{"A": {}}', "'A': the name of a policy must be "),
        ('{"": {}}', "'': the name of a policy must be "),
        ('{"a/b": {}}', "'a/b': the name of a policy must be "),
        ('{"..": {}}', "'..': the name of a policy must be "),
        ("[" * 100_000, "nests too deeply"),
        (
            '{"a": {"transport": "bearer", "origins": ["https://a.example.com"]}}',
            "a.origins: has no effect with the transport `bearer`",
        ),
    ],
)
def test_a_file_of_another_form_is_refused(path: Path, text: str, mistake: str) -> None:
    path.write_text(text, encoding="utf-8")
    assert mistake_in(path).startswith(mistake)


def test_a_file_that_cannot_be_read_is_refused(path: Path) -> None:
    assert mistake_in(path) == "cannot be read: No such file or directory"
    path.mkdir()
    assert mistake_in(path) == "cannot be read: Is a directory"
    path.rmdir()
    path.write_bytes(b'{"\xff": {}}')
    assert mistake_in(path) == "is not text in UTF-8"


def test_the_service_does_not_start_with_a_mistake_in_the_file(path: Path) -> None:
    path.write_text('{"admin": {"rolls": ["admin"]}}', encoding="utf-8")
    result = run("serve", **{VARIABLE: str(path)})
    assert result.returncode != 0
    assert f"{VARIABLE}: {path}: admin.rolls: there is no such member" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_settings_in_use_name_the_file(path: Path) -> None:
    path.write_text("{}", encoding="utf-8")
    result = run("settings", **{VARIABLE: str(path)})
    assert result.returncode == 0, result.stderr
    assert str(path) in result.stdout
