"""``ostiary user``, as an operator uses it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from service.auth.admin import sessions as session_admin
from tests.cli.running import run
from tests.databases import execute, fetch_value, result_during
from tests.factories import PASSWORD, cookie, log_in, moment, sign_up, token_of
from tests.services import Service

ANOTHER = "an entirely different one"


def user(database_url: str, *arguments: str, typed: str = "") -> str:
    """Run ``ostiary user``, which must succeed. Return its output."""
    result = run("user", *arguments, typed=typed, DATABASE_URL=database_url)
    assert result.returncode == 0, result.stderr
    return result.stdout


def user_json(database_url: str, *arguments: str, typed: str = "") -> Any:
    return json.loads(user(database_url, *arguments, "--json", typed=typed))


def refusal(database_url: str, *arguments: str, typed: str = "") -> str:
    """Run ``ostiary user``, which must fail. Return the reason that it prints."""
    result = run("user", *arguments, typed=typed, DATABASE_URL=database_url)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    return result.stderr


def test_a_created_user_can_log_in(service: Service, client: httpx.Client) -> None:
    made = user_json(service.database_url, "create", "Alice", typed=f"{PASSWORD}\n")
    assert log_in(client, "alice").json()["user"]["id"] == made["id"]


def test_the_name_of_a_created_user_counts_as_no_verified_address(database_url: str) -> None:
    user(database_url, "create", "Alice", typed=f"{PASSWORD}\n")
    (key,) = user_json(database_url, "show", "Alice")["keys"]
    assert key["verified_at"] is None


def test_create_applies_the_sign_up_rules_and_reports_all_errors(database_url: str) -> None:
    refused = refusal(database_url, "create", "al", typed="short\n")
    assert "Username must be at least 4" in refused
    assert "Password must be at least 8" in refused
    assert "must not contain the username" in refusal(
        database_url, "create", "Alice", typed="alice and more\n"
    )


def test_create_gives_a_username_that_is_reserved(database_url: str) -> None:
    made = user_json(database_url, "create", "Admin", typed=f"{PASSWORD}\n")
    assert made["username"] == "Admin"


def test_create_refuses_a_taken_username(database_url: str) -> None:
    user(database_url, "create", "Alice", typed=f"{PASSWORD}\n")
    assert "Username already taken" in refusal(
        database_url, "create", "ALICE", typed=f"{PASSWORD}\n"
    )


def test_a_password_is_not_accepted_as_an_argument(database_url: str) -> None:
    result = run("user", "create", "Alice", PASSWORD, DATABASE_URL=database_url)
    assert result.returncode == 2


@pytest.mark.parametrize("spelling", ["Alice", "alice", "ＡＬＩＣＥ"])
def test_show_finds_a_user_by_any_spelling_or_the_id(
    service: Service, client: httpx.Client, spelling: str
) -> None:
    made = sign_up(client).json()["user"]
    for name in (spelling, made["id"]):
        shown = user_json(service.database_url, "show", name)
        assert shown["user"] == made
        assert shown["live_sessions"] == 1
        (key,) = shown["keys"]
        assert key == {
            "provider": "username",
            "name": "alice",
            "display_name": "Alice",
            "has_password": True,
            "verified_at": None,
        }


@pytest.mark.parametrize("name", ["", "a" * 1000])
def test_what_cannot_be_a_name_is_no_user(database_url: str, name: str) -> None:
    assert "no user" in refusal(database_url, "show", name)


def test_show_counts_only_the_live_sessions_of_the_user(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    execute(service.database_url, "UPDATE session SET idle_expires_at = now()")
    for enter in (log_in, log_in, lambda other: sign_up(other, "Bobby")):
        client.cookies.clear()
        enter(client)
    assert user_json(service.database_url, "show", "Alice")["live_sessions"] == 2


def test_a_user_is_shown_with_the_address_and_found_by_it(
    service: Service, client: httpx.Client
) -> None:
    url = service.database_url
    sign_up(client)
    add = "INSERT INTO key SELECT 'email', 'a@x.com', user_id, 'A@x.com' FROM key"
    execute(url, add)
    assert "email          A@x.com, not verified" in user(url, "show", "a@X.COM").splitlines()
    assert user(url, "list").split()[1:] == ["Alice", "A@x.com"]
    execute(url, "UPDATE key SET verified_at = '2026-01-31T09:30Z' WHERE provider = 'email'")
    shown = user_json(url, "show", "a@x.com")["user"]
    verified_at = shown.pop("email_verified_at")
    assert shown.items() < client.get("/me").json()["user"].items()
    assert moment(verified_at) == moment("2026-01-31T09:30:00Z")
    assert "verified 2026-01-31 09:30:00 UTC" in user(url, "show", "Alice")
    assert "no user" in refusal(url, "show", "b@x.com")


def test_a_user_is_shown_with_the_accounts_at_providers(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    sign_up(client, "Bobby")
    execute(
        service.database_url,
        """INSERT INTO identity (id, user_id, issuer, subject, created_at, last_used_at)
           SELECT gen_random_uuid(), user_id, issuer, display_name, made.created_at, used
           FROM key, (VALUES ('https://a.example', timestamptz '2026-01-31 09:30Z', now()),
                             ('https://b.example', NULL, '2020-01-01'))
                     AS made (issuer, used, created_at)""",
    )
    shown = user_json(service.database_url, "show", "Alice")["identities"]
    assert [(each["issuer"], each["subject"]) for each in shown] == [
        ("https://b.example", "Alice"),
        ("https://a.example", "Alice"),
    ]
    assert shown[0].keys() == {"id", "issuer", "subject", "created_at", "last_used_at"}
    lines = user(service.database_url, "show", "Alice").splitlines()
    assert lines[-2:] == [
        "identity       Alice at https://b.example, never used",
        "identity       Alice at https://a.example, last used 2026-01-31 09:30:00 UTC",
    ]


def test_no_secret_is_shown(service: Service, client: httpx.Client) -> None:
    token = token_of(sign_up(client))
    password_hash = fetch_value(service.database_url, "SELECT password_hash FROM key")
    for command in ("show", "sessions"):
        for form in ([], ["--json"]):
            shown = user(service.database_url, command, "Alice", *form)
            assert token not in shown
            assert password_hash not in shown


def test_list_prints_one_user_per_line(service: Service, client: httpx.Client) -> None:
    names = {"Alice", "Bobby", "Carol"}
    for name in names:
        client.cookies.clear()
        sign_up(client, name)
    lines = user(service.database_url, "list").splitlines()
    assert {line.split()[1] for line in lines} == names
    parsed = [
        json.loads(line) for line in user(service.database_url, "list", "--json").splitlines()
    ]
    assert {each["username"] for each in parsed} == names


def test_delete_asks_for_confirmation(service: Service, client: httpx.Client) -> None:
    sign_up(client)
    result = run("user", "delete", "Alice", typed="n\n", DATABASE_URL=service.database_url)
    assert result.returncode == 1
    assert client.get("/me").status_code == 200
    user(service.database_url, "delete", "Alice", typed="y\n")
    assert client.get("/me").status_code == 401
    assert "no user" in refusal(service.database_url, "delete", "Alice", "--yes")


def test_set_password_refuses_one_that_contains_the_user_name(database_url: str) -> None:
    user(database_url, "create", "Alice", typed=f"{PASSWORD}\n")
    message = refusal(database_url, "set-password", "Alice", typed="this is ALICE speaking\n")
    assert message == "Password must not contain the username.\n"


def test_set_password_ends_all_sessions(service: Service, client: httpx.Client) -> None:
    token = token_of(sign_up(client))
    user(service.database_url, "set-password", "Alice", typed=f"{ANOTHER}\n")
    assert client.get("/me", headers=cookie(token)).status_code == 401
    client.cookies.clear()
    assert log_in(client).status_code == 401
    assert log_in(client, password=ANOTHER).status_code == 200


ADD_ADDRESS = """
    WITH locked AS (SELECT id FROM "user" FOR NO KEY UPDATE)
    INSERT INTO key (provider, name, user_id, display_name, password_hash, password_scheme)
    SELECT 'email', 'a@example.com', user_id, 'a@example.com', password_hash, password_scheme
    FROM key JOIN locked ON locked.id = user_id
"""


def test_set_password_sets_that_of_an_address_that_is_added_meanwhile(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)

    def set_password() -> str:
        return user(service.database_url, "set-password", "Alice", typed=f"{ANOTHER}\n")

    result_during(service.database_url, ADD_ADDRESS, set_password)
    client.cookies.clear()
    assert log_in(client, "a@example.com").status_code == 401
    assert log_in(client, "a@example.com", password=ANOTHER).status_code == 200


def test_sessions_can_be_listed_and_ended(service: Service, client: httpx.Client) -> None:
    token = token_of(sign_up(client))
    (line,) = user(service.database_url, "sessions", "Alice").splitlines()
    session_id = line.split()[0]
    assert session_id == client.get("/me").json()["session"]["id"]
    user(service.database_url, "sessions", "Alice", "--end", session_id)
    assert client.get("/me", headers=cookie(token)).status_code == 401
    assert "no live session" in refusal(
        service.database_url, "sessions", "Alice", "--end", session_id
    )


def test_all_sessions_of_a_user_can_be_ended(service: Service, client: httpx.Client) -> None:
    sign_up(client)
    client.cookies.clear()
    log_in(client)
    ended = user_json(service.database_url, "sessions", "Alice", "--end-all")
    assert ended == {"ended": 2}
    assert client.get("/me").status_code == 401


def test_administration_of_a_user_leaves_all_others_unchanged(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client, "Bobby")
    user(service.database_url, "create", "Alice", typed=f"{PASSWORD}\n")
    user(service.database_url, "set-password", "Alice", typed=f"{ANOTHER}\n")
    user(service.database_url, "sessions", "Alice", "--end-all")
    user(service.database_url, "delete", "Alice", "--yes")
    assert client.get("/me").status_code == 200
    client.cookies.clear()
    assert log_in(client, "Bobby").status_code == 200


@pytest.mark.parametrize("command", ["cleanup", "sweep"])
def test_cleanup_reports_how_many_sessions_were_deleted(
    service: Service, client: httpx.Client, command: str
) -> None:
    sign_up(client)
    fetch_value(service.database_url, "UPDATE session SET idle_expires_at = now() RETURNING true")
    result = run(command, DATABASE_URL=service.database_url)
    assert result.stdout == "1 expired sessions were deleted.\n"


def test_commands_are_recorded_in_the_audit_trail(database_url: str) -> None:
    variables = {"DATABASE_URL": database_url, "OSTIARY_LOG_FORMAT": "json"}
    done = [
        run("user", "create", "Alice", typed=f"{PASSWORD}\n", **variables),
        run("user", "set-password", "Alice", typed=f"{ANOTHER}\n", **variables),
        run("user", "sessions", "Alice", "--end-all", **variables),
        run("user", "delete", "Alice", "--yes", **variables),
    ]
    events = [json.loads(each.stderr.splitlines()[-1]) for each in done]
    assert [event["event"] for event in events] == [
        *("user_created", "password_changed", "all_sessions_revoked", "user_deleted")
    ]
    assert {event["by"] for event in events} == {"operator"}
    assert len({event["user_id"] for event in events}) == 1
    assert [event.get("ended") for event in events] == [None, 0, 0, None]


MANY_SESSIONS = """
    INSERT INTO session
        (id, secret_hash, user_id, active_expires_at, idle_expires_at, absolute_expires_at)
    SELECT gen_random_uuid(), '', id, now() + '1d', now() + '1d', now() + '1d'
    FROM "user", generate_series(1, 2500)
"""


def test_more_than_a_page_of_sessions_is_counted_and_listed(database_url: str) -> None:
    user(database_url, "create", "Alice", typed=f"{PASSWORD}\n")
    execute(database_url, MANY_SESSIONS)
    assert user_json(database_url, "show", "Alice")["live_sessions"] == 2500
    assert len(set(user(database_url, "sessions", "Alice").splitlines())) == 2500


def test_all_sessions_of_all_users_can_be_ended(
    service: Service, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_admin, "SESSIONS_PER_BATCH", 1)
    tokens = []
    for name in ("Alice", "Bobby", "Carol"):
        client.cookies.clear()
        tokens.append(token_of(sign_up(client, name)))
    client.cookies.clear()
    variables = {"DATABASE_URL": service.database_url, "OSTIARY_LOG_FORMAT": "json"}
    refused = run("sessions", "end-all", typed="n\n", **variables)
    assert refused.returncode == 1
    assert client.get("/me", headers=cookie(tokens[0])).status_code == 200
    ended = run("sessions", "end-all", "--json", "--yes", **variables)
    assert json.loads(ended.stdout) == {"ended": 3}
    event = json.loads(ended.stderr.splitlines()[-1])
    assert (event["event"], event["by"], event["ended"]) == ("all_sessions_revoked", "operator", 3)
    for token in tokens:
        assert client.get("/me", headers=cookie(token)).status_code == 401
    assert log_in(client).status_code == 200


def test_a_password_that_nobody_could_log_in_with_is_not_set(database_url: str) -> None:
    user(database_url, "create", "Alice", typed=f"{PASSWORD}\n")
    execute(
        database_url,
        "UPDATE key SET provider = 'github', password_hash = NULL, password_scheme = NULL",
    )
    user_id = str(fetch_value(database_url, 'SELECT id FROM "user"'))
    refused = refusal(database_url, "set-password", user_id, typed=f"{PASSWORD}\n")
    assert refused == (
        "The user has neither user name nor e-mail address, so no password can log them in.\n"
    )


# CSI and OSC of C1, escape, newline, a change of direction, and a line separator.
HOSTILE = "ua \x9b31m \x9d0;title\x07 \x1b[2J \n \u202e \u2028 end"
ESCAPED = r"ua \u009b31m \u009d0;title\u0007 \u001b[2J \u000a \u202e \u2028 end"


@pytest.mark.parametrize("command", ["sessions", "show", "list", "delete", "set-password"])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_no_text_that_a_user_chose_controls_the_terminal(
    database_url: str, command: str, form: list[str]
) -> None:
    """A user agent is chosen by the client; the name of an imported user is as it was."""
    user(database_url, "create", "Alice", typed=f"{PASSWORD}\n")
    execute(database_url, MANY_SESSIONS.replace("2500", "1"))
    execute(database_url, "UPDATE session SET user_agent = $1", HOSTILE)
    execute(database_url, "UPDATE key SET name = $1, display_name = $1", HOSTILE)
    user_id = str(fetch_value(database_url, 'SELECT id FROM "user"'))
    arguments = [command] if command == "list" else [command, user_id]
    result = run("user", *arguments, *form, typed=f"y\n{PASSWORD}\n", DATABASE_URL=database_url)
    for text in (result.stdout, result.stderr):
        assert not set(HOSTILE) & set(text) - set(ESCAPED + "\n")
    if form:
        assert result.returncode != 0 or json.loads(result.stdout)
    elif command != "set-password":
        assert ESCAPED in result.stdout + result.stderr
