"""Puts the parts together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.datastructures import State

from service.api.client_address import ClientAddresses
from service.api.credentials import SessionCookie
from service.api.documents import DocumentController
from service.api.json_body import FieldParsers
from service.api.problems import LARGEST_BODY, problem_response
from service.api.response_headers import headers_adder
from service.api.routes import CONTROLLERS, Parts, dependencies
from service.auth.accounts import Accounts
from service.auth.chores import keep_doing, stop_doing
from service.auth.even_refusals import learn_times
from service.auth.guessing import Guessing, GuessingLimits
from service.auth.hash_process import Argon2Cost
from service.auth.hashing import Hasher
from service.auth.passwords import NewPassword, Password, PasswordPolicy
from service.auth.readiness import Readiness
from service.auth.sessions import Sessions
from service.auth.sweeping import sweep_all
from service.auth.usernames import ClaimedUsername, Username
from service.model import Rate, SessionPeriods
from service.settings import Rate as RateSetting
from service.settings import Settings
from service.storage.database import Database, Limits
from service.storage.session_lookups import SessionLookups


def create_app(settings: Settings, database_url: str) -> Litestar:
    """Make the application of one process. Nothing connects before the first request."""
    database = Database(database_url, limits_of(settings))
    lookups = SessionLookups(database_url, limits_of(settings))
    hasher = hasher_of(settings)
    sessions = Sessions(database, lookups, periods_of(settings))
    parts = Parts(
        accounts=Accounts(
            database, hasher, sessions, Guessing(database, guessing_limits_of(settings))
        ),
        sessions=sessions,
        readiness=Readiness(database),
        session_cookie=SessionCookie(settings),
        client_addresses=ClientAddresses(settings.trusted_proxies, settings.forwarded_header),
    )

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        chores = {
            "sweep": partial(sweep_all, database),
            "learn_times": partial(learn_times, database, hasher),
        }
        background = [
            asyncio.create_task(keep_doing(name, chore, settings.sweep_interval))
            for name, chore in chores.items()
        ]
        yield
        await stop_doing(background)
        await hasher.close()
        await lookups.close()
        await database.close()

    return Litestar(
        [*CONTROLLERS, DocumentController],
        dependencies=dependencies(parts),
        state=State(
            {
                "sessions": sessions,
                "session_cookie": parts.session_cookie,
                "field_parsers": field_parsers_of(settings),
                "allowed_origins": settings.allowed_origins,
                "client_timeout": settings.client_timeout,
            }
        ),
        cors_config=cors_of(settings),
        exception_handlers={Exception: problem_response},
        before_send=[headers_adder(over_tls=settings.is_production)],
        lifespan=[lifespan],
        request_max_body_size=LARGEST_BODY,
        openapi_config=None,
        logging_config=None,
    )


def cors_of(settings: Settings) -> CORSConfig | None:
    """Let the pages of the listed origins read answers, with cookies. No list, no CORS."""
    if not settings.allowed_origins:
        return None
    return CORSConfig(
        allow_origins=sorted(settings.allowed_origins),
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=["Authorization", "Content-Type"],
        allow_credentials=True,
        expose_headers=["Location", "Retry-After", "X-Request-ID"],
    )


def limits_of(settings: Settings) -> Limits:
    return Limits(
        pool_size=settings.database_pool_size,
        connect=settings.database_connect_timeout,
        statement=settings.database_statement_timeout,
        pool_wait=settings.database_pool_wait,
        through_pgbouncer=settings.database_pgbouncer,
    )


def hasher_of(settings: Settings) -> Hasher:
    return Hasher(
        Argon2Cost(
            time_cost=settings.argon2_time_cost,
            memory_kib=settings.argon2_memory_kib,
            parallelism=settings.argon2_parallelism,
        ),
        processes=settings.hash_processes_of_a_worker,
        queue_length=settings.hash_queue_length,
        patience=settings.hash_queue_patience,
    )


def guessing_limits_of(settings: Settings) -> GuessingLimits:
    def rate(setting: RateSetting) -> Rate:
        return Rate(setting.attempts, setting.period)

    return GuessingLimits(
        log_ins_per_name=rate(settings.log_in_failures_per_name),
        log_ins_per_address=rate(settings.log_in_failures_per_address),
        sign_ups_per_address=rate(settings.sign_ups_per_address),
    )


def periods_of(settings: Settings) -> SessionPeriods:
    return SessionPeriods(
        active=settings.session_active_period,
        idle=settings.session_idle_period,
        lifetime=settings.session_max_lifetime,
    )


def field_parsers_of(settings: Settings) -> FieldParsers:
    return {
        Username: Username.parse,
        ClaimedUsername: ClaimedUsername.parse,
        Password: Password.parse,
        NewPassword: PasswordPolicy(settings.password_min_length).accept,
    }
