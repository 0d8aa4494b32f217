"""E-mail addresses: which are valid, and which are the same.

An address is mailed to as its owner wrote it, for what the local part means is the business of its
host (RFC 5321, section 2.4). It is compared without regard to ASCII case, and by the A-labels of
its domain (IDNA 2008, RFC 5891): two addresses with the same ``name`` are the same.
"""

from __future__ import annotations

import re
from string import ascii_lowercase, ascii_uppercase
from typing import Self

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from service.auth.errors import FieldCode, InvalidField

# RFC 5321, section 4.5.3.1.3: the 256 octets of a path, without its angle brackets.
MAX_OCTETS = 254
# RFC 5321, section 4.5.3.1.1.
MAX_LOCAL_PART_OCTETS = 64

# email-validator refuses domains that no host of the Internet has. Those of internal networks have
# these, which its manual lets one accept in this way.
_INTERNAL = {"local", "test"}
SPECIAL_USE_DOMAIN_NAMES[:] = [each for each in SPECIAL_USE_DOMAIN_NAMES if each not in _INTERNAL]

LOWER_CASE = str.maketrans(ascii_uppercase, ascii_lowercase)
_NUMERIC = re.compile(r"[0-9]+")


class EmailAddress:
    """An address: ``name`` is compared, ``display_name`` is shown, ``envelope`` is mailed to.

    ``Bob@BÜCHER.de`` has the name ``bob@xn--bcher-kva.de``, is shown as ``Bob@bücher.de`` and
    mailed to as ``Bob@xn--bcher-kva.de``.
    """

    __slots__ = ("display_name", "envelope", "name")

    def __init__(self, name: str, display_name: str, envelope: str) -> None:
        self.name = name
        self.display_name = display_name
        self.envelope = envelope

    @classmethod
    def parse(cls, text: str, *, smtputf8: bool = False) -> Self:
        """Validate an address. Raises `InvalidField`.

        Local parts outside ASCII need servers with SMTPUTF8 (RFC 6531) all the way: they are
        accepted with ``smtputf8`` only. No DNS is asked, for domains of internal networks are
        accepted.
        """
        if not text:
            raise InvalidField(FieldCode.TOO_SHORT, "E-mail address must not be empty.")
        if len(text) > MAX_OCTETS:
            raise _too_long()
        if '"' in text:
            # email-validator takes quotes off that are not needed.
            raise _not_valid("It must not contain quotation marks.")
        try:
            valid = validate_email(
                text,
                allow_smtputf8=smtputf8,
                allow_quoted_local=False,
                allow_domain_literal=False,
                allow_display_name=False,
                allow_empty_local=False,
                check_deliverability=False,
                globally_deliverable=False,
            )
        except EmailNotValidError as error:
            raise _not_valid(str(error)) from error
        _check_domain(valid.ascii_domain)
        if len(valid.local_part.encode()) > MAX_LOCAL_PART_OCTETS:
            raise _too_long()
        envelope = f"{valid.local_part}@{valid.ascii_domain}"
        return cls(
            name=envelope.translate(LOWER_CASE),
            display_name=f"{valid.local_part}@{valid.domain}",
            envelope=envelope,
        )


def name_of_address(text: str) -> str | None:
    """Return the form by which an address is compared, or ``None`` if the text is no address."""
    if "@" not in text:
        return None
    try:
        return EmailAddress.parse(text, smtputf8=True).name
    except InvalidField:
        return None


def _check_domain(ascii_domain: str) -> None:
    """Raise `InvalidField` for one label alone, most often half a domain, and for an IP address."""
    _, dot, last_label = ascii_domain.rpartition(".")
    if not dot:
        raise _not_valid("The part after the @-sign has no period.")
    if _NUMERIC.fullmatch(last_label):
        raise _not_valid("The part after the @-sign is not the name of a domain.")


def _not_valid(reason: str) -> InvalidField:
    return InvalidField(FieldCode.INVALID_ADDRESS, f"E-mail address is not valid. {reason}")


def _too_long() -> InvalidField:
    return InvalidField(FieldCode.TOO_LONG, "E-mail address is too long.")
