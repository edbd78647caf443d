"""Between arrays and torch: models, noise, and a library's own float32 read as float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from solverbench.orders.subjects import Array, Denoise, Draw

Tensor = torch.Tensor


def tensor(x: Array, dims: int = 2) -> Tensor:
    """(n, d) as a float64 tensor (n, d, 1, ...) of that many dimensions."""
    return torch.from_numpy(np.array(x, dtype=np.float64)).reshape(*x.shape, *[1] * (dims - 2))


def array(x: Tensor) -> Array:
    """A tensor (n, d, ...) as (n, d), its number type kept: what a cast did is seen."""
    return x.detach().reshape(x.shape[0], -1).numpy()


def model(denoise: Denoise) -> Callable[[Tensor, float], Tensor]:
    """A denoiser of arrays as one of tensors. What comes in may be float32; what comes out is float64."""

    def D(x: Tensor, sigma: float) -> Tensor:
        out = np.asarray(denoise(array(x), float(sigma)), dtype=np.float64)
        return torch.from_numpy(out).reshape(x.shape)

    return D


class Noise:
    """Stands for torch.randn, randn_like and diffusers' randn_tensor: the k-th call gives the k-th draw."""

    def __init__(self, draw: Draw) -> None:
        self.draw, self.k = draw, 0

    def __call__(self, like: Any, *_: Any, **__: Any) -> Tensor:
        """`like` is a tensor or a shape."""
        z = torch.from_numpy(np.array(self.draw(self.k), dtype=np.float64))
        self.k += 1
        return z.reshape(tuple(like.shape if isinstance(like, Tensor) else like))


class BrownianPath:
    """Stands for k-diffusion's BrownianTreeNoiseSampler: normalised increments of one path W over sigma.

    The path grows by one draw whenever an interval ends beyond what is known, so overlapping intervals are correlated
    as the tree's are. Every interval must begin and, inside the known path, end at a point asked for before.
    """

    def __init__(self, noise: Noise, x: Tensor) -> None:
        self.noise, self.x = noise, x
        self.W: dict[float, Tensor] = {}

    def __call__(self, sigma: Any, sigma_next: Any) -> Tensor:
        s, t = float(sigma), float(sigma_next)
        if not self.W:
            self.W[s] = torch.zeros_like(self.x)
        s = min(self.W, key=lambda u: abs(u - s))  # the point meant, whose own value went through log and exp
        if t not in self.W:
            last = min(self.W)
            self.W[t] = self.W[last] + math.sqrt(last - t) * self.noise(self.x)
        increment: Tensor = self.W[t] - self.W[s]
        return increment / math.sqrt(s - t)


class Facade:
    """A module with some of its names replaced."""

    def __init__(self, module: Any, **own: Any) -> None:
        self.__dict__.update(own)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


@contextmanager
def replaced(module: Any, **names: Any) -> Iterator[None]:
    """Within, the module has these names."""
    before = {name: getattr(module, name) for name in names}
    vars(module).update(names)
    try:
        yield
    finally:
        vars(module).update(before)


@contextmanager
def double() -> Iterator[None]:
    """Within, tensors of torch's default type are float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
