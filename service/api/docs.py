"""A page to read and try the API: Swagger UI, served from its package.

Litestar's page (`SwaggerRenderPlugin`, 2.25.0) contains a script, so that its policy would have to
allow scripts in pages. No upstream issue is known.
"""

from __future__ import annotations

from typing import Any

from litestar import Controller, MediaType, Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import File
from swagger_ui_bundle import swagger_ui_path

from service.api.docs_callback_page import CALLBACK_PAGE, CALLBACK_SCRIPT
from service.api.docs_page import PAGE, PAGE_FILES, PAGE_POLICY, PAGE_SCRIPT, PAGE_STYLE
from service.api.http.response_headers import set_content_policy
from service.api.http.state import state_of


class DocsController(Controller):
    """The OpenAPI document and its page."""

    path = "/"
    include_in_schema = False

    @get("/openapi.json")
    async def get_document(self, request: Request[Any, Any, Any]) -> dict[str, Any]:
        """Return the OpenAPI document of this service."""
        return state_of(request).openapi_document()

    @get("/docs", media_type=MediaType.HTML)
    async def get_page(self, request: Request[Any, Any, Any]) -> Response[str]:
        """Return the page."""
        set_content_policy(request.scope, PAGE_POLICY)
        return Response(PAGE, headers={"Cross-Origin-Opener-Policy": "same-origin"})

    @get("/docs/page.js", media_type="text/javascript")
    async def get_page_script(self) -> str:
        """Return the script that sets Swagger UI up."""
        return PAGE_SCRIPT

    @get("/docs/page.css", media_type="text/css")
    async def get_page_style(self) -> str:
        """Return the style that is added to that of Swagger UI."""
        return PAGE_STYLE

    @get("/docs/callback", media_type=MediaType.HTML)
    async def get_callback_page(self, request: Request[Any, Any, Any]) -> Response[str]:
        """Return the page that shows what a provider has answered."""
        set_content_policy(request.scope, PAGE_POLICY)
        return Response(CALLBACK_PAGE, headers={"Cross-Origin-Opener-Policy": "same-origin"})

    @get("/docs/callback.js", media_type="text/javascript")
    async def get_callback_script(self) -> str:
        """Return the script that shows it."""
        return CALLBACK_SCRIPT

    @get("/docs/{name:str}")
    async def get_page_file(self, name: FromPath[str]) -> File:
        """Return a file of Swagger UI."""
        if name not in PAGE_FILES:
            raise NotFoundException
        return File(
            swagger_ui_path / name, media_type=PAGE_FILES[name], content_disposition_type="inline"
        )
