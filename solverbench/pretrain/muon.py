"""Muon: momentum whose update of a weight matrix is made orthogonal, so that every direction learns at one rate.

Jordan et al. (2024), "Muon: an optimizer for hidden layers in neural networks", with the quintic Newton-Schulz
iteration given there; convolution kernels (out, in, h, w) count as matrices (out, in h w). torch.optim.Muon takes
matrices only and iterates in bfloat16, which processors without it emulate; this one is float32.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalise(G: Tensor, steps: int = 5) -> Tensor:
    """G (..., m, n) with the singular values of each matrix moved near 1 (between about 0.7 and 1.2)."""
    a, b, c = _QUINTIC
    X = G / (torch.linalg.matrix_norm(G, keepdim=True) + 1e-7)
    if wide := X.shape[-2] > X.shape[-1]:
        X = X.mT
    for _ in range(steps):
        A = X @ X.mT
        X = a * X + (b * A + c * A @ A) @ X
    return X.mT if wide else X


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised per matrix, with decoupled weight decay; lr is relative to a unit update."""

    def __init__(
        self, params: Iterable[Tensor], lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(list(params), {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient: those of one shape in one batch of products."""
        for group in self.param_groups:
            alike = defaultdict[torch.Size, list[Tensor]](list)
            for p in group["params"]:
                if p.grad is not None:
                    alike[p.shape].append(p)
            for params in alike.values():
                self._update(params, group)

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        grads = [p.grad for p in params if p.grad is not None]
        for p in params:
            if not self.state[p]:
                self.state[p]["momentum"] = torch.zeros_like(p)
        momenta = [self.state[p]["momentum"] for p in params]
        torch._foreach_lerp_(momenta, grads, 1 - group["momentum"])
        G = torch.stack(torch._foreach_lerp(grads, momenta, group["momentum"])).flatten(2)
        scale = max(1, G.shape[1] / G.shape[2]) ** 0.5
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        updates = [Q.view(p.shape) for Q, p in zip(orthogonalise(G), params, strict=True)]
        torch._foreach_add_(params, updates, alpha=-group["lr"] * scale)
