"""Messages: a mail of the outbox as it goes out (RFC 5322)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

import idna
from msgspec import Struct

from service.auth.codes import code_of, invitation_token_of, link_token_of
from service.auth.outbox import LIFETIMES, NOTICE_LIFETIME
from service.auth.secret_keys import Keyring
from service.mail.device_text import device_text
from service.mail.rendering import Content, Rendered, Templates
from service.model.challenges import Purpose
from service.model.mail import WITH_CODE, WITH_LINK, LeasedMail, MailKind
from service.settings.link_url import LinkURL
from service.settings.mailbox import Mailbox

# `EmailMessage` keeps lines to 78 octets (RFC 5322, section 2.1.1).
POLICY = SMTP.clone(max_line_length=78)

# Dot-atoms, in UTF-8 too (RFC 5322, section 3.2.3; RFC 6531, section 3.3): what needs quoting could
# be read as another address, or as two.
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\u00a1-\U0010ffff-]+")


class ChallengeGone(Exception):
    """The challenge or invitation of the mail was used, void or withdrawn before it was sent."""


class Outgoing(Struct, frozen=True, kw_only=True):
    """A message and its envelope: one sender, one recipient."""

    message: EmailMessage
    return_path: str
    recipient: str


class MessageWriter:
    """Writes messages from ``sender``; codes and links derive from the keys of ``keyring``."""

    def __init__(  # noqa: PLR0913
        self,
        keyring: Keyring,
        templates: Templates,
        *,
        sender: Mailbox,
        return_path: Mailbox,
        link_urls: Mapping[Purpose, LinkURL],
        invitation_url: LinkURL | None,
    ) -> None:
        self._keyring = keyring
        self._templates = templates
        self._sender = sender
        self._return_path = return_path
        self._link_urls = link_urls
        self._invitation_url = invitation_url

    def write(self, mail: LeasedMail) -> Outgoing:
        """Return the message of a mail: the same, with the same Message-ID, at every attempt.

        Raises `ChallengeGone`, `SecretKeyMissing`, `jinja2.TemplateError`, and `ValueError` for a
        recipient that has no form of one.
        """
        local, _, domain = mail.recipient.rpartition("@")
        if _LOCAL_PART.fullmatch(local) is None:
            raise ValueError("the recipient's local part is no dot-atom")
        recipient = Address("", local, a_labels(domain))
        rendered = self._templates.render(mail.kind, mail.language, self._content(mail))
        message = self._message(mail, rendered)
        message["To"] = recipient
        return Outgoing(
            message=message,
            return_path=self._return_path.address,
            recipient=f"{local}@{recipient.domain}",
        )

    def _content(self, mail: LeasedMail) -> Content:
        lifetime = LIFETIMES.get(mail.kind, NOTICE_LIFETIME)
        device, address = mail.data.get("device"), mail.data.get("address")
        return Content(
            site=self._sender.name or self._sender.domain,
            at=mail.created_at,
            minutes=round(lifetime / 60),
            code=self._code_of(mail) if mail.kind in WITH_CODE else None,
            link=self._link_of(mail),
            until=None if mail.invitation is None else mail.invitation.expires_at,
            device=device_text(str(device)) if device else None,
            address=device_text(str(address)) if address else None,
        )

    def _code_of(self, mail: LeasedMail) -> str:
        if mail.challenge_id is None or mail.purpose is None or mail.key_id is None:
            raise ChallengeGone
        return str.__str__(code_of(self._keyring, mail.key_id, mail.challenge_id, mail.purpose))

    def _link_of(self, mail: LeasedMail) -> str | None:
        """Return the link of a mail. A notice is worth sending without one, a mail for one not."""
        if mail.kind is MailKind.INVITATION:
            return self._invitation_link_of(mail)
        if mail.challenge_id is None or mail.purpose is None or mail.key_id is None:
            if mail.kind in WITH_LINK:
                raise ChallengeGone
            return None
        url = self._link_urls.get(mail.purpose)
        if url is None:
            return None
        return url.with_token(
            link_token_of(self._keyring, mail.key_id, mail.challenge_id, mail.purpose)
        )

    def _invitation_link_of(self, mail: LeasedMail) -> str:
        if mail.invitation is None:
            raise ChallengeGone
        if self._invitation_url is None:
            raise ValueError("OSTIARY_INVITATION_URL is not set")
        key_id, invitation_id = mail.invitation.key_id, mail.invitation.id
        token = invitation_token_of(self._keyring, key_id, invitation_id)
        return self._invitation_url.with_token(token)

    def _message(self, mail: LeasedMail, rendered: Rendered) -> EmailMessage:
        sender = self._sender
        message = EmailMessage(POLICY)
        message["From"] = Address(sender.name, sender.local, sender.domain)
        message["Subject"] = rendered.subject
        message["Date"] = format_datetime(mail.created_at)
        message["Message-ID"] = f"<{mail.id}@{sender.domain}>"
        # RFC 3834, section 5; the other one is for Exchange, which does not know it.
        message["Auto-Submitted"] = "auto-generated"
        message["X-Auto-Response-Suppress"] = "All"
        message.set_content(rendered.text)
        message.add_alternative(rendered.html, subtype="html")
        # Set earlier, it would become a header of the first part.
        message["Content-Language"] = mail.language.value
        return message


def a_labels(domain: str) -> str:
    """Return a domain as it is on the wire, by IDNA 2008 (RFC 5891). Raises `ValueError`.

    Not Python's own codec, by which `faß.de` would be `fass.de`: another domain.
    """
    return idna.encode(domain, uts46=True, transitional=False).decode()
