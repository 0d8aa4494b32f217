"""Variables that are no settings, but were set by Kubernetes.

For a service ``ostiary`` (or ``ostiary-…``), Kubernetes sets such variables in every container of
the namespace, unless ``enableServiceLinks`` is off; Docker's links have the same form. See
https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(
    r"OSTIARY(_\w+)?"
    r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_NAME_OF_ADDRESS = re.compile(r"OSTIARY(_\w+)?_PORT")
_ADDRESS = re.compile(r"(tcp|udp|sctp)://.*")


def service_links(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the variables that have the form of a service link."""
    return sorted(name for name, text in environment.items() if _is_link(name, text))


def _is_link(name: str, text: str) -> bool:
    if _NAME.fullmatch(name):
        return True
    return bool(_NAME_OF_ADDRESS.fullmatch(name) and _ADDRESS.fullmatch(text))
