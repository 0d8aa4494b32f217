"""HAProxy before several instances of the service."""

from __future__ import annotations

import csv
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.services import PATIENCE, wait_for

# As docs/operations.md has it, without TLS. A test names the instance that it asks.
CONFIGURATION = """
global
    stats socket {directory}/stats.sock
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 15s
    timeout http-keep-alive 4s
    retries 3
    option redispatch
frontend public
    bind 127.0.0.1:{port}
    http-request del-header Forwarded
    http-request del-header X-Forwarded-For
    option forwardfor
    default_backend ostiary
backend ostiary
    option httpchk GET /readyz
    http-check expect status 200
    http-reuse safe
    http-response set-header X-Instance %s
    default-server check inter 1s fall 2 rise 1
"""

SERVER = """
    server {name} {address}
    use-server {name} if {{ req.hdr(X-Instance) {name} }}
"""


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
        head = CONFIGURATION.format(port=port, directory=directory)
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
