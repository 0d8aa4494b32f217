from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.settings import Settings
from service.settings.origins import Origins, is_serialised_origin, normalised_origin
from service.settings.relying_party import PasskeyOrigins, RelyingParty, RelyingPartyId
from service.settings.service_links import service_links
from service.settings.values import Delay, Duration, LogFormat, Networks, SameSite
from service.settings.variables import (
    InvalidSettings,
    read_settings,
    secret_names,
    settings_table,
    variables,
)

SECRET_KEYS = f"tests:{'A' * 43}="

DOCUMENT = Path(__file__).parent.parent / "docs" / "settings.md"
COMPOSE = Path(__file__).parent.parent / "docker-compose.yml"
PRODUCTION = {
    "OSTIARY_ENV": "production",
    "DATABASE_URL": "postgresql://ostiary@db/ostiary",
    "OSTIARY_SECRET_KEYS": SECRET_KEYS,
}

# A value of each setting that is a secret.
SECRETS = {
    "DATABASE_URL": "postgresql://ostiary:sesame@db/ostiary",
    "OSTIARY_LUCIA_SOURCE": "postgresql://lucia:sesame@db/lucia",
    "OSTIARY_SECRET_KEYS": SECRET_KEYS,
    "OSTIARY_SMTP_URL": "smtps://ostiary:sesame@mail.example.com",
}

MAIL = {
    "OSTIARY_MAIL_FROM": "Example <no-reply@example.com>",
    "OSTIARY_RESET_URL": "https://app.example.com/reset#token={token}",
    "OSTIARY_UNDO_URL": "https://app.example.com/undo#token={token}",
}


def errors_of(**environment: str) -> list[str]:
    with pytest.raises(InvalidSettings) as caught:
        read_settings(environment)
    return caught.value.errors


def test_settings_have_defaults() -> None:
    assert read_settings({}) == Settings()


def test_an_empty_variable_counts_as_unset() -> None:
    assert read_settings({"OSTIARY_PORT": "", "DATABASE_URL": ""}) == Settings()


def test_all_errors_are_reported_at_once() -> None:
    errors = errors_of(
        OSTIARY_PORT="eighty",
        OSTIARY_ENV="staging",
        OSTIARY_SESSION_IDLE_PERIOD="two weeks",
        OSTIARY_TPYO="1",
        DATABASE_URL="mysql://db",
    )
    assert sorted(error.split(":")[0] for error in errors) == [
        "DATABASE_URL",
        "OSTIARY_ENV",
        "OSTIARY_PORT",
        "OSTIARY_SESSION_IDLE_PERIOD",
        "OSTIARY_TPYO",
    ]


def test_production_requires_a_database_and_secret_keys() -> None:
    assert errors_of(OSTIARY_ENV="production") == [
        "DATABASE_URL: required in production",
        "OSTIARY_SECRET_KEYS: required in production: `ostiary secret-key new` makes a key",
    ]


def test_a_session_cannot_be_active_beyond_its_lifetime() -> None:
    (error,) = errors_of(OSTIARY_SESSION_ACTIVE_PERIOD="31d")
    assert error.startswith("OSTIARY_SESSION_ACTIVE_PERIOD")


def test_a_cookie_for_other_sites_must_be_secure() -> None:
    (error,) = errors_of(OSTIARY_COOKIE_SAMESITE="none")
    assert error.startswith("OSTIARY_COOKIE_SAMESITE")
    assert "use `lax`" in error
    settings = read_settings({"OSTIARY_COOKIE_SAMESITE": "none", **PRODUCTION})
    assert settings.cookies.samesite is SameSite.NONE


@pytest.mark.parametrize(
    "domain", ["example.com", ".example.com", "a-b.Example.co.uk", "x.xn--p1ai"]
)
def test_a_cookie_domain_is_one_that_browsers_accept(domain: str) -> None:
    settings = read_settings({"OSTIARY_COOKIE_DOMAIN": domain})
    assert settings.cookies.domain == domain.removeprefix(".")


@pytest.mark.parametrize(
    ("domain", "remedy"),
    [
        ("localhost", "name a domain below it"),
        ("com", "name a domain below it"),
        ("127.0.0.1", "unset"),
        ("10.1", "unset"),
        ("0x7f.0x1", "unset"),
        ("example.com\n", "must look like example.com"),
        ("example.com.", "must look like example.com"),
        ("..example.com", "must look like example.com"),
        ("example..com", "must look like example.com"),
        ("-a.example.com", "must look like example.com"),
        ("example.com:8000", "must look like example.com"),
        ("https://example.com", "must look like example.com"),
        ("example.com; Secure", "must look like example.com"),
        ("beispiel.straße", "xn--"),
        ("::1", "must look like example.com"),
        (f"{'a' * 64}.com", "must look like example.com"),
        (".".join(["a" * 50] * 6), "must look like example.com"),
    ],
)
def test_a_cookie_domain_that_no_browser_accepts_is_refused(domain: str, remedy: str) -> None:
    (error,) = errors_of(OSTIARY_COOKIE_DOMAIN=domain)
    assert error.startswith("OSTIARY_COOKIE_DOMAIN: ")
    assert remedy in error


@pytest.mark.parametrize("name", ["auth_session", "__session", "A-1", "x" * 64])
def test_a_cookie_name_is_a_token(name: str) -> None:
    assert read_settings({"OSTIARY_COOKIE_NAME": name}).cookies.name == name


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("session\n", "ASCII letters"),
        ("a b", "ASCII letters"),
        ("a=b", "ASCII letters"),
        ("a;b", "ASCII letters"),
        ("größe", "ASCII letters"),
        ("x" * 65, "1 to 64"),
        ("__Host-session", "leave it out"),
        ("__secure-session", "leave it out"),
        ("__Http-session", "leave it out"),
        ("__Host-Http-session", "leave it out"),
    ],
)
def test_a_cookie_name_that_browsers_refuse_is_refused(name: str, remedy: str) -> None:
    (error,) = errors_of(OSTIARY_COOKIE_NAME=name)
    assert error.startswith("OSTIARY_COOKIE_NAME: ")
    assert remedy in error


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://localhost:8000"),
        ("::1", "http://localhost:8000"),
        ("192.0.2.1", "http://192.0.2.1:8000"),
        ("2001:db8::1", "http://[2001:db8::1]:8000"),
    ],
)
def test_a_browser_is_sent_to_localhost(host: str, url: str) -> None:
    assert read_settings({"OSTIARY_HOST": host}).server.url == url


def test_logs_are_json_in_production_by_default() -> None:
    assert read_settings({}).log_format is LogFormat.TEXT
    assert read_settings(PRODUCTION).log_format is LogFormat.JSON
    told = read_settings({"OSTIARY_LOG_FORMAT": "text", **PRODUCTION})
    assert told.log_format is LogFormat.TEXT


def test_hash_processes_are_divided_among_the_workers() -> None:
    assert read_settings({"OSTIARY_WORKERS": "64"}).hash_processes == 1
    assert read_settings({"OSTIARY_HASH_PROCESSES": "3"}).hash_processes == 3


def test_the_repr_of_settings_hides_the_password_of_the_database() -> None:
    url = "postgresql://ostiary:secret@db/ostiary"
    assert "secret" not in repr(read_settings({"DATABASE_URL": url}))


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("12h", 43200), ("30d", 2592000)]
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert float(Duration.parse(text)) == seconds
    assert str(Duration.parse(text)) == text


@pytest.mark.parametrize("text", ["0s", "10s", "1h"])
def test_a_delay_may_be_none(text: str) -> None:
    assert str(Delay.parse(text)) == text
    assert read_settings({"OSTIARY_DRAIN_PERIOD": text}).server.drain_period == Delay.parse(text)


@pytest.mark.parametrize("text", ["0", "0m", "-1s", "none", "2h"])
def test_a_wrong_drain_period_is_reported(text: str) -> None:
    (error,) = errors_of(OSTIARY_DRAIN_PERIOD=text)
    assert error.startswith("OSTIARY_DRAIN_PERIOD: must ")


@given(st.text() | st.from_regex(r"\A[0-9]{1,3}[smhdw]?\Z"))
def test_any_text_is_a_duration_or_is_refused(text: str) -> None:
    try:
        duration = Duration.parse(text)
    except ValueError:
        return
    assert duration > 0
    assert Duration.parse(str(duration)) == duration


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://app.example.com", "https://app.example.com"),
        ("https://App.Example.COM:443/", "https://app.example.com"),
        ("HTTP://localhost:80", "http://localhost"),
        ("http://localhost:443", "http://localhost:443"),
        ("https://app.example.com:", "https://app.example.com"),
        ("https://[2001:DB8:0::1]:08443", "https://[2001:db8::1]:8443"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("ionic://localhost", "ionic://localhost"),
        ("tauri://localhost", "tauri://localhost"),
        ("app://.", "app://."),
        ("https://app.example.com\n", "https://app.example.com"),
        ("chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop"),
        ("moz-extension://0b5e-11", "moz-extension://0b5e-11"),
        ("safari-web-extension://4A56-BB20", "safari-web-extension://4A56-BB20"),
        ("https://a.example, ,https://b.example/,", "https://a.example,https://b.example"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(text: str, kept: str) -> None:
    assert str(Origins.parse(text)) == kept
    assert Origins.parse(kept) == Origins.parse(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("https://app.example.com/login", "has a path"),
        ("https://app.example.com?x", "has a path"),
        ("https://app.example.com#x", "has a path"),
        ("https://alice:secret@app.example.com", "no user name or password"),
        ("https://*.example.com", "is a pattern"),
        ("*", "must look like"),
        ("null", "must look like"),
        ("app.example.com", "must look like"),
        ("//app.example.com", "must look like"),
        ("https://", "must look like"),
        ("https://a b", "must look like"),
        ("about:blank", "must look like"),
        ("file:///page.html", "has a path"),
        ("file://", "browsers send `null`"),
        ("https://bücher.example", "xn--"),
        ("https://127.1", "octets"),
        ("https://a.example:0", "is not a port"),
        ("https://a.example:65536", "is not a port"),
        ("https://[::1", "must look like"),
    ],
)
def test_an_origin_that_no_browser_sends_is_refused_with_the_reason(text: str, reason: str) -> None:
    (error,) = errors_of(OSTIARY_ALLOWED_ORIGINS=f"https://app.example.com, {text}")
    assert error.startswith("OSTIARY_ALLOWED_ORIGINS: ")
    assert reason in error
    assert "secret" not in error


@given(st.text())
def test_any_text_is_an_origin_or_is_refused(text: str) -> None:
    try:
        origin = normalised_origin(text)
    except ValueError:
        return
    assert is_serialised_origin(origin)
    assert normalised_origin(origin) == origin


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("10.0.0.1", "10.0.0.1/32"),
        ("10.0.0.0/8, ,2001:DB8::/32,", "10.0.0.0/8,2001:db8::/32"),
        ("[2001:db8::1]", "2001:db8::1/128"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:10.0.0.1", "10.0.0.1/32"),
    ],
)
def test_networks_are_kept_in_the_form_in_which_addresses_are_compared(
    text: str, kept: str
) -> None:
    assert str(Networks.parse(text)) == kept


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("10.0.0.1/8", "has host bits set"),
        ("localhost", "does not appear to be"),
        ("10.0.0.1:80", "does not appear to be"),
        ("fe80::%eth0/64", "has a zone"),
    ],
)
def test_what_is_no_network_is_refused_with_the_reason(text: str, reason: str) -> None:
    (error,) = errors_of(OSTIARY_TRUSTED_PROXIES=text)
    assert reason in error


def test_names_of_headers_are_compared_in_lower_case() -> None:
    settings = read_settings({"OSTIARY_CORS_ALLOWED_HEADERS": "Content-Type, X-Mine,"})
    assert set(settings.http.cors_allowed_headers) == {"content-type", "x-mine"}
    for text in ("*", "X Mine", "X-Mine:"):
        (error,) = errors_of(OSTIARY_CORS_ALLOWED_HEADERS=text)
        assert "is not the name of a header" in error


@pytest.mark.parametrize(
    "value", ["31536000", "max-age=1; includeSubDomains; x", "max-age=1\n", "Off", "max-age=-1"]
)
def test_hsts_is_the_value_of_the_header(value: str) -> None:
    (error,) = errors_of(OSTIARY_HSTS=value)
    assert error.startswith("OSTIARY_HSTS")


def test_the_compose_file_passes_on_every_setting_but_its_own() -> None:
    shared, _, _ = COMPOSE.read_text(encoding="utf-8").partition("\nservices:\n")
    assert "  env_file:\n    - path: ostiary.env\n      required: false\n" in shared
    own = re.findall(r"^    ([A-Z_]+): ", shared, re.MULTILINE)
    assert set(own) == {
        *("OSTIARY_ENV", "OSTIARY_DATABASE_WAIT", "OSTIARY_SECRET_KEYS", "DATABASE_URL")
    }


def test_the_document_lists_every_setting() -> None:
    assert settings_table() in DOCUMENT.read_text(encoding="utf-8")


def test_every_setting_is_documented() -> None:
    table = settings_table()
    for each in variables():
        assert f"`{each.name}`" in table


@pytest.mark.parametrize(
    ("variable", "text", "mistake"),
    [
        ("OSTIARY_PORT", "abc", "must be a whole number from 1 to 65535"),
        ("OSTIARY_METRICS_PORT", "8000", "must not be that of the service, OSTIARY_PORT"),
        ("OSTIARY_METRICS_HOST", "unix:/run/metrics", "must be an address or a name"),
        ("OSTIARY_PORT", "65536", "must be a whole number from 1 to 65535"),
        ("OSTIARY_WORKERS", "0", "must be a whole number from 1 to 64"),
        ("OSTIARY_ENV", "prod", "must be development or production"),
        ("OSTIARY_LOG_FORMAT", "xml", "must be text or json"),
        ("OSTIARY_LOG_LEVEL", "loud", "must be debug, info, warning or error"),
        ("OSTIARY_DATABASE_PGBOUNCER", "perhaps", "must be true or false"),
        ("OSTIARY_COOKIE_NAME", "a b", "must be 1 to 64"),
    ],
)
def test_a_mistake_names_the_permitted_values(variable: str, text: str, mistake: str) -> None:
    (error,) = errors_of(**{variable: text})
    assert error.startswith(f"{variable}: {mistake}")


def test_no_mistake_is_told_in_the_words_of_the_parser() -> None:
    """Whatever the variable is: a value that no setting permits, and what the message is like."""
    for each in variables():
        try:
            read_settings({each.name: "\N{SNOWMAN}"})
        except InvalidSettings as error:
            (mistake,) = error.errors
            assert "`" not in mistake
            assert "Expected" not in mistake


@pytest.mark.parametrize(
    ("unknown", "meant"),
    [
        ("OSTIARY_PROT", "OSTIARY_PORT"),
        ("OSTIARY_DATABASE_URL", "DATABASE_URL"),
        ("OSTIARY_TRUSTED_PROXY", "OSTIARY_TRUSTED_PROXIES"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_one_that_may_be_meant(
    unknown: str, meant: str
) -> None:
    assert errors_of(**{unknown: "1"}) == [
        f"{unknown}: there is no such setting; did you mean {meant}?"
    ]


# What Kubernetes sets for services named ostiary and ostiary-metrics.
SERVICE_LINKS = {
    f"OSTIARY_{name}": text
    for name, text in {
        "SERVICE_HOST": "10.0.0.7",
        "SERVICE_PORT": "8000",
        "SERVICE_PORT_HTTP": "8000",
        "PORT": "tcp://10.0.0.7:8000",
        "PORT_8000_TCP": "tcp://10.0.0.7:8000",
        "PORT_8000_TCP_PROTO": "tcp",
        "PORT_8000_TCP_PORT": "8000",
        "PORT_8000_TCP_ADDR": "10.0.0.7",
        "METRICS_SERVICE_HOST": "10.0.0.8",
        "METRICS_SERVICE_PORT": "9090",
        "METRICS_PORT": "tcp://10.0.0.8:9090",
        "METRICS_PORT_9090_TCP": "tcp://10.0.0.8:9090",
    }.items()
}


def test_service_links_of_kubernetes_are_ignored() -> None:
    assert read_settings(SERVICE_LINKS) == Settings()
    assert service_links(SERVICE_LINKS) == sorted(SERVICE_LINKS)


def test_only_what_has_the_form_of_a_service_link_is_ignored() -> None:
    assert len(errors_of(OSTIARY_PORT="10.0.0.7:8000", OSTIARY_SERVICE="ostiary")) == 2


@pytest.mark.parametrize("seconds", ["999999999d", "36501d", "876024h"])
def test_a_duration_beyond_a_hundred_years_is_refused(seconds: str) -> None:
    assert errors_of(OSTIARY_SESSION_IDLE_PERIOD=seconds) == [
        "OSTIARY_SESSION_IDLE_PERIOD: must be at most 36500d"
    ]


def test_a_statement_timeout_that_postgresql_cannot_have_is_refused() -> None:
    (error,) = errors_of(OSTIARY_DATABASE_STATEMENT_TIMEOUT="30d")
    assert error == "OSTIARY_DATABASE_STATEMENT_TIMEOUT: must be at most 7d"


@pytest.mark.parametrize("character", "@/?#[")
@pytest.mark.parametrize("host", ["db", "db:5432", "one:5432,two:5432"])
def test_an_unescaped_character_in_the_password_is_explained_without_the_password(
    character: str, host: str
) -> None:
    url = f"postgresql://ostiary:open{character}sesame@{host}/ostiary"
    (error,) = errors_of(DATABASE_URL=url)
    assert "write @ as %40" in error
    assert "open" not in error
    assert "sesame" not in error
    escaped = url.replace(f"open{character}", f"open{quote(character, safe='')}")
    assert read_settings({"DATABASE_URL": escaped}).database_url == escaped


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ostiary@db/ostiary",
        "postgres://ostiary:a:b%25@[2001:db8::1]:5432/ostiary",
        "postgresql://one:5432,two:5432/ostiary?target_session_attrs=primary",
        "postgresql://postgres@/postgres?host=/var/run/postgresql",
        "postgresql://%2Fvar%2Frun%2Fpostgresql/ostiary",
        "postgresql:///ostiary",
        "postgresql://db",
    ],
)
def test_every_form_of_a_database_url_is_accepted(url: str) -> None:
    assert read_settings({"DATABASE_URL": url}).database_url == url


def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    assert {*SECRETS} == {*secret_names()}
    for name, text in SECRETS.items():
        file.write_text(f"{text}\n")
        from_file = read_settings({**MAIL, f"{name}_FILE": str(file)})
        assert from_file == read_settings({**MAIL, name: text})
    file.write_text(f"{PRODUCTION['DATABASE_URL']}\n")
    variables = {**PRODUCTION, "DATABASE_URL": "", "DATABASE_URL_FILE": str(file)}
    assert read_settings(variables) == read_settings(PRODUCTION)


def test_a_secret_in_a_file_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.touch()
    binary.write_bytes(b"\xff")
    for file, reason in (
        (tmp_path / "none", "cannot be read: No such file or directory"),
        (tmp_path, "cannot be read: Is a directory"),
        (empty, "is empty"),
        (binary, "is not text in UTF-8"),
    ):
        errors = errors_of(**{**PRODUCTION, "DATABASE_URL": ""}, DATABASE_URL_FILE=str(file))
        assert errors == [f"DATABASE_URL_FILE: {file} {reason}"]
    both = {"DATABASE_URL": "postgresql://db/a", "DATABASE_URL_FILE": str(empty)}
    assert errors_of(**both) == ["DATABASE_URL_FILE: set it or DATABASE_URL, not both"]


def test_what_is_no_secret_is_not_read_from_a_file(tmp_path: Path) -> None:
    (error,) = errors_of(OSTIARY_PORT_FILE=str(tmp_path / "port"))
    assert error.startswith("OSTIARY_PORT_FILE: there is no such setting")


@pytest.mark.parametrize(
    ("keys", "mistake"),
    [
        ("tests", "must look like id:base64"),
        (f"Tests:{'A' * 43}=", "must look like id:base64"),
        (f"{'a' * 33}:{'A' * 43}=", "must look like id:base64"),
        (f"{SECRET_KEYS},", "must look like id:base64"),
        ("a:not base64", "the key a is not base64"),
        (f"a:{'-' * 43}=", "the key a is not base64"),
        ("a:AAAA", "the key a has 3 bytes instead of 32"),
        (f"a:{'A' * 44}", "the key a has 33 bytes instead of 32"),
        (f"{SECRET_KEYS},{SECRET_KEYS}", "there are two keys with the id tests"),
    ],
)
def test_a_wrong_secret_key_is_told_without_being_shown(keys: str, mistake: str) -> None:
    (error,) = errors_of(OSTIARY_SECRET_KEYS=keys)
    assert mistake in error
    assert "AAAAAA" not in error


def test_secret_keys_are_read_newest_first() -> None:
    settings = read_settings({"OSTIARY_SECRET_KEYS": f"b:{'B' * 43}=, {SECRET_KEYS}"})
    assert settings.secret_keys is not None
    assert [key.id for key in settings.secret_keys] == ["b", "tests"]
    assert settings.secret_keys[1].secret == bytes(32)


SMTP = {"OSTIARY_SMTP_URL": "smtps://mail.example.com", **MAIL}


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtps://mail.example.com", "smtps://mail.example.com:465"),
        ("smtp://a:b%40%2F@mail.example.com", "smtp://mail.example.com:587"),
        ("smtp://[::1]:2525", "smtp://::1:2525"),
        ("smtp+plain://localhost", "smtp+plain://localhost:25"),
        ("smtp+plain://127.0.0.1:1025", "smtp+plain://127.0.0.1:1025"),
    ],
)
def test_every_form_of_an_smtp_url_is_accepted(url: str, server: str) -> None:
    found = read_settings({**SMTP, "OSTIARY_SMTP_URL": url}).mail.smtp_url
    assert found is not None
    assert str(found) == server
    assert "b@/" not in repr(found) + str(found)
    assert found.password == ("b@/" if "@mail" in url else None)


@pytest.mark.parametrize(
    "url",
    [
        *("mail.example.com", "smtp:mail.example.com", "https://mail.example.com", "smtps://"),
        *("smtps://sesame@mail.example.com", "smtps://a:sesame@b@mail.example.com"),
        *("smtps://mail.example.com/path", "smtps://a:sesame?@mail.example.com"),
        *("smtps://mail.example.com:99999", "smtps://mail.example.com\n", "smtps://a b"),
        *("smtp+plain://mail.example.com", "smtp+plain://10.0.0.1:25"),
    ],
)
def test_a_wrong_smtp_url_is_told_without_its_password(url: str) -> None:
    (error,) = errors_of(**{**SMTP, "OSTIARY_SMTP_URL": url})
    assert error.startswith("OSTIARY_SMTP_URL: ")
    assert "sesame" not in error


@pytest.mark.parametrize(
    "url",
    [
        *("/reset#{token}", "//app.example.com/{token}", "app.example.com/{token}"),
        *("javascript:alert({token})", "https://app.example.com/", "https://{token}.example.com/"),
        *("https://app.example.com/{token}{token}", "https://app.example.com/{token}{id}"),
        *("https://a@app.example.com/{token}", "https://app.example.com/{token}\r\nBcc: x"),
        'https://app.example.com/{token}"><b>',
    ],
)
@pytest.mark.parametrize("name", ["OSTIARY_RESET_URL", "OSTIARY_UNDO_URL"])
def test_a_wrong_url_of_a_page_is_refused(name: str, url: str) -> None:
    (error,) = errors_of(**{name: url})
    assert error.startswith(f"{name}: must look like https://")


@pytest.mark.parametrize("name", ["OSTIARY_RESET_URL", "OSTIARY_UNDO_URL"])
def test_in_production_a_link_needs_tls(name: str) -> None:
    url = {name: "http://app.example.com/page#{token}"}
    assert read_settings(url).mail is not None
    (error,) = errors_of(**PRODUCTION, **url)
    assert error == f"{name}: must begin with https:// in production"


def test_an_smtp_server_needs_a_sender_and_the_pages_of_links() -> None:
    errors = errors_of(OSTIARY_SMTP_URL="smtps://mail.example.com")
    assert errors == [
        "OSTIARY_MAIL_FROM: required with OSTIARY_SMTP_URL",
        "OSTIARY_RESET_URL: required with OSTIARY_SMTP_URL",
        "OSTIARY_UNDO_URL: required with OSTIARY_SMTP_URL",
    ]


@pytest.mark.parametrize(
    "sender",
    [
        *("no-reply", "a@b@c", "<a@example.com>", "Name a@example.com", "a@faß.de"),
        *("Evil\r\nBcc: b <a@example.com>", "A, B <a@example.com>", "a@example.com, b@x.com"),
    ],
)
def test_a_wrong_sender_is_refused(sender: str) -> None:
    (error,) = errors_of(OSTIARY_MAIL_FROM=sender)
    assert error.startswith("OSTIARY_MAIL_FROM: must look like")


def test_templates_are_in_a_directory(tmp_path: Path) -> None:
    (error,) = errors_of(OSTIARY_MAIL_TEMPLATES=str(tmp_path / "none"))
    assert error == "OSTIARY_MAIL_TEMPLATES: is not a directory"


def test_production_has_mail_only_with_an_smtp_server() -> None:
    assert read_settings({}).is_mail_available
    assert not read_settings(PRODUCTION).is_mail_available
    assert read_settings({**PRODUCTION, **SMTP}).is_mail_available


ANDROID = f"android:apk-key-hash:{'A' * 43}"


def passkey_origins(**environment: str) -> str:
    settings = read_settings(environment)
    assert settings.passkey_rp is not None
    return str(settings.passkey_rp.origins)


def test_passkeys_in_development_are_for_localhost() -> None:
    pages = "http://localhost:5173,http://app.localhost,https://app.example.com,app://."
    settings = read_settings({"OSTIARY_PORT": "9000", "OSTIARY_ALLOWED_ORIGINS": pages})
    assert settings.are_passkeys_available
    assert settings.passkey_rp == RelyingParty(
        id=RelyingPartyId("localhost"),
        name="localhost",
        origins=PasskeyOrigins.parse(
            "http://app.localhost,http://localhost:5173,http://localhost:9000,https://localhost"
        ),
    )


def test_production_has_passkeys_only_with_a_domain() -> None:
    assert not read_settings(PRODUCTION).are_passkeys_available
    assert read_settings(PRODUCTION).passkey_rp is None
    assert read_settings(
        {**PRODUCTION, "OSTIARY_PASSKEY_RP_ID": "example.com"}
    ).are_passkeys_available


def test_passkeys_are_for_the_domain_and_the_allowed_origins_on_it_by_default() -> None:
    pages = (
        "https://app.example.com,https://example.com:8443,http://app.example.com,"
        "https://example.com.evil.example,https://badexample.com,capacitor://localhost"
    )
    settings = read_settings(
        {
            **PRODUCTION,
            "OSTIARY_PASSKEY_RP_ID": "example.com",
            "OSTIARY_PASSKEY_RP_NAME": "Example",
            "OSTIARY_ALLOWED_ORIGINS": pages,
        }
    )
    assert settings.passkey_rp == RelyingParty(
        id=RelyingPartyId("example.com"),
        name="Example",
        origins=PasskeyOrigins.parse(
            "https://app.example.com,https://example.com,https://example.com:8443"
        ),
    )


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://App.Example.com:443/", "https://app.example.com"),
        ("https://example.com:8443", "https://example.com:8443"),
        (ANDROID, ANDROID),
        (f"{ANDROID}=", ANDROID),
        (f"https://example.com, {ANDROID},", f"{ANDROID},https://example.com"),
    ],
)
def test_given_origins_of_passkeys_replace_the_default_ones(text: str, kept: str) -> None:
    assert (
        passkey_origins(
            OSTIARY_PASSKEY_RP_ID="example.com",
            OSTIARY_PASSKEY_ORIGINS=text,
            OSTIARY_ALLOWED_ORIGINS="https://other.example.com",
        )
        == kept
    )


@pytest.mark.parametrize(
    ("origin", "reason"),
    [
        ("http://app.example.com", "with https only"),
        ("http://localhost.example.com", "with https only"),
        ("http://127.0.0.1:8000", "with https only"),
        ("capacitor://localhost", "with https only"),
        ("https://app.example.com/login", "has a path"),
        ("android:apk-key-hash:", "base64url of 32 bytes"),
        (f"android:apk-key-hash:{'A' * 42}", "base64url of 32 bytes"),
        (f"android:apk-key-hash:{'A' * 42}B", "base64url of 32 bytes"),
        (f"android:apk-key-hash:{'A' * 42}+", "base64url of 32 bytes"),
        (f"android:apk-key-hash:{'A' * 42}é", "base64url of 32 bytes"),
        (f"android:apk-key-hash:{'A' * 20}:{'A' * 22}", "base64url of 32 bytes"),
        (f"android:apk-key-hash-sha256:{'A' * 43}", "must look like"),
        ("https://example.org", "neither on the domain example.com"),
        ("https://badexample.com", "neither on the domain example.com"),
        ("https://example.com.evil.example", "neither on the domain example.com"),
        ("http://localhost:8000", "neither on the domain example.com"),
        ("https://com", "neither on the domain example.com"),
    ],
)
def test_an_origin_that_can_have_no_passkeys_is_refused(origin: str, reason: str) -> None:
    (error,) = errors_of(
        OSTIARY_PASSKEY_RP_ID="example.com", OSTIARY_PASSKEY_ORIGINS=f"https://example.com,{origin}"
    )
    assert error.startswith("OSTIARY_PASSKEY_ORIGINS: ")
    assert reason in error


def test_origins_of_passkeys_need_a_domain() -> None:
    origins = {"OSTIARY_PASSKEY_ORIGINS": "https://app.example.com"}
    (error,) = errors_of(**PRODUCTION, **origins)
    assert error == "OSTIARY_PASSKEY_ORIGINS: has no effect without OSTIARY_PASSKEY_RP_ID"
    (error,) = errors_of(**origins)
    assert error.startswith("OSTIARY_PASSKEY_ORIGINS: https://app.example.com is neither")


@pytest.mark.parametrize("rp_id", ["example.com", "localhost", "intranet", "a-1.xn--p1ai"])
def test_passkeys_belong_to_a_domain(rp_id: str) -> None:
    settings = read_settings({"OSTIARY_PASSKEY_RP_ID": rp_id})
    assert settings.passkey_rp is not None
    assert settings.passkey_rp.id == rp_id


@pytest.mark.parametrize(
    "rp_id",
    [
        *("https://example.com", "example.com:443", "example.com/", "example.com.", ".example.com"),
        *("Example.com", "bücher.example", "example..com", "-a.example", "example.com\n", "*.a.b"),
        *(
            "127.0.0.1",
            "::1",
            "[::1]",
            "10.1",
            "0x7f.0x1",
            f"{'a' * 64}.com",
            ".".join(["ab"] * 90),
        ),
    ],
)
def test_what_is_no_domain_has_no_passkeys(rp_id: str) -> None:
    (error,) = errors_of(OSTIARY_PASSKEY_RP_ID=rp_id)
    assert error.startswith("OSTIARY_PASSKEY_RP_ID: ")
    assert "domain" in error


def test_the_name_for_authenticators_is_short() -> None:
    (error,) = errors_of(OSTIARY_PASSKEY_RP_NAME="x" * 65)
    assert error.startswith("OSTIARY_PASSKEY_RP_NAME: must match")


@given(st.text())
def test_any_text_is_a_list_of_origins_of_passkeys_or_is_refused(text: str) -> None:
    try:
        origins = PasskeyOrigins.parse(text)
    except ValueError:
        return
    assert PasskeyOrigins.parse(str(origins)) == origins
