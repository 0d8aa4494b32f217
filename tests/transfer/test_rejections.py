"""Bad rows: each is told with its line and the reason, and never ends the run."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from service.transfer.lines import MAX_LINE
from service.transfer.rejections import FileRejected
from tests.admin.test_metadata import nested
from tests.auth.test_legacy_hashes import COSTLY, FOREIGN, NOT_STORABLE
from tests.databases import (
    execute,
    fetch,
    fetch_value,
    result_during,
)
from tests.transfer.conftest import HEADER, export_file, file_of, import_file, rows_of
from tests.transfer.users import base64url, public_key

HASH = FOREIGN[0][1]
TIME = "2020-01-01T00:00:00.000000Z"
ISSUER = "https://accounts.google.com"


def key(name: str = "Alice", provider: str = "username", **members: Any) -> dict[str, Any]:
    return {"provider": provider, "name": name, **members}


def passkey(**members: Any) -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "credential_id": base64url(b"credential"),
        "public_key": public_key(1),
        "rp_id": "example.com",
        "name": "Passkey",
        **members,
    }


def identity(subject: str = "42", issuer: str = ISSUER, **members: Any) -> dict[str, Any]:
    return {"issuer": issuer, "subject": subject, **members}


def user(**members: Any) -> dict[str, Any]:
    return {"id": str(uuid4()), **members}


def with_passkey(**members: Any) -> dict[str, Any]:
    return user(passkeys=[passkey(**members)], passkey_handle="AAAA")


def app(**members: Any) -> dict[str, Any]:
    return user(totp={"confirmed_at": TIME, **members})


CODE = {"hash": "ab" * 32}
ID = str(UUID(int=1))

BAD_ISSUERS = [
    *(
        "",
        "accounts.google.com",
        "google",
        "http://accounts.google.com",
        "ftp://accounts.google.com",
    ),
    *("HTTPS://accounts.google.com", "https:accounts.google.com", "https://", "https:///path"),
    *(
        "https://accounts.google.com?a=b",
        "https://accounts.google.com#",
        "https://b\u00fccher.example",
    ),
    *("https://user@accounts.google.com", "https://accounts.google.com:port", "https://[::1"),
    *("https://accounts.google.com:65536", " https://a.example"),
    *("https://a.example ", "https://a.example\n", "https://a.example\0", "javascript:alert(1)"),
    *("http://127.0.0.1.example", "http://localhost@a.example", "http://localhost.example"),
    *("http://10.0.0.1", "https://a.example\\b"),
]

BAD_ROWS: list[tuple[Any, str]] = [
    (b"{", "it is not JSON"),
    (b"[]", "expected `object`, got `array`"),
    (b"7", "expected `object`, got `int`"),
    (b'{"id": "a", "id": "b"}', "it has a member twice"),
    (b'{"id": "a", "metadata": {"b": 1, "b": 2}}', "it has a member twice"),
    (b'{"id": "\xff"}', "it is not UTF-8"),
    (b'{"id": "\\ud800"}', "it has half of a surrogate pair"),
    (b'{"id": "nul\\u0000"}', "its id has a character that PostgreSQL cannot store"),
    (b'{"id": "nul\0"}', "it is not JSON"),
    (b'{"id": NaN}', "NaN is not JSON"),
    (b'{"id": "a", "version": 1e400}', "it is not JSON, or has a number that is too large"),
    (b'{"id": "a", "metadata": ' + b"[" * 5000 + b"]" * 5000 + b"}", "nested too deeply"),
    (b'{"id": "' + b"x" * MAX_LINE + b'"}', "it is longer than 1048576 bytes"),
    ({}, "object missing required field `id`"),
    (user(accounts=[]), "object contains unknown field `accounts`"),
    (user(keys=[key(hash=HASH)]), "object contains unknown field `hash` - at `$.keys[0]`"),
    (user(id=7), "expected `str`, got `int` - at `$.id`"),
    (user(created_at="yesterday"), "invalid RFC3339 encoded datetime - at `$.created_at`"),
    (user(created_at="2020-01-01T00:00:00"), "expected `datetime` with a timezone"),
    (user(created_at="0001-01-01T00:00:00Z"), "its created_at is before 1970"),
    (app(last_used_at="1969-12-31T23:59:59Z"), "its last_used_at is before 1970"),
    (user(created_at="2999-01-01T00:00:00Z"), "its created_at is in the future"),
    (user(created_at="0001-01-01T00:00:00+23:00"), "its created_at is out of range"),
    (user(security_changed_at="2999-01-01T00:00:00Z"), "security_changed_at is in the future"),
    (user(version=-1), "expected `int` >= 0 - at `$.version`"),
    (user(version=2**63), "at `$.version`"),
    (user(roles=["Admin"]), "A role has 1 to 64 characters"),
    (user(roles=["admin\n"]), "A role has 1 to 64 characters"),
    (user(roles=None), "expected `array`, got `null`"),
    (user(metadata=[]), "it is no JSON object"),
    (user(metadata=None), "it is no JSON object"),
    (user(metadata={"a": "x" * 4096}), "Metadata must have at most 4096 bytes"),
    (user(metadata={"a": "\0"}), "Metadata must not contain U+0000."),
    (user(metadata={"\0": 1}), "Metadata must not contain U+0000."),
    (user(metadata={"a": 2**53}), "Metadata must not contain numbers beyond 2^53"),
    (user(metadata=nested(33)), "Metadata must not nest more than 32 deep."),
    (b'{"id": "a", "metadata": {"a": 1e-5000}}', "Metadata must have at most 4096 bytes"),
    (b'{"id": "a", "metadata": {"a": 1e-99999999999}}', "Metadata must have at most 4096 bytes"),
    (b'{"id": "a", "metadata": {"a": 0e-99999999999}}', "Metadata must have at most 4096 bytes"),
    (b'{"id": "a", "metadata": {"a": 1e-' + b"9" * 20 + b"}}", "has a number that is too large"),
    (user(disabled_reason="spam"), "it has a disabled_reason without disabled_at"),
    (user(disabled_at=TIME, disabled_reason="\0"), "The reason must not contain U+0000."),
    (user(disabled_at=TIME, disabled_reason=""), "The reason must not be empty."),
    (user(disabled_at=TIME, disabled_reason="x" * 501), "The reason must have at most 500"),
    (user(keys=[key("")]), "at `$.keys[0].name`"),
    (user(keys=[key("x" * 400)]), "its name is longer than 320 characters"),
    (user(keys=[key("nul\0")]), "its name has a character"),
    (user(keys=[key("not an address", "email")]), "E-mail address is not valid"),
    (user(keys=[key(), key("ALICE")]), "it has a name twice"),
    (user(keys=[key(verified_at=TIME)]), "verified_at is of addresses only"),
    (user(keys=[key(password_hash="md5:a secret")]), "its password hash has an unknown form"),
    (user(keys=[key(password_hash="")]), "its password hash has an unknown form"),
    *((user(identities=[identity(issuer=each)]), "its issuer is not an") for each in BAD_ISSUERS),
    (user(identities=[identity(issuer=f"https://{'a' * 1024}")]), "is longer than 1024 characters"),
    (
        user(identities=[identity(issuer="https://login.microsoftonline.com/{tenantid}/v2.0")]),
        "its issuer has {tenantid} in place of the id of a tenant",
    ),
    (user(identities=[identity("")]), "its subject has not 1 to 255 printable ASCII"),
    (user(identities=[identity("x" * 256)]), "its subject has not 1 to 255 printable ASCII"),
    *(
        (user(identities=[identity(each)]), "its subject has not 1 to 255 printable ASCII")
        for each in ("nul\0", "b\u00fccher", "42\n", "\uff14\uff12")
    ),
    (user(identities=[{"issuer": 7, "subject": "42"}]), "expected `str`, got `int`"),
    (user(identities=[{"subject": "42"}]), "missing required field `issuer`"),
    (user(identities=[{"issuer": ISSUER}]), "missing required field `subject`"),
    (user(identities=[identity(email="a@b.example")]), "unknown field `email`"),
    (user(identities=[identity(), identity()]), "it has an identity twice"),
    (
        user(identities=[identity("octocat", "https://github.com")]),
        "number of an account at GitHub",
    ),
    (user(identities=[identity("042", "https://github.com")]), "number of an account at GitHub"),
    (user(identities=[identity(last_used_at="2999-01-01T00:00:00Z")]), "is in the future"),
    (user(identities=[identity(str(each)) for each in range(101)]), "of length <= 100"),
    *((user(keys=[key(password_hash=each)]), "an unknown form") for each in NOT_STORABLE),
    (user(recovery_codes=[CODE]), "it has recovery codes without a factor"),
    (app() | {"recovery_codes": [CODE, CODE]}, "it has a recovery code twice"),
    (app() | {"recovery_codes": [{"hash": "AB" * 32}]}, "at `$.recovery_codes[0].hash`"),
    (app() | {"recovery_codes": [{"hash": "ab" * 32 + "\n"}]}, "recovery_codes[0].hash`"),
    (user(totp={}), "object missing required field `confirmed_at` - at `$.totp`"),
    (app(secret="not base32!"), "the secret of its app is not base32"),
    (app(secret="MFRGG"), "the secret of its app has not 10 to 64 bytes"),
    (app(last_step=2**40), "the last_step of its app is in the future"),
    (with_passkey(public_key=base64url(b"no key")), "the public_key of a passkey is none"),
    (with_passkey(public_key="=="), "its public_key is not base64url without padding"),
    (with_passkey(credential_id=""), "its credential_id has not 1 to 1023 bytes"),
    (with_passkey(credential_id="A\ud7ff"), "its credential_id is not base64url"),
    (with_passkey(id="1"), "the id of a passkey is not a UUID"),
    (with_passkey(name="\t"), "Name must be at least 1 character long."),
    (with_passkey(rp_id="nul\0"), "a passkey has a character that PostgreSQL cannot store"),
    (with_passkey(sign_count=2**32), "at `$.passkeys[0].sign_count`"),
    (user(passkeys=[passkey()]), "it has passkeys without a passkey_handle"),
    (user(passkeys=[passkey(), passkey()], passkey_handle="AAAA"), "it has a passkey twice"),
    (
        user(passkeys=[passkey(id=ID), passkey(id=ID, credential_id="AA")], passkey_handle="AAAA"),
        "two of its passkeys have one id",
    ),
    (user(passkey_handle="A" * 100), "its passkey_handle has not 1 to 64 bytes"),
    (user(passkeys=[passkey()] * 101, passkey_handle="AAAA"), "more than 100 passkeys"),
    *((user(keys=[key(password_hash=each)]), "costs too much to verify") for each in COSTLY[:3]),
]


def test_every_bad_row_is_told_and_the_others_are_imported(database_url: str) -> None:
    rows = []
    for number, (bad, _) in enumerate(BAD_ROWS):
        rows += [bad, user(keys=[key(f"user{number}")])]
    imported = import_file(database_url, file_of(*rows))
    assert imported.counts.new == imported.counts.rejected == len(BAD_ROWS)
    assert fetch_value(database_url, 'SELECT count(*) FROM "user"') == len(BAD_ROWS)
    assert fetch_value(database_url, "SELECT count(*) FROM passkey") == 0
    for number, (bad, reason) in enumerate(BAD_ROWS):
        assert reason in imported.rejected[2 + 2 * number], bad
    assert "a secret" not in str(imported.rejected)


def test_a_line_of_100_megabytes_is_told_and_not_held(database_url: str) -> None:
    good = user(keys=[key()])
    long = b'{"id": "' + b"x" * 100_000_000 + b'"}'
    imported = import_file(database_url, file_of(long, good))
    assert imported.rejected == {2: "it is longer than 1048576 bytes"}
    assert imported.counts.new == 1


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"", "it is empty"),
        (b"\n\n", "it is empty"),
        (b'{"id": "a"}\n', "its first line is not"),
        (b"PGDMP\x01\x0e\x00", "its first line is not"),
        (file_of(header={"format": "lucia", "version": 1}), "its first line is not"),
        (file_of(header={**HEADER, "version": 2}), "it has version 2 of the format"),
        (file_of(header={**HEADER, "more": 1}), "object contains unknown field `more`"),
    ],
)
def test_what_is_no_export_is_refused_as_a_whole(
    database_url: str, file: bytes, reason: str
) -> None:
    with pytest.raises(FileRejected, match=reason):
        import_file(database_url, file)


def test_a_name_or_a_passkey_of_another_user_rejects_the_whole_row(database_url: str) -> None:
    rows = [
        user(keys=[key("Alice"), key("alice@example.org", "email")]),
        with_passkey(),
        user(keys=[key("Bobby"), key("ALICE")]),
        user(keys=[key("ALICE@example.org", "email")]),
        with_passkey() | {"keys": [key("Carol")]},
        user(keys=[key("Bobby")]),
    ]
    for new in (3, 0):
        imported = import_file(database_url, file_of(*rows))
        assert imported.counts.new == new
        assert imported.rejected == {
            4: "another user has its name, as Alice",
            5: "another user has its address, as alice@example.org",
            6: "another user has its passkey",
        }
    names = {row["display_name"] for row in fetch(database_url, "SELECT display_name FROM key")}
    # Nobody was kept out by a name that a rejected row would have had.
    assert names == {"Alice", "alice@example.org", "Bobby"}
    assert fetch_value(database_url, 'SELECT count(*) FROM "user"') == 3


def test_an_identity_of_another_user_rejects_the_whole_row(database_url: str) -> None:
    """Also one of a user before it in the file; the same subject of another issuer is another."""
    other = identity(issuer="https://id.example")
    rows = [
        user(identities=[identity(), identity("43")]),
        user(identities=[identity("44"), identity("43")]),
        user(identities=[other], keys=[key("Alice")]),
        user(identities=[identity("44")]),
    ]
    for new in (3, 0):
        imported = import_file(database_url, file_of(*rows))
        assert imported.counts.new == new
        assert imported.rejected == {3: f"another user has its identity at {ISSUER}"}
    owners = fetch(
        database_url, "SELECT CAST(user_id AS text) AS id, issuer, subject FROM identity"
    )
    assert {(row["id"], row["issuer"], row["subject"]) for row in owners} == {
        (row["id"], each["issuer"], each["subject"])
        for row in (rows[0], rows[2], rows[3])
        for each in row["identities"]
    }


def test_an_identity_that_somebody_links_meanwhile_rejects_the_whole_row(
    database_url: str,
) -> None:
    link = f"""
    INSERT INTO "user" (id) VALUES ('{UUID(int=1)}');
    INSERT INTO identity (id, user_id, issuer, subject)
    VALUES (gen_random_uuid(), '{UUID(int=1)}', '{ISSUER}', '42')
    """
    file = file_of(user(identities=[identity("43"), identity()]), user(keys=[key("Carol")]))
    imported = result_during(database_url, link, lambda: import_file(database_url, file))
    assert imported.rejected == {2: f"another user has its identity at {ISSUER}"}
    assert imported.counts.new == 1
    assert fetch_value(database_url, "SELECT count(*) FROM identity") == 1


def test_a_second_row_of_a_user_who_was_rejected_is_rejected_too(database_url: str) -> None:
    import_file(database_url, file_of(user(keys=[key()])))
    row = user(keys=[key()])
    imported = import_file(database_url, file_of(row, row | {"keys": [key("Bobby")]}))
    assert imported.counts.new + len(imported.rejected) == 2
    assert imported.rejected[2] == "another user has its name, as Alice"


def test_a_name_that_somebody_takes_meanwhile_rejects_the_whole_row(database_url: str) -> None:
    sign_up = f"""
    INSERT INTO "user" (id) VALUES ('{UUID(int=1)}');
    INSERT INTO key (provider, name, user_id, display_name)
    VALUES ('username', 'alice', '{UUID(int=1)}', 'Alice')
    """
    file = file_of(user(keys=[key("Bobby"), key("Alice")]), user(keys=[key("Carol")]))
    imported = result_during(database_url, sign_up, lambda: import_file(database_url, file))
    assert imported.rejected == {2: "another user has its name, as Alice"}
    assert imported.counts.new == 1
    names = {row["name"] for row in fetch(database_url, "SELECT name FROM key")}
    assert names == {"alice", "carol"}


def test_names_that_sign_up_refuses_are_taken_and_told(database_url: str) -> None:
    row = user(keys=[key("a b"), key("emoji\N{FOX FACE}", "username")])
    imported = import_file(database_url, file_of(row))
    assert imported.counts.new == 1
    assert "Username must not" in imported.noted[2]


def test_an_import_that_is_run_again_changes_nothing(database_url: str) -> None:
    file = file_of(user(keys=[key()], roles=["admin"]), with_passkey(), app())
    assert import_file(database_url, file).counts.new == 3
    before = export_file(database_url, with_secrets=True)
    again = import_file(database_url, file)
    assert (again.counts.read, again.counts.new, again.rejected) == (3, 0, {})
    assert export_file(database_url, with_secrets=True) == before


def test_existing_users_stay_as_they_are(database_url: str) -> None:
    row = user(keys=[key()])
    import_file(database_url, file_of(row))
    imported = import_file(database_url, file_of(row | {"roles": ["admin"], "keys": [key("Eve")]}))
    assert (imported.counts.new, imported.rejected) == (0, {})
    (found,) = rows_of(export_file(database_url))
    assert (found["roles"], found["keys"][0]["name"]) == ([], "Alice")


def test_of_two_rows_of_one_user_the_first_counts(database_url: str) -> None:
    row = user(keys=[key()])
    imported = import_file(database_url, file_of(row, row | {"keys": [key("Eve")]}))
    assert (imported.counts.new, imported.rejected) == (1, {})
    (found,) = rows_of(export_file(database_url))
    assert [each["name"] for each in found["keys"]] == ["Alice"]


@pytest.mark.parametrize("was_imported", [True, False])
def test_a_user_who_was_deleted_since_does_not_come_back(
    database_url: str, was_imported: bool
) -> None:
    """Also if they had signed up here, and a file of theirs was only read again."""
    row = user(keys=[key()])
    import_file(database_url, file_of(row))
    if not was_imported:
        execute(database_url, "DELETE FROM imported")
        import_file(database_url, file_of(row))
    execute(database_url, 'DELETE FROM "user"')
    imported = import_file(database_url, file_of(row))
    assert imported.rejected == {2: "was deleted since it was imported"}
    assert rows_of(export_file(database_url)) == []


def test_a_dry_run_tells_the_same_and_changes_nothing(database_url: str) -> None:
    file = file_of(user(keys=[key()]), user(keys=[key("ALICE")]), b"{", app(secret="A" * 32))
    rehearsed = import_file(database_url, file, dry_run=True)
    assert rows_of(export_file(database_url)) == []
    assert fetch_value(database_url, "SELECT count(*) FROM imported") == 0
    assert import_file(database_url, file) == rehearsed


def test_a_file_of_one_user_has_only_what_was_given(database_url: str) -> None:
    import_file(database_url, file_of({"id": "Kx9"}))
    (found,) = rows_of(export_file(database_url))
    assert found["keys"] == found["passkeys"] == found["recovery_codes"] == found["roles"] == []
    assert found["metadata"] == {}
    assert found["totp"] is found["disabled_at"] is found["passkey_handle"] is None


def test_a_pages_end_loses_nobody(database_url: str) -> None:
    ids = [UUID(int=0), *(uuid4() for _ in range(2500)), UUID(int=2**128 - 1)]
    import_file(database_url, file_of(*({"id": str(each)} for each in ids)))
    exported = [UUID(row["id"]) for row in rows_of(export_file(database_url))]
    assert exported == sorted(ids)


def test_metadata_may_have_what_looks_like_an_escape(database_url: str) -> None:
    metadata = {"path": r"C:\u0000"}
    import_file(database_url, file_of(user(metadata=metadata)))
    (found,) = rows_of(export_file(database_url))
    assert found["metadata"] == metadata
