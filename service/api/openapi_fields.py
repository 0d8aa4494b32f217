"""The JSON schemas of fields with a type of their own, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from litestar.openapi.spec import Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

from service.api.factors.answers import MAX_LENGTH, CodeText
from service.auth import codes, device_names, email_addresses, identifiers, passwords, usernames
from service.auth.factors import passkey_names, recovery_codes, totp
from service.auth.programs.access_tokens import Audience
from service.settings.jwt import MAX_AUDIENCE_LENGTH
from service.settings.passwords import PasswordSettings


def field_schemas(settings: PasswordSettings) -> dict[type, Schema]:
    """Return the JSON schemas of fields with a type of their own."""
    return {
        usernames.Username: Schema(
            type=OpenAPIType.STRING,
            min_length=1,
            max_length=usernames.MAX_UNPREPARED_LENGTH,
            description=f"{usernames.MIN_LENGTH} to {usernames.MAX_LENGTH} letters, digits and "
            "some punctuation, counted after preparation (RFC 8265, UsernameCaseMapped), without "
            "`@`, of one script or of scripts that are usually mixed (UTS 39, highly restrictive). "
            "Some names are reserved. `Alice`, `alice` and `ＡＬＩＣＥ` are the same name; it is "
            "displayed as given here.",
            examples=["Alice"],
        ),
        usernames.GivenUsername: Schema(
            type=OpenAPIType.STRING,
            min_length=1,
            max_length=usernames.MAX_UNPREPARED_LENGTH,
            description="A user name, as sign-up accepts it; one that is reserved, too.",
            examples=["Alice"],
        ),
        identifiers.Identifier: Schema(
            type=OpenAPIType.STRING,
            min_length=1,
            max_length=usernames.MAX_UNPREPARED_LENGTH,
            description="The user name or the e-mail address of the user, in any spelling.",
            examples=["Alice"],
        ),
        email_addresses.EmailAddress: Schema(
            type=OpenAPIType.STRING,
            min_length=1,
            max_length=email_addresses.MAX_OCTETS,
            description="An e-mail address, the same in any case of ASCII letters and any form of "
            "its domain. The part before the `@` is shown and mailed to as it was typed.",
            examples=["alice@example.com"],
        ),
        codes.Code: Schema(
            type=OpenAPIType.STRING,
            min_length=codes.DIGITS,
            max_length=2 * codes.DIGITS,
            description=f"The code that was mailed: {codes.DIGITS} digits; spaces and hyphens "
            "between them are ignored.",
            examples=["12345678"],
        ),
        CodeText: Schema(
            type=OpenAPIType.STRING,
            min_length=totp.DIGITS,
            max_length=MAX_LENGTH,
            description=f"A code of an authenticator app: {totp.DIGITS} digits; a recovery code: "
            f"{recovery_codes.LENGTH} letters and digits; or a code that was mailed: "
            f"{codes.DIGITS} digits. Spaces and hyphens between them are ignored.",
            examples=["123456"],
        ),
        totp.TOTPCode: Schema(
            type=OpenAPIType.STRING,
            min_length=totp.DIGITS,
            max_length=2 * totp.DIGITS,
            description=f"The code that the app shows: {totp.DIGITS} digits; spaces and hyphens "
            "between them are ignored.",
            examples=["123456"],
        ),
        passkey_names.PasskeyName: Schema(
            type=OpenAPIType.STRING,
            min_length=1,
            max_length=passkey_names.MAX_LENGTH,
            description="The user's name for the passkey. Surrounding space is removed, control "
            "characters are refused.",
            examples=["Alice's laptop"],
        ),
        passwords.NewPassword: Schema(
            type=OpenAPIType.STRING,
            min_length=settings.min_length,
            max_length=passwords.MAX_LENGTH,
            description="Any characters, emoji too, but no control characters. It is compared as "
            "RFC 8265 (OpaqueString) says. Passwords that are common, or little more than common "
            "words, sequences and repetitions, and those that contain the user name, are refused.",
            examples=["correct horse battery staple"],
        ),
        passwords.Password: Schema(
            type=OpenAPIType.STRING,
            min_length=1,
            max_length=passwords.MAX_CLAIMED_LENGTH,
            description="The password of the user.",
            examples=["an older passphrase of mine"],
        ),
        device_names.DeviceName: Schema(
            type=OpenAPIType.STRING,
            max_length=device_names.MAX_LENGTH,
            description="What the list of sessions calls this device. Surrounding space is "
            "removed, control characters are refused; a blank name is none.",
            examples=["Jane's phone"],
        ),
        Audience: Schema(
            type=OpenAPIType.STRING,
            min_length=1,
            max_length=MAX_AUDIENCE_LENGTH,
            description="The program that the token is for: one of `OSTIARY_JWT_AUDIENCES`, "
            "character by character.",
            examples=["billing"],
        ),
    }


class FieldSchemas(OpenAPISchemaPlugin):
    """The JSON schemas of custom field types, for Litestar."""

    def __init__(self, schemas: dict[type, Schema]) -> None:
        self._schemas = schemas

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        """Return whether this plugin has the schema of a field's type."""
        return field_definition.annotation in self._schemas

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        """Return the schema of a field's type."""
        return self._schemas[field_definition.annotation]
