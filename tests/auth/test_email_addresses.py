from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from service.auth.email_addresses import EmailAddress, name_of_address
from service.auth.errors import InvalidField

LOCAL_PARTS = st.text("abcXYZ019!#$%&'*+-/=?^_`{|}~", min_size=1, max_size=64)
LABELS = st.text("abcXYZ019ßéüаяλ中ａＢ", min_size=1, max_size=20)
TEXTS = st.one_of(
    st.builds("{}@{}.{}".format, LOCAL_PARTS, LABELS, LABELS),
    st.builds("{}@{}".format, st.text(max_size=70), st.text(max_size=70)),
)


def parsed(text: str) -> EmailAddress:
    """Return an address, if the text is one."""
    try:
        return EmailAddress.parse(text, smtputf8=True)
    except InvalidField:
        assume(False)
        raise


@pytest.mark.parametrize(
    ("text", "name", "display_name", "envelope"),
    [
        ("Bob@Example.COM", "bob@example.com", "Bob@example.com", "Bob@example.com"),
        ("bob@faß.de", "bob@xn--fa-hia.de", "bob@faß.de", "bob@xn--fa-hia.de"),
        ("bob@BÜCHER.de", "bob@xn--bcher-kva.de", "bob@bücher.de", "bob@xn--bcher-kva.de"),
        ("bob@xn--bcher-kva.de", "bob@xn--bcher-kva.de", "bob@bücher.de", "bob@xn--bcher-kva.de"),
        ("bob@ａ.com", "bob@a.com", "bob@a.com", "bob@a.com"),
        ("bob@EXAMPLE。com", "bob@example.com", "bob@example.com", "bob@example.com"),
        ("a%b@x.com", "a%b@x.com", "a%b@x.com", "a%b@x.com"),
        ("Jo+Tag@x.local", "jo+tag@x.local", "Jo+Tag@x.local", "Jo+Tag@x.local"),
        ("jo@mail.test", "jo@mail.test", "jo@mail.test", "jo@mail.test"),
    ],
)
def test_an_address_is_compared_shown_and_mailed_to_in_a_form_each(
    text: str, name: str, display_name: str, envelope: str
) -> None:
    address = EmailAddress.parse(text)
    assert address.name == name == name_of_address(text)
    assert (address.display_name, address.envelope) == (display_name, envelope)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('"a@evil x"@x.com', "quotation marks"),
        ('"a> ORCPT=b"@x.com', "quotation marks"),
        ('"bob"@x.com', "quotation marks"),
        ("a@x.com(c)evil.com", "after the @-sign contains invalid characters"),
        ("(c)a@x.com", "invalid characters before the @-sign"),
        ("a@x.com,b@y.com", "after the @-sign contains invalid characters"),
        ("<a@x.com>", "angle brackets"),
        ("B <a@x.com>", "angle brackets"),
        ("a@x.com\r\nBcc: b@y", "after the @-sign contains invalid characters"),
        ("a\r\n@x.com", "invalid characters before the @-sign"),
        ("a@[127.0.0.1]", "IP address"),
        ("a@127.0.0.1", "not the name of a domain"),
        ("a@x.com\0", "after the @-sign contains invalid characters"),
        ("a@x.com ", "after the @-sign contains invalid characters"),
        ("a@gmail", "has no period"),
        ("a@localhost", "special-use"),
        ("a", "must have an @-sign"),
        ("@x.com", "before the @-sign"),
        ("a@", "after the @-sign"),
        ("é@x.com", "before the @-sign are not supported"),
    ],
)
def test_what_is_no_address_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidField) as refusal:
        EmailAddress.parse(text)
    assert refusal.value.code == "invalid_address"
    assert refusal.value.message.startswith("E-mail address is not valid. ")
    assert reason in refusal.value.message
    assert refusal.value.message.isprintable()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "too_short"),
        ("a" * 65 + "@x.com", "too_long"),
        ("a@" + ".".join(["x" * 60] * 4) + ".example.com", "too_long"),
    ],
)
def test_an_address_has_the_lengths_of_smtp(text: str, code: str) -> None:
    with pytest.raises(InvalidField) as refusal:
        EmailAddress.parse(text)
    assert refusal.value.code == code


def test_a_local_part_outside_ascii_needs_smtputf8() -> None:
    address = EmailAddress.parse("Zoë@Example.com", smtputf8=True)
    assert (address.name, address.envelope) == ("zoë@example.com", "Zoë@example.com")
    assert EmailAddress.parse("ZOË@example.com", smtputf8=True).name == "zoË@example.com"


@pytest.mark.parametrize(
    ("one", "another"),
    [
        ("bob@fass.de", "bob@faß.de"),
        ("bob@apple.com", "bob@аpple.com"),
        ("bob@example.com", "bob@éxample.com"),
        ("bob+a@example.com", "bob@example.com"),
        ("b.ob@gmail.com", "bob@gmail.com"),
    ],
)
def test_look_alikes_and_other_mailboxes_are_other_addresses(one: str, another: str) -> None:
    assert EmailAddress.parse(one).name != EmailAddress.parse(another).name


@given(TEXTS)
@example("ο\u0308a@x.com")
@example("\u212a@x.com")
def test_each_form_of_an_address_is_the_same_address(text: str) -> None:
    """What is stored can be parsed again, and remains what it is."""
    address = parsed(text)
    for form in (address.display_name, address.envelope, address.name):
        assert parsed(form).name == address.name
    shown = parsed(address.display_name)
    assert (shown.display_name, shown.envelope) == (address.display_name, address.envelope)


@given(st.builds("{}@{}.{}".format, LOCAL_PARTS, LABELS, LABELS))
def test_ascii_case_makes_no_difference(text: str) -> None:
    address = parsed(text)
    local_part, _, domain = text.partition("@")
    for other in (f"{local_part.swapcase()}@{domain}", f"{local_part}@{domain.swapcase()}"):
        if other.lower() == text.lower() and domain.isascii():
            assert parsed(other).name == address.name


@given(TEXTS)
def test_the_wire_has_a_domain_in_ascii_and_nothing_that_steers_a_mailer(text: str) -> None:
    address = parsed(text)
    local_part, _, domain = address.envelope.rpartition("@")
    assert domain.isascii()
    assert domain == domain.lower()
    assert not set(' "(),:;<>@[\\]\r\n\0') & set(local_part + domain)
    assert len(address.envelope.encode()) <= 254


@given(st.text(max_size=300))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        EmailAddress.parse(text, smtputf8=True)
    except InvalidField as error:
        assert error.code in {"too_short", "too_long", "invalid_address"}
