"""Mail: how it is sent, and what it looks like."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from service.model.mail import Language
from service.settings.link_url import LinkURL
from service.settings.mailbox import Mailbox
from service.settings.smtp_url import SMTPServer
from service.settings.values import Duration, Rate


class MailSettings(Struct, frozen=True, kw_only=True):
    """The SMTP server, the sender, and the text of mails."""

    prefix: ClassVar[str] = ""

    smtp_url: Annotated[
        SMTPServer | None,
        Meta(
            description="The SMTP server: `smtps://user:password@host:465`, or `smtp://…:587`, "
            "where STARTTLS is required; `smtp+plain://127.0.0.1:25` on this machine only. "
            "Without it, in development, mails are written into the directory `mail` of "
            "`OSTIARY_DATA_DIR`; in production there are none.",
            extra={"secret": True},
        ),
    ] = None
    mail_from: Annotated[
        Mailbox | None,
        Meta(
            description="The sender, `Example <no-reply@example.com>`; the name, or else the "
            "domain, is also what mails call the site. Required with `OSTIARY_SMTP_URL`."
        ),
    ] = None
    mail_return_path: Annotated[
        Mailbox | None,
        Meta(
            description="The address to which servers return what they cannot deliver. Default: "
            "that of `OSTIARY_MAIL_FROM`."
        ),
    ] = None
    mail_language: Annotated[Language, Meta(description="The language of mails: `en` or `ko`.")] = (
        Language.ENGLISH
    )
    mail_templates: Annotated[
        Path | None,
        Meta(
            description="A directory with templates, each of which replaces the one of that name "
            "in `service/mail/templates/`."
        ),
    ] = None
    mail_poll_interval: Annotated[
        Duration,
        Meta(
            description="How often each worker looks for mails that are to be sent again, or that "
            "another process has written. Its own ones are sent at once."
        ),
    ] = Duration.parse("5s")
    mails_per_recipient: Annotated[
        Rate,
        Meta(
            description="Mails of one kind that an address gets at the request of others, such as "
            "codes. Beyond that none is sent, and the response is the same; only an invitation is "
            "refused, with 429. Notices have no limit. `0`: no limit."
        ),
    ] = Rate.parse("5/1h")
    reset_url: Annotated[
        LinkURL | None,
        Meta(
            description="The page of your application on which a password is reset, with "
            "`{token}` in it, best in the fragment, which no server sees: "
            "`https://app.example.com/reset#token={token}`. Required with `OSTIARY_SMTP_URL`."
        ),
    ] = None
    undo_url: Annotated[
        LinkURL | None,
        Meta(
            description="The page of your application on which a change of the address, a new "
            "factor or a newly linked account is taken back, with `{token}` in it as above: "
            "`https://app.example.com/undo#token={token}`. Required with `OSTIARY_SMTP_URL`."
        ),
    ] = None
