"""Text of clients, for logs and terminals."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Return a text with control and other unprintable characters escaped: ``\x9b``, ``\u202e``.

    Those of the C1 block control terminals, and a log may be read in one.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
