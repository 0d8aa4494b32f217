"""The names of variables of OpenID providers, which have the provider's name in them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

import msgspec

from service.settings.oidc_variables import OIDC_PREFIX, PLACEHOLDER, ProviderVariables
from service.settings.secret_files import SUFFIX
from service.settings.variable import Variable, variable_of

# Without an underscore, a variable is of one provider only.
_NAME = re.compile(r"[A-Z][A-Z0-9]{0,31}")
_VARIABLE = re.compile(rf"{OIDC_PREFIX}({_NAME.pattern})_(.+)")


@cache
def provider_variables(name: str = PLACEHOLDER) -> tuple[Variable, ...]:
    """Return the variables of a provider, by its name in capitals."""
    return tuple(
        variable_of(f"{OIDC_PREFIX}{name}_{field.name.upper()}", None, field)
        for field in msgspec.structs.fields(ProviderVariables)
    )


def provider_names(environment: Iterable[str]) -> list[str]:
    """Return the names in capitals of all providers that have a variable."""
    matches = filter(None, map(_VARIABLE.fullmatch, environment))
    return sorted({match[1] for match in matches if match[2] in _suffixes()})


def meant_provider_names(environment: Iterable[str]) -> list[str]:
    """Return the names in capitals of all providers that a variable is meant for, or may be."""
    return sorted({match[1] for match in filter(None, map(_VARIABLE.fullmatch, environment))})


def has_no_provider_name(variable: str) -> bool:
    """Return whether a variable is one of a provider, but for a name that none can have."""
    return any(
        variable.startswith(OIDC_PREFIX)
        and variable.endswith(f"_{suffix}")
        and _NAME.fullmatch(variable[len(OIDC_PREFIX) : -len(suffix) - 1]) is None
        for suffix in _suffixes()
    )


def provider_secret_names(environment: Iterable[str]) -> list[str]:
    """Return the names of the variables that hold a secret of a provider."""
    return [
        each.name
        for name in provider_names(environment)
        for each in provider_variables(name)
        if each.is_secret
    ]


def _suffixes() -> set[str]:
    """Return how the variables of a provider end, after its name."""
    known = {each.field.upper(): each.is_secret for each in provider_variables()}
    return {*known} | {name + SUFFIX for name, is_secret in known.items() if is_secret}
