"""Sign-ups that wait for a person to say that they want an account."""

from __future__ import annotations

from service.model.challenges import ChallengeData


class PendingSignUp(ChallengeData, frozen=True, kw_only=True):
    """The account at a provider, by its name in the settings, that a person has proven."""

    provider: str
    issuer: str
    subject: str
