"""A mixture's field: two matrix products (`fields.posterior`), which are the vendor's, and one kernel between them.

The kernel takes the place of a dozen passes over the logits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from solverbench.engines.cupy.combine import THREADS, Device, blocks
from solverbench.engines.cupy.sources import responsibility
from solverbench.fields.posterior import Coefficients

if TYPE_CHECKING:
    from solverbench.fields.mixture import Mixture

WARP = 32
"""Threads that share a state."""

LAYOUT = np.dtype(
    [(name, "u8") for name in ("inner", "square", "responsibility", "constant", "energy", "shift", "gain")]
    + [(name, "i8") for name in ("n", "K", "rank")] + [("linear", "f8"), ("pull", "f8")]
)  # fmt: skip
"""The structure `Responsibility` of kernels/responsibility.cu."""


class FusedMixture:
    """The field of any `fields.Mixture`; states are float32 or float64 tensors. Nothing of size n x K x d is formed."""

    def __init__(self, field: Mixture, device: Device) -> None:
        self.path, self.prediction, self.shape = field.path, field.prediction, field.shape
        self._field, self._device = field, device

    def __call__(self, x: torch.Tensor, t: Any) -> torch.Tensor:
        """The prediction for states x (n, *shape) at time t."""

        def predict(c: Coefficients, y: torch.Tensor) -> torch.Tensor:
            W, R = self._between(c, y)
            prediction: torch.Tensor = self._field.basis.inverse(c.assemble(y, R.to(y.dtype), W))
            return prediction

        return self._field.over_rows(x, t, self.prediction, predict)

    def responsibilities(self, x: torch.Tensor, t: Any) -> torch.Tensor:
        """The posterior probability of each component, float64 (n, K), for states x (n, *shape) at time t."""
        return self._field.over_rows(x, t, self.prediction, lambda c, y: self._between(c, y)[1])

    def _between(self, c: Coefficients, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(W (n, K rank + K) of `Coefficients.assemble`, the responsibilities in float64 (n, K))."""
        inner = y @ c.M
        n, K = len(y), len(c.constant)
        R = torch.empty(n, K, dtype=torch.float64, device=y.device)
        arrays = {"inner": inner, "responsibility": R}
        arrays |= {name: getattr(c, name) for name in ("constant", "energy", "shift", "gain")}
        if c.excess is not None:
            arrays["square"] = (y * y) @ c.excess
        argument = np.zeros((), LAYOUT)
        for name, array in arrays.items():
            argument[name] = array.data_ptr()
        argument["n"], argument["K"], argument["rank"] = n, K, len(c.shift) // K
        argument["linear"], argument["pull"] = c.linear, c.pull
        kernel = responsibility(str(y.dtype).removeprefix("torch."))
        self._device.launch(kernel, blocks(n * WARP, self._device), THREADS, argument)
        return inner, R
