"""The blocks of functions: runs of statements that are entered together."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from tests.mutation.operators import Mutant

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

NOTE = '__import__("tests.mutation.notes").mutation.notes.note({block!r})\n'


def blocks_of(mutant: Mutant, source: str, others: Iterable[str]) -> set[str]:
    """Return the blocks whose tests can kill a mutant: its own, or those that use its constant.

    There are none if ``others``, the sources of all other modules, import that constant.
    """
    tree = ast.parse(source)
    functions = dict(_functions(tree))
    if mutant.place in functions:
        return {_block_at(mutant.place, functions[mutant.place], mutant.line)}
    names = _constants_made_of(mutant.place, tree)
    if any(imports(text, name) for name in names for text in others):
        return set()
    return {
        _block_at(place, function, node.lineno)
        for place, function in functions.items()
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and node.id in names
    }


def constants_of(mutant: Mutant, source: str) -> set[str]:
    """Return the names of the module that a mutant changes: none if it is in a function."""
    tree = ast.parse(source)
    is_named = mutant.place and mutant.place not in dict(_functions(tree))
    return _constants_made_of(mutant.place, tree) if is_named else set()


def imports(source: str, name: str) -> bool:
    """Return whether a source imports a name, or reads an attribute of that name.

    The name may be that of another module: that costs time only.
    """
    imported = rf"\bimport ([^\n(]*|\([^)]*)\b{name}\b"
    return re.search(rf"{imported}|\.{name}\b", source) is not None


def instrumented(source: str, module: str) -> str:
    """Return the source with blocks that note the test that enters them, cached or not."""
    lines = source.splitlines(keepends=True)
    notes: dict[int, tuple[int, str]] = {}
    for place, function in _functions(ast.parse(source)):
        for decorator in function.decorator_list:
            if isinstance(decorator, ast.Name) and decorator.id == "cache":
                lines[decorator.lineno - 1] = "\n"
        for number, statements in enumerate(_blocks(function)):
            for first in _without_docstring(statements)[:1]:
                note = NOTE.format(block=f"{module}:{place}#{number}")
                notes[_first_line(first)] = (first.col_offset, note)
    for line in sorted(notes, reverse=True):
        indentation, note = notes[line]
        lines.insert(line - 1, " " * indentation + note)
    return "".join(lines)


def _functions(tree: ast.AST, place: str = "") -> Iterator[tuple[str, Function]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, DEFINITIONS):
            inside = f"{place}.{node.name}".lstrip(".")
            if not isinstance(node, ast.ClassDef):
                yield inside, node
            yield from _functions(node, inside)
        else:
            yield from _functions(node, place)


def _blocks(function: Function) -> list[list[ast.stmt]]:
    """Return the blocks of a function, each before those inside; not those of functions in it."""
    if function.body[0].lineno == function.lineno:
        return []
    return [function.body, *_inside(function.body)]


def _inside(statements: list[ast.stmt]) -> Iterator[list[ast.stmt]]:
    for statement in statements:
        if isinstance(statement, DEFINITIONS):
            continue
        handlers, cases = getattr(statement, "handlers", []), getattr(statement, "cases", [])
        for part in (statement, *handlers, *cases):
            for inner in (getattr(part, name, []) for name in ("body", "orelse", "finalbody")):
                # No statement can stand before `elif`.
                is_elif = inner and inner[0].col_offset == statement.col_offset
                if inner and not is_elif:
                    yield inner
                yield from _inside(inner)


def _block_at(place: str, function: Function, line: int) -> str:
    """Return the innermost block with a line."""
    found = 0
    for number, statements in enumerate(_blocks(function)):
        if _first_line(statements[0]) <= line <= (statements[-1].end_lineno or 0):
            found = number
    return f"{place}#{found}"


def _without_docstring(statements: list[ast.stmt]) -> list[ast.stmt]:
    first = statements[0]
    is_docstring = (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )
    return statements[1:] if is_docstring else statements


def _first_line(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(each.lineno for each in decorators)])


def _constants_made_of(name: str, tree: ast.Module) -> set[str]:
    """Return a constant, and those whose values have it, and so on."""
    made: Mapping[str, set[str]] = {
        node.targets[0].id: {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    names, grew = {name}, True
    while grew:
        uses = {constant for constant, parts in made.items() if names & parts}
        grew = not uses <= names
        names |= uses
    return names
