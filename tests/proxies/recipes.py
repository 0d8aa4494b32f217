"""The recipes of the document, as they stand there, with the ports and files of a test."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from msgspec import Struct

DOCUMENT = Path(__file__).parents[2] / "docs" / "protect-your-app.md"
EXAMPLE = Path(__file__).parents[2] / "examples" / "nginx"
HOST = "app.example.com"

NGINX = """
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
{recipe}
}}
"""

CADDY = """
{{
    admin off
    auto_https off
    storage file_system {directory}/storage
}}
{recipe}
"""

TRAEFIK = """
entryPoints:
  websecure:
    address: 127.0.0.1:{port}
providers:
  file:
    filename: {directory}/recipe.yaml
"""

TRAEFIK_TLS = """
tls:
  certificates:
    - certFile: {certificate}
      keyFile: {key}
"""


class Place(Struct, frozen=True, kw_only=True):
    """Where a proxy listens, what stands behind it, and its files."""

    port: int
    service: int
    application: int
    certificate: Path
    key: Path
    directory: Path


class Recipe(Struct, frozen=True, kw_only=True):
    """A proxy, Debian's package of it if there is one, and how it is started.

    ``source`` returns what users copy.
    """

    name: str
    program: str
    package: str | None
    source: Callable[[], str]
    command: Callable[[str, Place, str], Sequence[str]]

    def text(self, place: Place, replaced: Mapping[str, str]) -> str:
        """Return the recipe; ``replaced`` are texts that a user changes in it."""
        text = self.source()
        texts = {
            "127.0.0.1:8000": f"127.0.0.1:{place.service}",
            "127.0.0.1:3000": f"127.0.0.1:{place.application}",
            "port_value: 8000": f"port_value: {place.service}",
            "port_value: 3000": f"port_value: {place.application}",
            "address: 0.0.0.0, port_value: 443": f"address: 127.0.0.1, port_value: {place.port}",
            "listen 443 ssl": f"listen 127.0.0.1:{place.port} ssl",
            f"/etc/ssl/{HOST}.pem": str(place.certificate),
            f"/etc/ssl/{HOST}.key": str(place.key),
        } | dict(replaced)
        for old, new in texts.items():
            text = text.replace(old, new)
        return text


def documented(name: str) -> str:
    """Return the recipe for a proxy in the document."""
    section = DOCUMENT.read_text(encoding="utf-8").partition(f"\n## {name}\n")[2]
    found = re.search(r"```\w+\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


def example() -> str:
    """Return the example of nginx, with the files that it includes."""
    text = (EXAMPLE / "app.conf").read_text(encoding="utf-8")
    for name in ("ostiary.conf", "ostiary-request.conf"):
        text = text.replace(f"include {name};", (EXAMPLE / name).read_text(encoding="utf-8"))
    return text


def nginx_command(program: str, place: Place, text: str) -> Sequence[str]:
    path = place.directory / "nginx.conf"
    path.write_text(NGINX.format(directory=place.directory, recipe=text), encoding="utf-8")
    return [program, "-p", str(place.directory), "-c", str(path), "-e", "stderr"]


def caddy_command(program: str, place: Place, text: str) -> Sequence[str]:
    site = f"https://{HOST}:{place.port} {{\n\ttls {place.certificate} {place.key}"
    text = text.replace(f"{HOST} {{", site)
    path = place.directory / "Caddyfile"
    path.write_text(CADDY.format(directory=place.directory, recipe=text), encoding="utf-8")
    return [program, "run", "--adapter", "caddyfile", "--config", str(path)]


def traefik_command(program: str, place: Place, text: str) -> Sequence[str]:
    tls = TRAEFIK_TLS.format(certificate=place.certificate, key=place.key)
    (place.directory / "recipe.yaml").write_text(text + tls, encoding="utf-8")
    path = place.directory / "traefik.yaml"
    path.write_text(TRAEFIK.format(port=place.port, directory=place.directory), encoding="utf-8")
    return [program, f"--configFile={path}"]


def envoy_command(program: str, place: Place, text: str) -> Sequence[str]:
    path = place.directory / "envoy.yaml"
    path.write_text(text, encoding="utf-8")
    return [program, "-c", str(path), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]


def _documented(
    name: str, package: str | None, command: Callable[[str, Place, str], Sequence[str]]
) -> Recipe:
    source = partial(documented, name)
    return Recipe(name=name, program=name.lower(), package=package, source=source, command=command)


NGINX_RECIPE = _documented("nginx", "nginx-light", nginx_command)
CADDY_RECIPE = _documented("Caddy", "caddy", caddy_command)
TRAEFIK_RECIPE = _documented("Traefik", None, traefik_command)
ENVOY_RECIPE = _documented("Envoy", None, envoy_command)
NGINX_EXAMPLE = Recipe(
    name="the example of nginx",
    program="nginx",
    package="nginx-light",
    source=example,
    command=nginx_command,
)

RECIPES = (NGINX_RECIPE, CADDY_RECIPE, TRAEFIK_RECIPE, ENVOY_RECIPE, NGINX_EXAMPLE)


def policies() -> str:
    """Return the file with the policies of the document."""
    found = re.search(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]
