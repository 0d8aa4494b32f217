"""Text that a client chose, in a mail: the name of its device, its user agent."""

from __future__ import annotations

import unicodedata

MAX_LENGTH = 60


def device_text(text: str) -> str:
    """Return a text in one line of at most 60 characters that leads nowhere and steers nothing.

    Control and format characters, among them those that change the direction of text, are left
    out, and so is what makes a link of an address.
    """
    shown = "".join(
        " " if char.isspace() else char
        for char in text
        if char.isspace() or not unicodedata.category(char).startswith("C")
    )
    shown = " ".join(shown.replace("://", " ").replace("@", " ").split())
    return shown if len(shown) <= MAX_LENGTH else shown[: MAX_LENGTH - 1] + "…"
