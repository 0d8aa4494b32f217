"""Recipes with another policy than the document has in them, changed as it says."""

from __future__ import annotations

import pytest

from tests.databases import execute
from tests.proxies.proxied import Proxied
from tests.proxies.recipes import CADDY_RECIPE, NGINX_RECIPE, TRAEFIK_RECIPE, Recipe

ADMIN = {"/verify/app": "/verify/admin"}
BEARER = {
    "/verify/app": "/verify/api",
    "# proxy_set_header Authorization": "proxy_set_header Authorization",
    "# request_header -Authorization": "request_header -Authorization",
}


def recipes(*chosen: Recipe) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("recipe", chosen, indirect=True, ids=lambda each: each.name)


def changed(texts: dict[str, str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("replaced", [texts], indirect=True, ids=["changed"])


@recipes(NGINX_RECIPE, CADDY_RECIPE, TRAEFIK_RECIPE)
@changed(ADMIN)
def test_a_role_and_a_factor_are_asked_for_in_turn(proxied: Proxied) -> None:
    cookie = proxied.session()
    assert proxied.get(cookie).status_code == 403
    execute(proxied.service.database_url, "UPDATE \"user\" SET roles = '{admin}'")
    refused = proxied.get(cookie)
    assert refused.status_code == 401
    assert 'error="insufficient_user_authentication"' in refused.headers["www-authenticate"]
    assert proxied.has_seen_nothing()
    proven = (
        "UPDATE session SET methods = methods || jsonb_build_object('totp', methods->'password')"
    )
    execute(proxied.service.database_url, proven)
    assert proxied.get(cookie).status_code == 200
    assert proxied.seen().values("X-Ostiary-Roles") == ["admin"]


@recipes(NGINX_RECIPE, CADDY_RECIPE)
@changed(BEARER)
def test_a_bearer_token_passes_and_is_not_seen(proxied: Proxied) -> None:
    cookie = proxied.session()
    token = proxied.bearer_token()
    assert proxied.get(cookie).status_code == 401
    assert proxied.get(("Authorization", f"Bearer {token}")).status_code == 200
    seen = proxied.seen()
    assert token not in str(seen.headers)
    assert seen.values("X-Ostiary-Username") == ["Alice"]
