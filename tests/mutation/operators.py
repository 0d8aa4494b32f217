"""The mutants of a module: small changes to its text that some test should notice.

No mutants are made of what no test is about: docstrings, annotations, log messages, ``__repr__``,
``__slots__``, ``__all__`` and the wording of messages for people.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from itertools import accumulate

from msgspec import Struct

# Links of a chain that constrain a statement; each is taken out.
LINKS = {"where", "with_for_update", "order_by", "limit", "add_cte", "correlate", "desc"}
LINKS |= {"casefold", "lower", "strip", "capitalize", "exists"}

# Calls whose arguments are taken out one by one, and calls that are replaced by their argument.
CONJUNCTIONS = {"where", "order_by"}
WRAPPERS = {"shield", "prepare", "display", "sorted", "normalize"}

NAMES = {"any": "all", "all": "any", "min": "max", "max": "min", "least": "greatest"}
NAMES |= {
    "greatest": "least",
    "transaction": "connect",
    "fullmatch": "match",
    "rpartition": "partition",
}

COMPARISONS = {"==": "!=", "!=": "==", "<": "<=", "<=": "<", ">": ">=", ">=": ">"}
COMPARISONS |= {"is": "is not", "is not": "is", "in": "not in", "not in": "in"}
OPPOSITES = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
ARITHMETIC = {"+": "-", "-": "+", "*": "/", "/": "*", "//": "*", "%": "*", "|": "&", "&": "|"}

# What SQL text is cut at, where brackets are closed, and what is replaced in it.
SQL = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE)\b")
SQL_CLAUSE = re.compile(
    r"\b(WHERE|AND|ORDER BY|LIMIT|FOR UPDATE|SKIP LOCKED|UNION ALL|RETURNING|FROM)\b"
)
SQL_CUT = {"AND", "ORDER BY", "LIMIT", "FOR UPDATE", "SKIP LOCKED"}
SQL_WORDS = (
    *(
        (r" <= (?!now)", " < "),
        (r" >= ", " > "),
        (r" < ", " <= "),
        (r" > ", " >= "),
        (r" <= ", " > "),
    ),
    *(
        (r"\bclock_timestamp\(\)", "now()"),
        (r"\bgreatest\(", "least("),
        (r"\bleast\(", "greatest("),
    ),
    *(
        (r" \+ ", " - "),
        (r" - ", " + "),
        (r"\bIS NOT NULL\b", "IS NULL"),
        (r"\bNOT EXISTS\b", "EXISTS"),
    ),
    (r"\bWHERE (?=EXISTS)", "WHERE NOT "),
)

# In place of any context manager, synchronous or not.
NO_CONTEXT = '__import__("contextlib").nullcontext()'

IGNORED_NAMES = {"__slots__", "__all__", "log", "LOGGER"}


class Mutant(Struct, frozen=True):
    """``new`` in place of the bytes from ``start`` to ``end``, in a function or a constant."""

    module: str
    line: int
    place: str
    start: int
    end: int
    old: str
    new: str

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.new.encode() + source[self.end :]

    @property
    def is_removal(self) -> bool:
        """Return whether something is removed, not replaced by something else."""
        return self.new.strip() in {"", "pass", "true", "True", NO_CONTEXT}

    def __str__(self) -> str:
        old, new = (" ".join(text.split()) for text in (self.old, self.new))
        return f"`{old}` → `{new}`" if new else f"without `{old}`"


def mutants_of(module: str, source: bytes) -> list[Mutant]:
    """All mutants of a module that are still Python, each once."""
    found = {mutant.apply(source): mutant for mutant in _Module(module, source).mutants()}
    return [mutant for text, mutant in found.items() if text != source and _compiles(text)]


def _compiles(source: bytes) -> bool:
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True


class _Module:
    def __init__(self, module: str, source: bytes) -> None:
        self._module = module
        self._source = source
        self._lines = [0, *accumulate(len(line) for line in source.splitlines(keepends=True))]
        self._is_storage = "/storage/" in module

    def mutants(self) -> Iterator[Mutant]:
        yield from self._within(ast.parse(self._source), "")

    def _within(self, node: ast.AST, place: str) -> Iterator[Mutant]:
        for child in _children(node):
            inside = place
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inside = f"{place}.{child.name}".lstrip(".")
            elif isinstance(node, ast.Module) and isinstance(child, ast.Assign | ast.AnnAssign):
                target = child.targets[0] if isinstance(child, ast.Assign) else child.target
                inside = target.id if isinstance(target, ast.Name) else place
            for start, end, new in self._changes(child, node):
                old = self._source[start:end].decode()
                begin = start + len(old) - len(old.lstrip(", \n"))
                line = self._source.count(b"\n", 0, begin) + 1
                yield Mutant(self._module, line, inside, start, end, old, new)
            if not isinstance(child, ast.JoinedStr):
                yield from self._within(child, inside)

    def _span(self, node: ast.AST) -> tuple[int, int]:
        assert isinstance(node, ast.expr | ast.stmt | ast.keyword)
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self._lines[node.lineno - 1] + node.col_offset,
            self._lines[node.end_lineno - 1] + node.end_col_offset,
        )

    def _text(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self._source[start:end].decode()

    def _changes(  # noqa: C901, PLR0912
        self, node: ast.AST, parent: ast.AST
    ) -> Iterator[tuple[int, int, str]]:
        """Return the changes to one node: spans, and their replacements."""
        match node:
            case ast.Raise() | ast.AugAssign() | ast.Expr() | ast.Continue() | ast.Break():
                if not isinstance(getattr(node, "value", None), ast.Yield):
                    yield *self._span(node), "pass"
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]) if not _is_initial(node):
                yield *self._span(node), "pass"
            case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
                if not isinstance(test, ast.Compare | ast.Constant | ast.UnaryOp):
                    yield *self._span(test), f"(not ({self._text(test)}))"
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield *self._span(node), self._text(operand)
            case ast.BoolOp(values=values) | ast.Set(elts=values):
                yield from self._without_each(values)
            case ast.ExceptHandler(type=ast.Tuple(elts=values)):
                yield from self._without_each(values)
            case ast.Compare(left=left, ops=[_], comparators=[right]):
                is_time = isinstance(right, ast.Name) and right.id == "NOW"
                table = OPPOSITES if is_time else COMPARISONS
                yield from self._operator(left, right, table)
            case ast.BinOp(left=left, right=right):
                yield from self._operator(left, right, ARITHMETIC)
            case ast.comprehension(ifs=conditions):
                for condition in conditions:
                    yield *self._span(condition), "True"
            case ast.withitem(context_expr=context, optional_vars=None):
                yield *self._span(context), NO_CONTEXT
            case ast.Call():
                yield from self._call(node)
            case ast.Attribute(attr=name) if name in NAMES:
                end = self._span(node)[1]
                yield end - len(name), end, NAMES[name]
            case ast.Name(id=name) if name in NAMES:
                yield *self._span(node), NAMES[name]
            case ast.JoinedStr():
                yield from self._sql(node)
            case ast.Constant(value=bool() as value):
                yield *self._span(node), str(not value)
            case ast.Constant(value=int() | float()):
                yield *self._span(node), f"({self._text(node)} + 1)"
            case ast.Constant(value=str() | bytes() as value) if value:
                if isinstance(value, str) and SQL.search(value):
                    yield from self._sql(node)
                elif not self._is_storage and not isinstance(parent, ast.Dict):
                    text = self._text(node)
                    yield *self._span(node), f"{text[:-1]}~{text[-1]}"

    def _call(self, call: ast.Call) -> Iterator[tuple[int, int, str]]:
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        if isinstance(call.func, ast.Attribute) and name in LINKS:
            yield self._span(call.func.value)[1], self._span(call)[1], ""
        if name in CONJUNCTIONS and len(call.args) > 1:
            yield from self._without_each(call.args)
        if name in WRAPPERS and call.args:
            yield *self._span(call), self._text(call.args[-1])
        if not self._is_storage or name in LINKS:
            for keyword in call.keywords:
                yield from self._without(self._span(keyword))

    def _without_each(self, nodes: Iterable[ast.AST]) -> Iterator[tuple[int, int, str]]:
        spans = [self._span(node) for node in nodes]
        for index, (start, end) in enumerate(spans):
            if len(spans) == 1:
                return
            if index:
                yield spans[index - 1][1], end, ""
            else:
                yield start, spans[1][0], ""

    def _without(self, span: tuple[int, int]) -> Iterator[tuple[int, int, str]]:
        comma = re.compile(rb"\s*,").match(self._source, span[1])
        yield span[0], comma.end() if comma else span[1], ""

    def _operator(
        self, left: ast.AST, right: ast.AST, table: dict[str, str]
    ) -> Iterator[tuple[int, int, str]]:
        start, end = self._span(left)[1], self._span(right)[0]
        between = self._source[start:end].decode()
        sign = between.strip(" \n()")
        if sign in table:
            at = start + between.index(sign)
            yield at, at + len(sign), table[sign]

    def _sql(self, node: ast.AST) -> Iterator[tuple[int, int, str]]:
        """Conditions, orders and locks of SQL taken out, and operators replaced."""
        base, text = self._span(node)[0], self._text(node).rstrip("\"'")
        if not SQL.search(text):
            return
        for clause in SQL_CLAUSE.finditer(text):
            if clause[1] in SQL_CUT:
                yield base + clause.start(), base + _clause_end(text, clause.end()), ""
            elif clause[1] == "WHERE":
                yield base + clause.end(), base + _clause_end(text, clause.end()), " true "
        for pattern, new in SQL_WORDS:
            for found in re.finditer(pattern, text):
                yield base + found.start(), base + found.end(), new


def _clause_end(text: str, position: int) -> int:
    """Where a clause ends: at the next one, at the end of the line, or of the brackets around."""
    depth = 0
    while position < len(text):
        character = text[position]
        depth += (character == "(") - (character == ")")
        if depth < 0 or (depth == 0 and (character == "\n" or SQL_CLAUSE.match(text, position))):
            break
        position += 1
    return position


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Return the children of a node that are to be mutated."""
    hidden = {"annotation", "returns", "decorator_list", "bases", "type_params"}
    if isinstance(node, ast.ClassDef):
        hidden.add("keywords")
    for name, value in ast.iter_fields(node):
        if name not in hidden:
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not _is_ignored(child):
                    yield child


def _is_initial(node: ast.Assign) -> bool:
    """Return whether an assignment only stores an argument, as most of a constructor's."""
    return isinstance(node.value, ast.Name) and isinstance(node.targets[0], ast.Attribute)


def _is_ignored(node: ast.AST) -> bool:
    match node:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name in IGNORED_NAMES or "TypeAlias" in ast.dump(node)
        case ast.Constant(value=str() as text):
            return text.endswith(".") and " " in text
        case (
            ast.Import()
            | ast.ImportFrom()
            | ast.FunctionDef(name="__repr__")
            | ast.Expr(value=ast.Constant())
            | ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="log"))))
            | ast.Call(func=ast.Attribute(attr="__init__"))
            | ast.Call(func=ast.Name(id="RowRejected" | "AssertionError"))
        ):
            return True
    return False
