"""HAProxy before several instances of the service."""

from __future__ import annotations

import csv
import re
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.services import PATIENCE, wait_for

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"

GLOBAL = """
global
    stats socket {directory}/stats.sock
"""

SERVER = """
    server {name} {address}
    use-server {name} if {{ req.hdr(X-Instance) {name} }}
"""


def documented_configuration(port: int) -> str:
    """Return the configuration of the document without its servers, on a port without TLS.

    A test names the instance that it asks, and sees which one has answered.
    """
    section = OPERATIONS.read_text(encoding="utf-8").partition("### HAProxy")[2]
    found = re.search(r"(?:^    .*\n|^\n)+", section[section.index("    defaults") :], re.MULTILINE)
    assert found is not None
    lines = [line for line in found[0].splitlines() if not line.strip().startswith("server ")]
    text = re.sub(r"bind .*", f"bind 127.0.0.1:{port}", "\n".join(lines))
    return f"{text}\n        http-response set-header X-Instance %s\n"


class HAProxy:
    """A HAProxy that divides requests between instances; their names are numbers, from 0 on."""

    def __init__(self, port: int, urls: Sequence[str], directory: Path) -> None:
        self._program = shutil.which("haproxy") or "/usr/sbin/haproxy"
        if not Path(self._program).exists():
            pytest.fail("HAProxy is not installed; on Debian: apt-get install haproxy")
        self._directory = directory
        self._configuration = directory / "haproxy.cfg"
        servers = [
            SERVER.format(name=number, address=url.removeprefix("http://"))
            for number, url in enumerate(urls)
        ]
        head = GLOBAL.format(directory=directory) + documented_configuration(port)
        self._configuration.write_text(head + "".join(servers))
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{port}"

    def start(self) -> None:
        """Start it. All instances get requests when this returns."""
        command = [self._program, "-q", "-db", "-f", str(self._configuration)]
        self._process = subprocess.Popen(command)
        wait_for(lambda: set(self.states()) == {"UP"}, "HAProxy finds all instances ready")

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)

    def states(self) -> list[str]:
        """Return the state of each instance, ``UP`` or ``DOWN``; none if HAProxy does not run."""
        with socket.socket(socket.AF_UNIX) as asking:
            try:
                asking.connect(str(self._directory / "stats.sock"))
            except OSError:
                return []
            asking.sendall(b"show stat\n")
            answer = asking.makefile().read()
        rows = csv.DictReader(answer.removeprefix("# ").splitlines())
        return [
            row["status"].split()[0]
            for row in rows
            if row["pxname"] == "ostiary" and row["svname"] != "BACKEND"
        ]
