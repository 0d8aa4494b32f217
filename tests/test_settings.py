from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.settings import Settings
from service.settings.origins import Origins, is_serialised_origin, normalised_origin
from service.settings.values import Duration, LogFormat, Networks, SameSite
from service.settings.variables import InvalidSettings, read_settings, settings_table, variables

DOCUMENT = Path(__file__).parent.parent / "docs" / "settings.md"
COMPOSE = Path(__file__).parent.parent / "docker-compose.yml"
PRODUCTION = {"OSTIARY_ENV": "production", "DATABASE_URL": "postgresql://ostiary@db/ostiary"}


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


def test_production_requires_a_database() -> None:
    assert errors_of(OSTIARY_ENV="production") == ["DATABASE_URL: required in production"]


def test_a_session_cannot_be_active_beyond_its_lifetime() -> None:
    (error,) = errors_of(OSTIARY_SESSION_ACTIVE_PERIOD="31d")
    assert error.startswith("OSTIARY_SESSION_ACTIVE_PERIOD")


def test_a_cookie_for_other_sites_must_be_secure() -> None:
    (error,) = errors_of(OSTIARY_COOKIE_SAMESITE="none")
    assert error.startswith("OSTIARY_COOKIE_SAMESITE")
    settings = read_settings({"OSTIARY_COOKIE_SAMESITE": "none", **PRODUCTION})
    assert settings.cookies.samesite is SameSite.NONE


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


@pytest.mark.parametrize(
    "name", ["OSTIARY_TRUSTED_PROXIES", "OSTIARY_ALLOWED_HOSTS", "OSTIARY_ALLOWED_ORIGINS"]
)
def test_the_compose_file_passes_on_what_the_proxy_and_the_pages_need(name: str) -> None:
    assert f"    {name}: ${{{name}:-}}\n" in COMPOSE.read_text(encoding="utf-8")
    assert read_settings({name: ""}) == Settings()


def test_the_document_lists_every_setting() -> None:
    assert settings_table() in DOCUMENT.read_text(encoding="utf-8")


def test_every_setting_is_documented() -> None:
    table = settings_table()
    for each in variables():
        assert f"`{each.name}`" in table
