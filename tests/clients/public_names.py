"""The names by which applications call generated clients: classes, functions, enum members.

Left out is what does not come from the OpenAPI document: the code for HTTP, which is the same in
all clients of a generator, and the members of models, which have the names of JSON.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.clients.commands import HERE, run


def of_typescript(directory: Path, *patterns: str) -> list[str]:
    """Return the names that files in a directory export."""
    files = sorted(path for pattern in patterns for path in directory.glob(pattern))
    return run(directory, "node", HERE / "public_names.mjs", *files).splitlines()


def of_python(package: Path) -> list[str]:
    """Return the names in the modules of a package."""
    paths = [*package.glob("api/**/*.py"), *package.glob("models/*.py")]
    return sorted(line for path in paths for line in _of_module(path, package))


def _of_module(path: Path, package: Path) -> Iterator[str]:
    functions = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            yield f"class {node.name}{_list(_members(node, with_methods='api' in path.parts))}"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            functions.append(node.name)
    public = [name for name in functions if not name.startswith("_")]
    if public:
        module = ".".join(path.relative_to(package).with_suffix("").parts)
        yield f"module {module}{_list(public)}"


def _members(node: ast.ClassDef, *, with_methods: bool) -> list[str]:
    """Return the members of an enumeration, or the public methods of a class."""
    if any("Enum" in ast.unparse(base) for base in node.bases):
        targets = [each.targets[0] for each in node.body if isinstance(each, ast.Assign)]
        return [ast.unparse(each) for each in targets]
    methods = [each.name for each in node.body if isinstance(each, ast.FunctionDef)]
    return [name for name in methods if with_methods and not name.startswith("_")]


def of_java(client: Path) -> list[str]:
    """Return the names in the files of a client, as openapi-generator lays them out."""
    sources = client / "src" / "main"
    paths = sorted([*sources.rglob("api/*.java"), *sources.rglob("model/*.java")])
    return [_of_class(path) for path in paths if path.stem != "AbstractOpenApiSchema"]


def _of_class(path: Path) -> str:
    source = path.read_text(encoding="utf-8")
    kind = "enum" if f"public enum {path.stem} " in source else "class"
    members = re.findall(r'^  ([A-Z_0-9]+)\("', source, re.MULTILINE)
    if path.parent.name == "api":
        methods = re.findall(r"^  public [\w<>.]+ (\w+)\(", source, re.MULTILINE)
        members = sorted(set(methods))
    return f"{kind} {path.stem}{_list(members)}"


def _list(names: list[str]) -> str:
    return "".join(f"\n  {name}" for name in names)
