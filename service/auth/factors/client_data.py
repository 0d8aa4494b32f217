"""Client data of passkeys: what ``webauthn`` (3.0) does not check in it.

It takes the last of several members of one name, any encoding that Python's ``json`` detects, and
any value of ``crossOrigin``, and does not look at ``topOrigin``.
"""

from __future__ import annotations

import json
from typing import Any


def check_client_data(client_data: bytes) -> None:
    """Raise an exception unless client data are unambiguous, and of a page that is not embedded.

    No page of another origin may contain the one that asks for the passkey (Web Authentication,
    sections 7.1 and 7.2, steps on ``crossOrigin`` and ``topOrigin``).
    """
    members = json.loads(client_data.decode(), object_pairs_hook=_without_duplicates)
    if members.get("crossOrigin", False) is not False or "topOrigin" in members:
        raise ValueError("the page was embedded in one of another origin")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("the client data have a member twice")
    return members
