from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from threading import Thread

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from tests.services import PATIENCE

# No test fails on a busy machine. In milliseconds.
TIMEOUT = PATIENCE * 1000
expect.set_options(timeout=TIMEOUT)

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
OPTIONS = (
    "--host-resolver-rules=MAP * 127.0.0.1",
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        yield browser
        browser.close()


@pytest.fixture
def profile(chromium: Browser) -> Iterator[BrowserContext]:
    """Return the browser of one user: its pages share cookies."""
    context = chromium.new_context()
    context.set_default_timeout(TIMEOUT)
    yield context
    context.close()


@contextmanager
def served(server: ThreadingHTTPServer) -> Iterator[None]:
    """Serve in a thread."""
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
