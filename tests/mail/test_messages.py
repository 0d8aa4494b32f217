"""Messages: their headers, their text, and where they go."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.auth.codes import invitation_token_of, link_token_of
from service.mail.device_text import MAX_LENGTH, device_text
from service.mail.messages import a_labels
from service.mail.rendering import Templates, TemplatesUnusable
from service.mail.sender import Sender
from service.model.challenges import Purpose
from service.model.mail import WITH_CODE, Language, MailKind
from service.storage.database import Database
from tests.mail.conftest import RING, MakeSender, put, send_all
from tests.smtp_server import SMTPServer

HOSTILE = "<a href=//evil.example>click</a> Log in at https://evil.example\r\nBcc: x\u202e\x9b" * 60


@pytest.mark.parametrize("language", Language)
async def test_every_mail_has_the_headers_of_one_that_a_machine_writes(
    database: Database, sender: Sender, smtp: SMTPServer, language: Language
) -> None:
    for kind in MailKind:
        await put(database, kind, f"{kind}@example.org", language=language, device=HOSTILE)
    await send_all(sender)
    assert len(smtp.mails) == len(MailKind)
    for mail in smtp.mails:
        message = mail.message
        for name in ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version"):
            assert len(message.get_all(name, [])) == 1, name
        assert message["Auto-Submitted"] == "auto-generated"
        assert message["From"] == "Example <no-reply@example.com>"
        assert message["To"] == mail.recipients[0]
        assert re.fullmatch(r"<[0-9a-f-]{36}@example\.com>", message["Message-ID"])
        assert message["Content-Language"] == language
        assert message.get_content_type() == "multipart/alternative"
        parts = [part.get_content_type() for part in message.iter_parts()]
        assert parts == ["text/plain", "text/html"]
        assert max(len(line) for line in mail.raw.split(b"\r\n")) <= 998
        assert "Example" in message["Subject"]
        assert "\ufffd" not in message["Subject"] + mail.part("plain") + mail.part("html")
        assert ("한" in message["Subject"] + mail.part("plain")) <= (language is Language.KOREAN)
        urls = re.findall(r"\w+://[^\s\"<]+", mail.part("plain") + mail.part("html"))
        page = "join" if "invit" in mail.recipients[0] else "reset"
        assert all(url.startswith(f"https://app.example.com/{page}#token=") for url in urls)
        assert "evil" not in message["Subject"]


@pytest.mark.parametrize("kind", sorted(WITH_CODE))
async def test_both_parts_say_the_same_code(
    database: Database, sender: Sender, smtp: SMTPServer, kind: MailKind
) -> None:
    await put(database, kind)
    await send_all(sender)
    (mail,) = smtp.mails
    found = [set(re.findall(r"\b\d{8}\b", mail.part(part))) for part in ("plain", "html")]
    assert found[0] == found[1]
    assert len(found[0]) == 1


async def test_both_parts_have_the_link_byte_for_byte(
    database: Database, sender: Sender, smtp: SMTPServer
) -> None:
    challenge_id = await put(database, MailKind.RESET_LINK)
    assert challenge_id is not None
    await send_all(sender)
    token = link_token_of(RING, "tests", challenge_id, Purpose.PASSWORD_RESET)
    (mail,) = smtp.mails
    for part in ("plain", "html"):
        assert f"https://app.example.com/reset#token={token}" in mail.part(part)


@pytest.mark.parametrize("language", Language)
async def test_an_invitation_has_its_link_in_both_parts_and_tells_until_when(
    database: Database, sender: Sender, smtp: SMTPServer, language: Language
) -> None:
    invitation_id = await put(database, MailKind.INVITATION, language=language)
    assert invitation_id is not None
    until = (datetime.now(UTC) + timedelta(days=7)).strftime("%Y-%m-%d")
    await send_all(sender)
    token = invitation_token_of(RING, "tests", invitation_id)
    (mail,) = smtp.mails
    for part in ("plain", "html"):
        assert f"https://app.example.com/join#token={token}" in mail.part(part)
        assert until in mail.part(part)


async def test_text_of_a_client_is_escaped_and_leads_nowhere(
    database: Database, sender: Sender, smtp: SMTPServer
) -> None:
    await put(database, MailKind.NEW_DEVICE, device=HOSTILE, address="203.0.113.7")
    await send_all(sender)
    (mail,) = smtp.mails
    assert "&lt;a href" in mail.part("html")
    assert "<a href" not in mail.part("html")
    assert "203.0.113.7" in mail.part("plain")
    for part in ("plain", "html"):
        assert "://" not in mail.part(part)
        assert "\u202e" not in mail.part(part)


@given(st.text())
def test_text_of_a_client_is_one_short_line(text: str) -> None:
    shown = device_text(text)
    assert len(shown) <= MAX_LENGTH
    assert "://" not in shown
    assert shown.isprintable() or not shown.isascii()
    assert not re.search("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069]", shown)


@pytest.mark.parametrize(
    ("domain", "on_the_wire"),
    [
        ("faß.de", "xn--fa-hia.de"),
        ("BÜCHER.de", "xn--bcher-kva.de"),
        ("xn--bcher-kva.de", "xn--bcher-kva.de"),
        ("example.org", "example.org"),
    ],
)
async def test_domains_are_a_labels_on_the_wire(
    database: Database, sender: Sender, smtp: SMTPServer, domain: str, on_the_wire: str
) -> None:
    assert a_labels(domain) == on_the_wire
    await put(database, recipient=f"Bob@{domain}")
    await send_all(sender)
    (mail,) = smtp.mails
    assert mail.recipients == [f"Bob@{on_the_wire}"]
    assert mail.message["To"] == f"Bob@{on_the_wire}"


async def test_a_recipient_is_never_two(
    database: Database, sender: Sender, smtp: SMTPServer
) -> None:
    for recipient in ("a@x.com,b@y.com", "a@x.com\r\nBcc: b@y.com", "a@x.com> ORCPT=b@y.com"):
        await put(database, recipient=recipient)
    await send_all(sender)
    assert all(each.startswith("MAIL") for each in smtp.commands)
    assert smtp.mails == []


async def test_bounces_go_to_the_return_path(
    database: Database, make_sender: MakeSender, smtp: SMTPServer
) -> None:
    await put(database)
    await send_all(make_sender(OSTIARY_MAIL_RETURN_PATH="bounces@mail.example.com"))
    (mail,) = smtp.mails
    assert mail.sender == "bounces@mail.example.com"
    assert mail.message["From"] == "Example <no-reply@example.com>"


async def test_a_template_is_replaced_by_one_of_a_directory_and_still_escapes(
    database: Database, make_sender: MakeSender, smtp: SMTPServer, tmp_path: Path
) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "notice.jinja").write_text(
        "{% extends layout %}{% block subject %}Ours{% endblock %}"
        "{% block title %}T{% endblock %}{% block before %}{{ device }}{% endblock %}"
    )
    await put(database, MailKind.NEW_DEVICE, device="<b>x")
    await put(database, MailKind.ACCOUNT_EXISTS)
    await send_all(make_sender(OSTIARY_MAIL_TEMPLATES=str(tmp_path)))
    by_subject = {mail.message["Subject"]: mail for mail in smtp.mails}
    assert "&lt;b&gt;x" in by_subject["Ours"].part("html")
    assert "<b>x" in by_subject["Ours"].part("plain")
    assert "Your account at Example" in by_subject


def test_a_template_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    Templates(None).check()
    (tmp_path / "ko").mkdir()
    (tmp_path / "ko" / "reset_link.jinja").write_text("{% extends layout %}{{ nonsense }}{% if %}")
    with pytest.raises(TemplatesUnusable, match="ko/reset_link"):
        Templates(tmp_path).check()


async def test_in_development_mails_are_files(
    database: Database, make_sender: MakeSender, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from service.mail.configured import mail_sender  # noqa: PLC0415
    from service.settings.variables import read_settings  # noqa: PLC0415

    sender = mail_sender(database, RING, read_settings({"OSTIARY_DATA_DIR": str(tmp_path)}))
    assert sender is not None
    await put(database, MailKind.SIGN_UP_CODE)
    await send_all(sender)
    (file,) = (tmp_path / "mail").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    message = message_from_bytes(file.read_bytes(), policy=SMTP_POLICY)
    assert isinstance(message, EmailMessage)
    body = message.get_body(("plain",))
    assert body is not None
    (code,) = re.findall(r"\b\d{8}\b", body.get_content())
    logged = capsys.readouterr().out
    assert str(file) in logged
    assert code not in logged
