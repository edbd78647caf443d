"""Fields whose predictions are known exactly: Gaussians and Gaussian mixtures, and the ones that ship with the package.

Names are resolved on first use, so that importing this package does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from solverbench.errors import UsageError, nearest

if TYPE_CHECKING:
    from solverbench.fields.base import Field, LinearField
    from solverbench.fields.basis import Dense, Separable
    from solverbench.fields.gaussian import Gaussian
    from solverbench.fields.mixture import Mixture
    from solverbench.paths import Path

__all__ = ["Dense", "Field", "Gaussian", "LinearField", "Mixture", "Separable", "load"]

_HOME = {
    "Dense": "basis",
    "Field": "base",
    "Gaussian": "gaussian",
    "LinearField": "base",
    "Mixture": "mixture",
    "Separable": "basis",
}
NAMES = ("cifar10-gaussian", "cifar10-mixture")


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def load(name: str | Field, path: str | Path | None = None) -> Field:
    """Return the shipped field called `name`, one of `NAMES`, on a path ("edm" by default); a field is returned as is.

    cifar10-gaussian: the Gaussian with the mean and covariance of the training pictures, in eigen-coordinates (3072,);
    its `pictures` shows states as pictures. cifar10-mixture: low-rank Gaussians fitted to them, shape (3, 32, 32).
    Raises UsageError for an unknown name and ArtifactError if the stored parameters are missing or altered.
    """
    if not isinstance(name, str):
        if path is not None:
            raise UsageError("a field that is already built keeps its path; give `path` with a name only")
        return name
    if name not in NAMES:
        raise UsageError(f"unknown field {name!r}{nearest(name, NAMES)}")
    from solverbench import pretrained

    tensors, path = pretrained.tensors(name), path or "edm"
    if name == "cifar10-gaussian":
        from solverbench.fields.gaussian import PrincipalGaussian

        return PrincipalGaussian(
            tensors["mean"], tensors["variance"], tensors["eigenvectors"], path, picture_shape=(3, 32, 32)
        )
    from solverbench.fields.basis import Separable
    from solverbench.fields.mixture import Mixture

    return Mixture(
        tensors["weights"],
        tensors["means"],
        diagonal=tensors["diagonal"],
        factors=tensors["factors"],
        path=path,
        basis=Separable([tensors[f"basis.{axis}"] for axis in range(3)]),
    )
