"""Cells in processes of their own: what a solver does to its process, it does to its own cell only.

Each worker gets one cell at a time, so one that hangs, crashes or eats memory is known by its cell; it is killed, the
cell fails with the reason, and another worker takes its place. Workers have one thread each: a sum is then formed
in the same order however many of them there are, and numbers are equal bit for bit. A problem is prepared once, by the
first worker that needs it, and the others are sent the result; until then it is that worker's alone.

Whatever travels is made by this run, and goes through pipes between its own processes.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from solverbench.errors import SolverbenchError
from solverbench.problems.base import ProblemSpec
from solverbench.run.bench import Bench, Done, Event, Prepared, Preparing, describe, failure
from solverbench.run.cache import Cache
from solverbench.run.cells import Cell
from solverbench.threads import one_thread

PATIENCE = 120.0
"""Seconds a worker may take to start."""


@dataclass(frozen=True)
class Task:
    """A cell as it travels: by names."""

    cell: str
    problem: ProblemSpec
    solver: str
    before: tuple[str, ...]
    files: tuple[str, ...]
    """Programs of the user's that register solvers."""
    budget: int
    seed: int


@dataclass(frozen=True)
class Shared:
    """A prepared problem: the attributes that preparing gave it, pickled; None if they cannot travel."""

    problem: str
    broken: str | None
    state: bytes | None


@dataclass(frozen=True)
class Limits:
    """Of one cell: seconds, and bytes of address space beyond what a worker has before its first."""

    seconds: float = math.inf
    memory: int | None = None


@dataclass
class Processes:
    """Runs cells in `jobs` worker processes."""

    jobs: int
    limits: Limits = Limits()
    cache: Path | None = None
    """Where finished cells are looked up and kept, if anywhere."""

    def __call__(self, cells: Sequence[Cell]) -> Generator[Event]:
        """Events in the order in which they come. Closing the iterator, or an exception in it, ends all workers."""
        desk = _Desk(cells)
        crew = [_Worker(self.limits, self.cache) for _ in range(min(self.jobs, len(cells)))]
        try:
            while desk.waiting or any(worker.cell for worker in crew):
                for worker in crew:
                    desk.serve(worker, crew)
                for place in _ready(crew):
                    yield from desk.hear(crew, place)
        finally:
            for worker in crew:
                worker.kill()


class _Desk:
    """Which cells wait, and what is known of their problems."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.waiting: dict[str, list[Cell]] = {}
        for cell in cells:
            self.waiting.setdefault(cell.problem.spec.name, []).append(cell)
        self._shared: dict[str, Shared] = {}
        self._fatal: set[str] = set()
        """Solvers that cost a worker: nobody else need trace them."""

    def serve(self, worker: _Worker, crew: Sequence[_Worker]) -> None:
        """Give an idle worker a cell: of its problem if there is one, else of one that is prepared or nobody's."""
        if not worker.ready or worker.cell is not None:
            return
        others = {other.problem for other in crew if other is not worker}
        for name in sorted(self.waiting, key=lambda name: name != worker.problem):
            shared = self._shared.get(name)
            if name in others and (shared is None or (shared.state is None and shared.broken is None)):
                continue
            cell = self.waiting[name].pop(0)
            if not self.waiting[name]:
                del self.waiting[name]
            worker.give(cell, [str(other) for other in cell.before if str(other) not in self._fatal], shared)
            return
        worker.problem = None  # it waits, and is in nobody's way

    def hear(self, crew: list[_Worker], place: int) -> Iterator[Event]:
        """What a worker has to say, or what became of it."""
        worker = crew[place]
        try:
            message = worker.pipe.recv() if worker.pipe.poll() else None
        except (EOFError, OSError):
            message = None
        match message:
            case None:
                yield from self._lost(crew, place)
            case _Ready():
                worker.attend()
            case Shared():
                worker.knows.add(message.problem)
                self._shared[message.problem] = message
            case event:
                worker.note(event)
                yield event

    def _lost(self, crew: list[_Worker], place: int) -> Iterator[Event]:
        """A worker is dead, or late: its cell fails, or its problem if that was being prepared, and it is replaced."""
        worker = crew[place]
        late = worker.process.is_alive()
        if late and time.monotonic() < worker.deadline:
            return
        worker.kill()
        cell, why = worker.cell, worker.obituary(late)
        if not worker.ready:
            raise SolverbenchError(f"worker processes do not start ({why}): try --in-process")
        if cell is not None:
            if worker.preparing:
                name = cell.problem.spec.name
                self._shared[name] = Shared(name, why, None)
                yield Prepared(name, 0.0, why)
                why = f"the problem could not be prepared: {why}"
            else:
                self._fatal.add(str(cell.solver))
            yield Done(cell.id, describe(cell) | failure(why))
        crew[place] = _Worker(worker.limits, worker.cache)


@dataclass(frozen=True)
class _Ready:
    """A worker has imported, or opened, what it needs: what follows is a cell's time."""


class _Worker:
    """One process, seen from the run."""

    def __init__(self, limits: Limits, cache: Path | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, its = context.Pipe()
        self.process = context.Process(target=_work, args=(its, limits, cache), daemon=True)
        self.process.start()
        its.close()
        self.limits, self.cache = limits, cache
        self.ready = self.preparing = False
        self.cell: Cell | None = None
        self.problem: str | None = None
        self.knows: set[str] = set()
        """Problems whose preparation it need not be sent."""
        self.deadline = time.monotonic() + PATIENCE

    def give(self, cell: Cell, before: Sequence[str], shared: Shared | None) -> None:
        """Send it a cell, after what is known of the cell's problem. before: solvers whose program it may share."""
        self.cell, self.problem = cell, cell.problem.spec.name
        with contextlib.suppress(OSError):  # a dead worker is heard of soon
            if shared is not None and self.problem not in self.knows:
                self.knows.add(self.problem)
                self.pipe.send(shared)
            self.pipe.send(_task(cell, before))
        self.attend()

    def attend(self) -> None:
        """It is at its cell from now on, or waits for one."""
        self.ready, self.preparing = True, False
        self.deadline = math.inf if self.cell is None else time.monotonic() + self.limits.seconds

    def note(self, event: Event) -> None:
        """Keep in mind what it is at."""
        match event:
            case Preparing():
                self.preparing, self.deadline = True, math.inf
            case Prepared():
                self.attend()
            case Done():
                self.cell = None
                self.attend()

    def obituary(self, late: bool) -> str:
        """Why it is no more."""
        if late:
            return f"no result within {self.limits.seconds:g} s: the process was killed (--cell-timeout)"
        code = self.process.exitcode or 0
        if code < 0:
            return f"its process was killed by {signal.Signals(-code).name}"
        return f"its process exited with code {code}"

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _ready(crew: Sequence[_Worker]) -> list[int]:
    """The workers that have something to say, are dead, or are late."""
    now = time.monotonic()
    soonest = min(worker.deadline for worker in crew)
    things: dict[Any, int] = {}
    for place, worker in enumerate(crew):
        things |= {worker.pipe: place, worker.process.sentinel: place}
    ready = {things[thing] for thing in wait(list(things), None if soonest == math.inf else max(0, soonest - now))}
    return sorted(ready | {place for place, worker in enumerate(crew) if worker.deadline <= time.monotonic()})


def _task(cell: Cell, before: Sequence[str]) -> Task:
    from solverbench.methods.user import files

    return Task(
        cell.id, cell.problem.spec, str(cell.solver), tuple(before), tuple(map(str, files())),
        cell.budget, cell.seed,
    )  # fmt: skip


def _work(pipe: Connection, limits: Limits, cache: Path | None) -> None:
    """What a worker does until its pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the run's business
    one_thread()
    import torch  # noqa: F401  # before memory is limited: what a cell may take does not include it

    station = _Station(pipe, cache)
    _limit(limits.memory)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the run has ended
        pipe.send(_Ready())
        while True:
            message = pipe.recv()
            if isinstance(message, Shared):
                station.shared[message.problem] = message
            else:
                pipe.send(station.finish(message))


@dataclass
class _Station:
    """A bench in a worker, for one problem at a time; cells are made from names again."""

    pipe: Connection
    cache: Path | None
    shared: dict[str, Shared] = field(default_factory=dict)
    bench: Bench = field(init=False)
    _problem: Any = None

    def tell(self, event: Event) -> None:
        if isinstance(event, Prepared):
            state = _packed(self._problem) if event.broken is None else None
            self.shared[event.problem] = Shared(event.problem, event.broken, state)
            self.pipe.send(self.shared[event.problem])
        self.pipe.send(event)

    def finish(self, task: Task) -> Done:
        from solverbench.methods import SOLVERS
        from solverbench.methods.user import load_file

        try:
            for file in task.files:
                load_file(file)
            solver, before = SOLVERS[task.solver], tuple(SOLVERS[name] for name in task.before)
            self._take(task)
        except SolverbenchError as error:
            asked = {"cell": task.cell, "problem": task.problem.name, "kind": task.problem.kind, "solver": task.solver}
            return Done(task.cell, asked | {"budget": task.budget, "seed": task.seed} | failure(str(error), error))
        return self.bench.finish(Cell(self._problem, solver, task.budget, task.seed, before))

    def _take(self, task: Task) -> None:
        """Make the task's problem the one at hand."""
        from solverbench.problems.base import build

        name = task.problem.name
        if self._problem is None or (self._problem.spec, self._problem.seed) != (task.problem, task.seed):
            self.pipe.send(Preparing(name))  # opening a field is no cell's time
            self._problem = build(task.problem, task.seed)
            self.bench = Bench(self.tell, Cache(self.cache) if self.cache else None)
            self.pipe.send(_Ready())
        shared = self.shared.get(name)
        if shared is not None and (shared.state or shared.broken) and not self.bench.knows(name):
            if shared.state:
                vars(self._problem).update(pickle.loads(shared.state))
            self.bench.adopt(name, shared.broken)


def _packed(problem: Any) -> bytes | None:
    """What preparing gave a problem; None if that cannot be pickled."""
    own = {key: value for key, value in vars(problem).items() if key not in ("spec", "seed", "field")}
    with contextlib.suppress(Exception):  # anything may be in a user's field
        return pickle.dumps(own)
    return None


def _limit(memory: int | None) -> None:
    """Let this process have `memory` bytes of address space more than it has."""
    if memory is None:
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0]) if os.path.exists("/proc/self/statm") else 0
    most = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
