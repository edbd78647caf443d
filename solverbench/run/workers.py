"""Cells in processes of their own: what a solver does to its process, it does to its own cell only.

Each worker gets one cell at a time, so one that hangs, crashes or eats memory is known by its cell; it is killed, the
cell fails with the reason, and another worker takes its place. Workers have one thread each: a sum is then formed
in the same order however many of them there are, and numbers are equal bit for bit.

Whatever travels is made by this run, and goes through pipes between its own processes.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from solverbench.errors import SolverbenchError
from solverbench.methods import Solver
from solverbench.run.bench import Bench, Done, Event, Prepared, Preparing, Returned, Shared, Tracing, failure
from solverbench.run.cache import Cache
from solverbench.run.cells import Cell
from solverbench.run.desk import Desk, Task
from solverbench.threads import one_thread

PATIENCE = 120.0
"""Seconds a worker may take to start."""


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
        desk = Desk(cells)
        crew = [Worker(self.limits, self.cache) for _ in range(min(self.jobs, len(cells)))]
        try:
            while desk.waiting or any(worker.task for worker in crew):
                for worker in crew:
                    if worker.idle:
                        for cell in desk.take(worker):
                            worker.give(desk.task(cell), desk.shared.get(cell.problem.spec.name))
                        if worker.idle:
                            desk.leave(worker)  # it waits, and is in nobody's way
                for place in _ready(crew):
                    for event in crew[place].hear():
                        desk.note(event)
                        yield event
                    if crew[place].gone:
                        desk.leave(crew[place])
                        crew[place] = Worker(self.limits, self.cache)
        finally:
            for worker in crew:
                worker.kill()


@dataclass(frozen=True)
class _Ready:
    """A worker has imported, or opened, what it needs: what follows is a cell's time."""


class Worker:
    """One process, seen from where it was started."""

    def __init__(self, limits: Limits, cache: Path | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, its = context.Pipe()
        self.process = context.Process(target=_work, args=(its, limits, cache), daemon=True)
        self.process.start()
        its.close()
        self.limits = limits
        self.ready = self.preparing = self.gone = False
        self.task: Task | None = None
        self.problem: str | None = None
        self._tracing = ""
        self._knows: set[str] = set()
        """Problems whose preparation it need not be sent."""
        self.deadline = time.monotonic() + PATIENCE

    @property
    def idle(self) -> bool:
        """Whether it could be given a cell."""
        return self.ready and self.task is None

    def give(self, task: Task, shared: Shared | None) -> None:
        """Send it a cell, after what is known of the cell's problem."""
        self.task, self.problem, self._tracing = task, task.problem.name, task.solver
        with contextlib.suppress(OSError):  # a dead worker is heard of soon
            if shared is not None and self.problem not in self._knows:
                self._knows.add(self.problem)
                self.pipe.send(shared)
            self.pipe.send(task)
        self._attend()

    def hear(self) -> Iterator[Event]:
        """What it has to say, or, once it is `gone`, what that cost: its cell, or the problem it was preparing.

        Raises SolverbenchError if it never came to be ready.
        """
        try:
            message = self.pipe.recv() if self.pipe.poll() else None
        except (EOFError, OSError):
            message = None
        match message:
            case None:
                yield from self._lost()
            case _Ready():
                self._attend()
            case Tracing():
                self._tracing = message.solver
            case event:
                self._note(event)
                yield event

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def _attend(self) -> None:
        """It is at its cell from now on, or waits for one."""
        self.ready, self.preparing = True, False
        self.deadline = math.inf if self.task is None else time.monotonic() + self.limits.seconds

    def _note(self, event: Event) -> None:
        """Keep in mind what it is at."""
        match event:
            case Preparing():
                self.preparing, self.deadline = True, math.inf
            case Shared():
                self._knows.add(event.problem)
            case Prepared():
                self._attend()
            case Done():
                self.task = None
                self._attend()

    def _lost(self) -> Iterator[Event]:
        late = self.process.is_alive()
        if late and time.monotonic() < self.deadline:
            return
        self.kill()
        self.gone = True
        task, why = self.task, self._obituary(late)
        if not self.ready:
            raise SolverbenchError(f"worker processes do not start ({why}): try --in-process")
        if task is None:
            return
        self.task = None
        outside = not late and self.process.exitcode == -signal.SIGKILL  # no solver's doing, as far as can be told
        if self._tracing != task.solver and not outside:
            yield Returned(task.cell, self._tracing)
            return
        if self.preparing:
            yield Shared(task.problem.name, why, None)
            yield Prepared(task.problem.name, 0.0, why)
            why = f"the problem could not be prepared: {why}"
        yield Done(task.cell, task.asked | failure(why), fatal=not (self.preparing or outside))

    def _obituary(self, late: bool) -> str:
        """Why it is no more."""
        if late and not self.ready:
            return f"one was not ready within {PATIENCE:g} s"
        if late:
            return f"no result within {self.limits.seconds:g} s: the process was killed (--cell-timeout)"
        code = self.process.exitcode or 0
        if code < 0:
            return f"its process was killed by {signal.Signals(-code).name}"
        return f"its process exited with code {code}"


def _ready(crew: Sequence[Worker]) -> list[int]:
    """The workers that have something to say, are dead, or are late."""
    now = time.monotonic()
    soonest = min(worker.deadline for worker in crew)
    things: dict[Any, int] = {}
    for place, worker in enumerate(crew):
        things |= {worker.pipe: place, worker.process.sentinel: place}
    ready = {things[thing] for thing in wait(list(things), None if soonest == math.inf else max(0, soonest - now))}
    return sorted(ready | {place for place, worker in enumerate(crew) if worker.deadline <= time.monotonic()})


def _work(pipe: Connection, limits: Limits, cache: Path | None) -> None:
    """What a worker does until its pipe closes, or whoever started it is no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the run's business
    threading.Thread(target=_end_with_parent, daemon=True).start()
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


def _end_with_parent() -> None:
    """A cell that hangs does not look at its pipe."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


@dataclass
class _Station:
    """A bench in a worker, for one problem at a time; cells are made from names again."""

    pipe: Connection
    cache: Path | None
    shared: dict[str, Shared] = field(default_factory=dict)
    solvers: dict[str, Solver] = field(default_factory=dict)
    """By name: the same objects for all cells, as what has been derived of a solver is kept in it."""
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
            for name in (task.solver, *task.before):
                if name not in self.solvers:
                    self.solvers[name] = SOLVERS[name]
            self._take(task)
        except SolverbenchError as error:
            return Done(task.cell, task.asked | failure(str(error), error))
        before = tuple(self.solvers[name] for name in task.before)
        done = self.bench.finish(Cell(self._problem, self.solvers[task.solver], task.budget, task.seed, before))
        return Done(task.cell, done.record | task.asked, done.arrays)

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
