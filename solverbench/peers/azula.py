"""azula: its samplers. They step evenly in time, so the noise levels given are put into the schedule."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib import metadata
from typing import Any

import numpy as np
import torch

from solverbench.orders.subjects import Array, Denoise, Draw
from solverbench.peers.base import Library, Owned, Peer
from solverbench.peers.tensors import Facade, Noise, Tensor, array, double, model, replaced, tensor

NAME, PIP = "azula", "azula"


def _denoiser(D: Callable[[Tensor, float], Tensor], schedule: Any) -> Any:
    from azula.denoise import Denoiser, DiracPosterior

    class Ours(Denoiser):  # type: ignore[misc]  # azula has no annotations that mypy may read
        def __init__(self) -> None:
            super().__init__()
            self.schedule = schedule

        def forward(self, x_t: Tensor, t: Tensor, **_: Any) -> DiracPosterior:
            alpha, sigma = self.schedule(t)
            return DiracPosterior(mean=D(x_t / alpha, float(sigma / alpha)))

    return Ours()


def _schedule(sigmas: tuple[float, ...]) -> Any:
    from azula.noise import Schedule

    class Given(Schedule):  # type: ignore[misc]
        """alpha = 1 and sigma the n-th level at time 1 - n/N."""

        def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
            levels = torch.tensor([float(s) for s in sigmas], dtype=torch.float64)
            sigma = levels[((1 - t) * (len(sigmas) - 1)).round().long()]
            return torch.ones_like(sigma), sigma

    return Given()


def _sampled(
    name: str, options: dict[str, Any], schedule: Any, steps: int, denoise: Denoise, x: Array, noise: Draw | None,
    lift: bool, twice: bool = False,
) -> Array:  # fmt: skip
    from azula import sample

    with ExitStack() as within:
        if lift:
            within.enter_context(double())
        dtype = torch.float64 if lift else None
        denoiser = _denoiser(model(denoise), schedule)
        sampler = getattr(sample, name)(denoiser, steps=steps, silent=True, dtype=dtype, **options)
        for _ in range(2 if twice else 1):
            with ExitStack() as drawing:
                if noise is not None:
                    drawing.enter_context(replaced(sample, torch=Facade(torch, randn_like=Noise(noise))))
                end = array(sampler(tensor(x)))
        return end


def _run(
    name: str, options: dict[str, Any], lift: bool, twice: bool, denoise: Denoise, x: Array, sigmas: Any,
    noise: Draw | None,
) -> Array:  # fmt: skip
    return _sampled(name, options, _schedule(sigmas), len(sigmas) - 1, denoise, x, noise, lift, twice)


def _peer(name: str, order: int | None, options: dict[str, Any] | None = None, **more: Any) -> Peer:
    options = options or {}
    shown = ", ".join(f"{k}={v}" for k, v in options.items())
    stochastic = more.setdefault("stochastic", more.get("eta", 0.0) != 0)
    run = partial(_run, name, options)
    return Peer(
        NAME, f"{name}({shown})" if shown else name, partial(run, True, False), order, **more,
        setting="alpha = 1, the noise levels as its schedule, dtype=float64", native=partial(run, False, False),
        again=partial(run, True, True), own_noise=stochastic,
    )  # fmt: skip


def _peers() -> tuple[Peer, ...]:
    return (
        _peer("EulerSampler", 1, ours="ddim"),
        _peer("HeunSampler", 2, ours="rho-2heun", evaluations=2, zero=False),
        _peer("DDIMSampler", 1, ours="ddim"),
        _peer("DDIMSampler", 1, {"eta": 0.36}, ours="ddim[eta=0.6]", eta=0.6),
        _peer("DDPMSampler", 1, ours="ddpm", eta=1.0),
        _peer("ItoSampler", 1, eta=1.0),
        *(_peer("zABSampler", p, {"order": p}, ours=f"deis-rhoab{p - 1}") for p in (2, 3, 4)),
        *(_peer("vABSampler", p, {"order": p}, ours=f"vab{p}") for p in (2, 3)),
        *(_peer("zEABSampler", p, {"order": p}, ours=f"exp-ab{p}[predicts=noise]", zero=False) for p in (2, 3)),
        *(_peer("xEABSampler", p, {"order": p}, ours=f"exp-ab{p}", zero=False) for p in (2, 3)),
        *(_peer("REABSampler", p, {"order": p}, zero=False) for p in (1, 2, 3)),
        _peer("PCSampler", None, {"corrections": 1, "delta": 0.01}, eta=None, evaluations=2),
    )


def _own(name: str, options: dict[str, Any], kind: str, denoise: Denoise, steps: int) -> Owned:
    from azula import noise

    schedule = getattr(noise, kind)()
    alpha, sigma = schedule(torch.linspace(1, 0, steps + 1))
    std = np.sqrt(float(alpha[0]) ** 2 + float(sigma[0]) ** 2)
    run = lambda D, x, draw: _sampled(name, options, schedule, steps, D, x, draw, lift=False)  # noqa: E731
    return Owned.of(run, denoise, std, (sigma / alpha).numpy())


def library() -> Library:
    """Raises ModuleNotFoundError if it is not installed."""
    import azula.sample  # noqa: F401

    kinds = ("VESchedule", "VPSchedule", "CosineSchedule", "RectifiedSchedule", "DecaySchedule")
    samplers = [(p.name, *p.run.args[:2]) for p in _peers()]  # type: ignore[attr-defined]
    own = {f"{p}, {kind}": partial(_own, name, options, kind) for p, name, options in samplers for kind in kinds}
    return Library(NAME, PIP, _peers(), own, {"azula": metadata.version("azula")})
