"""Every secret in every field that takes another one: refused, and still good where it belongs.

`KINDS` and `FIELDS` are the table: a further kind of secret, or a further field, is a further row.
Tests compare them with the purposes of challenges and with the OpenAPI document.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from typing import Any

import httpx
import pytest
from msgspec import Struct, field

from service.model.challenges import Purpose
from tests.databases import execute, fetch_value
from tests.factories import PASSWORD, REMOVE_PASSWORDS, bearer, cookie, log_in, sign_up
from tests.factors.passkeys import (
    add_passkey,
    browser,
    log_in_options,
    new_user,
    reauthentication_options,
    registration_options,
    second_factor,
)
from tests.flows.conftest import (
    ALICE,
    Mailboxes,
    confirm_reset,
    problem,
    request_reset,
    sign_up_by_email,
    user_with_address,
    verify_sign_up,
)
from tests.identities.conftest import (
    NATIVE_CALLBACK,
    App,
    environment_for,
    provider,
)
from tests.invitations import invite
from tests.mail.conftest import mail_environment, plain_url
from tests.oidc.stub_provider import StubProvider
from tests.service_pool import ServicePool
from tests.services import Service
from tests.smtp_server import SMTPServer

__all__ = ["provider"]

SECOND, THIRD, SOMEBODY = "alice@second.example.org", "alice@third.example.org", "s@example.org"

CHALLENGE = (401, "invalid_challenge")
CODE = (401, "invalid_code")
SESSION = (401, "not_authenticated")
INVITATION = (403, "invalid_invitation")
PASSWORD_REFUSED = (401, "invalid_credentials")
# What is no eight digits spends no try.
NO_CODE = (400, "validation_failed")


AT_PROVIDER = "/login/oidc/stub"
PARAMETERS = {"/me/identities/stub/callback": "{identity}"}

MAILED_CODE = r"[0-9]{8}"
RECOVERY_CODE = r"(\w{6}-){3}\w{6}"


class Secret(Struct, frozen=True):
    """A token; one of a challenge with the code, or what a passkey has signed, that answers it."""

    token: str
    code: str = ""
    credential: dict[str, Any] = {}
    state: str = ""

    @property
    def texts(self) -> list[str]:
        return [text for text in (self.token, self.code) if text]


class World(Struct, frozen=True):
    """Alice, who has no password and so is mailed codes, Bobby, who has one, and Carol.

    Carol has a passkey and recovery codes. ``secrets`` has one of each kind, and all are good.
    """

    client: httpx.Client
    session: dict[str, str]
    bobbys: dict[str, str]
    carols: dict[str, str]
    secrets: dict[str, Secret]

    def post(self, path: str, body: object, headers: dict[str, str] | None = None) -> bool:
        return self.client.post(path, json=body, headers=headers).is_success


class Kind(Struct, frozen=True):
    """A kind of secret: for what purpose it is a challenge's, and how it is used."""

    purpose: Purpose | None
    use: Callable[[World, Secret], bool]


def answer(secret: Secret) -> dict[str, str]:
    return {"challenge_token": secret.token} | ({"code": secret.code} if secret.code else {})


def signed(secret: Secret) -> dict[str, Any]:
    return {"challenge_token": secret.token, "credential": secret.credential}


KINDS = {
    "session": Kind(
        None,
        lambda world, secret: all(
            world.client.get("/me", headers=headers).is_success
            for headers in (bearer(secret.token), cookie(secret.token))
        ),
    ),
    "device": Kind(
        None, lambda world, secret: device_after_log_in(world, secret.token) == secret.token
    ),
    "sign-up": Kind(
        Purpose.SIGN_UP,
        lambda world, secret: verify_sign_up(world.client, secret.token, secret.code).is_success,
    ),
    "address": Kind(
        Purpose.EMAIL,
        lambda world, secret: world.post("/me/email/verify", answer(secret), world.session),
    ),
    "reauthentication": Kind(
        Purpose.REAUTHENTICATION,
        lambda world, secret: world.post(
            "/me/reauthenticate", {"method": "email_code"} | answer(secret), world.session
        ),
    ),
    "reset": Kind(
        Purpose.PASSWORD_RESET,
        lambda world, secret: confirm_reset(world.client, secret.token).is_success,
    ),
    "undo": Kind(Purpose.UNDO, lambda world, secret: world.post("/undo", {"token": secret.token})),
    "second factor": Kind(
        Purpose.SECOND_FACTOR,
        lambda world, secret: world.post("/login/second-factor", BY_RECOVERY_CODE | answer(secret)),
    ),
    "sign-up at a provider": Kind(
        Purpose.OIDC_SIGN_UP, lambda world, secret: world.post("/signup/oidc", answer(secret))
    ),
    "flow": Kind(
        None,
        # What the provider would say is not asked for: the flow is known by its secret.
        lambda world, secret: (
            problem(
                world.client.post(
                    f"{AT_PROVIDER}/callback",
                    json={
                        "state": secret.state,
                        "error": "access_denied",
                        "flow_secret": secret.token,
                        "transport": "bearer",
                    },
                )
            )
            == (400, "provider_refused")
        ),
    ),
    "invitation": Kind(
        None,
        lambda world, secret: world.post(
            "/signup",
            {"username": "Dorothy", "password": PASSWORD, "invitation": secret.token},
        ),
    ),
    "passkey log-in": Kind(
        None, lambda world, secret: world.post("/login/passkey", signed(secret))
    ),
    "passkey registration": Kind(
        None, lambda world, secret: world.post("/me/passkeys", signed(secret), world.carols)
    ),
    "passkey reauthentication": Kind(
        None,
        lambda world, secret: world.post(
            "/me/reauthenticate", {"method": "passkey"} | signed(secret), world.carols
        ),
    ),
}


def device_after_log_in(world: World, presented: str) -> str:
    """Return the token by which Bobby's device is known after he presented one."""
    response = log_in(world.client, "Bobby", transport="bearer", device_token=presented)
    token: str = response.json()["session"]["device_token"]
    return token


class Field(Struct, frozen=True, kw_only=True):
    """A field of a request, in which everything else is right.

    ``takes`` is the kind of secret that belongs there, none for a password. ``refused`` is the
    answer to any other; of two, the second one is that to what has not the ``form`` of a code.
    ``answers`` is the kind of challenge that the request answers beside, if it does.
    """

    method: str = "POST"
    path: str
    name: str
    takes: str = ""
    answers: str = ""
    refused: tuple[tuple[int, str], ...]
    form: str = MAILED_CODE
    others: dict[str, Any] = field(default_factory=dict)
    headers: Callable[[World], dict[str, str]] = lambda _: {}

    @property
    def id(self) -> tuple[str, str, str]:
        return self.method, self.path, self.name

    def send(self, world: World, text: str, **more: Any) -> httpx.Response:
        answered = self.answers or self.takes
        right = answer(world.secrets[answered]) if answered in ANSWERED else {}
        body = self.others | right | more | {self.name: text}
        return world.client.request(self.method, self.path, json=body, headers=self.headers(world))

    def is_code(self, text: str) -> bool:
        return re.fullmatch(self.form, text) is not None

    def refusal_of(self, text: str) -> tuple[int, str]:
        return self.refused[0 if self.is_code(text) else -1]


MAILED = ("sign-up", "address", "reauthentication")
CODED = (*MAILED, "second factor")
ANSWERED = (*CODED, "sign-up at a provider")


def alices(world: World) -> dict[str, str]:
    return world.session


def bobbys(world: World) -> dict[str, str]:
    return world.bobbys


def carols(world: World) -> dict[str, str]:
    return world.carols


NEW = {"new_password": "a third and longer passphrase"}
BY_CODE = {"method": "email_code"}
BY_RECOVERY_CODE: dict[str, str] = {"method": "recovery_code"}


def passkey_field(path: str, takes: str, **more: Any) -> Field:
    """Return the field with the token of the options that a passkey has answered."""
    others = more.pop("others", {}) | {"credential": {"id": "AAAA"}}
    return Field(
        path=path,
        name="challenge_token",
        takes=takes,
        refused=(CHALLENGE,),
        others=others,
        **more,
    )


def code_fields(path: str, takes: str, **more: Any) -> list[Field]:
    """Return the two fields with the answer to a challenge."""
    return [
        Field(path=path, name="challenge_token", takes=takes, refused=(CHALLENGE,), **more),
        Field(path=path, name="code", takes=takes, refused=(CODE, NO_CODE), **more),
    ]


FIELDS = [
    *code_fields("/signup/email/verify", "sign-up", others={"password": PASSWORD}),
    *code_fields("/me/email/verify", "address", headers=alices),
    *code_fields("/me/reauthenticate", "reauthentication", others=BY_CODE, headers=alices),
    Field(
        path="/password-reset/confirm",
        name="token",
        takes="reset",
        refused=(CHALLENGE,),
        others=NEW,
    ),
    Field(path="/undo", name="token", takes="undo", refused=(CHALLENGE,)),
    Field(
        path="/signup",
        name="invitation",
        takes="invitation",
        refused=(INVITATION,),
        others={"username": "Dorothy", "password": PASSWORD},
    ),
    Field(
        path="/signup/email",
        name="invitation",
        takes="invitation",
        refused=(INVITATION,),
        others={"email": "d@example.org"},
    ),
    Field(
        path="/signup/email/verify",
        name="invitation",
        takes="invitation",
        answers="sign-up",
        refused=(INVITATION,),
        others={"password": PASSWORD},
    ),
    *code_fields(
        "/login/second-factor", "second factor", form=RECOVERY_CODE, others=BY_RECOVERY_CODE
    ),
    passkey_field("/login/second-factor", "second factor", others={"method": "passkey"}),
    passkey_field("/login/passkey", "passkey log-in"),
    passkey_field("/me/passkeys", "passkey registration", headers=carols),
    passkey_field(
        "/me/reauthenticate",
        "passkey reauthentication",
        others={"method": "passkey"},
        headers=carols,
    ),
    Field(
        path="/me/reauthenticate",
        name="code",
        refused=(CODE, NO_CODE),
        form=RECOVERY_CODE,
        others=BY_RECOVERY_CODE,
        headers=bobbys,
    ),
    Field(
        path="/me/reauthenticate",
        name="code",
        refused=(NO_CODE,),
        others={"method": "totp"},
        headers=carols,
    ),
    Field(
        path="/signup/oidc",
        name="challenge_token",
        takes="sign-up at a provider",
        refused=(CHALLENGE,),
    ),
    Field(
        path="/signup/oidc",
        name="invitation",
        takes="invitation",
        answers="sign-up at a provider",
        refused=(INVITATION,),
    ),
    *(
        Field(
            path=path,
            name="flow_secret",
            takes="flow",
            refused=(CHALLENGE,),
            others={"state": "AAAA", **more},
            headers=alices,
        )
        for path, more in (
            (f"{AT_PROVIDER}/callback", {"error": "access_denied", "transport": "bearer"}),
            (f"{AT_PROVIDER}/id-token", {"id_token": "a.b.c", "transport": "bearer"}),
            ("/me/identities/stub/callback", {"error": "access_denied"}),
            ("/me/reauthenticate/oidc/stub/callback", {"error": "access_denied"}),
        )
    ),
    Field(path="/me/totp/confirm", name="code", refused=(NO_CODE,), headers=carols),
    Field(
        path="/login", name="password", refused=(PASSWORD_REFUSED,), others={"username": "Bobby"}
    ),
    Field(
        path="/me/reauthenticate",
        name="password",
        refused=(PASSWORD_REFUSED,),
        others={"method": "password"},
        headers=bobbys,
    ),
    Field(
        method="PUT",
        path="/me/password",
        name="current_password",
        refused=(PASSWORD_REFUSED,),
        others=NEW,
        headers=bobbys,
    ),
    Field(
        method="DELETE",
        path="/me",
        name="password",
        refused=(PASSWORD_REFUSED,),
        headers=bobbys,
    ),
]

# Where a token that is of no known device is that of an unknown one, and no error.
DEVICE_FIELDS = {
    ("POST", path, "device_token")
    for path in (
        *("/login", "/login/passkey", "/signup", "/signup/email", "/signup/email/verify"),
        *("/password-reset", "/password-reset/confirm", "/signup/oidc"),
        *("/login/oidc/{provider}/callback", "/login/oidc/{provider}/id-token"),
    )
}

# What a provider makes, and is asked about.
OF_PROVIDERS = {
    ("POST", "/login/oidc/{provider}/callback", "code"),
    ("POST", "/login/oidc/{provider}/id-token", "id_token"),
    ("POST", "/me/identities/{identity}/callback", "code"),
    ("POST", "/me/reauthenticate/oidc/{provider}/callback", "code"),
}

# Where a secret of the user's choice is set: whatever has the form of one is welcome.
CHOSEN = {
    ("POST", "/signup", "password"),
    ("POST", "/signup/email/verify", "password"),
    ("PUT", "/me/password", "new_password"),
    ("POST", "/password-reset/confirm", "new_password"),
    ("POST", "/admin/users", "password"),
    ("POST", "/admin/users", "password_hash"),
}


@pytest.fixture
def service(services: ServicePool, shared_smtp: SMTPServer, provider: StubProvider) -> Service:
    """Return a service that mails, and at which users log in with accounts at a provider."""
    return services.service(
        {**mail_environment(plain_url(shared_smtp)), **environment_for(provider)}
    )


@pytest.fixture
def world(
    service: Service, client: httpx.Client, mailboxes: Mailboxes, provider: StubProvider
) -> World:
    session = user_with_address(client, mailboxes, username="Alice")
    challenge = client.put("/me/email", json={"email": SECOND}, headers=session).json()
    body = {"challenge_token": challenge["challenge_token"], "code": mailboxes.code(SECOND)}
    assert client.post("/me/email/verify", json=body, headers=session).is_success
    # What a factor that is not there yet will do: a user without a password.
    execute(service.database_url, REMOVE_PASSWORDS)
    bobby = sign_up(client, "Bobby", transport="bearer").json()["session"]
    carol = new_user(client, "Carol")
    device = browser(service)
    recovery_codes = add_passkey(client, carol, device)["recovery_codes"]
    log_in_asked, again_asked = log_in_options(client), reauthentication_options(client, carol)
    add_asked = registration_options(client, carol)
    request_reset(client, SECOND)
    reset = mailboxes.token(SECOND, "Reset")
    sign_up_token = sign_up_by_email(client, SOMEBODY)
    address = client.put("/me/email", json={"email": THIRD}, headers=session).json()
    again = client.post("/me/reauthenticate/options", headers=session).json()
    secrets = {
        "session": Secret(session["Authorization"].removeprefix("Bearer ")),
        "device": Secret(bobby["device_token"]),
        "sign-up": Secret(sign_up_token, mailboxes.code(SOMEBODY)),
        "address": Secret(address["challenge_token"], mailboxes.code(THIRD)),
        "reauthentication": Secret(again["challenge_token"], mailboxes.code(SECOND, number=2)),
        "reset": Secret(reset),
        "invitation": Secret(invite(service.database_url)),
        "undo": Secret(mailboxes.token(ALICE, "Your address was changed")),
        "second factor": Secret(
            second_factor(client, "Carol")["challenge_token"], recovery_codes[0]
        ),
        "passkey log-in": signed_secret(log_in_asked, device.get(log_in_asked["options"])),
        "passkey reauthentication": signed_secret(again_asked, device.get(again_asked["options"])),
        "passkey registration": signed_secret(
            add_asked, browser(service).create(add_asked["options"])
        ),
    }
    flow = client.post(AT_PROVIDER, json={"redirect_uri": NATIVE_CALLBACK, "client": "native"})
    begun = flow.json()
    secrets["flow"] = Secret(begun["flow_secret"], state=begun["state"])
    app = App(client=client, provider=provider, is_native=True)
    needed = app.log_in("8")
    secrets["sign-up at a provider"] = Secret(needed.json()["challenge_token"])
    return World(client, session, bearer(bobby["token"]), carol, secrets)


def signed_secret(asked: dict[str, Any], credential: dict[str, Any]) -> Secret:
    return Secret(asked["challenge_token"], credential=credential)


def state_of(service: Service) -> list[str]:
    """Return what would show that a request was taken."""
    rows = [
        """SELECT coalesce(array_agg(u::text ORDER BY id), '{}') FROM "user" AS u""",
        "SELECT coalesce(array_agg(k::text ORDER BY provider, name), '{}') FROM key AS k",
        "SELECT coalesce(array_agg(s::text ORDER BY id), '{}') FROM session AS s",
        "SELECT coalesce(array_agg(id::text ORDER BY id), '{}') FROM challenge",
        "SELECT coalesce(array_agg(p::text ORDER BY id), '{}') FROM passkey AS p",
        "SELECT coalesce(array_agg(r::text ORDER BY hash), '{}') FROM recovery_code AS r",
        "SELECT coalesce(array_agg(c::text ORDER BY nonce), '{}') FROM claimed_nonce AS c",
        "SELECT coalesce(array_agg(i::text ORDER BY id), '{}') FROM invitation AS i",
    ]
    return [row for each in rows for row in fetch_value(service.database_url, each)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_secret_is_refused_elsewhere_and_good_where_it_belongs(
    service: Service, world: World, kind: str
) -> None:
    secret = world.secrets[kind]
    before = state_of(service)
    for each in FIELDS:
        if each.takes == kind:
            continue
        for text in secret.texts:
            refused = problem(each.send(world, text))
            assert refused == each.refusal_of(text), (each.id, text == secret.code)
        if secret.code and each.name == "challenge_token" and each.takes in CODED:
            refused = problem(each.send(world, secret.token, code=secret.code))
            assert refused == (CHALLENGE if each.is_code(secret.code) else NO_CODE), each.id
        if secret.credential and "credential" in each.others:
            sent = each.send(world, secret.token, credential=secret.credential)
            assert problem(sent) == CHALLENGE, each.id
    assert state_of(service) == before
    assert KINDS[kind].use(world, secret)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "session"])
def test_only_the_token_of_a_session_opens_one(world: World, kind: str) -> None:
    secret = world.secrets[kind]
    for text, send in product(secret.texts, (bearer, cookie)):
        for method, path in (
            *(("GET", "/me"), ("GET", "/me/export"), ("GET", "/sessions")),
            *(("POST", "/logout"), ("POST", "/me/reauthenticate/options")),
        ):
            refused = world.client.request(method, path, headers=send(text))
            assert problem(refused) == SESSION, path
    assert KINDS[kind].use(world, secret)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "device"])
def test_only_the_token_of_a_device_makes_one_known(
    service: Service, world: World, kind: str
) -> None:
    secret = world.secrets[kind]
    before = fetch_value(service.database_url, "SELECT count(*) FROM device")
    for number, text in enumerate(secret.texts, 1):
        assert device_after_log_in(world, text) != text
        assert fetch_value(service.database_url, "SELECT count(*) FROM device") == before + number
    assert "known_device=True" not in service.logged()
    assert device_after_log_in(world, world.secrets["device"].token)
    assert "known_device=True" in service.logged()
    assert KINDS[kind].use(world, secret)


@pytest.mark.parametrize("kind", MAILED)
def test_a_code_is_good_with_the_token_of_its_own_challenge_only(world: World, kind: str) -> None:
    """Of two challenges for the same purpose, too."""
    secret = world.secrets[kind]
    (one,) = [each for each in FIELDS if each.takes == kind and each.name == "code"]
    if kind == "sign-up":
        other = sign_up_by_email(world.client, SOMEBODY)
    elif kind == "address":
        body = {"email": THIRD}
        sent = world.client.put("/me/email", json=body, headers=world.session)
        other = sent.json()["challenge_token"]
    else:
        sent = world.client.post("/me/reauthenticate/options", headers=world.session)
        other = sent.json()["challenge_token"]
    assert problem(one.send(world, secret.code, challenge_token=other)) == CODE
    assert KINDS[kind].use(world, secret)


def test_the_table_has_every_purpose() -> None:
    assert {each.purpose for each in KINDS.values()} - {None} == set(Purpose)


def test_the_table_has_every_field_of_the_document_that_takes_a_secret(
    client: httpx.Client,
) -> None:
    document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    found = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {})
            for schema in schemas_in(content.get("application/json", {}).get("schema", {})):
                for name in schemas[schema]["properties"]:
                    if any(
                        word in name
                        for word in ("token", "code", "password", "secret", "invitation")
                    ):
                        found.add((method.upper(), path, name))
    fields = {
        (method, path.replace("stub", PARAMETERS.get(path, "{provider}")), name)
        for method, path, name in (each.id for each in FIELDS)
    }
    assert found == fields | DEVICE_FIELDS | CHOSEN | OF_PROVIDERS


def schemas_in(schema: object) -> list[str]:
    """Return the names of the schemas that one refers to, directly or among others."""
    if isinstance(schema, list):
        return [name for each in schema for name in schemas_in(each)]
    if not isinstance(schema, dict):
        return []
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return [reference.rpartition("/")[2]]
    return [name for each in schema.values() for name in schemas_in(each)]
