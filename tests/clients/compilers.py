"""Compile clients and programs as strictly as can be."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.clients.commands import ENVIRONMENT, HERE, UNOPTIMISED_JAVA, run

# openapi-generator's archive has what its clients for Java need, but for one annotation, which is
# no part of Java since version 11.
ANNOTATIONS = Path("/usr/share/java/geronimo-annotation-1.3-spec.jar")

# Warnings that openapi-generator's code for HTTP gives rise to, whatever the document.
JAVA_WARNINGS = "-Xlint:all,-serial,-deprecation"


def compile_typescript(directory: Path) -> None:
    """Check the client and the program."""
    for name in ("tsconfig.json", "package.json"):
        shutil.copy(HERE / "programs" / name, directory)
    run(directory, "tsc")


def compile_python(directory: Path) -> None:
    """Check the client and the program."""
    run(directory, "mypy", "--strict", "ostiary_client", "walk.py")


def compile_half_typed_python(directory: Path) -> None:
    """Check the client by the rules that it brings along, the program strictly."""
    run(directory / "client", "mypy", "ostiary_client")
    run(directory, "mypy", "--strict", "--follow-imports", "silent", "walk.py")


def compile_java(directory: Path) -> None:
    """Compile the client and the program."""
    (directory / "classes").mkdir()
    client = list((directory / "client" / "src" / "main").rglob("*.java"))
    javac = ("javac", f"-J{UNOPTIMISED_JAVA}", "-Werror", "-proc:none", "-d", "classes")
    run(directory, *javac, "-cp", class_path(), JAVA_WARNINGS, *client)
    run(directory, *javac, "-cp", class_path(), "-Xlint:all", "Walk.java")


def class_path() -> str:
    """Return where Java finds the client, and what it needs."""
    (archive,) = ENVIRONMENT.glob("lib/python3*/site-packages/openapi_generator_cli/*.jar")
    return os.pathsep.join(["classes", str(archive), str(ANNOTATIONS)])
