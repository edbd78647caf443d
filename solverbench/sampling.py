"""`sample`: a solver, a field and a grid give samples, on any engine, chunk by chunk."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from solverbench.adaptive import Adaptive
from solverbench.adaptive.batch import Model
from solverbench.adaptive.walk import Walk, Walked
from solverbench.api import GridLike, SolverLike, find_solver, on_path
from solverbench.engines.brownian import Brownian
from solverbench.engines.devices import choose
from solverbench.engines.noise import MAX_SEED, START, Source, independent, normals
from solverbench.errors import UsageError, check_known, check_whole
from solverbench.fields.base import check_field, lacks
from solverbench.grids import Grid
from solverbench.methods import Solver
from solverbench.plans import Noise, Plan
from solverbench.room import check_room

if TYPE_CHECKING:
    from solverbench.fields.base import Field

MEMORY = 1 << 30
"""Bytes of states a chunk of samples may take by default."""


@dataclass(frozen=True)
class Samples:
    """What a run produced."""

    x: Any
    """Final states, shaped like the start, (n, *shape) from the prior; an array of the engine's kind."""
    nfe: int | np.ndarray[Any, np.dtype[np.int64]]
    """Model evaluations per sample, two for each call of a guided field; an array like the batch if it is adaptive."""
    plan: Plan | None
    """None for adaptive solvers."""
    shape: tuple[int, ...]
    """Of one sample."""
    seconds: float
    """Wall time of the run."""
    field_seconds: float
    """Of these, spent inside the field."""
    accepted: np.ndarray[Any, np.dtype[np.int64]] | None = None
    """Of adaptive solvers: the steps taken, for each sample."""
    rejected: np.ndarray[Any, np.dtype[np.int64]] | None = None
    """Of adaptive solvers: the steps tried and not taken."""

    @property
    def finite(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which samples have no nan and no infinity, of the shape of the batch."""
        x = self.x.get() if hasattr(self.x, "get") else self.x  # from cupy
        x = x if isinstance(x, np.ndarray) else x.detach().double().cpu().numpy()
        inner = tuple(range(x.ndim - len(self.shape), x.ndim))
        ok: np.ndarray[Any, np.dtype[np.bool_]] = np.isfinite(x.astype(float)).all(axis=inner)
        return ok


def sample(
    field: Field,
    solver: SolverLike,
    grid: GridLike,
    x: Any = None,
    n: int | None = None,
    *,
    seed: int = 0,
    engine: Literal["torch", "numpy", "cupy"] | None = None,
    dtype: Any = None,
    memory: int = MEMORY,
    first: int = 0,
    noise: Literal["independent", "brownian"] = "independent",
    device: Literal["auto", "cuda", "cpu"] | None = None,
) -> Samples:
    """Run a solver on a field.

    solver: a name with options, or what a name stands for; adaptive ones too, of whose grid only the ends are used.
    field: any object with `path`, `prediction`, `shape` and `__call__(x, t)`, see `fields.Field`.
    grid: a Grid on the field's path, or an array of decreasing times (on VE and EDM paths, t = sigma).
    x: states (..., *shape) at the first time of the grid, any batch shape; without it `n` samples start from the
    path's prior.
    seed: of the start and of every noise draw. Sample i under a seed is the same whatever n, chunks or engine.
    engine: "numpy" (any number type), "torch", or "cupy": torch's with CUDA kernels of our own, on x's GPU or the
    current one, where x may also be a cupy array (shared, not copied); by default the one of x, else torch.
    dtype: of the states; x's by default, else float32.
    memory: bytes the states of one chunk may take. first: number of the first sample.
    noise: "independent" draws, or the increments of one "brownian" path per sample, the same on every grid, so that
    runs of more and more steps converge sample by sample (see `engines.brownian`; some fifty times the random numbers).
    device: in place of an engine, "cuda" is engine "cupy" and "cpu" the default one; "auto" takes the GPU if it can be
    used. A network stays on the device it was given.

    Raises UsageError for what is no field, shapes and counts that do not fit, more samples than there is memory for,
    impossible grids, devices that cannot be used, and jumps on a field without a flow map. Samples that diverge are
    returned as they are; `Samples.finite` tells which.
    """
    check_field(field)
    check_whole("seed", seed, 0, MAX_SEED)
    check_whole("first", first, 0)
    check_whole("memory", memory, 1)
    check_known("noise", noise, ("independent", "brownian"))
    grid, shape, found = on_path(grid, field.path), tuple(field.shape), find_solver(solver)
    batch = _check_start(x, n, shape)
    source: Source = Brownian(field.path) if noise == "brownian" else independent
    driver = _DRIVERS[_engine(engine, device, x)](field, grid, x, dtype, seed, source)
    program = _program(found, field, driver)

    total, d = int(np.prod(batch)), int(np.prod(shape))
    chunk = min(total, max(1, memory // (program.rows * d * driver.itemsize)))
    if x is None:
        copies = 1 if chunk == total else 2  # the chunks, and then what they are joined to
        check_room(total, copies * d * driver.dtype.itemsize, driver.home)
    started = time.perf_counter()
    parts, counts = [], []
    for i in range(0, total, chunk):
        part = driver.prior(min(chunk, total - i), first + i) if x is None else driver.part(i, chunk)
        if isinstance(program, Plan):
            parts.append(driver.run(program, part, first + i))
        else:
            walked = driver.walk(program, part)
            parts.append(walked.x)
            counts.append(np.stack([walked.nfe, walked.accepted, walked.rejected]))
    result = driver.join(parts).reshape(batch + shape)
    seconds = time.perf_counter() - started
    cost = int(getattr(field, "evaluations", 1))
    if isinstance(program, Plan):
        return Samples(result, program.nfe * cost, program, shape, seconds, driver.field_seconds)
    nfe, accepted, rejected = np.concatenate(counts, axis=1).reshape(3, *batch)
    return Samples(result, nfe * cost, None, shape, seconds, driver.field_seconds, accepted, rejected)


def _engine(engine: str | None, device: str | None, x: Any) -> str:
    """The engine asked for, or that of the device or the start."""
    if device is not None:
        if engine is not None:
            raise UsageError(f"give engine or device, not both: device {device!r} chooses the engine, not {engine!r}")
        engine = "cupy" if choose(device).name == "cuda" else None
    if engine is None:
        return "numpy" if isinstance(x, np.ndarray) else "torch"
    check_known("engine", engine, _DRIVERS)
    return engine


def _program(solver: Solver, field: Field, driver: _Driver) -> Plan | Walk:
    """What the driver is to run, if the field and the type of the states allow it."""
    if isinstance(solver, Adaptive):
        if driver.narrow:
            raise UsageError(f"{solver} estimates errors in the states' type: float32 or float64, not {driver.dtype}")
        return solver.walk()
    plan = solver.plan(field.path, driver.grid, field.prediction)
    if reason := lacks(field, plan.jumps):
        raise UsageError(f"solver {solver} jumps, and the field {reason}")
    return plan


def start(field: Field, grid: Grid, n: int, seed: int = 0, first: int = 0, dtype: Any = np.float64) -> Any:
    """Samples first .. first + n - 1 of the path's prior at the first time of the grid, a numpy array (n, *shape)."""
    z = normals(seed, START, first, n, int(np.prod(field.shape)), dtype).reshape(n, *field.shape)
    return z * z.dtype.type(field.path.prior_std(float(grid.times[0])))


def _check_start(x: Any, n: int | None, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The batch shape of a run, from x or from n."""
    if (x is None) == (n is None):
        raise UsageError("give either x, the states to start from, or n, how many samples to draw from the prior")
    if n is not None:
        check_whole("n", n, 1)
        return (int(n),)
    if not hasattr(x, "dtype"):
        raise UsageError(f"x must be a numpy array or a torch tensor, got {type(x).__name__}")
    batch = tuple(x.shape[: x.ndim - len(shape)])
    if tuple(x.shape) != batch + shape or 0 in batch:
        expected = ", ".join(("...", *map(str, shape)))
        raise UsageError(f"x must have shape ({expected}) with at least one sample, got {tuple(x.shape)}")
    return batch


class _Driver(Protocol):
    """One engine, ready to run chunk by chunk."""

    home: str
    """The device of samples that start from the prior."""
    grid: Grid
    """In the number type of the plan's coefficients."""
    dtype: Any
    itemsize: int

    @property
    def narrow(self) -> bool:
        """Whether states have a type in which errors cannot be estimated."""

    @property
    def field_seconds(self) -> float:
        """Time spent in the field so far."""

    def prior(self, m: int, first: int) -> Any:
        """Samples first .. first + m - 1 of the path's prior."""

    def part(self, i: int, m: int) -> Any:
        """States i .. i + m - 1 of the given start."""

    def run(self, plan: Plan, x: Any, first: int) -> Any:
        """Final states of x, whose first sample has that number."""

    def walk(self, walk: Walk, x: Any) -> Walked:
        """The same by an adaptive solver."""

    def join(self, parts: list[Any]) -> Any:
        """The parts as one array."""


class _Numpy:
    """The numpy engine; noise for other number types than float32 is drawn in float64."""

    home = "cpu"
    field_seconds = float("nan")

    def __init__(self, field: Field, grid: Grid, x: Any, dtype: Any, seed: int, source: Source) -> None:
        if x is not None and not isinstance(x, np.ndarray):
            x = x.detach().cpu().numpy()
        self.dtype = _numpy_type(x.dtype if dtype is None and x is not None else dtype or np.float32)
        self.x = None if x is None else x.reshape(-1, *field.shape).astype(self.dtype)
        if self.dtype.kind != "O":
            self.number: Any = np.longdouble if self.dtype == np.longdouble else float
        elif self.x is not None:
            self.number = type(self.x.flat[0])
        else:
            raise UsageError("dtype object needs x, whose entries say which numbers are meant")
        self.drawn = np.float32 if self.dtype == np.float32 else np.float64
        self.itemsize = max(self.dtype.itemsize, 8)
        self.field, self.grid, self.seed, self.source = field, grid.astype(self.number), seed, source
        self.narrow = self.dtype.kind == "O" or self.dtype.itemsize < 4

    def prior(self, m: int, first: int) -> Any:
        return start(self.field, self.grid, m, self.seed, first, self.drawn).astype(self.dtype)

    def _noise(self, draw: Noise, m: int, first: int) -> Any:
        d = int(np.prod(self.field.shape))
        z = self.source(draw, self.seed, first, m, d, self.drawn).reshape(m, *self.field.shape)
        return z.astype(object) * self.number(1) if self.dtype.kind == "O" else z.astype(self.dtype)

    def part(self, i: int, m: int) -> Any:
        assert self.x is not None
        return self.x[i : i + m]

    def run(self, plan: Plan, x: Any, first: int) -> Any:
        from solverbench.engines import numpy as engine

        return engine.run(plan, self.field, x, lambda k: self._noise(plan.noise[k], len(x), first))

    def walk(self, walk: Walk, x: Any) -> Walked:
        return walk(Model(self.field), self.grid.astype(float), x)

    def join(self, parts: list[Any]) -> Any:
        return np.concatenate(parts)


class _Torch:
    """The torch engine; buffers are made for the first chunk, which is the largest."""

    home = "cpu"

    def __init__(self, field: Field, grid: Grid, x: Any, dtype: Any, seed: int, source: Source) -> None:
        import torch

        x = None if x is None else self._tensor(x)
        self.dtype = _torch_type(x.dtype if dtype is None and x is not None else dtype or torch.float32)
        self.x = None if x is None else x.reshape(-1, *field.shape).to(self.dtype).contiguous()
        self.device = torch.device(self.home) if x is None else x.device
        self.itemsize: int = self.dtype.itemsize
        self.narrow = self.itemsize < 4
        self.field, self.grid, self.seed, self.source = field, grid.astype(float), seed, source
        self.std = field.path.prior_std(float(grid.times[0]))
        self._runner: Any = None
        self._model = Model(field)

    @property
    def field_seconds(self) -> float:
        return self._model.seconds if self._runner is None else float(self._runner.meter.field)

    def prior(self, m: int, first: int) -> Any:
        import torch

        from solverbench.engines.torch import fill_normal

        x = torch.empty((m, int(np.prod(self.field.shape))), dtype=self.dtype, device=self.device)
        fill_normal(x, self.seed, START, first)
        return x.mul_(self.std).view(m, *self.field.shape)

    def part(self, i: int, m: int) -> Any:
        assert self.x is not None
        return self.x[i : i + m]

    def run(self, plan: Plan, x: Any, first: int) -> Any:
        import torch

        if self._runner is None:
            self._runner = self._engine()(plan, len(x), self.field.shape, self.dtype, self.device)
        with torch.no_grad():
            return self._runner(self.field, x, seed=self.seed, first=first, source=self.source).clone()

    def walk(self, walk: Walk, x: Any) -> Walked:
        import torch

        with torch.no_grad():
            return walk(self._model, self.grid, x)

    def join(self, parts: list[Any]) -> Any:
        import torch

        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _tensor(self, x: Any) -> Any:
        import torch

        return torch.as_tensor(x)

    def _engine(self) -> Any:
        from solverbench.engines.torch import Runner

        return Runner


class _Cupy(_Torch):
    """The same with our kernels; a start in cupy's memory is shared with torch, and so is the result with cupy."""

    home = "cuda"

    def __init__(self, field: Field, grid: Grid, x: Any, dtype: Any, seed: int, source: Source) -> None:
        from solverbench.engines.cupy.device import require

        require()
        self._to_cupy = x is not None and type(x).__module__.partition(".")[0] == "cupy"
        super().__init__(field, grid, x, dtype, seed, source)

    def join(self, parts: list[Any]) -> Any:
        from solverbench.engines.cupy.device import to_cupy

        joined = super().join(parts)
        return to_cupy(joined) if self._to_cupy else joined

    def _tensor(self, x: Any) -> Any:
        import torch

        x = torch.utils.dlpack.from_dlpack(x) if self._to_cupy else torch.as_tensor(x)
        return x.to(self.home) if x.device.type == "cpu" else x

    def _engine(self) -> Any:
        from solverbench.engines.cupy.runner import Runner

        return Runner


_DRIVERS: dict[str, Callable[..., _Driver]] = {"numpy": _Numpy, "torch": _Torch, "cupy": _Cupy}


def _numpy_type(dtype: Any) -> np.dtype[Any]:
    """A numpy type from a name, a numpy or a torch type."""
    try:
        found = np.dtype(_name(dtype))
    except TypeError:
        found = None
    if found is None or found.kind not in "fO":
        raise UsageError(f"dtype {dtype} is not a floating-point type of numpy (float32, float64, longdouble, object)")
    return found


def _torch_type(dtype: Any) -> Any:
    """A torch type from a name, a numpy or a torch type."""
    import torch

    found = getattr(torch, _name(dtype), None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise UsageError(f"dtype {dtype} is not a floating-point type of torch (float32, float64, bfloat16, float16)")
    return found


def _name(dtype: Any) -> str:
    return np.dtype(dtype).name if isinstance(dtype, type) else str(dtype).removeprefix("torch.")
