"""k-diffusion: every sampler of `k_diffusion.sampling`.

The package imports pictures, networks and metrics, none of which a sampler needs, so its module `sampling` is executed
alone, with a stand-in for the one function of `utils` it calls.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from solverbench.orders.subjects import Array, Denoise, Draw
from solverbench.peers.base import Library, Owned, Peer, Run
from solverbench.peers.tensors import BrownianPath, Facade, Noise, array, double, model, replaced, tensor

NAME, PIP = "k-diffusion", "--no-deps k-diffusion torchdiffeq torchsde tqdm"


@cache
def sampling() -> ModuleType:
    """`k_diffusion/sampling.py` by itself. Raises ModuleNotFoundError if it, or what it imports, is missing."""
    found = importlib.util.find_spec("k_diffusion")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'k_diffusion'", name="k_diffusion")
    package = ModuleType("solverbench_k_diffusion")
    package.__path__ = list(found.submodule_search_locations)
    utils = ModuleType(f"{package.__name__}.utils")
    utils.append_dims = lambda x, dims: x[(...,) + (None,) * (dims - x.ndim)]  # type: ignore[attr-defined]
    sys.modules[package.__name__], sys.modules[utils.__name__] = package, utils
    package.utils = utils  # type: ignore[attr-defined]
    place = Path(package.__path__[0]) / "sampling.py"
    spec = importlib.util.spec_from_file_location(f"{package.__name__}.sampling", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _call(
    function: str, denoise: Denoise, x: Array, sigmas: Any, noise: Draw | None, lift: bool, options: dict[str, Any]
) -> Array:
    """sample_...(model, x, sigmas), or (model, x, sigma_min, sigma_max, ...) for those that choose their own levels."""
    module = sampling()
    D = model(denoise)
    draws = Noise(noise) if noise else None
    options = dict(options)
    with ExitStack() as within:
        if lift:
            within.enter_context(double())
        if draws:
            within.enter_context(replaced(module, torch=Facade(torch, randn_like=draws)))
            within.enter_context(replaced(module, BrownianTreeNoiseSampler=lambda y, *_, **__: BrownianPath(draws, y)))
        ends = options.pop("ends", None)
        where = ends(sigmas) if ends else {"sigmas": torch.as_tensor(np.array(sigmas, dtype=float))}
        call = getattr(module, f"sample_{function}")
        return array(call(lambda y, s: D(y, s.flatten()[0]), tensor(x), **where, disable=True, **options))


def _fast(sigmas: Any) -> dict[str, Any]:
    """dpm_fast spends n evaluations on levels of its own, so that only the ends of the grid are given."""
    return {"sigma_min": float(sigmas[-1]), "sigma_max": float(sigmas[0]), "n": 3 * (len(sigmas) - 1)}


def _adaptive(sigmas: Any) -> dict[str, Any]:
    """dpm_adaptive chooses its steps; a grid of N steps asks for the tolerance N^-3, so that its errors fall with N."""
    tolerance = float(len(sigmas) - 1) ** -3
    return {"sigma_min": float(sigmas[-1]), "sigma_max": float(sigmas[0]), "rtol": tolerance, "atol": tolerance}


def _peer(
    function: str, order: int | None, options: dict[str, Any] | None = None, *, evaluations: int | None = 1,
    eta: float | None = 0.0, stochastic: bool = False, ours: str | None = None, setting: str = "", zero: bool = True,
) -> Peer:  # fmt: skip
    options = options or {}
    shown = ", ".join(f"{k}={v}" for k, v in options.items() if k != "ends")
    run: Run = partial(_run, function, True, options)
    native: Run | None = partial(_run, function, False, options)
    return Peer(
        NAME, f"sample_{function}" + (f"({shown})" if shown else ""), run, order, stochastic, eta, evaluations,
        ours=ours, setting=setting, native=native, zero=zero, own_noise=stochastic,
    )  # fmt: skip


def _run(
    function: str, lift: bool, options: dict[str, Any], denoise: Denoise, x: Array, sigmas: Any, noise: Draw | None
) -> Array:
    return _call(function, denoise, x, sigmas, noise, lift, options)


def _peers() -> tuple[Peer, ...]:
    churn = "s_churn=5,s_min=0,s_max=inf"
    tree = "BrownianTreeNoiseSampler replaced by one path of the given draws"
    ends = "takes sigma_min and sigma_max alone"
    return (
        _peer("euler", 1, ours="ddim"),
        _peer("euler", None, {"s_churn": 5.0}, eta=None, stochastic=True, ours=f"euler-churn[{churn}]"),
        _peer("dpm_2", None, {"s_churn": 5.0}, evaluations=2, eta=None, stochastic=True, ours=f"dpm-2-churn[{churn}]"),
        _peer("euler_ancestral", 1, {"eta": 0.0}, ours="ddim"),
        _peer("euler_ancestral", 1, eta=1.0, stochastic=True, ours="euler-ancestral"),
        _peer("heun", 2, evaluations=2, ours="rho-2heun"),
        _peer("heun", None, {"s_churn": 5.0}, evaluations=2, eta=None, stochastic=True, ours="edm-heun[s_churn=5]"),
        _peer("dpm_2", 2, evaluations=2, ours="dpm-2"),
        _peer("dpm_2_ancestral", 2, evaluations=2, eta=1.0, stochastic=True, ours="dpm-2-ancestral"),
        _peer("lms", 4, ours="lms"),
        _peer("dpm_fast", 3, {"ends": _fast}, evaluations=3, zero=False, setting=f"{ends}; n = 3 steps"),
        _peer("dpm_adaptive", None, {"ends": _adaptive}, evaluations=None, zero=False,
              setting=f"{ends}; rtol = atol = steps^-3"),
        _peer("dpmpp_2s_ancestral", 2, {"eta": 0.0}, evaluations=2, ours="dpmpp-2s"),
        _peer("dpmpp_2s_ancestral", 2, evaluations=2, eta=1.0, stochastic=True, ours="dpmpp-2s-ancestral"),
        _peer("dpmpp_sde", 2, evaluations=2, eta=1.0, stochastic=True, ours="sde-dpmpp-2s", setting=tree),
        _peer("dpmpp_2m", 2, ours="dpmpp-2m"),
        _peer("dpmpp_2m_sde", 2, eta=1.0, stochastic=True, ours="sde-dpmpp-2m", setting=tree),
        _peer("dpmpp_2m_sde", 2, {"solver_type": "heun"}, eta=1.0, stochastic=True,
              ours="sde-dpmpp-2m[variant=heun]", setting=tree),
        _peer("dpmpp_2m_sde", 2, {"eta": 0.25}, eta=0.5, stochastic=True, ours="sde-dpmpp-2m[eta=0.5]",
              setting=f"{tree}; its eta is ours squared"),
        _peer("dpmpp_3m_sde", 3, eta=1.0, stochastic=True, ours="sde-dpmpp-3m", setting=tree),
    )  # fmt: skip


GRIDS: dict[str, Callable[[ModuleType, int], Any]] = {
    "karras": lambda k, n: k.get_sigmas_karras(n, 0.0292, 14.6146),
    "exponential": lambda k, n: k.get_sigmas_exponential(n, 0.0292, 14.6146),
    "polyexponential": lambda k, n: k.get_sigmas_polyexponential(n, 0.0292, 14.6146, rho=2.0),
    "vp": lambda k, n: k.get_sigmas_vp(n),
}
"""Its own noise levels; the ends are those of its README."""


def _own(function: str, grid: str, denoise: Denoise, steps: int) -> Owned:
    sigmas = GRIDS[grid](sampling(), steps).numpy()
    return Owned.of(lambda D, x, noise: _call(function, D, x, sigmas, noise, False, {}), denoise, sigmas[0], sigmas)


def library() -> Library:
    """Raises ModuleNotFoundError if it is not installed."""
    sampling()
    names = sorted({p.name.partition("(")[0].removeprefix("sample_") for p in _peers()} - {"dpm_fast", "dpm_adaptive"})
    own = {f"sample_{f}, get_sigmas_{g}": partial(_own, f, g) for f in names for g in GRIDS}
    return Library(NAME, PIP, _peers(), own, {"k-diffusion": metadata.version("k-diffusion")})
