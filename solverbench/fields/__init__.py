"""Fields: Gaussians and mixtures, whose predictions are known exactly, networks, and the ones that ship or are opened.

Names are resolved on first use, so that importing this package does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from solverbench.errors import UsageError

if TYPE_CHECKING:
    from solverbench.fields.base import Field, LinearField
    from solverbench.fields.basis import Dense, Separable
    from solverbench.fields.gaussian import Gaussian
    from solverbench.fields.mixture import Mixture
    from solverbench.fields.network import NetworkField
    from solverbench.paths import Path

__all__ = ["Dense", "Field", "Gaussian", "LinearField", "Mixture", "NetworkField", "Separable", "load"]

_HOME = {
    "Dense": "basis",
    "Field": "base",
    "Gaussian": "gaussian",
    "LinearField": "base",
    "Mixture": "mixture",
    "NetworkField": "network",
    "Separable": "basis",
}
_EXACT = ("cifar10-gaussian", "cifar10-mixture")


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def load(name: str | Field, path: str | Path | None = None, **options: Any) -> Field:
    """Return the shipped field called `name`, or open the file it names; a field is returned as is.

    cifar10-gaussian: the Gaussian with the mean and covariance of the training pictures, in eigen-coordinates (3072,);
    its `pictures` shows states as pictures. cifar10-mixture: low-rank Gaussians fitted to them, shape (3, 32, 32).
    Both are on any `path`, "edm" by default. Networks go by their names too and have a path of their own: cifar10-unet,
    a denoiser whose options are label, guidance, dtype and device (see `NetworkField`), and cifar10-flowmap, the same
    with a trained `jump(x, s, t)`. Any other name is a file, folder or address: see `opening`.
    Raises UsageError for an unknown name or what is no field, and ArtifactError if the stored parameters are missing
    or altered.
    """
    if not isinstance(name, str):
        if path is not None or options:
            raise UsageError("a field that is already built keeps its path and options; give them with a name only")
        from solverbench.fields.base import check_field

        check_field(name)
        return name
    from solverbench import pretrained

    if name not in _EXACT:
        from solverbench.fields.opening import open_field

        shipped = name in pretrained.names()
        return open_field(str(pretrained.path(name)) if shipped else name, path, **options)
    if options:
        raise UsageError(f"{name} has no option {next(iter(options))!r}: it is no network")
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
