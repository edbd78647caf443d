"""Cells on the machines of a Dask cluster; docs/clusters.md.

The run keeps the desk: it decides which process of the cluster gets which cells, a few ahead of the one at work, and
Dask carries them there and brings back what came of each. A process that is lost has its cells go to others; one that
joins late is given cells like the rest.

What many cells need travels as a task of its own that returns it: Dask makes such a task again when the process that
held the result is lost.
"""

from __future__ import annotations

import contextlib
import logging
import math
import queue
import uuid
import warnings
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

from solverbench.errors import SolverbenchError, UsageError
from solverbench.run.bench import Done, Event, Notice, failure
from solverbench.run.cells import Cell
from solverbench.run.desk import Desk
from solverbench.run.luggage import Parcel, pack
from solverbench.run.remote import Greeting, Order, dismiss, finish, greet, versions
from solverbench.run.workers import Limits

if TYPE_CHECKING:
    from distributed import Client

BEAT = 1.0
"""Seconds between looks at who is there."""
AHEAD, MOST = 0.1, 8
"""Cells wait at a process for so many seconds of its work, and never more of them: what a round trip may take."""
LOSSES = 3
"""How often a cell may be at work in a process that is lost, before that is taken for the cell's doing."""


@dataclass
class Dask:
    """Runs cells on the cluster of a scheduler, or on one of `jobs` processes of this machine."""

    scheduler: str | None
    jobs: int
    limits: Limits
    cached: bool
    """Whether finished cells are looked up and kept, in the cache of the machine a cell runs on."""
    resources: Mapping[str, float] = field(default_factory=dict)
    """What a process must have, and a cell uses up while it runs."""

    def __call__(self, cells: Sequence[Cell]) -> Generator[Event]:
        """Events in the order in which they come. Closing the iterator ends what is at work for it.

        Raises UsageError without dask.distributed, a scheduler that answers, or for processes with other versions.
        """
        with _connected(self.scheduler, self.jobs) as client:
            yield from _Study(client, cells, self).events()


@dataclass(eq=False)
class _Seat:
    """A thread of a process of the cluster: one cell is at work there, and the next ones wait."""

    address: str
    cells: dict[str, Cell] = field(default_factory=dict)
    """By the key of their task, oldest first."""


class _Study:
    """One run on a cluster."""

    def __init__(self, client: Client, cells: Sequence[Cell], asked: Dask) -> None:
        self.client, self.asked, self.desk = client, asked, Desk(cells)
        self.run = uuid.uuid4().hex
        self.gpu = any(cell.problem.spec.device == "cuda" for cell in cells)
        self.seats: list[_Seat] = []
        self.first: set[str] | None = None
        """Who was there at the beginning."""
        self.present: set[str] = set()
        self.flying: dict[str, tuple[Any, _Seat | str]] = {}
        """Task -> (its future, whose it is); a greeting is an address's."""
        self.inbox: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.losses: Counter[str] = Counter()
        self.pace: dict[str, float] = {}
        """Problem -> seconds of its last cell."""
        self.parcels: dict[str, tuple[Parcel, Any] | None] = {}
        self.shared: dict[str, Any] = {}
        self.looked = -math.inf
        self.waiting = False

    def events(self) -> Generator[Event]:
        try:
            while self.desk or any(seat.cells for seat in self.seats):
                yield from self._muster()
                for seat in self.seats:
                    self._serve(seat)
                yield from self._hear()
        finally:
            with contextlib.suppress(Exception):  # whoever cannot be reached has ended
                self.client.cancel([future for future, _ in self.flying.values()])
                self.client.run(dismiss, self.run, on_error="ignore")

    # --- who is there ---

    def _muster(self) -> Iterator[Event]:
        if monotonic() < self.looked + BEAT:
            return
        try:
            now = set(self.client.nthreads())
        except Exception as error:  # tornado's, asyncio's and distributed's own
            raise SolverbenchError(
                f"the scheduler is lost ({type(error).__name__}: {error}); the cells finished before are kept: "
                "go on with --resume"
            ) from None
        self.looked = monotonic()
        self.first = now if self.first is None else self.first
        for address in self.present - now:
            yield from self._lose(address, "is lost")
        for address in now - self.present:
            self._fly(address, self.client.submit(greet, self.gpu, workers=[address], pure=False))
        self.present = now
        waiting = not self.seats and not any(isinstance(whose, str) for _, whose in self.flying.values())
        if waiting and not self.waiting:
            wanted = " with " + ", ".join(f"{name}={n:g}" for name, n in self.asked.resources.items())
            yield Notice(f"no worker is there{wanted * bool(self.asked.resources)}: waiting for one")
        self.waiting = waiting

    def _welcome(self, address: str, greeting: Greeting | BaseException) -> Iterator[Event]:
        if isinstance(greeting, BaseException):
            why = (
                f"cannot run solverbench ({type(greeting).__name__}: {greeting}): install the version "
                f"{versions()['solverbench']} in its environment, and in the scheduler's"
            )
        elif (unlike := _unlike(greeting.versions)) is not None:
            why = unlike
        else:
            has = [int(greeting.resources.get(name, 0) / amount) for name, amount in self.asked.resources.items()]
            seats = [_Seat(address) for _ in range(min([greeting.threads, *has]))]
            if not seats or greeting.no_gpu is None:
                self.seats += seats
                return
            why = (
                f"cannot use a GPU ({greeting.no_gpu}), which --device cuda needs: start those that can with "
                "--resources GPU=1, and ask for --resource GPU=1"
            )
        if address in (self.first or ()):
            raise UsageError(f"worker {address} {why}")
        yield Notice(f"worker {address} is not used: it {why}")

    def _lose(self, address: str, why: str) -> Iterator[Event]:
        """What was at work there goes elsewhere; a cell that keeps losing its process fails."""
        gone = [seat for seat in self.seats if seat.address == address]
        self.seats = [seat for seat in self.seats if seat.address != address]
        cells = [cell for seat in gone for cell in seat.cells.values()]
        here = [key for key, (_, whose) in self.flying.items() if whose == address or whose in gone]
        self.client.cancel([self.flying.pop(key)[0] for key in here])  # and what is still said is not heard
        for seat in gone:
            self.desk.leave(seat)
            for place, cell in reversed(list(enumerate(seat.cells.values()))):
                self.losses[cell.id] += place == 0  # the others had not begun
                if self.losses[cell.id] < LOSSES:
                    self.desk.put_back(cell)
                else:
                    lost = f"the {LOSSES} workers that it was at work in were lost: the last, {address}, {why}"
                    yield Done(cell.id, self.desk.task(cell).asked | failure(lost))
        if cells:
            yield Notice(f"worker {address} {why}: {len(cells)} cells go to others")

    # --- cells there and back ---

    def _serve(self, seat: _Seat) -> None:
        room = self._ahead(seat) - len(seat.cells)
        for cell in self.desk.take(seat, room, len(seat.cells)) if room > 0 else ():
            task = self.desk.task(cell)
            sent = [parcel for spec in (*task.files, task.problem.field) if (parcel := self._parcel(spec))]
            order = Order(self.run, task, self.asked.limits, self.asked.cached, tuple(parcel for parcel, _ in sent))
            future = self.client.submit(
                finish, order, self._prepared(task.problem.name), *(content for _, content in sent),
                key=f"{cell.id}-{uuid.uuid4().hex}", workers=[seat.address],
                resources=dict(self.asked.resources) or None,
            )  # fmt: skip
            seat.cells[str(future.key)] = cell
            self._fly(seat, future)

    def _ahead(self, seat: _Seat) -> int:
        """How many cells a seat should have: few at the end, when others could have them."""
        last = next(reversed(seat.cells.values()), None)
        pace = self.pace.get(last.problem.spec.name, 1.0) if last else 1.0
        ahead = min(MOST, 1 + math.ceil(AHEAD / max(pace, 1e-3)))
        return max(1, min(ahead, 1 + len(self.desk) // len(self.seats)))

    def _parcel(self, spec: str) -> tuple[Parcel, Any] | None:
        if spec not in self.parcels:
            packed = pack(spec, self.run)
            self.parcels[spec] = (packed[0], self._send(packed[1])) if packed else None
        return self.parcels[spec]

    def _prepared(self, problem: str) -> Any:
        if problem in self.desk.shared and problem not in self.shared:
            self.shared[problem] = self._send(self.desk.shared[problem])
        return self.shared.get(problem)

    def _send(self, content: Any) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph")
            return self.client.submit(_same, content, pure=False)

    def _fly(self, whose: _Seat | str, future: Any) -> None:
        self.flying[future.key] = future, whose
        self.client.loop.add_callback(self._follow, future)

    async def _follow(self, future: Any) -> None:
        """What becomes of a task, into the inbox; in Dask's own thread, so that the run only ever waits for that."""
        try:
            result = await future
        except BaseException as error:
            result = error
        self.inbox.put((future.key, result))

    def _hear(self) -> Iterator[Event]:
        """All that has come in by now, or the first to come in before the next look."""
        with contextlib.suppress(queue.Empty):
            key, result = self.inbox.get(timeout=BEAT)
            while True:
                _, whose = self.flying.pop(key, (None, None))
                if isinstance(whose, str):
                    yield from self._welcome(whose, result)
                elif whose is not None:
                    yield from self._finished(whose, key, result)
                key, result = self.inbox.get_nowait()

    def _finished(self, seat: _Seat, key: str, result: list[Event] | BaseException) -> Iterator[Event]:
        if isinstance(result, BaseException):  # not the solver's, which is in a record
            why = f"failed ({type(result).__name__}: {result})"
            yield from self._lose(seat.address, why)
            if not self.seats:
                raise SolverbenchError(f"no worker is left: {seat.address}, the last, {why}")
            return
        cell = seat.cells.pop(key)
        for event in result:
            self.desk.note(event)
            if isinstance(event, Done):
                self.pace[cell.problem.spec.name] = event.record.get("seconds", 1.0)
            yield event


def _same(content: Any) -> Any:
    return content


def _unlike(theirs: Mapping[str, str]) -> str | None:
    """What of a worker's versions is not ours, and what to do about it."""
    ours = versions()
    other = [name for name in ours if theirs.get(name) != ours[name]]
    if not other:
        return None
    told = "; ".join(f"{name} {theirs.get(name)} where this process has {ours[name]}" for name in other)
    return f"has {told}: numbers of two versions are not comparable; install the same in both environments"


@contextlib.contextmanager
def _connected(scheduler: str | None, jobs: int) -> Iterator[Client]:
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise UsageError("--executor dask needs dask.distributed: pip install 'solverbench[cluster]'") from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters of it is said by us
    with contextlib.ExitStack() as stack:
        if scheduler is None:
            cluster: Any = LocalCluster(
                n_workers=jobs, threads_per_worker=1, memory_limit=0, dashboard_address=None,
                silence_logs=logging.CRITICAL,
            )  # fmt: skip
            where = stack.enter_context(cluster).scheduler_address
        else:
            where = scheduler
        try:
            given: dict[str, Any] = {"scheduler_file" if str(where).endswith(".json") else "address": where}
            client = Client(**given, timeout=20, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise UsageError(f"no scheduler answers at {where} ({error}): start one with `dask scheduler`") from None
        yield stack.enter_context(client)
