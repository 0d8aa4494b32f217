"""``ostiary settings``."""

from __future__ import annotations

import os

import click
import msgspec

from service.cli.context import load_settings
from service.cli.terminal import print_result, printable
from service.settings.in_use import SettingInUse, settings_in_use


@click.command(name="settings")
@click.option("--json", "json", is_flag=True, help="Print JSON, for scripts.")
def settings(*, json: bool) -> None:
    """List all settings with the values in use.

    Shows where each value comes from, and hides secrets. docs/settings.md says what the settings
    mean.
    """
    in_use = settings_in_use(load_settings(), os.environ)
    print_result([msgspec.structs.asdict(each) for each in in_use], _table(in_use), json=json)


def _table(in_use: list[SettingInUse]) -> str:
    rows = [("variable", "from", "value")]
    rows += [(each.name, each.source, printable(each.value) or "-") for each in in_use]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    # The values come last: some are long.
    return "\n".join(
        f"{name:{widths[0]}}  {source:{widths[1]}}  {value}" for name, source, value in rows
    )
