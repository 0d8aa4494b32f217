"""An OpenID provider of its own process: `oidc-provider`, which is certified. Needs Node 20."""

from __future__ import annotations

import json
import select
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page

from tests.services import PATIENCE

HERE = Path(__file__).parent


class Provider:
    """A running provider, and what its users do there."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.issuer = ""

    def tell(self, line: str) -> None:
        """Send the process a line, and wait for its answer: the issuer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(line, file=self._process.stdin, flush=True)
        answered, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        assert answered, "the provider does not answer"
        self.issuer = self._process.stdout.readline().strip()
        assert self.issuer.startswith("http://127.0.0.1:"), f"no issuer: {self.issuer!r}"

    def rotate_key(self) -> None:
        """Sign with a new key, and publish no other. The provider forgets who is logged in."""
        self.tell("rotate")


@contextmanager
def provider_for(*clients: Mapping[str, object]) -> Iterator[Provider]:
    """Run a provider with these clients."""
    process = subprocess.Popen(
        ["node", HERE / "provider.mjs"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            provider = Provider(process)
            provider.tell(json.dumps({"clients": clients}))
            yield provider
        finally:
            process.terminate()
            process.wait(PATIENCE)


def name_field(page: Page) -> Locator:
    """Return the field of the provider's form for log-in."""
    return page.locator("#provider").get_by_label("name")


def give_name(page: Page, name: str) -> None:
    """Log in at the provider, on whose page the browser is."""
    name_field(page).fill(name)
    answer(page, "Log in")


def answer(page: Page, button: str) -> None:
    """Press a button of the provider's page."""
    page.locator("#provider").get_by_role("button", name=button, exact=True).click()


def consent(page: Page, name: str) -> None:
    """Log in at the provider, and let it tell who one is."""
    give_name(page, name)
    answer(page, "Allow")
