"""A FastAPI application whose users log in at Ostiary, with the bearer token of their session.

pip install fastapi httpx uvicorn
export SERVICE_TOKEN=$(ostiary service-token create my-app --scope introspect)
uvicorn fastapi_app:app --port 9000
"""

from __future__ import annotations

import os
from typing import Annotated, Any

import httpx
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPBearer

# What protects the application: ten lines.
ostiary = httpx.AsyncClient(
    base_url=os.environ.get("AUTH_URL", "http://localhost:8000"),
    headers={"Authorization": f"Bearer {os.environ['SERVICE_TOKEN']}"},
)


async def current_user(bearer: Annotated[Any, Depends(HTTPBearer())]) -> Any:
    answer = await ostiary.post("/introspect", data={"token": bearer.credentials})
    if not answer.raise_for_status().json()["active"]:
        raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})
    return answer.json()


User = Annotated[dict[str, Any], Depends(current_user)]

# The application.
app = FastAPI()


@app.get("/notes")
async def notes(user: User) -> dict[str, str]:
    return {"of": user["sub"]}


@app.delete("/notes")
async def delete_notes(user: User) -> dict[str, str]:
    if "editor" not in user["roles"]:
        raise HTTPException(403)
    return {"deleted_by": user["sub"]}
