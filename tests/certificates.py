"""Certificates for tests, made by the program ``openssl``."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """A certificate authority, with its files in a directory."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self.certificate = directory / f"{name}.pem"
        self._key = directory / f"{name}.key"
        _openssl(*KEY, "-subj", f"/CN={name}", "-keyout", self._key, "-out", self.certificate)

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return the files of a certificate for a host or a client, and of its key."""
        certificate, key = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        _openssl(
            *(*KEY, "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
            *("-CA", self.certificate, "-CAkey", self._key, "-keyout", key, "-out", certificate),
        )
        return certificate, key

    def server_context(self, name: str, *, wants_client: bool = False) -> ssl.SSLContext:
        """Return the TLS context of a server; ``wants_client``: clients need a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(name))
        if wants_client:
            context.load_verify_locations(self.certificate)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def _openssl(*arguments: str | Path) -> None:
    command = ["openssl", "req", "-x509", "-days", "1", *arguments]
    subprocess.run(command, check=True, capture_output=True)
