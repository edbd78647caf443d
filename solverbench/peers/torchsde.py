"""torchsde: its methods on the reverse process in forward time, tau = c_s - c for the step from s, c = sigma~^p.

dx~ = -(1 + eta^2)(x~ - D)/(p c) dtau + eta sqrt(2 sigma~^{2 - p}/p) dW. It steps evenly and interpolates, so it is
called once for each step of the given levels, and reversible_heun is handed the second state that it carries. p = 1,
where euler is ours; p = 2 for srk, which uses areas and squares of W: in u = sigma~^2 the noise is constant, W is the
path whose areas are drawn, and the squares cancel. log_ode is left out: for additive noise it is midpoint at the price
of an area for every pair of directions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from itertools import pairwise
from typing import Any

import torch

from solverbench.orders.subjects import Array, Denoise, Draw
from solverbench.peers.base import Library, Peer, along
from solverbench.peers.tensors import Noise, Tensor, array, model, tensor

NAME, PIP = "torchsde", "torchsde"


@dataclass(frozen=True)
class Method:
    """One method, with what its documentation and its class say of it for additive noise, where both calculi agree."""

    name: str
    calculus: str
    order: int | None
    """In the limit without noise."""
    strong: float
    evaluations: int | None
    noise: str = "diagonal"
    p: int = 1
    areas: bool = False
    """Whether it asks for the area of a step beside the increment."""
    ours: str | None = None


METHODS = (
    Method("euler", "ito", 1, 1, 1, ours="euler-maruyama[eta={}]"),
    Method("milstein", "ito", 1, 1, 1),
    Method("srk", "ito", 2, 1.5, None, p=2, areas=True),
    Method("srk, additive", "ito", 2, 1.5, 2, noise="additive", p=2, areas=True, ours="sra1[eta={}]"),
    Method("heun", "stratonovich", 2, 1, 2),
    Method("midpoint", "stratonovich", 2, 1, 2),
    Method("euler_heun", "stratonovich", 1, 1, None),
    Method("reversible_heun", "stratonovich", None, 1, None),
)


def _run(method: Method, eta: float, denoise: Denoise, x: Array, sigmas: Any, noise: Draw | None) -> Array:
    import torchsde

    D, p = model(denoise), method.p
    draw: Callable[[Tensor], Tensor] = Noise(noise) if noise is not None else torch.randn_like

    class Reverse:
        """The process from a level on; its state is (n d, 1), so that additive noise needs no matrix of directions."""

        noise_type, sde_type = method.noise, method.calculus

        def __init__(self, sigma: float) -> None:
            self.c = sigma**p
            self.asked: tuple[float, Tensor, Tensor] | None = None

        def f(self, tau: Tensor, y: Tensor) -> Tensor:
            """Each call of sdeint first looks at f where it begins: asked twice, the model is evaluated once."""
            c = self.c - float(tau)
            if self.asked is None or self.asked[0] != c or not torch.equal(self.asked[1], y):
                self.asked = c, y, D(y.reshape(x.shape), c ** (1 / p)).reshape(y.shape)
            return -(1 + eta * eta) * (y - self.asked[2]) / (p * c)

        def g(self, tau: Tensor, y: Tensor) -> Tensor:
            c = self.c - float(tau)
            g = eta * math.sqrt(2 * c ** (2 / p - 1) / p) * torch.ones_like(y) + 0 * y
            return g[..., None] if method.noise == "additive" else g

    class Increments(torchsde.BaseBrownian):  # type: ignore[misc]  # torchsde has no annotations
        """The increment of one interval, and its space-time Levy area where it is asked for."""

        dtype, device, shape = torch.float64, torch.device("cpu"), (x.size, 1)
        levy_area_approximation = "space-time"

        def __call__(self, ta: Any, tb: Any = None, return_U: bool = False, return_A: bool = False) -> Any:
            h, like = float(tb) - float(ta), tensor(x)
            W = math.sqrt(h) * draw(like).reshape(self.shape)
            if not return_U:
                return W
            return W, h / 2 * W + math.sqrt(h**3 / 12) * draw(like).reshape(self.shape)

        def __repr__(self) -> str:
            return "Increments()"

    y, carried = tensor(x).reshape(-1, 1), None
    name = method.name.partition(",")[0]
    for s, t in pairwise(map(float, sigmas)):
        ts = torch.tensor([0.0, s**p - t**p], dtype=torch.float64)
        options = {"bm": Increments(), "method": name, "dt": 2 * float(ts[1])}
        ends, carried = torchsde.sdeint(Reverse(s), y, ts, **options, extra=True, extra_solver_state=carried)
        y = ends[-1]
    return array(y.reshape(x.shape))


def _peers() -> tuple[Peer, ...]:
    return tuple(
        Peer(
            NAME, f"{method.name}, eta={eta:g}", partial(_run, method, eta), method.order, eta > 0, eta,
            method.evaluations, ours=_ours(method, eta), strong=method.strong if eta else None,
            draws=partial(along, area=method.areas) if eta else None,
            setting="one call a step, Brownian increments given", zero=False,
        )
        for method in METHODS
        for eta in (0.0, 1.0)
    )  # fmt: skip


def _ours(method: Method, eta: float) -> str | None:
    if method.name == "heun" and not eta:
        return "rho-2heun"
    return method.ours and method.ours.format(eta)


def library() -> Library:
    """Raises ModuleNotFoundError if it is not installed."""
    import torchsde  # noqa: F401

    return Library(NAME, PIP, _peers(), {}, {"torchsde": metadata.version("torchsde")})
