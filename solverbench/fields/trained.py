"""The networks this package trains, as fields: a safetensors file, the card beside it, and the module they describe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from solverbench import pretrained
from solverbench.errors import ArtifactError, nearest
from solverbench.fields.network import NetworkField

if TYPE_CHECKING:
    from torch import nn

    from solverbench.networks.denoiser import Denoiser

SIDE = 32


def open_trained(path: Path, **options: Any) -> NetworkField:
    """The field in the artifact `path` (.safetensors, its .json card beside it), on the EDM path with x0 prediction.

    options: label, guidance, dtype and device, as `NetworkField` has them. Raises ArtifactError if the file is not the
    one its card describes, or not a network of this package.
    """
    card = pretrained.read_card(path)
    kind = str(card.get("field"))
    if kind not in _KINDS:
        raise ArtifactError(f"{path}: its card describes no trained field: {kind!r}{nearest(kind, _KINDS)}")
    return _KINDS[kind](card, pretrained.read_tensors(path), path, options)


def _unet(card: dict[str, Any], tensors: dict[str, Any], path: Path, options: dict[str, Any]) -> NetworkField:
    from solverbench.networks.denoiser import CLASSES

    module = _filled(_denoiser(card, path), tensors, path)

    def network(x: Any, t: float, label: Any) -> Any:
        return module(x, x.new_full((len(x),), t), label)

    field = NetworkField(network, "edm", (3, SIDE, SIDE), labels=CLASSES, **options)
    module.to(field.device, field.dtype)
    return field


def _denoiser(card: dict[str, Any], path: Path) -> Denoiser:
    from solverbench.networks.denoiser import Denoiser, Spectrum

    try:
        return Denoiser(Spectrum.empty(SIDE), **card["network"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ArtifactError(f"{path}: its card describes no network that can be built ({error})") from error


def _filled(module: nn.Module, tensors: dict[str, Any], path: Path) -> nn.Module:
    """The module with the parameters of the file, ready to answer."""
    import torch

    from solverbench.networks.unet import channels_last

    try:
        module.load_state_dict({name: torch.from_numpy(array).float() for name, array in tensors.items()})
    except RuntimeError as error:
        raise ArtifactError(f"{path} does not fit the network of its card: {error}") from error
    return channels_last(module).eval().requires_grad_(False)


_KINDS: dict[str, Callable[..., NetworkField]] = {"unet": _unet}
