"""The texts of mails, from templates.

A template of a kind gives the subject and the paragraphs, as plain text; a layout for each part
of the mail arranges them. In the HTML part everything is escaped, in replaced templates too.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateError,
    select_autoescape,
)
from markupsafe import Markup
from msgspec import Struct
from msgspec.structs import asdict

from service.model.mail import Language, MailKind

DIRECTORY = Path(__file__).parent / "templates"

_PARAGRAPH_BREAK = re.compile(r"\n\s*\n")


class TemplatesUnusable(Exception):
    """A template is missing or malformed."""


class Content(Struct, frozen=True, kw_only=True):
    """What the text of a mail may name; ``device`` and ``address`` are where it came from.

    ``until`` is when an invitation expires.
    """

    site: str
    at: datetime
    minutes: int
    code: str | None = None
    link: str | None = None
    until: datetime | None = None
    device: str | None = None
    address: str | None = None


class Rendered(Struct, frozen=True, kw_only=True):
    """The text of a mail."""

    subject: str
    text: str
    html: str


class Templates:
    """The templates of the package, or of a directory where it has one of the same name."""

    def __init__(self, directory: Path | None) -> None:
        places = [DIRECTORY] if directory is None else [directory, DIRECTORY]
        loader = ChoiceLoader([FileSystemLoader(place) for place in places])
        self._text = _environment(loader, is_html=False)
        self._html = _environment(loader, is_html=True)

    def check(self) -> None:
        """Check that there is a template for everything. Raises `TemplatesUnusable`."""
        at = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
        content = Content(
            site="S",
            at=at,
            minutes=10,
            code="12345678",
            link="https://x",
            until=at,
            device="D",
            address="A",
        )
        for language in Language:
            for kind in MailKind:
                try:
                    self.render(kind, language, content)
                except TemplateError as error:
                    reason = " ".join(str(error).split())
                    message = f"The template of {language}/{kind} cannot be used: {reason}"
                    raise TemplatesUnusable(message) from error

    def render(self, kind: MailKind, language: Language, content: Content) -> Rendered:
        """Return the text of a mail. Raises `jinja2.TemplateError`."""
        name = f"{language}/{'notice' if kind.is_notice else kind}.jinja"
        values = {**asdict(content), "kind": kind.value, "language": language.value}
        text = self._text.get_template(name)
        subject = text.render(values, layout="layout.subject")
        return Rendered(
            subject=" ".join(subject.split()),
            text=text.render(values, layout="layout.txt"),
            html=self._html.get_template(name).render(values, layout="layout.html"),
        )


def _environment(loader: ChoiceLoader, *, is_html: bool) -> Environment:
    environment = Environment(
        loader=loader,
        autoescape=select_autoescape(default=True, default_for_string=True) if is_html else False,  # noqa: S701
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["paragraphs"] = _paragraphs
    return environment


def _paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a text, each in one line; escaped text stays escaped."""
    kind = Markup if isinstance(text, Markup) else str
    found = (" ".join(each.split()) for each in _PARAGRAPH_BREAK.split(str(text)))
    return [kind(each) for each in found if each]
