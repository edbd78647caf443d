"""A pytest plugin: samplers judged, and held to a baseline, in the tests of the library they belong to.

    solver_order(sampler) -> Report    solver_law(sampler, steps=20) -> Law    solver_error(sampler, steps=20) -> float

With `--solverbench-baseline FILE` every number asked for is compared with the one in FILE, and its test fails if it is
worse; with `--solverbench-update` the numbers of passed tests are written there. Numbers travel to the file with the
reports of tests, so that it is all the same how many processes (pytest-xdist) run them. Nothing but pytest is imported
until a fixture is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from solverbench.gate.baseline import Baseline, Entry
    from solverbench.gate.samplers import Sampler
    from solverbench.measures.law import Law
    from solverbench.orders import Report

FIXTURES = {"solver_order", "solver_law", "solver_error"}
PROPERTY = "solverbench"
"""Under this name an entry is in the properties of a test's report."""
MARKER = "solverbench(rtol=1e-9): uses its fixtures; rtol is how much the test's numbers may differ from the baseline's"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Two options."""
    group = parser.getgroup("solverbench")
    group.addoption("--solverbench-baseline", metavar="FILE", type=Path, help="numbers that samplers are held against")
    group.addoption(
        "--solverbench-update", action="store_true", help="write the numbers of passed tests there; fail none"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and open the baseline if there is to be one."""
    config.addinivalue_line("markers", MARKER)
    file, update = config.getoption("--solverbench-baseline"), config.getoption("--solverbench-update")
    if update and file is None:
        raise pytest.UsageError("--solverbench-update needs --solverbench-baseline FILE")
    if file is not None:
        config.pluginmanager.register(Gate(file, update, writes=not hasattr(config, "workerinput")), "solverbench-gate")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use the fixtures: `-m solverbench`."""
    for item in items:
        if not FIXTURES.isdisjoint(getattr(item, "fixturenames", ())) and not item.get_closest_marker("solverbench"):
            item.add_marker("solverbench")


class Gate:
    """The baseline of a session: compared with in every process, written by one."""

    def __init__(self, file: Path, update: bool, writes: bool) -> None:
        from solverbench.errors import SolverbenchError
        from solverbench.gate.baseline import Baseline

        self.file, self.update, self.writes = file.absolute(), update, writes
        self.kept: Baseline | None = None
        self.seen: dict[tuple[str, str, int], Entry] = {}
        if not update and not file.exists():
            raise pytest.UsageError(f"no baseline {file}: write it with --solverbench-update")
        if file.exists():
            try:
                self.kept = Baseline.read(file)
            except SolverbenchError as error:
                raise pytest.UsageError(str(error)) from None

    def compare(self, entry: Entry, rtol: float) -> None:
        """Fail the test if the entry is worse than the one that was kept."""
        from solverbench.gate.verdict import findings, regressions

        old = [e for e in self.kept.entries if e.key == entry.key] if self.kept else []
        if self.update or not old:
            return
        if worse := regressions(findings(old, [entry], rtol=rtol)):
            lines = [f"  {f}" for f in worse]
            head = f"{entry.solver} is worse than in {self.file.name}, {_what(entry)}:"
            pytest.fail("\n".join([head, *lines, "if that is meant: --solverbench-update"]), pytrace=False)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather what a passed test measured, in whichever process it ran."""
        from solverbench.gate.baseline import Entry

        if report.when == "call" and report.passed:
            for name, value in report.user_properties:
                if name == PROPERTY:
                    entry = Entry.read(json.loads(str(value)))
                    self.seen[entry.key] = entry

    def pytest_sessionfinish(self) -> None:
        """Write the file: what was measured, and what it held that was not."""
        if not (self.writes and self.update and self.seen):
            return
        from dataclasses import replace

        from solverbench.gate.baseline import Baseline, here
        from solverbench.gate.verdict import renewed

        before = self.kept or Baseline({"suite": "pytest", "scale": "full", "seed": 0}, "pytest", {}, ())
        rest = [entry for entry in before.entries if entry.key not in self.seen]
        now = replace(before, made=here(), entries=(*rest, *self.seen.values()))
        renewed(before, now).write(self.file)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """How many numbers were held against the file, and what it does not have."""
        old = {entry.key for entry in self.kept.entries} if self.kept else set()
        new = [key for key in self.seen if key not in old]
        said = f"solverbench: {len(self.seen)} measurements, {len(new)} of them not in {self.file.name} before"
        hint = ": --solverbench-update keeps them" if new and not self.update else ""
        terminalreporter.write_line(said + hint)


def _what(entry: Entry) -> str:
    return entry.problem if not entry.budget else f"{entry.problem} at {entry.budget} steps"


@pytest.fixture
def solverbench_note(request: pytest.FixtureRequest) -> Callable[[Entry], None]:
    """note(entry): the test has measured this; compare it, and let it travel with the report."""

    def note(entry: Entry) -> None:
        from solverbench.gate.verdict import RTOL

        request.node.user_properties.append((PROPERTY, json.dumps(entry.line())))
        gate: Gate | None = request.config.pluginmanager.get_plugin("solverbench-gate")
        marker = request.node.get_closest_marker("solverbench")
        if gate is not None:
            gate.compare(entry, marker.kwargs.get("rtol", RTOL))

    return note


@pytest.fixture
def solver_order(solverbench_note: Callable[[Entry], None]) -> Callable[..., Report]:
    """solver_order(sampler, path="edm"): its order measured, a Report with `verdict` and `attained.order`.

    Against a baseline: the verdict. sampler: as in `solverbench.gate.samplers`; path: on which ours are integrated.
    """
    from solverbench.gate.baseline import Entry
    from solverbench.gate.samplers import find
    from solverbench.orders import measure

    def order(sampler: Sampler, path: str = "edm") -> Report:
        subject = find(sampler, path)
        report = measure(subject)
        status = "ok" if report.verdict in ("as claimed", "no claim") else report.verdict
        solverbench_note(Entry(_on("order", path), subject.name, 0, status, {}, {}))
        return report

    return order


@pytest.fixture
def solver_law(solverbench_note: Callable[[Entry], None]) -> Callable[..., Law]:
    """solver_law(sampler, steps=20, path="edm"): its exact law on CIFAR-10's Gaussian, with `w2`, `kl` and `nfe`.

    Against a baseline: these three. Raises UsageError for a sampler that is not linear in its start and noise.
    """
    from solverbench.gate.baseline import Entry
    from solverbench.gate.samplers import find, law

    def measured(sampler: Sampler, steps: int = 20, path: str = "edm") -> Law:
        subject = find(sampler, path)
        found = law(subject, steps)
        exact = {"nfe": float(found.nfe), "w2": found.w2, "kl": found.kl}
        solverbench_note(Entry(_on("law", path), subject.name, steps, "ok", exact, {}))
        return found

    return measured


@pytest.fixture
def solver_error(solverbench_note: Callable[[Entry], None]) -> Callable[..., float]:
    """solver_error(sampler, steps=20, path="edm"): its distance from the exact flow of a mixture on the line.

    Against a baseline: that number. Raises UsageError for a sampler whose noise follows no process.
    """
    from solverbench.gate.baseline import Entry
    from solverbench.gate.samplers import error, find

    def measured(sampler: Sampler, steps: int = 20, path: str = "edm") -> float:
        subject = find(sampler, path)
        found = error(subject, steps)
        solverbench_note(Entry(_on("error", path), subject.name, steps, "ok", {"error": found}, {}))
        return found

    return measured


def _on(what: str, path: str) -> str:
    return what if path == "edm" else f"{what} on {path}"
