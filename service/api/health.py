"""Health checks, for load balancers and monitoring."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from litestar import Controller, Request, get
from msgspec import Meta, Struct

from service.api.http.problem_types import (
    DATABASE_UNAVAILABLE,
    DRAINING,
    HASHING_UNAVAILABLE,
    SCHEMA_BEHIND,
)
from service.api.http.responses import problem_responses
from service.api.http.state import state_of


class Health(Struct, frozen=True, kw_only=True):
    """The check passed."""

    status: Annotated[Literal["ok"], Meta(description="Always `ok`.")] = "ok"


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
        response_description="The database takes writes and has all migrations; hashing works.",
        responses=problem_responses(
            DATABASE_UNAVAILABLE, SCHEMA_BEHIND, HASHING_UNAVAILABLE, DRAINING
        ),
    )
    async def get_readiness(self, request: Request[Any, Any, Any]) -> Health:
        """Check that the database takes writes and has all migrations, and that hashing works.

        A service that is about to stop is not ready.
        """
        await state_of(request).services.readiness.check()
        return Health()
