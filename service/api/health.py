"""Is the process alive, and can it do its work?"""

from __future__ import annotations

from typing import Literal

from litestar import Controller, get
from litestar.di import NamedDependency
from msgspec import Struct

from service.api.operations import problem_responses
from service.api.problems import DATABASE_UNAVAILABLE, SCHEMA_BEHIND
from service.auth.readiness import Readiness


class Health(Struct, frozen=True, kw_only=True):
    """All is well."""

    status: Literal["ok"] = "ok"


class HealthController(Controller):
    """For the machines that watch over this one."""

    path = "/"
    tags = ("Health",)

    @get(
        "/healthz",
        operation_id="getHealth",
        summary="Alive?",
        response_description="The process is alive.",
        responses=problem_responses(),
    )
    async def get_health(self) -> Health:
        """Tell that the process is alive."""
        return Health()

    @get(
        "/readyz",
        operation_id="getReadiness",
        summary="Ready?",
        response_description="The database answers, and its schema is current.",
        responses=problem_responses(DATABASE_UNAVAILABLE, SCHEMA_BEHIND),
    )
    async def get_readiness(self, readiness: NamedDependency[Readiness]) -> Health:
        """Tell that the database answers and that its schema is current."""
        await readiness.check()
        return Health()
