"""Sign-up, log-in, log-out and `GET /me`, as a client sees them."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Literal
from unicodedata import normalize
from uuid import UUID

import argon2
import httpx
import pytest

from tests.databases import execute, fetch, fetch_value
from tests.factories import (
    COOKIE,
    PASSWORD,
    REMOVE_PASSWORDS,
    bearer,
    codes,
    cookie,
    log_in,
    moment,
    sessions_in,
    sign_up,
    token_of,
    with_other_id,
    with_other_secret,
)
from tests.services import Service


def test_sign_up_creates_a_user_and_logs_in(client: httpx.Client) -> None:
    response = sign_up(client, "Alice")
    assert response.status_code == 201
    assert response.headers["location"] == "/me"
    assert client.get("/me").json()["user"] == response.json()["user"]


def test_sign_up_returns_the_user_and_a_fresh_session(client: httpx.Client) -> None:
    body = sign_up(client, "Alice").json()
    assert body.keys() == {"user", "session"}
    assert body["user"].keys() == {
        *("id", "username", "email", "email_verified_at", "roles", "metadata", "created_at"),
    }
    assert (body["user"]["roles"], body["user"]["metadata"]) == ([], {})
    assert body["user"]["username"] == "Alice"
    assert UUID(body["user"]["id"]).version == 4
    session = body["session"]
    assert session.keys() == {
        *("id", "state", "fresh", "methods", "created_at", "authenticated_at"),
        *("active_expires_at", "idle_expires_at", "absolute_expires_at"),
    }
    assert (session["state"], session["fresh"]) == ("active", True)


def test_times_are_in_utc_and_end_in_z(client: httpx.Client) -> None:
    session = sign_up(client).json()["session"]
    assert session["created_at"].endswith("Z")
    assert abs(moment(session["created_at"]) - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_session_is_active_for_a_day_and_idle_for_two_weeks(client: httpx.Client) -> None:
    session = sign_up(client).json()["session"]
    created = moment(session["created_at"])
    assert moment(session["active_expires_at"]) - created == timedelta(days=1)
    assert moment(session["idle_expires_at"]) - created == timedelta(days=15)


def test_the_cookie_is_http_only_and_same_site(client: httpx.Client) -> None:
    header = sign_up(client).headers.get_list("set-cookie")[0]
    name_and_token, *attributes = header.split("; ")
    assert name_and_token.startswith(f"{COOKIE}=")
    expires, *others = sorted(attributes)
    assert others == ["HttpOnly", f"Max-Age={15 * 86400}", "Path=/", "SameSite=Lax"]
    assert expires.startswith("Expires=")


def test_the_token_is_64_characters_of_base64url(client: httpx.Client) -> None:
    token = token_of(sign_up(client))
    assert len(token) == 64
    assert token.replace("-", "").replace("_", "").isalnum()


def test_the_token_is_in_the_cookie_only(client: httpx.Client) -> None:
    response = sign_up(client)
    assert token_of(response) not in response.text
    assert "token" not in response.json()["session"]


def test_the_database_does_not_contain_the_token(service: Service, client: httpx.Client) -> None:
    token = token_of(sign_up(client))
    (session,) = sessions_in(service.database_url)
    assert session["secret_hash"] == sha256(urlsafe_b64decode(token)[16:]).digest()


def test_the_database_does_not_contain_the_password(service: Service, client: httpx.Client) -> None:
    sign_up(client)
    password_hash = fetch_value(service.database_url, "SELECT password_hash FROM key")
    assert password_hash.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert PASSWORD not in password_hash


@pytest.mark.parametrize("spelling", ["alice", "ALICE", "ＡＬＩＣＥ", "aLiCe"])
def test_equivalent_spellings_are_the_same_username(client: httpx.Client, spelling: str) -> None:
    sign_up(client, "Alice")
    client.cookies.clear()
    taken = sign_up(client, spelling)
    assert (taken.status_code, taken.json()["code"]) == (409, "username_taken")
    assert taken.json()["detail"] == "Username already taken"
    assert log_in(client, spelling).json()["user"]["username"] == "Alice"


def test_one_of_simultaneous_sign_ups_with_one_name_succeeds(service: Service) -> None:
    def attempt(number: int) -> int:
        with service.client() as client:
            return sign_up(client, "Alice" if number % 2 else "ALICE").status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(attempt, range(8)))
    assert statuses == [201] + [409] * 7
    assert fetch_value(service.database_url, 'SELECT count(*) FROM "user"') == 1


def test_a_refused_sign_up_leaves_nothing_behind(service: Service, client: httpx.Client) -> None:
    sign_up(client)
    client.cookies.clear()
    sign_up(client)
    counts = 'SELECT (SELECT count(*) FROM "user"), (SELECT count(*) FROM session)'
    assert tuple(fetch(service.database_url, counts)[0]) == (1, 1)


def test_sign_up_with_a_live_session_is_refused(client: httpx.Client) -> None:
    sign_up(client, "Alice")
    response = sign_up(client, "Bobby")
    assert (response.status_code, response.json()["code"]) == (409, "already_authenticated")


def test_a_user_with_a_dead_cookie_can_sign_up(client: httpx.Client) -> None:
    token = token_of(sign_up(client, "Alice"))
    client.post("/logout")
    client.cookies.set(COOKIE, token)
    assert sign_up(client, "Bobby").status_code == 201


def test_log_in_creates_a_session(client: httpx.Client) -> None:
    user = sign_up(client).json()["user"]
    client.cookies.clear()
    response = log_in(client)
    assert response.status_code == 200
    assert response.json()["user"] == user
    assert response.json()["session"]["fresh"] is True
    assert client.get("/me").status_code == 200


def test_log_in_ends_the_session_of_the_request(client: httpx.Client) -> None:
    old = token_of(sign_up(client))
    new = token_of(log_in(client))
    assert new != old
    client.cookies.clear()
    assert client.get("/me", headers=cookie(old)).status_code == 401
    assert client.get("/me", headers=cookie(new)).status_code == 200


def test_log_in_does_not_affect_other_devices(client: httpx.Client) -> None:
    other_device = token_of(sign_up(client))
    client.cookies.clear()
    log_in(client)
    client.cookies.clear()
    assert client.get("/me", headers=cookie(other_device)).status_code == 200


@pytest.mark.parametrize("forge", [with_other_secret, with_other_id])
def test_log_in_with_a_forged_token_ends_no_session(
    client: httpx.Client, forge: Callable[[str], str]
) -> None:
    token = token_of(sign_up(client))
    client.cookies.clear()
    client.post(
        "/login",
        json={"username": "Alice", "password": PASSWORD},
        headers=cookie(forge(token)),
    )
    client.cookies.clear()
    assert client.get("/me", headers=cookie(token)).status_code == 200


def test_a_failed_log_in_ends_no_session(client: httpx.Client) -> None:
    sign_up(client)
    assert log_in(client, password="not the right one").status_code == 401
    assert client.get("/me").status_code == 200


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("Alice", "not the right one"),
        ("Nobody", PASSWORD),
        ("no body", PASSWORD),
        ("x", "y"),
        ("Alice", PASSWORD.upper()),
        ("Alice", "\x00"),
        ("\x00", PASSWORD),
    ],
)
def test_all_wrong_credentials_get_the_same_response(
    client: httpx.Client, username: str, password: str
) -> None:
    sign_up(client)
    client.cookies.clear()
    response = log_in(client, username, password=password)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert "set-cookie" not in response.headers
    body = response.json()
    del body["request_id"]
    assert body == {
        "type": "urn:ostiary:problem:invalid-credentials",
        "title": "Invalid credentials",
        "status": 401,
        "code": "invalid_credentials",
        "detail": "Incorrect username or password",
    }


def test_a_key_without_a_password_cannot_log_in(service: Service, client: httpx.Client) -> None:
    sign_up(client)
    client.cookies.clear()
    execute(service.database_url, REMOVE_PASSWORDS)
    assert log_in(client).json()["code"] == "invalid_credentials"


def test_equivalent_spellings_are_the_same_password(client: httpx.Client) -> None:
    sign_up(client, password="Amélie's\u00a0pass")
    client.cookies.clear()
    assert log_in(client, password="Ame\u0301lie's pass").status_code == 200


def lower_hash_costs(database_url: str) -> None:
    """Replace all hashes by hashes of a lower cost."""
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    execute(database_url, "UPDATE key SET password_hash = $1", hasher.hash(PASSWORD))


def test_log_in_rehashes_when_the_cost_has_changed(service: Service, client: httpx.Client) -> None:
    sign_up(client)
    lower_hash_costs(service.database_url)
    client.cookies.clear()
    assert log_in(client).status_code == 200
    new = fetch_value(service.database_url, "SELECT password_hash FROM key")
    assert new.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert log_in(client).status_code == 200
    assert fetch_value(service.database_url, "SELECT password_hash FROM key") == new


def add_others_with_the_same_hash(database_url: str) -> None:
    """Add a key with the same name of another provider, and one with another name."""
    execute(
        database_url,
        """WITH u AS (INSERT INTO "user" (id) VALUES (gen_random_uuid()) RETURNING id)
           INSERT INTO key
               (provider, name, user_id, display_name, password_hash, password_scheme)
           SELECT other.*, u.id, '', password_hash, password_scheme
           FROM u, key, (VALUES ('email', 'alice'), ('username', 'bobby')) AS other""",
    )


def test_log_in_creates_a_session_for_the_owner_of_the_key_only(
    service: Service, client: httpx.Client
) -> None:
    user = sign_up(client, "Alice").json()["user"]
    add_others_with_the_same_hash(service.database_url)
    client.cookies.clear()
    assert log_in(client, "Alice").json()["user"] == user
    owners = [str(session["user_id"]) for session in sessions_in(service.database_url)]
    assert owners == [user["id"]] * 2


def test_log_in_rehashes_no_other_key(service: Service, client: httpx.Client) -> None:
    sign_up(client, "Alice")
    add_others_with_the_same_hash(service.database_url)
    lower_hash_costs(service.database_url)
    assert log_in(client, "Alice").status_code == 200
    rows = fetch(service.database_url, "SELECT name FROM key WHERE password_hash LIKE '%m=8,%'")
    assert sorted(row["name"] for row in rows) == ["alice", "bobby"]


def test_simultaneous_log_ins_that_rehash_all_succeed(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    lower_hash_costs(service.database_url)

    def attempt(_: int) -> int:
        with service.client() as another:
            return log_in(another).status_code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(attempt, range(8))) == [200] * 8


def test_me_returns_the_user_and_the_session(client: httpx.Client) -> None:
    signed_up = sign_up(client).json()
    response = client.get("/me")
    assert response.status_code == 200
    assert response.json() == {
        "user": signed_up["user"],
        "session": {**signed_up["session"], "fresh": False},
    }


def test_me_sets_no_cookie_while_the_session_is_active(client: httpx.Client) -> None:
    sign_up(client)
    assert "set-cookie" not in client.get("/me").headers


def test_me_without_a_session_is_401(client: httpx.Client) -> None:
    response = client.get("/me")
    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")
    assert response.headers["www-authenticate"] == "Bearer"
    assert "set-cookie" not in response.headers


def test_log_out_ends_the_session_in_the_database(service: Service, client: httpx.Client) -> None:
    token = token_of(sign_up(client))
    response = client.post("/logout")
    assert (response.status_code, response.content) == (204, b"")
    assert sessions_in(service.database_url) == []
    assert client.get("/me", headers=cookie(token)).status_code == 401


def test_log_out_clears_the_cookie(client: httpx.Client) -> None:
    sign_up(client)
    cleared = client.post("/logout").headers["set-cookie"]
    expired = "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
    assert cleared == f"{COOKIE}=; {expired}; HttpOnly; Path=/; SameSite=Lax"


def test_log_out_requires_a_session(client: httpx.Client) -> None:
    assert client.post("/logout").json()["code"] == "not_authenticated"


def test_log_out_does_not_affect_other_devices(client: httpx.Client) -> None:
    other_device = token_of(sign_up(client))
    client.cookies.clear()
    log_in(client)
    client.post("/logout")
    assert client.get("/me", headers=cookie(other_device)).status_code == 200


def test_all_invalid_fields_are_reported_at_once(client: httpx.Client) -> None:
    response = client.post(
        "/signup", json={"username": "x", "password": "short", "transport": "pigeon", "age": 7}
    )
    assert (response.status_code, response.json()["code"]) == (400, "validation_failed")
    assert codes(response) == {
        "username": "too_short",
        "password": "too_short",
        "transport": "not_allowed",
        "age": "unknown_field",
    }
    assert response.json()["errors"][0]["message"] == "Username must be at least 4 characters long."


def test_the_error_of_a_choice_names_what_is_permitted(client: httpx.Client) -> None:
    response = log_in(client, transport="Bearer")
    (error,) = response.json()["errors"]
    assert error["message"] == "Transport must be cookie or bearer."


def test_missing_fields_are_reported_at_once(client: httpx.Client) -> None:
    for path in ("/signup", "/login"):
        response = client.post(path, json={})
        assert codes(response) == {"username": "required", "password": "required"}


def test_wrong_types_are_reported_at_once(client: httpx.Client) -> None:
    response = client.post("/signup", json={"username": 5, "password": None, "transport": []})
    assert codes(response) == dict.fromkeys(("username", "password", "transport"), "wrong_type")


def test_a_password_must_not_contain_the_username(client: httpx.Client) -> None:
    response = sign_up(client, "Alice", password="iamALICEyouknow", age=7)
    assert codes(response) == {"password": "contains_username", "age": "unknown_field"}


@pytest.mark.parametrize(
    ("username", "code"),
    [
        ("\u0430dministrator", "mixed_scripts"),
        ("admin", "reserved"),
        ("4dm1n", "reserved"),
        ("jane@example.com", "not_allowed"),
        ("z\u0335\u0321algo", "not_allowed"),
    ],
)
def test_a_username_that_passes_for_another_is_refused(
    client: httpx.Client, username: str, code: str
) -> None:
    assert codes(sign_up(client, username)) == {"username": code}


def test_markup_in_a_username_is_text(client: httpx.Client) -> None:
    assert sign_up(client, "<b>x</b>").json()["user"]["username"] == "<b>x</b>"


@pytest.mark.parametrize(
    "username",
    ["\u0430dministrator", "admin", "jane@example.com", "emoji🦊", "john smith", "zz\u0335\u0321"],
)
def test_an_existing_user_with_a_name_that_sign_up_refuses_logs_in(
    service: Service, client: httpx.Client, username: str
) -> None:
    sign_up(client)
    execute(service.database_url, "UPDATE key SET name = $1, display_name = $1", username)
    assert log_in(client, username.upper()).json()["user"]["username"] == username
    changed = {"current_password": PASSWORD, "new_password": "a wholly different phrase"}
    assert client.put("/me/password", json=changed).status_code == 200


@pytest.mark.parametrize(
    "password",
    ["❤️ hearts ❤️", "👨\u200d👩\u200d👧\u200d👦 family", "1️⃣ keycap 7️⃣", "soft\u00adhyphen it is"],
)
def test_a_password_with_emoji_or_soft_hyphens_logs_in(client: httpx.Client, password: str) -> None:
    assert sign_up(client, password=password).status_code == 201
    assert log_in(client, password=password).status_code == 200


@pytest.mark.parametrize(
    ("password", "form"),
    [
        ("soft\u00adhyphen it is", "NFKC"),
        ("kashida ـ and ﬁve", "NFKC"),
        ("tab\tin the middle", "NFKC"),
        ("e\u0301 decomposed", "NFC"),
        ("password", "NFC"),
    ],
)
def test_a_password_that_was_hashed_before_logs_in(
    service: Service,
    client: httpx.Client,
    password: str,
    form: Literal["NFC", "NFKC"],
) -> None:
    """Whether it would be accepted as a new one or not, and in the form that it was hashed in."""
    sign_up(client)
    hashed = argon2.PasswordHasher(2, 19456, 1).hash(normalize(form, password))
    execute(service.database_url, "UPDATE key SET password_hash = $1", hashed)
    for _ in range(2):
        assert log_in(client, password=password).status_code == 200


@pytest.mark.parametrize(
    "password", ["Pass@123", "Password123!", "P@ssw0rd1", "Summer2026!", " " * 8]
)
def test_passwords_that_are_easy_to_guess_are_refused(client: httpx.Client, password: str) -> None:
    assert codes(sign_up(client, password=password)) == {"password": "too_common"}


@pytest.mark.parametrize("password", ["password123", "PassWord123", "iloveyou1", "1234567890"])
def test_common_passwords_are_refused(client: httpx.Client, password: str) -> None:
    assert codes(sign_up(client, password=password)) == {"password": "too_common"}


def test_a_session_records_user_agent_and_address(service: Service, client: httpx.Client) -> None:
    client.headers["User-Agent"] = "curl/8.0 " + "x" * 1000
    sign_up(client)
    (session,) = sessions_in(service.database_url)
    assert session["user_agent"] == ("curl/8.0 " + "x" * 1000)[:512]
    assert str(session["address"]) in {"127.0.0.1", "127.0.0.1/32"}


def test_a_bearer_token_is_in_the_body_only(client: httpx.Client) -> None:
    response = sign_up(client, transport="bearer")
    token = response.json()["session"]["token"]
    assert "set-cookie" not in response.headers
    assert client.get("/me", headers=bearer(token)).status_code == 200


# Longer than what bcrypt would cover.
LONG = "orrect horse battery staple, and so much more that no hash may leave the end of it out: x"


@pytest.mark.parametrize("typed", ["C" + LONG, "c" + LONG[:-1], "c" + LONG + " "])
def test_every_character_of_a_password_and_its_case_count(client: httpx.Client, typed: str) -> None:
    sign_up(client, password="c" + LONG)
    client.cookies.clear()
    assert log_in(client, password=typed).status_code == 401
    assert log_in(client, password="c" + LONG).status_code == 200
