"""Policies of `/verify`: what a request to another application needs, read from a JSON file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from msgspec import Struct

from service.model.sessions import Transport
from service.settings.origins import Origins
from service.settings.values import Duration
from service.settings.verify_policy_members import PARSERS

# `method_from` where the request to `/verify` has the method of the one that is asked about.
FROM_REQUEST = "request"

_NAME = re.compile(r"[a-z0-9_-]{1,64}")


class VerifyPolicy(Struct, frozen=True, kw_only=True):
    """What a request to an application needs, and where the proxy tells its method.

    One of ``roles`` and one of ``methods`` is enough; without any, none is needed. ``max_age`` is
    how long ago the user may have authenticated, by one of ``methods`` if there are any.
    ``method_from`` is a header in lower case, or `FROM_REQUEST`. ``origins`` are those of other
    pages that may send unsafe methods.
    """

    roles: frozenset[str] = frozenset()
    methods: frozenset[str] = frozenset()
    max_age: Duration | None = None
    transport: Transport = Transport.COOKIE
    method_from: str = "x-forwarded-method"
    origins: Origins = Origins()


class VerifyPolicies(Struct, frozen=True):
    """The file with the policies, and what it says: a policy for each name."""

    path: str
    by_name: dict[str, VerifyPolicy]

    @classmethod
    def parse(cls, path: str) -> Self:
        """Read a file. Raises `ValueError`, which names the file and the member that is wrong."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not text in UTF-8") from error
        try:
            return cls(path, dict(_policies_in(text)))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def __str__(self) -> str:
        return self.path


class _Members(tuple[tuple[str, Any], ...]):
    """The members of a JSON object, those that are there twice included."""

    __slots__ = ()


def _policies_in(text: str) -> Iterable[tuple[str, VerifyPolicy]]:
    try:
        found = json.loads(text, object_pairs_hook=_Members)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from error
    except RecursionError as error:
        raise ValueError("nests too deeply") from error
    for name, members in _object(found).items():
        if _NAME.fullmatch(name) is None:
            raise ValueError(
                f"{name!r}: the name of a policy must be 1 to 64 of a-z, 0-9, _ and -, since it is "
                "part of a path"
            )
        try:
            values = _object(members)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        yield name, _policy(name, values)


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, _Members):
        raise ValueError("must be an object")  # noqa: TRY004
    names = [name for name, _ in value]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"the member {twice!r} is there twice")
    return dict(value)


def _policy(name: str, members: dict[str, Any]) -> VerifyPolicy:
    values: dict[str, Any] = {}
    for member, value in members.items():
        place = f"{name}.{member}"
        if member not in PARSERS:
            raise ValueError(f"{place}: there is no such member; there are {', '.join(PARSERS)}")
        try:
            values[member] = PARSERS[member](value)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
    policy = VerifyPolicy(**values)
    if policy.origins and policy.transport is Transport.BEARER:
        raise ValueError(f"{name}.origins: has no effect with the transport `bearer`")
    return policy
