"""A client of OAuth 2.0 introspects, as the document shows it."""

from __future__ import annotations

import re
from pathlib import Path

from service.model.service_tokens import Scope
from tests.clients.commands import HERE, ROOT, run
from tests.factories import service_token, sign_up
from tests.services import Service

DOCUMENT = ROOT / "docs" / "service-tokens.md"
DOCUMENTED_URL = "https://auth.example.com"


def test_openid_client_introspects_by_basic(service: Service, tmp_path: Path) -> None:
    """It encodes the `_` of the token as `%5F`, as RFC 6749 allows."""
    with service.client() as client:
        signed_up = sign_up(client, transport="bearer").json()
    tokens = {
        "serviceToken": service_token(service.database_url, Scope.INTROSPECT),
        "token": signed_up["session"]["token"],
    }
    (shown,) = re.findall(r"```js\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    program = tmp_path / "introspect.mjs"
    program.write_text(
        "".join(f"const {name} = '{text}'\n" for name, text in tokens.items())
        # The service of the tests has no TLS.
        + shown.replace(DOCUMENTED_URL, service.url).replace(
            "\nconst { active", "\noauth.allowInsecureRequests(config)\nconst { active"
        )
        + "console.log(active, sub)\n"
        + "console.log((await oauth.tokenIntrospection(config, 'another')).active)\n",
        encoding="utf-8",
    )
    (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
    assert run(tmp_path, "node", program) == f"true {signed_up['user']['id']}\nfalse\n"
