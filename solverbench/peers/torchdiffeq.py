"""torchdiffeq: its fixed-step methods on dx~/dsigma~ = (x~ - D)/sigma~, and on dx~/du = D - x~ in u = -log sigma~.

The adaptive ones choose their own steps by tolerance, so their orders in the number of steps are not defined, and they
are left out.
"""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from functools import partial
from importlib import metadata
from typing import Any

import torch

from solverbench.orders.subjects import Array, Denoise, Draw
from solverbench.peers.base import Library, Peer
from solverbench.peers.tensors import Tensor, array, double, model, tensor

NAME, PIP = "torchdiffeq", "torchdiffeq"


def _run(
    method: str, variable: str, lift: bool, denoise: Denoise, x: Array, sigmas: Any, noise: Draw | None
) -> Array:  # fmt: skip
    from torchdiffeq import odeint

    D = model(denoise)
    levels = torch.tensor([float(s) for s in sigmas], dtype=torch.float64)

    def slope(u: Tensor, y: Tensor) -> Tensor:
        if variable == "sigma":
            return (y - D(y, float(u))) / u
        return D(y, float(torch.exp(-u))) - y

    options = {"max_order": 4} if method.endswith("adams") else {}
    with double() if lift else nullcontext(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of iterations that did not converge: seen in the result
        u = levels if variable == "sigma" else -levels.log()
        return array(odeint(slope, tensor(x), u, method=method, options=options)[-1])


def _peer(method: str, order: int, evaluations: int | None, variable: str, ours: str | None = None) -> Peer:
    run = partial(_run, method, variable)
    even = ", max_order=4; its weights are those of even steps, the noise levels given are not even"
    return Peer(
        NAME, f"{method}, {variable}", partial(run, True), order, False, 0.0, evaluations, ours=ours,
        setting=f"on dx/d({variable})" + (even if method.endswith("adams") else ""), native=partial(run, False),
        zero=False,
    )  # fmt: skip


def _peers() -> tuple[Peer, ...]:
    fixed = (("euler", 1, 1), ("midpoint", 2, 2), ("heun2", 2, 2), ("heun3", 3, 3), ("rk4", 4, 4))
    ours = ("euler-sigma", "rho-midpoint", "rho-2heun", "rho-3heun", "rk4-38")
    sigma = dict(zip((m for m, *_ in fixed), ours, strict=True))
    return (
        *(_peer(m, p, e, "sigma", sigma.get(m)) for m, p, e in fixed),
        *(_peer(m, p, e, "log sigma") for m, p, e in fixed),
        _peer("explicit_adams", 4, None, "log sigma"),
        _peer("implicit_adams", 4, None, "log sigma"),
    )


def library() -> Library:
    """Raises ModuleNotFoundError if it is not installed."""
    import torchdiffeq  # noqa: F401

    return Library(NAME, PIP, _peers(), {}, {"torchdiffeq": metadata.version("torchdiffeq")})
