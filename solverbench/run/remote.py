"""What a process of a cluster is asked to do: say what it is, finish a cell, stop.

A cell runs in a worker of its own here, as it would at home, with the same limits: what a solver does to its process
costs its cell and not the cluster's process, so that when that one is lost, it was the machine's doing.
"""

from __future__ import annotations

import multiprocessing
import platform
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from multiprocessing.connection import wait
from pathlib import Path
from time import monotonic
from typing import Any

from solverbench.errors import SolverbenchError
from solverbench.run.bench import Done, Event, Shared
from solverbench.run.desk import Task
from solverbench.run.luggage import Parcel, moved, unpack
from solverbench.run.workers import Limits, Worker

PACKAGES = ("solverbench", "numpy", "scipy", "torch")


@dataclass(frozen=True)
class Order:
    """A cell, of which run, with what it needs."""

    run: str
    task: Task
    limits: Limits
    cached: bool
    parcels: tuple[Parcel, ...]


@dataclass(frozen=True)
class Greeting:
    """What a process of a cluster is."""

    versions: Mapping[str, str]
    resources: Mapping[str, float]
    threads: int
    no_gpu: str | None = None
    """Why cells cannot run on a GPU there, if that was asked."""


def versions() -> dict[str, str]:
    """What two processes must have in common for their numbers to be of one run."""
    from solverbench.run.identity import source

    return {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
        "solverbench's source": source()[:12],
    }


def greet(gpu: bool) -> Greeting:
    """Of the process this is called in; gpu: whether cells need one."""
    from distributed import get_worker

    state, no_gpu = get_worker().state, None
    if gpu:
        from solverbench.engines.cupy.device import why_not

        no_gpu = why_not()
    return Greeting(versions(), dict(state.total_resources), state.nthreads, no_gpu)


def finish(order: Order, shared: Shared | None, *contents: bytes) -> list[Event]:
    """The events of one cell, its `Done` last. Raises SolverbenchError where no cell could be finished."""
    places = {parcel.path: unpack(parcel, content) for parcel, content in zip(order.parcels, contents, strict=True)}
    task, events = moved(order.task, places), list[Event]()
    with _crew.one(order) as worker:
        while not worker.ready:
            _await(worker)
            list(worker.hear())
        worker.give(task, shared)
        while worker.task is not None:
            _await(worker)
            events += worker.hear()
    for event in events:
        if isinstance(event, Done):
            explain(event.record)
    return events


def explain(record: dict[str, Any]) -> None:
    """Say the remedy in the record of a cell that failed for want of a file or module, which may be there at home."""
    reason = record.get("reason") or ""
    if record.get("status") == "failed" and ("FileNotFoundError" in reason or "ModuleNotFoundError" in reason):
        record["reason"] = (
            f"{reason}: on a cluster, name files that a program reads, and modules that it imports by a string, in its "
            "FILES; install all else that it imports at the workers"
        )


def dismiss(run: str) -> None:
    """End all that is at work here for a run; what comes for it later is refused."""
    _crew.dismiss(run)


def _await(worker: Worker) -> None:
    """Until it has something to say, is dead, or is late."""
    left = worker.deadline - monotonic()
    wait([worker.pipe, worker.process.sentinel], None if left == float("inf") else max(0.0, left))


@dataclass
class _Crew:
    """The workers of this process, kept from cell to cell with the field they have opened."""

    _of: dict[str, list[Worker]] = field(default_factory=dict)
    _busy: set[int] = field(default_factory=set)
    _over: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def one(self, order: Order) -> Iterator[Worker]:
        """An idle worker, if there is one of the problem at hand, or a new one."""
        with self._lock:
            if order.run in self._over:
                raise SolverbenchError("the run has ended")
            self._clear(order.run)
            crew = self._of.setdefault(order.run, [])
            idle = [worker for worker in crew if id(worker) not in self._busy]
            idle.sort(key=lambda worker: worker.problem != order.task.problem.name)
            worker = idle[0] if idle else self._hire(order)
            self._busy.add(id(worker))
        try:
            yield worker
        finally:
            with self._lock:
                self._busy.discard(id(worker))
                if worker.gone and worker in self._of.get(order.run, ()):
                    self._of[order.run].remove(worker)

    def dismiss(self, run: str) -> None:
        with self._lock:
            self._over.add(run)
            for worker in self._of.pop(run, ()):
                worker.process.kill()  # whoever waits for it hears of that

    def _clear(self, run: str) -> None:
        """Idle workers of other runs, whose end nobody has announced."""
        for other in [name for name in self._of if name != run]:
            for worker in [worker for worker in self._of[other] if id(worker) not in self._busy]:
                self._of[other].remove(worker)
                worker.kill()

    def _hire(self, order: Order) -> Worker:
        from solverbench.run.cache import Cache

        cache: Path | None = Cache().root if order.cached else None
        with _allowed_children():
            worker = Worker(order.limits, cache)
        self._of[order.run].append(worker)
        return worker


_crew = _Crew()


@contextmanager
def _allowed_children() -> Iterator[None]:
    """A nanny's process is daemonic, and multiprocessing lets no such process have children, since nobody would end
    them; ours end with it.
    """
    config: dict[str, Any] = vars(multiprocessing.current_process())["_config"]
    daemon = config.pop("daemon", None)
    try:
        yield
    finally:
        if daemon is not None:
            config["daemon"] = daemon
