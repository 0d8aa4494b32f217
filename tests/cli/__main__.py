"""Run commands ``ostiary`` for a process that cannot fork them, since it has threads.

Each line of standard input is a command, each line of standard output its result, both in JSON.
"""

from __future__ import annotations

import json
import sys

from tests.cli.running import run

for line in sys.stdin:
    arguments, typed, variables = json.loads(line)
    ended = run(*arguments, typed=typed, **variables)
    print(json.dumps([ended.returncode, ended.stdout, ended.stderr]), flush=True)
