"""The routes of the API that the OpenAPI document describes."""

from __future__ import annotations

from litestar.handlers import HTTPRouteHandler

from service.api.accounts import AccountController
from service.api.admin.factors import UserFactorController
from service.api.admin.invitations import InvitationController
from service.api.admin.password_resets import UserPasswordResetController
from service.api.admin.sessions import UserSessionController
from service.api.admin.users import UserController
from service.api.email_sign_ups import EmailSignUpController
from service.api.emails import EmailController
from service.api.factors.log_ins import FactorLogInController
from service.api.factors.overview import FactorController
from service.api.factors.passkeys import PasskeyController
from service.api.health import HealthController
from service.api.identities.links import IdentityController
from service.api.identities.log_ins import IdentityLogInController
from service.api.identities.reauthentication import IdentityReauthenticationController
from service.api.me import MeController
from service.api.password_resets import PasswordResetController
from service.api.programs.access_tokens import AccessTokenController
from service.api.programs.introspection_document import IntrospectionDocument
from service.api.programs.verify_document import VerifyDocument
from service.api.sessions import SessionController
from service.api.undo import UndoController

CONTROLLERS = (
    AccountController,
    FactorLogInController,
    IdentityLogInController,
    EmailSignUpController,
    PasswordResetController,
    MeController,
    EmailController,
    UndoController,
    FactorController,
    PasskeyController,
    IdentityController,
    IdentityReauthenticationController,
    AccessTokenController,
    SessionController,
    UserController,
    UserSessionController,
    UserFactorController,
    UserPasswordResetController,
    InvitationController,
    HealthController,
)

# What is described: `/introspect` and `/verify` are answered beside Litestar.
DESCRIBED = (*CONTROLLERS[:-1], IntrospectionDocument, VerifyDocument, HealthController)


def operation_ids() -> list[str]:
    """Return the ids of all operations, in the order in which they are written."""
    members = (each for controller in DESCRIBED for each in vars(controller).values())
    handlers = (each for each in members if isinstance(each, HTTPRouteHandler))
    return [each.operation_id for each in handlers if isinstance(each.operation_id, str)]
