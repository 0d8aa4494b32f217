"""What an OpenAPI document may not change, lest clients of an older one fail.

``python -m tests.compatibility OLD NEW``; `make lint` compares the document with that of the last
release. Of the tools that PyPI and npm have, none reads OpenAPI 3.1 right: openapi-diff 0.24 knows
3.0 and Azure's oad 0.12 knows 2.0, and api-smart-diff 1.0 overlooks that a response may be null and
that a field of a request is required. oasdiff is distributed neither there nor by Debian.
"""
