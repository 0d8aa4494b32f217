"""The parts of paths that name a provider, or an identity."""

from __future__ import annotations

from typing import Annotated

from litestar.params import PathParameter

ProviderName = Annotated[
    str, PathParameter(description="The provider's name in the settings: `google`.")
]
IdentityId = Annotated[str, PathParameter(format="uuid", description="The identity's `id`.")]
