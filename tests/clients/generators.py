"""The generators, and what is done with the clients that they generate."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.clients import public_names
from tests.clients.commands import UNOPTIMISED_JAVA, is_there
from tests.clients.compilers import (
    class_path,
    compile_half_typed_python,
    compile_java,
    compile_python,
    compile_typescript,
)


@dataclass(frozen=True)
class Generator:
    """A generator of clients.

    ``name`` is the heading of its section in the document, ``program`` the file in `programs` that
    uses a client, ``needs`` lists programs that are not on every machine.
    """

    name: str
    program: str
    compile: Callable[[Path], None]
    names: Callable[[Path], list[str]]
    needs: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """The name as one word."""
        return re.sub(r"\W+", "-", self.name.lower()).strip("-")

    @property
    def program_name(self) -> str:
        """The name of the program's file beside the client."""
        return f"Walk{self.suffix}" if self.suffix == ".java" else f"walk{self.suffix}"

    @property
    def suffix(self) -> str:
        """The suffix of files in its language."""
        return Path(self.program).suffix

    def walk(self, url: str, transport: str) -> list[str]:
        """Return the command that runs the program. ``url`` is that of the service."""
        command = {
            ".ts": ["tsx", "walk.ts"],
            ".py": ["python", "walk.py"],
            ".java": ["java", UNOPTIMISED_JAVA, "-cp", class_path(), "Walk"],
        }
        return [*command[self.suffix], url, transport]

    @property
    def missing(self) -> list[str]:
        """The programs that it needs and that are not there."""
        return [program for program in self.needs if not is_there(program)]


GENERATORS = (
    Generator(
        "TypeScript: openapi-typescript and openapi-fetch",
        "openapi_fetch.ts",
        compile_typescript,
        lambda client: public_names.of_typescript(client, "schema.ts"),
    ),
    Generator(
        "TypeScript: @hey-api/openapi-ts",
        "hey_api.ts",
        compile_typescript,
        lambda client: public_names.of_typescript(client, "sdk.gen.ts", "types.gen.ts"),
    ),
    Generator(
        "TypeScript: openapi-generator",
        "typescript_fetch.ts",
        compile_typescript,
        lambda client: public_names.of_typescript(client, "apis/*.ts", "models/*.ts"),
        needs=("java",),
    ),
    Generator(
        "Python: openapi-python-client",
        "openapi_python_client.py",
        compile_python,
        lambda client: public_names.of_python(client.parent / "ostiary_client"),
    ),
    Generator(
        "Python: openapi-generator",
        "openapi_generator_python.py",
        compile_half_typed_python,
        lambda client: public_names.of_python(client / "ostiary_client"),
        needs=("java",),
    ),
    Generator(
        "Java: openapi-generator",
        "Walk.java",
        compile_java,
        public_names.of_java,
        needs=("java", "javac"),
    ),
)
