"""Run the tests against every mutant; write the survivors to ``docs/mutation.md``.

``python -m tests.mutation [--resume] [module ...]``. Each mutant is written into a copy of the tree
and tested by a process forked off one that has loaded every library. The tests of all mutants share
one PostgreSQL. A first run of the unchanged code, in which each block records the test that enters
it, shows which tests can kill a mutant; those that killed others like it run first.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import os
import shutil
import signal
import sys
import time
import tomllib
import traceback
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict
from functools import cache
from hashlib import sha256
from itertools import accumulate, chain, count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from tests.databases import TestServer, searchable_directory
from tests.mutation.blocks import blocks_of, constants_of, imports, instrumented
from tests.mutation.likelihood import Kills
from tests.mutation.notes import CURRENT_TEST, NOTES
from tests.mutation.operators import Mutant, mutants_of
from tests.mutation.report import Outcome, explanations, write

REPOSITORY = Path(__file__).parents[2]
SCOPE = tomllib.loads(Path(__file__).with_name("scope.toml").read_text())
RESULTS = REPOSITORY / ".mutation" / "outcomes.jsonl"
MEASURED = REPOSITORY / ".mutation" / "tests.json"
LEFT_OUT = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "benchmarks")
# Files in a tree: the output of its tests, their result, and the one that runs.
OUTPUT, RESULT, CURRENT = ".output", ".result", ".current"
NOTES_FILE = ".notes"

# The interval at which the end of tests is polled, in seconds.
POLL_INTERVAL = 0.02

# How long the tests of other files may take that enter the block of a mutant, in seconds.
OTHERS_LIMIT = 20

# How many test files a mutant is tried on before all others that are about it.
FIRST_FILES = 2

# The plugins that the tests need, loaded before the forks; all others would take 1.5 s each time.
PLUGINS = ("pytest_asyncio.plugin", "_hypothesis_pytestplugin")
ARGUMENTS = [
    *("-q", "--override-ini=addopts=", "--assert=plain", "--hypothesis-seed=0"),
    *("-p", "no:cacheprovider", *(word for plugin in PLUGINS for word in ("-p", plugin))),
]


class Tests:
    """The tests that enter each block, and their durations, by a run of the unchanged code."""

    def __init__(self, measured: dict[str, Any]) -> None:
        self.seconds: dict[str, float] = measured["seconds"]
        self._entered = {block: set(tests) for block, tests in measured["entered"].items()}

    def of(self, mutant: Mutant, likelihoods: Mapping[str, float]) -> list[str]:
        """Return the tests that can kill a mutant, most likely first.

        Besides those about its module, these are some others that enter its block, with one set of
        parameters each. All tests of a file that imports the changed constant are kept: they may
        use it without entering such a block.
        """
        files = tests_of(mutant.module)
        relevant = [test for test in self.seconds if file_of(test) in files]
        source = (REPOSITORY / mutant.module).read_text()
        blocks = blocks_of(mutant, source, _others(mutant.module))
        names = constants_of(mutant, source)
        importing = {file for file in files if any(imports(text_of(file), name) for name in names)}
        entering: set[str] = set()
        for block in blocks:
            entering |= self._entering(f"{mutant.module}:{block}")
        if blocks and "-" not in entering:
            relevant = [test for test in relevant if test in entering or file_of(test) in importing]
            relevant += self._some_of(entering - set(relevant))
        rank = {file: number for number, file in enumerate(files)}

        def key(test: str) -> tuple[float, int, float]:
            return (
                -likelihoods.get(test, 0.0),
                rank.get(file_of(test), len(rank)),
                self.seconds[test],
            )

        return sorted(relevant, key=key)

    def _entering(self, block: str) -> set[str]:
        """Return the tests that enter a block; for one of a constructor, any of its class.

        The first test that needs a service constructs what all tests of a module use.
        """
        owner = block.rpartition("__init__#")[0]
        if not owner.endswith("."):
            return self._entered.get(block, set())
        return set[str]().union(
            *(self._entered[each] for each in self._entered if each.startswith(owner))
        )

    def _some_of(self, tests: set[str]) -> Iterable[str]:
        """Return the shortest tests, one of each function, for `OTHERS_LIMIT` together."""
        shortest: dict[str, str] = {}
        for test in sorted(self.seconds.keys() & tests, key=self.seconds.__getitem__):
            shortest.setdefault(test.partition("[")[0], test)
        spent = accumulate(self.seconds[test] for test in shortest.values())
        together = zip(shortest.values(), spent, strict=True)
        return [test for test, seconds in together if seconds <= OTHERS_LIMIT]


def file_of(test: str) -> str:
    """Return the file of a test, by the test's name as pytest has it."""
    return test.partition("::")[0]


@cache
def text_of(file: str) -> str:
    """Return what is in a test file."""
    return (REPOSITORY / file).read_text()


@cache
def tests_of(module: str) -> list[str]:
    """Return the test files that are about a module; a directory stands for all in it."""
    found: list[str] = []
    for path in SCOPE["modules"][module]:
        paths = (REPOSITORY / path).glob("test_*.py") if path.endswith("/") else [REPOSITORY / path]
        found += sorted(str(each.relative_to(REPOSITORY)) for each in paths)
    return list(dict.fromkeys(found))


@cache
def _others(module: str) -> list[str]:
    paths = sorted((REPOSITORY / "service").rglob("*.py"))
    return [path.read_text() for path in paths if path != REPOSITORY / module]


class Recorder:
    """A pytest plugin that runs tests in an order, and records failures and durations."""

    def __init__(self, order: Sequence[str] | None, current: Path) -> None:
        self._current = current
        self._rank = None if order is None else {test: number for number, test in enumerate(order)}
        self.failed: list[str] = []
        self.seconds: dict[str, float] = defaultdict(float)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self._rank is not None:
            rank = self._rank
            items[:] = sorted((i for i in items if i.nodeid in rank), key=lambda i: rank[i.nodeid])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._current.write_text(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            self.failed.append(report.nodeid)


def run_tests(
    tree: Path,
    files: Sequence[str],
    order: Sequence[str] | None,
    timeout_of: Callable[[str], float],
) -> tuple[list[str], dict[str, float]]:
    """Run tests in a fork of this process. Returns the failed tests, and the durations.

    ``timeout_of`` returns how long a test may take; that of no test is for the time before the
    first one.
    """
    told, current = tree / RESULT, tree / CURRENT
    told.unlink(missing_ok=True)
    current.write_text("")
    child = os.fork()
    if child == 0:
        try:
            _in_child(tree, files, order)
        except BaseException:  # noqa: BLE001 - the process ends
            traceback.print_exc()
        os._exit(1)
    # Intervals are counted, not the time, which also passes while a run is suspended.
    test, polls = "", int(timeout_of("") / POLL_INTERVAL)
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if (begun := current.read_text()) != test:
            test, polls = begun, int(timeout_of(begun) / POLL_INTERVAL)
        polls -= 1
        if polls < 0:
            _kill(child)
            os.waitpid(child, 0)
            return ["timed out"], {}
        time.sleep(POLL_INTERVAL)
    _kill(child)
    if not told.exists():
        return ["not importable"], {}
    code, failed, seconds = json.loads(told.read_text())
    return failed or ([] if code == 0 else [f"pytest ended with {code}"]), seconds


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _in_child(tree: Path, files: Sequence[str], order: Sequence[str] | None) -> None:
    os.setsid()
    unload_service()
    output = os.open(tree / OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout, sys.stderr = (open(n, "w", closefd=False, buffering=1) for n in (1, 2))  # noqa: SIM115
    os.chdir(tree)
    os.environ["PYTHONPATH"] = str(tree)
    os.environ[NOTES] = str(tree / NOTES_FILE)
    os.environ[CURRENT_TEST] = str(tree / CURRENT)
    sys.path[:0] = [str(tree)]
    recorder = Recorder(order, tree / CURRENT)
    options = [f"--rootdir={tree}", *(f"--deselect={test}" for test in SCOPE["left_out"])]
    if order is not None:
        options.append("-x")
    code = pytest.main([*ARGUMENTS, *options, *files], plugins=[recorder])
    (tree / RESULT).write_text(json.dumps([int(code), recorder.failed, recorder.seconds]))
    os._exit(0)


def unload_service() -> None:
    """Let the tests import the service again, from their copy of the tree; also what it changes."""
    for name in list(sys.modules):
        if name.split(".")[0] in {"service", "tests", "email_validator"}:
            del sys.modules[name]


_tree: Path
_times = count(1)


def set_up_worker(trees: Any) -> None:
    global _tree  # noqa: PLW0603
    _tree = trees.get()


class CannotTest(Exception):
    """The tests cannot be run: of no mutant would be known whether they kill it."""


def run_unchanged(file: str) -> dict[str, float]:
    """Return the durations of the tests of a file that pass without a mutant.

    Raises `CannotTest` if none was run.
    """
    failed, seconds = run_tests(_tree, [file], None, lambda _: 3600)
    if failed and not seconds:
        raise CannotTest(f"{file}: {failed[0]}\n{(_tree / OUTPUT).read_text()[-3000:]}")
    if failed:
        sys.stderr.write(f"Without any mutant, these fail and are left out: {failed}\n")
        sys.stderr.write((_tree / OUTPUT).read_text()[-3000:])
    return {test: taken for test, taken in seconds.items() if test not in failed}


def measure(pool: Executor, trees: Sequence[Path], modules: Sequence[str]) -> None:
    """Run the tests on the unchanged code, and store what they enter and their durations.

    Those that were measured before are left out, unless they or what they are about has changed:
    a test that is not known cannot kill. What tests enter in a module is known while that module
    stays the same, for its blocks are numbered.
    """
    before = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
    sources = {module: (REPOSITORY / module).read_text() for module in SCOPE["modules"]}
    contents = {module: sha256(source.encode()).hexdigest() for module, source in sources.items()}
    earlier: dict[str, str] = before.get("modules", {})
    # An earlier version of this program stored no modules, and knew no blocks.
    known = before["digests"] if earlier else {}
    changed = changed_since(known, modules)
    if not changed:
        return
    for tree in trees:
        for module, source in sources.items():
            (tree / module).write_text(instrumented(source, module))
    same = {module for module in contents if earlier.get(module) == contents[module]}
    taken, entered = still_known(before, changed, same)
    digests = {file: digest for file, digest in known.items() if file not in changed}
    files = sorted(changed)
    try:
        for file, seconds in zip(files, pool.map(run_unchanged, files), strict=True):
            taken |= seconds
            digests[file] = changed[file]
    finally:
        # What is known by then is kept: all of it takes ten minutes.
        for tree in trees:
            for block, test in notes_in(tree):
                entered[block].add(test)
            for module in sources:
                shutil.copy2(REPOSITORY / module, tree / module)
        notes = {block: sorted(tests) for block, tests in entered.items()}
        measured = {"digests": digests, "modules": contents, "seconds": taken, "entered": notes}
        MEASURED.write_text(json.dumps(measured))


def still_known(
    before: Mapping[str, Any], changed: Container[str], same: Container[str]
) -> tuple[dict[str, float], dict[str, set[str]]]:
    """Return the durations of tests, and those that enter each block, as measured before.

    Those of ``changed`` files are left out, and blocks of modules that are not the ``same``.
    """

    def is_kept(test: str) -> bool:
        return file_of(test) not in changed

    taken = {test: spent for test, spent in before.get("seconds", {}).items() if is_kept(test)}
    entered: dict[str, set[str]] = defaultdict(set)
    for block, tests in before.get("entered", {}).items():
        if block.partition(":")[0] in same:
            entered[block] |= set(filter(is_kept, tests))
    return taken, entered


def notes_in(tree: Path) -> Iterable[tuple[str, str]]:
    """Iterate over the blocks that were entered in a tree, and the tests that entered them."""
    # A tree in which no tests ran has none.
    (tree / NOTES_FILE).touch()
    for line in (tree / NOTES_FILE).read_text().splitlines():
        block, _, test = line.partition("\t")
        yield block, test


def changed_since(known: Mapping[str, str], modules: Sequence[str]) -> dict[str, str]:
    """Return the digests of the test files that differ from those that are known."""
    about = {file for module in modules for file in tests_of(module)}
    digests = {file: _digest(file) for file in about.union(SCOPE["elsewhere"])}
    return {file: digest for file, digest in digests.items() if known.get(file) != digest}


def _digest(file: str) -> str:
    """Return the SHA-256 of a test file and of the modules that it is about, or of all modules."""
    is_about_all = file in SCOPE["elsewhere"]
    modules = [each for each in SCOPE["modules"] if is_about_all or file in tests_of(each)]
    contents = b"".join((REPOSITORY / path).read_bytes() for path in (file, *modules))
    return sha256(contents).hexdigest()


def in_turns(tests: Iterable[str]) -> Iterable[list[str]]:
    """Yield the tests in up to three turns: those of the first files, of the others, and the rest.

    The first files kill most mutants, and to collect many files takes longer than most tests. The
    rest are further sets of parameters, which rarely kill what the first set of a test does not.
    """
    by_file: dict[str, dict[str, str]] = defaultdict(dict)
    others = []
    for test in tests:
        of_file = by_file[file_of(test)]
        if of_file.setdefault(test.partition("[")[0], test) != test:
            others.append(test)
    parts = [list(each.values()) for each in by_file.values()]
    first, second = parts[:FIRST_FILES], parts[FIRST_FILES:]
    yield from filter(None, ([*chain(*first)], [*chain(*second)], others))


def try_mutant(mutant: Mutant, order: Mapping[str, float]) -> str:
    """Return the test that kills a mutant; an empty string if it survives.

    ``order`` has the tests, most likely first, and how long each takes without the mutant.
    """
    if not order:
        return ""
    path = _tree / mutant.module
    source, times = path.read_bytes(), path.stat()
    try:
        path.write_bytes(mutant.apply(source))
        # Compiled code is known by its source's size and time: no two mutants have the same.
        os.utime(path, (next(_times), next(_times)))
        return next(filter(None, (killer_among(some, order) for some in in_turns(order))), "")
    finally:
        path.write_bytes(source)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def killer_among(tests: Sequence[str], seconds: Mapping[str, float]) -> str:
    """Return the first test that fails, and fails again by itself; an empty string if none does.

    Among many tests in one process, one fails by chance now and then. A failure that needs the
    tests before it is not counted either, but shown. What is no test, such as a module that cannot
    be imported, is returned at once.
    """

    def failures_of(some: Sequence[str]) -> list[str]:
        files = list(dict.fromkeys(file_of(test) for test in some))
        return run_tests(_tree, files, some, lambda test: 90 + 5 * seconds.get(test, 0))[0]

    left = list(tests)
    while left and (failed := failures_of(left)):
        if failed[0] not in left or failures_of(failed[:1]):
            return failed[0]
        sys.stderr.write(f"Fails only after other tests, or by chance: {failed[0]}\n")
        left = left[left.index(failed[0]) + 1 :]
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--resume", action="store_true", help="keep the results of an earlier run")
    parser.add_argument("--report", action="store_true", help="only report the results so far")
    parser.add_argument("--all", action="store_true", help="test replacements too: twice as many")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("modules", nargs="*", default=list(SCOPE["modules"]))
    options = parser.parse_args()
    if not options.resume and not options.report:
        shutil.rmtree(RESULTS.parent, ignore_errors=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.touch()
    mutants = [
        m
        for module in options.modules
        for m in mutants_of(module, (REPOSITORY / module).read_bytes())
        if options.all or m.is_removal
    ]
    if not options.report:
        run(mutants, options.modules, options.workers)
    found = found_so_far()
    wanted = [found[_key(mutant)] for mutant in mutants if _key(mutant) in found]
    write(wanted, len(mutants), REPOSITORY / "docs" / "mutation.md")


def _key(mutant: Mutant) -> tuple[str, int, str]:
    return mutant.module, mutant.start, str(mutant)


def found_so_far() -> dict[tuple[str, int, str], Outcome]:
    outcomes = [Outcome(**json.loads(line)) for line in RESULTS.read_text().splitlines()]
    return {(each.module, each.start, each.mutation): each for each in outcomes}


def run(mutants: Sequence[Mutant], modules: Sequence[str], workers: int) -> None:
    """Load the libraries, start PostgreSQL, and test the mutants in forks."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for plugin in PLUGINS:
        importlib.import_module(plugin)
    for path in (REPOSITORY / "tests").rglob("test_*.py"):
        importlib.import_module(".".join(path.relative_to(REPOSITORY).with_suffix("").parts))
    gc.freeze()
    with searchable_directory() as directory:
        server = TestServer(directory / "shared")
        server.start()
        os.environ["TEST_POSTGRESQL_DIRECTORY"] = str(server.embedded.directory)
        trees = [directory / f"tree{number}" for number in range(workers)]
        context = get_context("fork")
        queue: Any = context.Queue()
        for tree in trees:
            shutil.copytree(REPOSITORY, tree, ignore=LEFT_OUT)
            queue.put(tree)
        try:
            with ProcessPoolExecutor(len(trees), context, set_up_worker, (queue,)) as pool:
                measure(pool, trees, modules)
                tests = Tests(json.loads(MEASURED.read_text()))
                try_all(pool, mutants, tests, len(trees))
        finally:
            server.stop()


def try_all(pool: Executor, mutants: Sequence[Mutant], tests: Tests, at_once: int) -> None:
    """Test the mutants that no earlier run has tested."""
    earlier = found_so_far()
    kills = Kills()
    for outcome in earlier.values():
        kills.note(outcome)
    left = [mutant for mutant in mutants if _key(mutant) not in earlier]
    explained = explanations()
    # Removals first: a missing guard is worse than a changed number. Last what is known to survive:
    # it takes all its tests.
    left.sort(key=lambda m: (not m.is_removal, (m.module, m.place, str(m)) in explained))
    begun = time.monotonic()
    running: dict[Future[str], Mutant] = {}
    with RESULTS.open("a", buffering=1) as results:
        while left or running:
            while left and len(running) < at_once:
                mutant = left.pop(0)
                order = tests.of(mutant, kills.likelihoods(mutant))
                seconds = {test: tests.seconds[test] for test in order}
                running[pool.submit(try_mutant, mutant, seconds)] = mutant
            done = next(as_completed(running))
            mutant, killer = running.pop(done), done.result()
            outcome = Outcome(
                mutant.module, mutant.line, mutant.place, mutant.start, str(mutant), killer
            )
            kills.note(outcome)
            results.write(json.dumps(asdict(outcome)) + "\n")
            sys.stderr.write(
                f"{len(mutants) - len(left):5}/{len(mutants)} {time.monotonic() - begun:6.0f} s  "
                f"{mutant.module}:{mutant.line} {str(mutant)[:90]} {killer or 'SURVIVED'}\n"
            )


if __name__ == "__main__":
    main()
