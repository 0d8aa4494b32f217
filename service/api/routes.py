"""The routes of the API that the OpenAPI document describes."""

from __future__ import annotations

from service.api.accounts import AccountController
from service.api.health import HealthController
from service.api.sessions import SessionController

CONTROLLERS = (AccountController, SessionController, HealthController)
