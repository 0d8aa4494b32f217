"""``make bench-cost``: CPU time per request of this checkout, compared with another revision.

Both use one PostgreSQL, each a database of its own, and the packages that are installed here.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from candidate import LOADS, Candidate, Cost
from load import require_wrk
from machine import machine
from servers import ROOT, EmbeddedPostgres, execute, postgresql

# Maintenance that PostgreSQL would do during the turn of one or of the other.
NO_MAINTENANCE = {"autovacuum": "off", "checkpoint_timeout": "1h"}


def commit_of(revision: str) -> str:
    """Return the abbreviated name of a revision's commit; end the program if there is none."""
    command = ["git", "rev-parse", "--verify", "--quiet", "--short", f"{revision}^{{commit}}"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode:
        raise SystemExit(f"{revision} is not a revision of this repository.")
    return found.stdout.strip()


@contextmanager
def worktree(commit: str, directory: Path) -> Iterator[Path]:
    """Check a commit out into a directory that does not exist yet; remove it afterwards."""
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(directory), commit], check=True)
    try:
        yield directory
    finally:
        subprocess.run([*git, "remove", "--force", str(directory)], check=True)


def measure(candidates: Sequence[Candidate], postmaster: int, turns: int) -> None:
    """Start the services and measure them in turns of a second: A B, B A, A B, and so on.

    Short turns expose both to the same load by other programs. The services are started again for
    each round, since the layout of their memory affects the result.
    """
    with ExitStack() as stack:
        served = []
        for candidate in candidates:
            asyncio.run(execute(candidate.url, "VACUUM (ANALYZE)"))
            served.append((candidate, *stack.enter_context(candidate.serving())))
        for load in LOADS:
            found: dict[str, list[Cost]] = {candidate.name: [] for candidate in candidates}
            able = [each for each in served if each[0].can(load)]
            for candidate, _, url in able:
                candidate.send(load, url)
            for number in range(turns):
                for candidate, service, url in able if number % 2 == 0 else reversed(able):
                    cost = candidate.take_turn(load, url, service, postmaster)
                    found[candidate.name].append(cost)
            for candidate, _, _ in able:
                candidate.costs[load].append(medians(found[candidate.name]))


def medians(costs: Sequence[Cost]) -> Cost:
    """Return the median of each part."""
    return {part: median(cost[part] for cost in costs) for part in costs[0]}


def table(candidates: Sequence[Candidate]) -> str:
    """Return a Markdown table: medians of the rounds, in microseconds, and of their ratios."""
    head = ["CPU time per request, µs", *(candidate.name for candidate in candidates)]
    if len(candidates) > 1:
        head += ["ratio", "of the rounds"]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for load, costs in candidates[0].costs.items():
        for part in costs[0]:
            found = [[cost[part] for cost in candidate.costs[load]] for candidate in candidates]
            shown = (f"{median(each):,.1f}" if each else "-" for each in found)
            rows.append([f"`{load}`, {part}", *shown])
            if len(found) > 1 and all(found):
                ratios = [this / baseline for this, baseline in zip(*found, strict=True)]
                rows[-1] += [f"{median(ratios):.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}"]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def compare(baseline: str | None, rounds: int, seconds: int) -> str:
    """Measure this checkout, and a revision if one is named; return a Markdown report."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        checkouts = {"this": ROOT}
        revisions = f"this: {commit_of('HEAD')} as it stands here"
        if baseline is not None:
            commit = commit_of(baseline)
            checkouts["baseline"] = stack.enter_context(worktree(commit, directory / "checkout"))
            revisions += f"; baseline: {commit}"
        server = stack.enter_context(postgresql(directory / "data", NO_MAINTENANCE))
        candidates = [
            set_up(server, name, checkout, directory) for name, checkout in checkouts.items()
        ]
        for number in range(rounds):
            print(f"Round {number + 1} of {rounds}.", file=sys.stderr)
            measure(candidates, process_of(server), seconds)
    today = datetime.now(UTC).date().isoformat()
    load = f"{rounds} rounds of {seconds} s for each kind of request, one worker"
    return f"{today}, {machine()}\n\n{revisions}; {load}\n\n{table(candidates)}"


def set_up(server: EmbeddedPostgres, name: str, checkout: Path, directory: Path) -> Candidate:
    """Return a checkout with a database that has its users."""
    asyncio.run(execute(server.url(), f"CREATE DATABASE {name}"))
    candidate = Candidate(name, checkout, server.url(name), directory / f"{name}.tokens")
    candidate.set_up()
    return candidate


def process_of(server: EmbeddedPostgres) -> int:
    """Return the id of the process that all others of the server descend from."""
    (pid_file,) = server.directory.glob("*/postmaster.pid")
    return int(pid_file.read_text().split()[0])


def positive(text: str) -> int:
    """Parse a number of at least 1. Raises `ValueError`."""
    if int(text) < 1:
        raise ValueError
    return int(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--baseline", metavar="REVISION", help="a revision to compare with")
    parser.add_argument(
        "--rounds", type=positive, default=5, help="starts of each service (default: 5)"
    )
    parser.add_argument(
        "--seconds", type=positive, default=3, help="turns, of a second, in a round (default: 3)"
    )
    parser.add_argument("--output", type=Path, help="a file for the report, too")
    arguments = parser.parse_args()
    require_wrk()
    # SIGTERM ends it like Ctrl-C: the servers and the worktree are removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    report = compare(arguments.baseline, arguments.rounds, arguments.seconds)
    print(report)
    if arguments.output is not None:
        arguments.output.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
