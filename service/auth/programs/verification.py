"""Verification: whether the user of a request may use another application, by its policy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from service.auth.errors import InsufficientRole, ReauthenticationRequired
from service.auth.sessions import LiveSession, Sessions
from service.auth.step_up import StepUp
from service.auth.tokens import Token
from service.model.sessions import FoundSession
from service.settings.verify_policies import VerifyPolicy


class Verification:
    """Finds the session of a request to another application, and asks for what its policy says."""

    def __init__(self, sessions: Sessions, step_up: StepUp) -> None:
        self._sessions = sessions
        self._step_up = step_up

    async def verify(self, tokens: Sequence[Token], policy: VerifyPolicy) -> LiveSession:
        """Return the session that the tokens open, renewing it if idle.

        A refused request renews nothing: no cookie would tell the browser of it. Raises
        `NotAuthenticated`, `InsufficientRole` and `ReauthenticationRequired`.
        """
        token, found = await self._sessions.find_only(tokens)
        if policy.roles and policy.roles.isdisjoint(found.user.roles):
            raise InsufficientRole
        if not _is_proven(found, policy):
            raise ReauthenticationRequired(
                sorted(policy.methods) or await self._step_up.methods_of(found.user.id),
                None if policy.max_age is None else int(policy.max_age),
            )
        return await self._sessions.renewed_if_idle(token, found)


def _is_proven(found: FoundSession, policy: VerifyPolicy) -> bool:
    """Return whether the user was proven as a policy asks for, by the database's clock.

    A method that it lists counts only if it is recent enough itself, beside everything that the
    account asks for.
    """
    proven_at = found.session.authenticated_at
    if policy.methods:
        times = [at for method, at in found.session.methods.items() if method in policy.methods]
        if not times:
            return False
        proven_at = min(proven_at, max(times))
    if policy.max_age is None:
        return True
    return found.found_at - proven_at <= timedelta(seconds=policy.max_age)
