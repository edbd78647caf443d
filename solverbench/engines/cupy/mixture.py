"""A mixture's field by the kernels: one launch, or one launch between two matrix products.

A diagonal mixture in few dimensions, where launches cost more than arithmetic, is one kernel. Any other, and many
dimensions, are two large matrix products (`fields.posterior`), which are the vendor's; between them one kernel takes
the place of a dozen passes over the logits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from solverbench.engines.cupy.combine import THREADS, Device, blocks
from solverbench.engines.cupy.posterior import WARP
from solverbench.engines.cupy.sources import mixture, responsibility
from solverbench.errors import UsageError
from solverbench.fields.gaussian import functional_weights
from solverbench.fields.posterior import Coefficients, LowRank

if TYPE_CHECKING:
    from solverbench.fields.mixture import Mixture

POINTERS = ("x", "out", "responsibility", "constant", "mu", "precision", "slope", "lift")
LAYOUT = np.dtype([(name, "u8") for name in POINTERS] + [(name, "i8") for name in ("n", "K", "d")])
"""The structure `Mixture` of kernels/mixture.cu."""


class DiagonalMixture:
    """The field of a `fields.Mixture` given by `variances`; states are contiguous float32 or float64 tensors.

    Raises UsageError for other covariances, and where a variance of the marginal is zero.
    """

    def __init__(self, field: Mixture, device: Device) -> None:
        if not isinstance(field.covariances, LowRank) or field.covariances.rank:
            raise UsageError("the mixture kernel takes diagonal covariances, given as `variances`")
        self.path, self.prediction, self.shape = field.path, field.prediction, field.shape
        self.responsibilities = torch.empty(0)
        """Of the last call, float64 (n, K)."""
        self._field, self._device = field, device
        self._diagonal, self._means = field.covariances.diagonal, field.basis.forward(field.means)
        self._at: dict[tuple[float, torch.device], dict[str, torch.Tensor]] = {}

    def __call__(self, x: torch.Tensor, t: Any) -> torch.Tensor:
        """The prediction for states x (n, *shape) at time t."""
        y = self._field.basis.forward(x).reshape(len(x), -1).contiguous()
        out, at = torch.empty_like(y), self._coefficients(float(t), x.device)
        K = len(at["constant"])
        self.responsibilities = torch.empty(len(x), K, dtype=torch.float64, device=x.device)
        arrays = {"x": y, "out": out, "responsibility": self.responsibilities, **at}
        argument = np.zeros((), LAYOUT)
        for name, array in arrays.items():
            argument[name] = array.data_ptr()
        argument["n"], argument["K"], argument["d"] = len(x), K, y.shape[1]
        kernel = mixture(str(x.dtype).removeprefix("torch."))
        self._device.launch(kernel, blocks(len(x) * WARP, self._device), THREADS, argument)
        prediction: torch.Tensor = self._field.basis.inverse(out).reshape(x.shape)
        return prediction

    def _coefficients(self, t: float, device: torch.device) -> dict[str, torch.Tensor]:
        found = self._at.get((t, device))
        if found is None:
            alpha, sigma = float(self.path.alpha(t)), float(self.path.sigma(t))
            p, q_sigma, _ = map(float, functional_weights(self.prediction, self.path, t))
            E = alpha**2 * self._diagonal + sigma**2
            if (E == 0).any():
                raise UsageError("a mixture with zeros in its diagonal needs sigma > 0")
            arrays = {
                "constant": np.log(self._field.weights) - np.log(E).sum(1) / 2,
                "mu": alpha * self._means,
                "precision": 1 / E,
                "slope": (p * alpha * self._diagonal + q_sigma) / E,
                "lift": p * self._means,
            }
            found = {name: torch.from_numpy(np.ascontiguousarray(a)).to(device) for name, a in arrays.items()}
            self._at[t, device] = found
        return found


BETWEEN = np.dtype(
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
        argument = np.zeros((), BETWEEN)
        for name, array in arrays.items():
            argument[name] = array.data_ptr()
        argument["n"], argument["K"], argument["rank"] = n, K, len(c.shift) // K
        argument["linear"], argument["pull"] = c.linear, c.pull
        kernel = responsibility(str(y.dtype).removeprefix("torch."))
        self._device.launch(kernel, blocks(n * WARP, self._device), THREADS, argument)
        return inner, R
