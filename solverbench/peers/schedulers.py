"""How a scheduler of diffusers is driven: its table of noise levels, its frame, its prediction, its loop.

A scheduler is set up by its own `set_timesteps`, and then its table of noise levels is overwritten by ours in double
precision, since its own is float32 and its grids are judged apart. `step` is called as users call it. Where `step`
casts to float32, `run` lets it cast to float64 instead (the module's name `torch.float32` is another one meanwhile), so
that orders and parity are seen through it; `native` leaves the cast alone.
"""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import sqrt
from typing import Any, TypeAlias

import numpy as np
import torch

from solverbench.orders.subjects import Array, Denoise, Draw
from solverbench.peers.base import Owned
from solverbench.peers.tensors import BrownianPath, Facade, Noise, Tensor, array, double, model, replaced, tensor

ALPHA: dict[str, Callable[[float], float]] = {
    "ve": lambda s: 1.0,
    "vp": lambda s: 1 / sqrt(1 + s * s),
    "rectified": lambda s: 1 / (1 + s),
}
"""alpha as a function of sigma~ in the frames that schedulers keep their state in."""

PURE = 1e6
"""A noise level that stands for pure noise, where canonical coordinates end."""

Outputs: TypeAlias = Callable[[Tensor, Tensor, float, float], Tensor]
PREDICTIONS: dict[str, Outputs] = {
    "sample": lambda x, D, s, a: D,
    "epsilon": lambda x, D, s, a: (x - D) / s,
    "v_prediction": lambda x, D, s, a: a * (x - D) / s - s * a * D,
    "flow": lambda x, D, s, a: (x - D) / s - D,
    "edm": lambda x, D, s, a: (D - x * 0.25 / (s * s + 0.25)) * sqrt(s * s + 0.25) / (0.5 * s),
}
"""The model's output from canonical state and denoiser; "edm" is EDM's F at sigma_data = 1/2."""


@dataclass(frozen=True)
class Table:
    """Where a scheduler keeps its noise levels: how ours are put there, and at which ones the model is called."""

    place: Callable[[Any, list[float]], None]
    levels: Callable[[Any], list[float]]
    """Canonical noise levels of the model calls, in order, read from the scheduler."""
    steps: Callable[[int], int] = lambda n: n
    """Steps to ask `set_timesteps` for."""


def _begin(scheduler: Any, sigmas: Tensor, count: int) -> None:
    scheduler.sigmas = sigmas
    scheduler.timesteps = torch.linspace(990, 10, count, dtype=torch.float64)
    scheduler.is_scale_input_called = True
    scheduler.set_begin_index(0)


def _plain(scheduler: Any, levels: list[float]) -> None:
    _begin(scheduler, torch.tensor(levels, dtype=torch.float64), len(levels) - 1)


def _flow(scheduler: Any, levels: list[float]) -> None:
    _plain(scheduler, [s / (1 + s) for s in levels])


def _doubled(levels: list[float]) -> Tensor:
    """Inner levels twice, once for each stage; the last twice too if the second stage is taken there."""
    s = torch.tensor(levels, dtype=torch.float64)
    return torch.cat([s[:1], s[1:-1].repeat_interleave(2), *([s[-1:]] * (2 if levels[-1] > 0 else 1))])


def _heun(scheduler: Any, levels: list[float]) -> None:
    sigmas = _doubled(levels)
    _begin(scheduler, sigmas, len(sigmas) - 1)


def _flow_heun(scheduler: Any, levels: list[float]) -> None:
    _heun(scheduler, [s / (1 + s) for s in levels])


def _geometric(scheduler: Any, levels: list[float]) -> None:
    """KDPM2: the levels doubled, and the stages' levels as its `set_timesteps` interpolates them."""
    s = torch.tensor(levels, dtype=torch.float64)
    to = s
    if hasattr(scheduler, "sigmas_up"):  # ancestral: the stage is on the way to sigma_down
        after = torch.cat([s[1:], s[-1:] * 0])
        up = (after**2 * (s**2 - after**2) / s**2).sqrt()
        to = (after**2 - up**2).sqrt().nan_to_num()  # the level after the last one is none
        scheduler.sigmas_up, scheduler.sigmas_down = (
            torch.cat([y[:1], y[1:].repeat_interleave(2), y[-1:]]) for y in (up, to)
        )
        middle = s.log().lerp(to.log(), 0.5).exp().nan_to_num()
    else:
        middle = s.log().lerp(s.roll(1).log(), 0.5).exp()
    scheduler.sigmas_interpol = torch.cat([middle[:1], middle[1:].repeat_interleave(2), middle[-1:]])
    _begin(scheduler, torch.cat([s[:1], s[1:].repeat_interleave(2), s[-1:]]), 2 * (len(levels) - 1))
    if levels[-1] == 0:
        scheduler.timesteps = scheduler.timesteps[:-1]


def _stages(fractions: tuple[float, ...]) -> Callable[[Any, list[float]], None]:
    """Singlestep: one step of ours is several of its own, with stages at these fractions in log sigma."""

    def place(scheduler: Any, levels: list[float]) -> None:
        inner: list[float] = []
        for s, t in pairwise(levels):
            inner += [s, *(s * (t / s) ** c for c in fractions)]
        _plain(scheduler, [*inner, levels[-1]])

    return place


def _alphas(stride: int) -> Callable[[Any, list[float]], None]:
    """Schedulers that step by training index: a table of alphas with a row for each level, `stride` apart."""

    def place(scheduler: Any, levels: list[float]) -> None:
        n = stride * (len(levels) - 1)
        log_sigma = np.interp(np.arange(n + 1), np.arange(0, n + 1, stride), np.log(np.maximum(levels[::-1], 1e-300)))
        sigma = np.where(log_sigma < -600, 0.0, np.exp(log_sigma))
        sigma[::stride] = levels[::-1]
        scheduler.alphas_cumprod = torch.from_numpy(1 / (1 + sigma**2))
        scheduler.final_alpha_cumprod = scheduler.one = scheduler.alphas_cumprod[0]
        scheduler.register_to_config(num_train_timesteps=n, timestep_spacing="leading", steps_offset=stride)
        scheduler.num_train_timesteps = n
        scheduler.set_timesteps(len(levels) - 1)

    return place


def _cosines(scheduler: Any, levels: list[float]) -> None:
    s = torch.tensor(levels, dtype=torch.float64)
    scheduler.alphas = 1 / (1 + s * s).sqrt()
    scheduler.betas = s * scheduler.alphas
    scheduler.timesteps = torch.linspace(0.9, 0.1, len(levels) - 1, dtype=torch.float64)
    scheduler.set_begin_index(0)


def _listed(y: Tensor) -> list[float]:
    return [float(s) for s in y]


def _unflowed(scheduler: Any) -> list[float]:
    return [s / (1 - s) if s < 1 else float("inf") for s in _listed(scheduler.sigmas)]


def _of_stages(scheduler: Any) -> list[float]:
    first, middle = _listed(scheduler.sigmas), _listed(scheduler.sigmas_interpol)
    shift = 0 if hasattr(scheduler, "sigmas_up") else 1
    return [first[i] if i % 2 == 0 else middle[i - 1 + shift] for i in range(len(scheduler.timesteps))]


def _midpoints(scheduler: Any) -> list[float]:
    s = _listed(scheduler.sigmas)
    return [s[i] if i % 2 == 0 else sqrt(s[i - 1] * s[i]) for i in range(len(scheduler.timesteps))]


def _of_alphas(scheduler: Any) -> list[float]:
    a = scheduler.alphas_cumprod[torch.as_tensor(scheduler.timesteps, dtype=torch.long)]
    return _listed((1 / a - 1).sqrt())


PLAIN = Table(_plain, lambda y: _listed(y.sigmas)[: len(y.timesteps)])
FLOW = Table(_flow, lambda y: _unflowed(y)[: len(y.timesteps)])
HEUN = Table(_heun, lambda y: _listed(y.sigmas)[: len(y.timesteps)])
FLOW_HEUN = Table(_flow_heun, lambda y: _unflowed(y)[: len(y.timesteps)])
GEOMETRIC = Table(_geometric, _of_stages, lambda n: min(n, 8))
MIDPOINTS = Table(_heun, _midpoints)
TWO = Table(_stages((1 / 2,)), PLAIN.levels, lambda n: 2 * n)
THREE = Table(_stages((1 / 3, 2 / 3)), PLAIN.levels, lambda n: 3 * n)
ALPHAS = Table(_alphas(1), _of_alphas)
HALVES = Table(_alphas(2), _of_alphas)
COSINES = Table(_cosines, lambda y: _listed(y.betas / y.alphas)[: len(y.timesteps)])


@dataclass(frozen=True)
class Scheduler:
    """A scheduler with options, and what a driver must know of it."""

    cls: str
    order: int | None
    options: dict[str, Any] = field(default_factory=dict)
    frame: str = "vp"
    predicts: str = "epsilon"
    table: Table = PLAIN
    step: dict[str, Any] = field(default_factory=dict)
    """Further arguments of `step`."""
    hidden: dict[str, Any] = field(default_factory=dict)
    """Options that every comparison needs, said in `setting`."""
    shown: dict[str, Any] | None = None
    """What its name shows, by default its options and those of `step`."""
    _cache: dict[tuple[bool, torch.dtype], Any] = field(default_factory=dict, repr=False)

    def make(self, steps: int, plain: bool = False) -> Any:
        """The object, its own timesteps set; `plain` leaves the options of every comparison at their defaults."""
        made = copy.deepcopy(self._made(plain, torch.get_default_dtype()))
        with silence():
            made.set_timesteps(steps if plain else self.table.steps(steps))
        return made

    def _made(self, plain: bool, default: torch.dtype) -> Any:
        """Built once for each type that tensors have by default: building computes a table of a thousand levels."""
        if (plain, default) in self._cache:
            return self._cache[plain, default]
        import diffusers

        own = {"prediction_type": self.predicts} if self.predicts in ("sample", "epsilon") else {}
        with silence():
            cls = getattr(diffusers, self.cls)
            known = cls.__init__.__wrapped__.__code__.co_varnames
            given = {**own, **self.options, **({} if plain else self.hidden)}
            self._cache[plain, default] = cls(**{k: v for k, v in given.items() if k in known})
        return self._cache[plain, default]

    @property
    def module(self) -> Any:
        """Where its code is, and its names `torch` and `randn_tensor`."""
        import diffusers

        return sys.modules[getattr(diffusers, self.cls).__module__]

    def drive(self, scheduler: Any, denoise: Denoise, x: Tensor, levels: list[float]) -> Tensor:
        """One evaluation and one step for each of its timesteps; x in the scheduler's frame, in and out."""
        D, alpha, output = model(denoise), ALPHA[self.frame], PREDICTIONS[self.predicts]
        for t, s in zip(scheduler.timesteps, levels, strict=True):
            a = alpha(s)
            y = x / a
            given = int(t) if self.table in (ALPHAS, HALVES) else t
            x = scheduler.step(output(y, D(y, s), s, a), given, x, return_dict=False, **self.step)[0]
        return x

    def run(
        self, lift: bool, again: bool, denoise: Denoise, x: Array, sigmas: tuple[float, ...], noise: Draw | None
    ) -> Array:
        """On our levels; `lift` reads float32 as float64; `again` first runs half of another run on the same object."""
        levels = [float(s) for s in sigmas]
        alpha = ALPHA[self.frame]
        with ExitStack() as within:
            within.enter_context(silence())
            if lift:
                within.enter_context(double())
            scheduler = self.make(len(levels) - 1, plain=levels[-1] == 0 and self.table is PLAIN)
            if again:
                self.table.place(scheduler, levels)
                half = scheduler.timesteps[: max(1, len(scheduler.timesteps) // 2)]
                scheduler.timesteps, whole = half, scheduler.timesteps
                with self.given(noise, lift):
                    self.drive(scheduler, denoise, 3 * tensor(x, 4), self.table.levels(scheduler)[: len(half)])
                scheduler.timesteps = whole
                scheduler.set_timesteps(self.table.steps(len(levels) - 1))
            self.table.place(scheduler, levels)
            with self.given(noise, lift):
                end = self.drive(scheduler, denoise, tensor(x, 4) * alpha(levels[0]), self.table.levels(scheduler))
        return array(end / alpha(levels[-1]))

    @contextmanager
    def given(self, noise: Draw | None, lift: bool) -> Iterator[None]:
        """Within, its module draws this noise, and float32 is float64 if lifted."""
        names: dict[str, Any] = {}
        if noise is not None:
            draws = Noise(noise)
            names = {"randn_tensor": draws, "BrownianTreeNoiseSampler": lambda y, *_, **__: BrownianPath(draws, y)}
        own = {"float32": torch.float64} if lift else {}
        names = {k: v for k, v in names.items() if hasattr(self.module, k)}
        with replaced(self.module, torch=Facade(torch, **own), **names):
            yield

    def own(self, options: dict[str, Any], denoise: Denoise, steps: int) -> Owned:
        """Through its own noise levels; x a batch of four in three directions."""
        chosen = replace(self, options={**self.options, **options}, hidden={}, _cache={})
        scheduler = chosen.make(steps, plain=True)
        levels = self.table.levels(scheduler)
        grid = np.array(levels[:: getattr(scheduler, "order", 1)])
        if self.cls.startswith("PNDM"):  # visits levels twice, and levels between, to start
            grid = np.unique(levels)[::-1]
        if hasattr(scheduler, "sigmas"):
            last = float(scheduler.sigmas[-1])
            grid = np.append(grid, last / (1 - last) if self.frame == "rectified" else last)
        levels = [min(s, PURE) for s in levels]
        scheduler.is_scale_input_called = True

        def run(D: Denoise, x: Array, noise: Draw) -> Array:
            with chosen.given(noise, lift=False), silence():
                return array(chosen.drive(scheduler, D, tensor(x, 4) * ALPHA[self.frame](levels[0]), levels))

        return Owned.of(run, denoise, sqrt(1 + levels[0] ** 2), grid, steps * getattr(scheduler, "order", 1))


@contextmanager
def silence() -> Iterator[None]:
    """Within, its advice about defaults and deprecations is not printed."""
    from diffusers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(before)
