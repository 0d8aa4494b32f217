"""``ostiary import-lucia``: keys that are accounts at OpenID providers become identities."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest

from tests.cli.running import run
from tests.cli.test_import_lucia import HASH, KEYS, USERS, made, run_import
from tests.databases import execute, fetch, fetch_value
from tests.transfer.conftest import export_file, import_file

GOOGLE, GITHUB = "https://accounts.google.com", "https://github.com"
APPLE = "https://appleid.apple.com"
GITLAB = "https://gitlab.example.com"
TENANT = "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"

AT_PROVIDERS = [
    ("google:110169484474386276334", None, "u1alice"),
    ("github:42", None, "u1alice"),
    ("apple:001999.3c7b8f.1234", None, "u2bobby"),
]
OTHERS = [
    ("gitlab:7", None, "u1alice"),
    ("azure_ad:AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", None, "u1alice"),
    ("azure_ad:AAAAAAAAAAAAAAAAAAAAAMLkPp0rVPQcUZLRYkp2bA8", None, "u2bobby"),
]


def identities_in(url: str) -> set[tuple[str, str]]:
    return {tuple(row) for row in fetch(url, "SELECT issuer, subject FROM identity")}


def keys_in(url: str) -> set[str]:
    rows = fetch(url, "SELECT provider || ':' || display_name AS key FROM key")
    return {row["key"] for row in rows}


def test_accounts_at_google_github_and_apple_become_identities_of_their_users(
    database_url: str, tmp_path: Path
) -> None:
    source = made(tmp_path / "lucia.db", user=USERS[:2], key=[KEYS[0], *AT_PROVIDERS])
    tallies, _ = run_import(source, database_url)
    assert tallies["key"] == {"read": 4, "new": 4, "rejected": 0}
    assert identities_in(database_url) == {
        (GOOGLE, "110169484474386276334"),
        (GITHUB, "42"),
        (APPLE, "001999.3c7b8f.1234"),
    }
    assert keys_in(database_url) == {"username:Alice"}
    same_user = """SELECT count(DISTINCT key.user_id) FROM key JOIN identity USING (user_id)"""
    assert fetch_value(database_url, same_user) == 1
    assert fetch_value(database_url, "SELECT count(*) FROM identity JOIN key USING (user_id)") == 2
    again, _ = run_import(source, database_url)
    assert again["key"] == {"read": 4, "new": 0, "rejected": 0}


def test_a_dry_run_moves_nothing(database_url: str, tmp_path: Path) -> None:
    source = made(tmp_path / "lucia.db", user=USERS[:2], key=AT_PROVIDERS)
    rehearsed, _ = run_import(source, database_url, "--dry-run")
    assert rehearsed["key"]["new"] == len(AT_PROVIDERS)
    assert identities_in(database_url) == set()
    assert fetch_value(database_url, "SELECT count(*) FROM imported") == 0


def test_keys_whose_issuer_is_not_certain_stay_keys_and_the_report_says_so(
    database_url: str, tmp_path: Path
) -> None:
    """GitLab may be anybody's server, and Microsoft's issuer is that of a tenant."""
    rejected = ("gitlab:8", None, "u9ghost")
    source = made(tmp_path / "lucia.db", user=USERS[:2], key=[KEYS[0], rejected, *OTHERS])
    arguments = ("import-lucia", "--source", source)
    for _ in range(2):
        result = run(*arguments, DATABASE_URL=database_url)
        assert "1 keys of gitlab stay keys, with which nobody logs in" in result.stdout
        assert "2 keys of azure_ad stay keys, with which nobody logs in" in result.stdout
        assert identities_in(database_url) == set()
        assert len(keys_in(database_url)) == 4
    told = json.loads(run(*arguments, "--json", DATABASE_URL=database_url).stdout)
    assert told["kept_keys"] == {"gitlab": 1, "azure_ad": 2}


def test_an_issuer_that_the_operator_names_makes_identities_also_of_keys_that_were_imported(
    database_url: str, tmp_path: Path
) -> None:
    source = made(tmp_path / "lucia.db", user=USERS[:2], key=OTHERS)
    run_import(source, database_url)
    execute(database_url, "UPDATE key SET created_at = '2020-01-01T00:00:00Z'")
    options = ("--issuer", f"gitlab={GITLAB}", "--issuer", f"azure_ad={TENANT}")
    tallies, _ = run_import(source, database_url, *options)
    assert tallies["key"] == {"read": 3, "new": 3, "rejected": 0}
    assert identities_in(database_url) == {
        (GITLAB, "7"),
        *((TENANT, key_id.partition(":")[2]) for key_id, _, _ in OTHERS[1:]),
    }
    assert keys_in(database_url) == set()
    years = "SELECT DISTINCT extract(year FROM created_at) FROM identity"
    assert fetch_value(database_url, years) == 2020
    again, _ = run_import(source, database_url, *options)
    assert again["key"] == {"read": 3, "new": 0, "rejected": 0}


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("gitlab", "'gitlab' is not of the form PROVIDER=URL"),
        (f"={GITLAB}", "is not of the form PROVIDER=URL"),
        (f"email={GITLAB}", "is not of the form PROVIDER=URL"),
        (f"username={GITLAB}", "is not of the form PROVIDER=URL"),
        ("gitlab=", "the issuer of 'gitlab' is not an https URL"),
        ("gitlab=http://gitlab.example.com", "the issuer of 'gitlab' is not an https URL"),
    ],
)
def test_an_issuer_that_is_none_is_refused(database_url: str, option: str, reason: str) -> None:
    result = run("import-lucia", "--issuer", option, DATABASE_URL=database_url)
    assert result.returncode == 2
    assert reason in result.stderr


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (("github:octocat", None, "u1alice"), "is not the number of an account at GitHub"),
        (("google:" + "4" * 256, None, "u1alice"), "its subject has not 1 to 255 printable ASCII"),
        (("google:b\u00fccher", None, "u1alice"), "its subject has not 1 to 255 printable ASCII"),
        (("google:42", HASH, "u1alice"), "it has a password"),
    ],
)
def test_a_key_that_no_account_can_have_stays_a_key_and_is_told(
    database_url: str, tmp_path: Path, key: tuple[str, str | None, str], reason: str
) -> None:
    source = made(tmp_path / "lucia.db", user=USERS[:1], key=[key])
    tallies, messages = run_import(source, database_url)
    assert tallies["key"] == {"read": 1, "new": 1, "rejected": 0}
    assert f"noted: key '{key[0]}' is imported as it is: " in messages
    assert f"{reason}" in messages
    assert "so it is a key and no identity" in messages
    assert identities_in(database_url) == set()
    assert keys_in(database_url) == {key[0]}


def test_identities_that_cannot_be_imported_are_told(database_url: str, tmp_path: Path) -> None:
    user = str(UUID(int=1))
    execute(
        database_url,
        f"""INSERT INTO "user" (id) VALUES ('{user}');
        INSERT INTO identity (id, user_id, issuer, subject)
        VALUES (gen_random_uuid(), '{user}', '{GITHUB}', '42');
        INSERT INTO key (provider, name, user_id, display_name)
        VALUES ('google', '43', '{user}', '43')""",
    )
    keys = [
        ("github:42", None, "u1alice"),
        ("google:42", None, "u9ghost"),
        ("google:43", None, "u1alice"),
        ("google:44", None, "u1alice"),
    ]
    source = made(tmp_path / "lucia.db", user=USERS[:1], key=keys)
    tallies, messages = run_import(source, database_url)
    assert tallies["key"] == {"read": 4, "new": 1, "rejected": 3}
    for key, reason in (
        ("github:42", "another user has this identity"),
        ("google:42", "there is no such user"),
        ("google:43", "there is a key with this id that is no identity"),
    ):
        assert f"rejected: key '{key}': {reason}" in messages
    assert identities_in(database_url) == {(GITHUB, "42"), (GOOGLE, "44")}
    owners = "SELECT count(*) FROM identity WHERE user_id = $1"
    assert fetch_value(database_url, owners, UUID(user)) == 1


def test_a_key_that_has_a_password_here_is_no_identity(database_url: str, tmp_path: Path) -> None:
    """It was imported with one, which the old site has removed since."""
    path = tmp_path / "lucia.db"
    run_import(made(path, user=USERS[:1], key=[("google:42", HASH, "u1alice")]), database_url)
    source = made(path, user=USERS[:1], key=[("google:42", None, "u1alice")])
    tallies, messages = run_import(source, database_url)
    assert tallies["key"] == {"read": 1, "new": 0, "rejected": 1}
    assert "'google:42': there is a key with this id that is no identity" in messages
    assert (identities_in(database_url), keys_in(database_url)) == (set(), {"google:42"})


def test_an_identity_that_was_removed_since_is_not_imported_again(
    database_url: str, tmp_path: Path
) -> None:
    source = made(tmp_path / "lucia.db", user=USERS[:2], key=AT_PROVIDERS)
    run_import(source, database_url)
    execute(database_url, f"DELETE FROM identity WHERE issuer = '{GITHUB}'")
    tallies, messages = run_import(source, database_url)
    assert tallies["key"] == {"read": 3, "new": 0, "rejected": 1}
    assert "rejected: key 'github:42': was removed since it was imported" in messages
    assert (GITHUB, "42") not in identities_in(database_url)


def test_a_user_who_was_deleted_since_does_not_come_back_by_an_identity(
    database_url: str, tmp_path: Path
) -> None:
    source = made(tmp_path / "lucia.db", user=USERS[:1], key=AT_PROVIDERS[:2])
    run_import(source, database_url)
    execute(database_url, 'DELETE FROM "user"')
    tallies, messages = run_import(source, database_url)
    assert tallies["key"]["rejected"] == 2
    assert "key 'github:42': its user was deleted since it was imported" in messages
    assert identities_in(database_url) == set()


def test_what_an_earlier_version_imported_as_a_key_and_was_removed_stays_removed(
    database_url: str, tmp_path: Path
) -> None:
    """It remembered the key by the id by which the identity is known now."""
    source = made(tmp_path / "lucia.db", user=USERS[:2], key=[*AT_PROVIDERS, *OTHERS])
    run_import(source, database_url)
    execute(database_url, "DELETE FROM key")
    tallies, messages = run_import(source, database_url, "--issuer", f"gitlab={GITLAB}")
    assert tallies["key"] == {"read": 6, "new": 0, "rejected": 3}
    assert "key 'gitlab:7': was removed since it was imported" in messages
    assert GITLAB not in {issuer for issuer, _ in identities_in(database_url)}


def test_an_identity_that_was_removed_after_a_move_is_not_imported_again(
    database_url: str, tmp_path: Path
) -> None:
    source = made(tmp_path / "lucia.db", user=USERS[:2], key=AT_PROVIDERS)
    run_import(source, database_url)
    moved = export_file(database_url)
    execute(database_url, 'DELETE FROM "user"; DELETE FROM imported')
    import_file(database_url, moved)
    assert len(identities_in(database_url)) == len(AT_PROVIDERS)
    execute(database_url, "DELETE FROM identity")
    tallies, _ = run_import(source, database_url)
    assert tallies["key"]["rejected"] == len(AT_PROVIDERS)
    assert identities_in(database_url) == set()
