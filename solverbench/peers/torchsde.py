"""torchsde: its methods on the reverse process in forward time, tau = sigma~_0 - sigma~.

dx~ = -(1 + eta^2)(x~ - D)/sigma~ dtau + eta sqrt(2 sigma~) dW. It steps evenly and interpolates, so it is called once
for each step of the given levels; reversible_heun carries a second state from step to step and is left out, as is
log_ode, which for additive noise is midpoint at the price of an area for every pair of directions. Increments of zero
are not the limit without noise of srk, which also uses their squares: only its output law is judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from importlib import metadata
from itertools import pairwise
from typing import Any

import torch

from solverbench.peers.base import Array, Denoise, Draw, Library, Peer
from solverbench.peers.tensors import Noise, Tensor, array, model, tensor

NAME, PIP = "torchsde", "torchsde"

METHODS = {
    "euler": ("ito", 1, 1),
    "milstein": ("ito", 1, 1),
    "srk": ("ito", 2, None),
    "heun": ("stratonovich", 2, 2),
    "midpoint": ("stratonovich", 2, 2),
    "euler_heun": ("stratonovich", 1, None),
}
"""Name -> calculus, order in the limit without noise, evaluations a step. The noise is additive: both calculi agree."""


def _run(method: str, eta: float, denoise: Denoise, x: Array, sigmas: Any, noise: Draw | None) -> Array:
    import torchsde

    D, first = model(denoise), float(sigmas[0])
    draw: Callable[[Tensor], Tensor] = Noise(noise) if noise is not None else torch.randn_like

    class Reverse:
        noise_type, sde_type = "diagonal", METHODS[method][0]

        asked: tuple[float, Tensor, Tensor] | None = None

        def f(self, tau: Tensor, y: Tensor) -> Tensor:
            """Each call of sdeint first looks at f where it begins: asked twice, the model is evaluated once."""
            sigma = first - float(tau)
            if self.asked is None or self.asked[0] != sigma or not torch.equal(self.asked[1], y):
                self.asked = sigma, y, D(y, sigma)
            return -(1 + eta * eta) * (y - self.asked[2]) / sigma

        def g(self, tau: Tensor, y: Tensor) -> Tensor:
            return eta * math.sqrt(2 * (first - float(tau))) * torch.ones_like(y) + 0 * y

    class Increments(torchsde.BaseBrownian):  # type: ignore[misc]  # torchsde has no annotations
        """The increment of one interval, and its space-time Levy area where it is asked for."""

        dtype, device, shape = torch.float64, torch.device("cpu"), tuple(x.shape)
        levy_area_approximation = "space-time"

        def __call__(self, ta: Any, tb: Any = None, return_U: bool = False, return_A: bool = False) -> Any:
            h = float(tb) - float(ta)
            y = tensor(x)
            W = math.sqrt(h) * draw(y)
            return (W, h / 2 * W + math.sqrt(h**3 / 12) * draw(y)) if return_U else W

        def __repr__(self) -> str:
            return "Increments()"

    y = tensor(x)
    for s, t in pairwise(sigmas):
        ts = torch.tensor([first - float(s), first - float(t)], dtype=torch.float64)
        y = torchsde.sdeint(Reverse(), y, ts, bm=Increments(), method=method, dt=2 * float(s - t))[-1]
    return array(y)


def _peers() -> tuple[Peer, ...]:
    return tuple(
        Peer(
            NAME, f"{method}, eta={eta:g}", partial(_run, method, eta), order, eta > 0,
            None if method == "srk" and eta else eta, evaluations,
            ours={"euler": f"euler-maruyama[eta={eta}]", "heun": None if eta else "rho-2heun"}.get(method),
            setting="one call a step, Brownian increments given", zero=False,
        )
        for method, (_, order, evaluations) in METHODS.items()
        for eta in (0.0, 1.0)
    )  # fmt: skip


def library() -> Library:
    """Raises ModuleNotFoundError if it is not installed."""
    import torchsde  # noqa: F401

    return Library(NAME, PIP, _peers(), {}, {"torchsde": metadata.version("torchsde")})
