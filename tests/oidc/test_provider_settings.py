"""The settings of providers: what they mean, and which mistakes stop the start."""

from __future__ import annotations

from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from service.settings.in_use import HIDDEN, settings_in_use
from service.settings.oidc import OIDCProvider
from service.settings.variables import InvalidSettings, read_settings
from tests.oidc.stub_provider import ec_key, rsa_key

REDIRECT_URI = "https://app.example/callback"
P8 = ec_key("of Apple").as_pem(private=True).decode()

# Where settings are those of a production.
PRODUCTION = {
    "OSTIARY_ENV": "production",
    "DATABASE_URL": "postgresql://db/ostiary",
    "OSTIARY_SECRET_KEYS": f"tests:{'A' * 43}=",
}

TENANT = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"


def environment(name: str, **variables: str) -> dict[str, str]:
    """Return the variables of a provider."""
    usual = {"CLIENT_IDS": "web", "REDIRECT_URIS": REDIRECT_URI}
    return {f"OSTIARY_OIDC_{name}_{key}": text for key, text in (usual | variables).items()}


def provider(name: str, **variables: str) -> OIDCProvider:
    return read_settings(environment(name, **variables)).oidc.providers[name.lower()]


def errors_of(variables: dict[str, str]) -> list[str]:
    with pytest.raises(InvalidSettings) as caught:
        read_settings(variables)
    return caught.value.errors


def error_of(name: str, **variables: str) -> str:
    (error,) = errors_of(environment(name, **variables))
    return error


def test_there_are_no_providers_by_default() -> None:
    assert read_settings({}).oidc.providers == {}


def test_a_provider_needs_an_issuer_client_ids_and_redirect_uris() -> None:
    corp = provider("CORP", ISSUER="https://login.corp.example", CLIENT_SECRET="sesame")
    assert (corp.name, corp.preset) == ("corp", None)
    assert corp.issuer == "https://login.corp.example"
    assert (corp.client_ids, corp.client_id, corp.client_secret) == (("web",), "web", "sesame")
    assert corp.scopes == ("openid", "email", "profile")
    assert not corp.trusted_as_second_factor
    assert not corp.sends_iss
    assert corp.gives_auth_time
    assert corp.has_id_tokens
    assert errors_of({"OSTIARY_OIDC_CORP_SENDS_ISS": "true"}) == [
        "OSTIARY_OIDC_CORP_ISSUER: required, or a preset: google, apple, microsoft, github, gitlab",
        "OSTIARY_OIDC_CORP_CLIENT_IDS: required",
        "OSTIARY_OIDC_CORP_REDIRECT_URIS: required",
    ]


@pytest.mark.parametrize(
    ("name", "variables", "issuer"),
    [
        ("GOOGLE", {}, "https://accounts.google.com"),
        ("WORK", {"PRESET": "google"}, "https://accounts.google.com"),
        ("GITHUB", {"CLIENT_SECRET": "sesame"}, "https://github.com"),
        ("GITLAB", {}, "https://gitlab.com"),
        ("WORK", {"PRESET": "gitlab", "ISSUER": "https://git.example"}, "https://git.example"),
        ("GITLAB", {"ISSUER": "https://git.example"}, "https://git.example"),
        ("MICROSOFT", {}, "https://login.microsoftonline.com/{tenantid}/v2.0"),
        ("MICROSOFT", {"TENANTS": TENANT}, f"https://login.microsoftonline.com/{TENANT}/v2.0"),
        (
            "APPLE",
            {"TEAM_ID": "T", "KEY_ID": "K", "PRIVATE_KEY": P8},
            "https://appleid.apple.com",
        ),
    ],
)
def test_presets_have_issuers(name: str, variables: dict[str, str], issuer: str) -> None:
    assert provider(name, **variables).issuer == issuer


def test_a_provider_with_an_issuer_of_its_own_has_no_preset_by_its_name() -> None:
    assert provider("GITHUB", ISSUER="https://login.example").has_id_tokens
    assert provider("GOOGLE", ISSUER="https://login.example").gives_auth_time


@pytest.mark.parametrize(
    ("name", "variables", "mistake"),
    [
        ("CORP", {"ISSUER": "login.example"}, "ISSUER: must look like https://login.example.com"),
        ("CORP", {"ISSUER": "http://login.example"}, "ISSUER: must look like https://"),
        ("CORP", {"ISSUER": "https://login.example?a=b"}, "ISSUER: must look like https://"),
        ("CORP", {"ISSUER": "https://login.example#a"}, "ISSUER: must look like https://"),
        ("CORP", {"ISSUER": "https://a:b@login.example"}, "ISSUER: must look like https://"),
        ("CORP", {"ISSUER": "https://login.example/{tenant}"}, "ISSUER: must look like https://"),
        ("CORP", {"ISSUER": "https://login.example/{tenantid}"}, "ISSUER: {tenantid} is of"),
        (
            "CORP",
            {"ISSUER": "https://login.example/.well-known/openid-configuration"},
            "ISSUER: the issuer is what is before /.well-known/openid-configuration",
        ),
        ("CORP", {"PRESET": "facebook"}, "PRESET: must be google, apple, microsoft, github or"),
        ("GOOGLE", {"CLIENT_IDS": ","}, "CLIENT_IDS: '' is no client id"),
        ("GOOGLE", {"CLIENT_IDS": "a b"}, "CLIENT_IDS: 'a b' is no client id"),
        ("GOOGLE", {"REDIRECT_URIS": "https://app.example/#a"}, "REDIRECT_URIS: "),
        ("GOOGLE", {"TRUSTED_AS_SECOND_FACTOR": "yes!"}, "TRUSTED_AS_SECOND_FACTOR: must be true"),
        ("GOOGLE", {"SCOPES": "email"}, "SCOPES: must have `openid` in them"),
        ("GOOGLE", {"SCOPES": "-"}, "SCOPES: must have `openid` in them"),
        ("GOOGLE", {"SCOPES": 'openid "'}, "SCOPES: must look like openid email"),
        ("GOOGLE", {"ALGORITHMS": "HS256"}, "ALGORITHMS: 'HS256' is none of RS256"),
        ("GOOGLE", {"ALGORITHMS": "RS256,none"}, "ALGORITHMS: 'none' is none of RS256"),
        ("GOOGLE", {"TENANTS": TENANT}, "TENANTS: has no effect"),
        ("GOOGLE", {"KEY_ID": "K"}, "KEY_ID: has no effect without the preset `apple`"),
        ("MICROSOFT", {"TENANTS": "contoso.com"}, "TENANTS: 'contoso.com' is not the id"),
        (
            "WORK",
            {"PRESET": "microsoft", "ISSUER": "https://login.example", "TENANTS": TENANT},
            "TENANTS: has no effect",
        ),
        ("GITHUB", {}, "CLIENT_SECRET: required"),
    ],
)
def test_a_mistake_stops_the_start(name: str, variables: dict[str, str], mistake: str) -> None:
    assert error_of(name, **variables).startswith(f"OSTIARY_OIDC_{name}_{mistake}")


@pytest.mark.parametrize("loopback", ["127.0.0.1:8080", "[::1]:8080", "localhost:8080"])
def test_an_issuer_without_tls_is_for_development_on_this_machine(loopback: str) -> None:
    variables = environment("CORP", ISSUER=f"http://{loopback}")
    assert read_settings(variables).oidc.providers["corp"].issuer == f"http://{loopback}"
    assert errors_of(variables | PRODUCTION) == [
        "OSTIARY_OIDC_CORP_ISSUER: must begin with https:// in production"
    ]


@pytest.mark.parametrize(
    ("variables", "mistake"),
    [
        ({"TEAM_ID": ""}, "TEAM_ID: required for Apple"),
        ({"KEY_ID": ""}, "KEY_ID: required for Apple"),
        ({"PRIVATE_KEY": ""}, "PRIVATE_KEY: required for Apple"),
        ({"PRIVATE_KEY": "sesame"}, "PRIVATE_KEY: must be the content of Apple's file"),
        ({"PRIVATE_KEY": P8[:60]}, "PRIVATE_KEY: must be the content of Apple's file"),
        (
            {"PRIVATE_KEY": rsa_key("first").as_pem(private=True).decode()},
            "PRIVATE_KEY: must be the content of Apple's file",
        ),
        (
            {"PRIVATE_KEY": ECKey.generate_key("P-384").as_pem(private=True).decode()},
            "PRIVATE_KEY: must be the content of Apple's file",
        ),
        (
            {"PRIVATE_KEY": ec_key("first").as_pem(private=False).decode()},
            "PRIVATE_KEY: must be the content of Apple's file",
        ),
        ({"CLIENT_SECRET": "sesame"}, "CLIENT_SECRET: is made of"),
        ({"SCOPES": "openid name"}, "SCOPES: with `name` or `email`"),
        ({"SCOPES": "openid email"}, "SCOPES: with `name` or `email`"),
    ],
)
def test_a_mistake_about_apple_stops_the_start(variables: dict[str, str], mistake: str) -> None:
    usual = {"TEAM_ID": "T", "KEY_ID": "K", "PRIVATE_KEY": P8}
    error = error_of("APPLE", **(usual | variables))
    assert error.startswith(f"OSTIARY_OIDC_APPLE_{mistake}")
    assert P8[40:60] not in error


def test_a_key_of_apple_may_be_on_one_line() -> None:
    apple = provider("APPLE", TEAM_ID="T", KEY_ID="K", PRIVATE_KEY=P8.replace("\n", "\\n"))
    assert apple.apple_key is not None
    assert apple.apple_key.private_key == P8


def test_a_secret_of_a_provider_may_be_in_a_file(tmp_path: Path) -> None:
    secret, key = tmp_path / "secret", tmp_path / "AuthKey_K.p8"
    secret.write_text("sesame\n")
    key.write_text(P8)
    assert provider("CORP", PRESET="google", CLIENT_SECRET_FILE=str(secret)).client_secret == (
        "sesame"
    )
    apple = provider("APPLE", TEAM_ID="T", KEY_ID="K", PRIVATE_KEY_FILE=str(key))
    assert apple.apple_key is not None
    missing = tmp_path / "missing"
    error = error_of("APPLE", TEAM_ID="T", KEY_ID="K", PRIVATE_KEY_FILE=str(missing))
    assert error == (
        f"OSTIARY_OIDC_APPLE_PRIVATE_KEY_FILE: {missing} cannot be read: No such file or directory"
    )


@pytest.mark.parametrize(
    ("unknown", "hint"),
    [
        ("OSTIARY_OIDC_GOOGLE_CLIENT_ID", "; did you mean OSTIARY_OIDC_GOOGLE_CLIENT_IDS?"),
        ("OSTIARY_OIDC_GOOGLE_CLIENT_IDS_FILE", "; did you mean OSTIARY_OIDC_GOOGLE_CLIENT_IDS?"),
        ("OSTIARY_OIDC_GITLAB_CLIENT_ID", "; did you mean OSTIARY_OIDC_GITLAB_CLIENT_IDS?"),
        ("OSTIARY_OIDC_CLIENT_IDS", "; a provider's name has capitals and digits only"),
        ("OSTIARY_OIDC_google_ISSUER", "; a provider's name has capitals and digits only"),
        ("OSTIARY_OIDC_MY_CORP_ISSUER", "; a provider's name has capitals and digits only"),
        ("OSTIARY_OIDC_1CORP_ISSUER", "; a provider's name has capitals and digits only"),
    ],
)
def test_an_unknown_variable_is_refused(unknown: str, hint: str) -> None:
    (error,) = errors_of(environment("GOOGLE") | {unknown: "1"})
    assert error.startswith(f"{unknown}: there is no such setting{hint}")


def test_a_redirect_uri_is_of_one_provider() -> None:
    """Or of several that name themselves in their answers."""
    both = environment("GOOGLE") | environment("GITLAB")
    (error,) = errors_of(both)
    assert error == (
        f"OSTIARY_OIDC_GOOGLE_REDIRECT_URIS: {REDIRECT_URI} is in "
        "OSTIARY_OIDC_GITLAB_REDIRECT_URIS, too: use another, or, if both name themselves in their "
        "answers, set "
        "OSTIARY_OIDC_GITLAB_SENDS_ISS and OSTIARY_OIDC_GOOGLE_SENDS_ISS"
    )
    assert errors_of(both | {"OSTIARY_OIDC_GOOGLE_SENDS_ISS": "true"})
    told = both | {f"OSTIARY_OIDC_{name}_SENDS_ISS": "true" for name in ("GOOGLE", "GITLAB")}
    assert len(read_settings(told).oidc.providers) == 2
    ports = environment("GOOGLE", REDIRECT_URIS="http://127.0.0.1:1/cb") | environment(
        "GITLAB", REDIRECT_URIS="http://127.0.0.1:2/cb"
    )
    assert len(errors_of(ports)) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://app.example/cb", "https://APP.example/cb"),
        ("https://app.example/cb", "https://app.example:443/cb"),
        ("https://app.example/cb", "https://app.example:/cb"),
        ("https://app.example", "https://app.example/"),
        ("https://app.example?a=1", "https://app.example/?a=1"),
        ("https://app.example/cb", "https://app.example/%63b"),
        ("https://app.example/c%2fb", "https://app.example/c%2Fb"),
        ("https://app.example/cb", "https://app.example/x/../cb"),
        ("https://app.example/cb/", "https://app.example/./cb/x/%2E%2e"),
        ("https://[2001:DB8::1]/cb", "https://[2001:db8::1]:443/cb"),
        ("http://localhost/cb", "http://LOCALHOST:80/cb"),
        ("http://127.0.0.1:1", "http://127.0.0.1:2/"),
    ],
)
def test_a_redirect_uri_in_another_spelling_is_the_same(one: str, other: str) -> None:
    """RFC 3986, sections 6.2.2 and 6.2.3."""
    both = environment("GITLAB", REDIRECT_URIS=one) | environment("GOOGLE", REDIRECT_URIS=other)
    (error,) = errors_of(both)
    assert "is in OSTIARY_OIDC_GITLAB_REDIRECT_URIS, too (" in error
    told = both | {f"OSTIARY_OIDC_{name}_SENDS_ISS": "true" for name in ("GOOGLE", "GITLAB")}
    assert len(read_settings(told).oidc.providers) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://app.example/cb", "https://app.example/CB"),
        ("https://app.example/cb", "https://app.example/cb/"),
        ("https://app.example/cb", "https://app.example//cb"),
        ("https://app.example/cb", "https://app.example:8443/cb"),
        ("https://app.example/cb", "https://app.example:80/cb"),
        ("https://app.example/cb", "https://app.example/cb?a=1"),
        ("https://app.example/c/b", "https://app.example/c%2Fb"),
        ("https://app.example/cb", "com.example.app:/cb"),
        ("http://localhost:1/cb", "http://localhost:2/cb"),
    ],
)
def test_providers_may_have_redirect_uris_that_are_alike(one: str, other: str) -> None:
    both = environment("GITLAB", REDIRECT_URIS=one) | environment("GOOGLE", REDIRECT_URIS=other)
    assert len(read_settings(both).oidc.providers) == 2


def test_settings_in_use_show_no_secret() -> None:
    variables = environment("GOOGLE", CLIENT_SECRET="sesame") | environment(
        "APPLE", TEAM_ID="T", KEY_ID="K", PRIVATE_KEY=P8, REDIRECT_URIS="https://a.example/cb"
    )
    settings = read_settings(variables)
    in_use = {each.name: each for each in settings_in_use(settings, variables)}
    assert in_use["OSTIARY_OIDC_GOOGLE_CLIENT_SECRET"].value == HIDDEN
    assert in_use["OSTIARY_OIDC_APPLE_PRIVATE_KEY"].value == HIDDEN
    assert in_use["OSTIARY_OIDC_APPLE_TEAM_ID"].value == "T"
    assert in_use["OSTIARY_OIDC_GOOGLE_ISSUER"].value == "https://accounts.google.com"
    assert in_use["OSTIARY_OIDC_GOOGLE_ISSUER"].source == "default"
    shown = f"{in_use}{settings}{settings.oidc}{settings.oidc.providers['apple'].apple_key}"
    assert "sesame" not in shown
    assert P8[40:60] not in shown


@pytest.mark.parametrize(
    ("issuer", "is_of_it"),
    [
        (f"https://login.microsoftonline.com/{TENANT}/v2.0", True),
        ("https://login.microsoftonline.com/{tenantid}/v2.0", False),
        ("https://login.microsoftonline.com//v2.0", False),
        (f"https://login.microsoftonline.com/{TENANT}/v2.0/", False),
        (f"https://login.microsoftonline.com.evil.example/{TENANT}/v2.0", False),
        ("https://login.microsoftonline.com/v2.0", False),
        (TENANT, False),
        (f"{TENANT}/v2.0", False),
    ],
)
def test_an_issuer_of_a_tenant_is_of_the_provider(issuer: str, *, is_of_it: bool) -> None:
    assert provider("MICROSOFT").issues(issuer) is is_of_it
