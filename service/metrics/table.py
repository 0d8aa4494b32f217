"""The table of the metrics, for `docs/metrics.md`."""

from __future__ import annotations

import service.metrics  # noqa: F401 - defines them
from service.metrics.kinds import METRICS


def metrics_table() -> str:
    """Return the metrics as a Markdown table."""
    rows = ["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
    for each in METRICS:
        labels = ", ".join(f"`{label}`" for label in each.labels)
        rows.append(f"| `{each.exposed_name}` | {each.kind} | {labels} | {each.description} |")
    return "\n".join(rows)
