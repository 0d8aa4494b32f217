"""The operations of other programs, as the OpenAPI document lists them."""

from __future__ import annotations

import json

from service.cli.openapi import DOCUMENT

# Each method in upper case, with the template of its path.
OPERATIONS = [
    (method.upper(), path)
    for path, operations in json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"].items()
    for method, operation in operations.items()
    if {"serviceToken": []} in operation["security"]
]
