"""The answer of a token endpoint (RFC 6749, section 5)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from service.auth.oidc.failures import ClientRefused, FetchFailed, ProofRefused
from service.auth.oidc.fetching import Answer
from service.auth.oidc.flow import Flow

FORM = "application/x-www-form-urlencoded"

# What codes and access tokens are made of (RFC 6749, appendices A.11 and A.12).
_PRINTABLE = re.compile(r"[\x20-\x7e]+")

# What a wrong, old or used code is answered with. The first one is RFC 6749's and the last one
# GitHub's; Microsoft answers `invalid_request` to a text that is no code.
_CODE_REFUSED = {"invalid_grant", "invalid_request", "access_denied", "bad_verification_code"}

# What is wrong with the provider for the moment.
_FAILED = {"server_error", "temporarily_unavailable", "slow_down"}


def code_form(code: str, flow: Flow) -> dict[str, str]:
    """Return the form by which a code is redeemed (RFC 6749, section 4.1.3; RFC 7636, 4.5).

    Raises `ProofRefused` for a text that is no code, which the provider does not get to see.
    """
    if _PRINTABLE.fullmatch(code) is None:
        raise ProofRefused("it is no code")
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": flow.redirect_uri,
        "code_verifier": flow.verifier,
    }


def granted(answer: Answer, member: str) -> str:
    """Return a token of an answer.

    An error may come with any status: GitHub's has 200. Raises `ProofRefused` if the code is
    refused, `ClientRefused` if the client is, and `FetchFailed`.
    """
    values = _values(answer)
    error = values.get("error")
    if isinstance(error, str) and error:
        raise _failure(error, values.get("error_description"))
    token = values.get(member)
    if not answer.is_ok:
        raise FetchFailed(f"the token endpoint has status {answer.status}")
    if not isinstance(token, str) or _PRINTABLE.fullmatch(token) is None:
        raise FetchFailed(f"the answer of the token endpoint has no {member}")
    return token


def _failure(error: str, description: object) -> Exception:
    if error in _CODE_REFUSED:
        return ProofRefused(f"the token endpoint answered with {error}")
    if error in _FAILED:
        return FetchFailed(f"the token endpoint answered with {error}")
    return ClientRefused(error, description if isinstance(description, str) else "")


def _values(answer: Answer) -> dict[str, Any]:
    if answer.media_type == FORM:
        try:
            return dict(parse_qsl(answer.body.decode(), max_num_fields=100))
        except ValueError:
            raise FetchFailed("the answer of the token endpoint is no form") from None
    return answer.read(dict[str, Any])
