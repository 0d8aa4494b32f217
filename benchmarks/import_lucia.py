"""How fast users move in from Lucia, and in how much memory."""

from __future__ import annotations

import argparse
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HASH = (
    "s2:wvorr0podi3cj0is:c05c2fafae7341225da54ec144539192de3c180bb2b3a6dfe1a2e13217ca4fac"
    "70ed77802570789eaaaddcd79b1ea7fa5689979d48d7de7c372f20fa06c946aa"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000)
    users = parser.parse_args().users
    with tempfile.TemporaryDirectory() as directory:
        # For PostgreSQL's account, if this is root's.
        Path(directory).chmod(0o711)
        source = Path(directory) / "lucia.db"
        make_site(source, users)
        environment = {**os.environ, "OSTIARY_DATA_DIR": str(Path(directory) / "data")}
        run("migrate", environment)
        begun = time.monotonic()
        run("import-lucia", environment, "--source", f"sqlite:///{source}", "--sessions")
        seconds = time.monotonic() - begun
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"{3 * users:,} rows in {seconds:.1f} s: {3 * users / seconds:,.0f} rows/s; {peak:.0f} MB"
    )


def make_site(path: Path, users: int) -> None:
    """Create a Lucia site with one key and one live session for each user."""
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE User (id TEXT PRIMARY KEY)")
    database.execute("CREATE TABLE Key (id TEXT PRIMARY KEY, hashed_password TEXT, user_id TEXT)")
    database.execute(
        "CREATE TABLE Session (id TEXT PRIMARY KEY, user_id TEXT, active_expires BIGINT, "
        "idle_expires BIGINT)"
    )
    database.executemany("INSERT INTO User VALUES (?)", ((f"u{n:014}",) for n in range(users)))
    database.executemany("INSERT INTO Key VALUES (?, ?, ?)", keys(users))
    database.executemany("INSERT INTO Session VALUES (?, ?, ?, ?)", sessions(users))
    database.commit()
    database.close()


def keys(users: int) -> Iterator[tuple[str, str, str]]:
    for n in range(users):
        yield f"username:User{n}", HASH, f"u{n:014}"


def sessions(users: int) -> Iterator[tuple[str, str, int, int]]:
    now = int(time.time() * 1000)
    for n in range(users):
        yield f"s{n:039}", f"u{n:014}", now + 86_400_000, now + 10 * 86_400_000


def run(command: str, environment: dict[str, str], *options: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "service", command, *options], env=environment, check=True
    )


if __name__ == "__main__":
    main()
