"""Health checks, for load balancers and monitoring."""

from __future__ import annotations

from typing import Any, Literal

from litestar import Controller, Request, get
from msgspec import Struct

from service.api.http.problem_types import DATABASE_UNAVAILABLE, SCHEMA_BEHIND
from service.api.http.responses import problem_responses
from service.api.http.state import state_of
from service.auth.readiness import check_readiness


class Health(Struct, frozen=True, kw_only=True):
    """The check passed."""

    status: Literal["ok"] = "ok"


class HealthController(Controller):
    """Liveness and readiness."""

    path = "/"
    tags = ("Health",)

    @get(
        "/healthz",
        operation_id="getHealth",
        summary="Liveness",
        response_description="The process is alive.",
        responses=problem_responses(),
    )
    async def get_health(self) -> Health:
        """Succeed while the process runs."""
        return Health()

    @get(
        "/readyz",
        operation_id="getReadiness",
        summary="Readiness",
        response_description="The database answers and has all migrations.",
        responses=problem_responses(DATABASE_UNAVAILABLE, SCHEMA_BEHIND),
    )
    async def get_readiness(self, request: Request[Any, Any, Any]) -> Health:
        """Check that the database answers and has all migrations of this version."""
        await check_readiness(state_of(request).services.database)
        return Health()
