"""Muon: momentum whose update of a weight matrix is made orthogonal, so that every direction learns at one rate.

Jordan et al. (2024), "Muon: an optimizer for hidden layers in neural networks", with the quintic Newton-Schulz
iteration given there; convolution kernels (out, in, h, w) count as matrices (out, in h w). torch.optim.Muon takes
matrices only and iterates in bfloat16, which processors without it emulate; this one is float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalise(G: Tensor, steps: int = 5) -> Tensor:
    """G (m, n) with its singular values moved near 1 (between about 0.7 and 1.2)."""
    a, b, c = _QUINTIC
    X = G / (G.norm() + 1e-7)
    if wide := len(X) > X.shape[1]:
        X = X.T
    for _ in range(steps):
        A = X @ X.T
        X = torch.addmm(X, torch.addmm(A, A, A, beta=b, alpha=c), X, beta=a)
    return X.T if wide else X


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised per matrix, with decoupled weight decay; lr is relative to a unit update."""

    def __init__(
        self, params: Iterable[Tensor], lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(list(params), {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, group)

    def _update(self, p: Tensor, group: dict[str, Any]) -> None:
        assert p.grad is not None
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        momentum = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
        G = torch.lerp(p.grad, momentum, group["momentum"]).flatten(1)
        scale = max(1, len(G) / G.shape[1]) ** 0.5
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.add_(orthogonalise(G).view_as(p), alpha=-group["lr"] * scale)
