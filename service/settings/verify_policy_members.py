"""The members of a policy of `/verify`: how the value of each is written in JSON."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from service.model.identities import OIDC_METHOD
from service.model.roles import FORM, is_role
from service.model.sessions import Method, Transport
from service.settings.origins import Origins, normalised_origin
from service.settings.permitted import alternatives
from service.settings.values import Duration, HeaderNames

E = TypeVar("E", bound=StrEnum)


def _roles(value: object) -> frozenset[str]:
    roles = _texts(value)
    for role in roles:
        if not is_role(role):
            raise ValueError(f"{role!r} is no role, which has {FORM}")
    return frozenset(roles)


def _methods(value: object) -> frozenset[str]:
    return frozenset(_method(each) for each in _texts(value))


def _method(text: str) -> str:
    """Return a method, or what accounts at a provider prove: `oidc:` and the provider's name."""
    return text if OIDC_METHOD.fullmatch(text) else _member_of(Method, text)


def _max_age(value: object) -> Duration:
    return Duration.parse(_text(value))


def _transport(value: object) -> Transport:
    return _member_of(Transport, _text(value))


def _method_from(value: object) -> str:
    names = HeaderNames.parse(_text(value))
    if len(names) != 1:
        raise ValueError("must be the name of one header, or `request`")
    return next(iter(names))


def _origins(value: object) -> Origins:
    return Origins(map(normalised_origin, _texts(value)))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")  # noqa: TRY004
    return value


def _texts(value: object) -> list[str]:
    """Return a list of strings. An empty one could mean everybody or nobody."""
    if not isinstance(value, list) or not value:
        raise ValueError("must be a list of strings, and not empty: leave it out instead")
    texts = [_text(each) for each in value]
    if twice := next((each for each in texts if texts.count(each) > 1), None):
        raise ValueError(f"{twice!r} is there twice")
    return texts


def _member_of(kind: type[E], text: str) -> E:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{text!r} must be {alternatives([*kind])}") from None


# Each raises `ValueError`.
PARSERS: dict[str, Callable[[object], object]] = {
    "roles": _roles,
    "methods": _methods,
    "max_age": _max_age,
    "transport": _transport,
    "method_from": _method_from,
    "origins": _origins,
}
