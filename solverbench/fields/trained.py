"""The networks this package trains, as fields: a safetensors file, the card beside it, and the module they describe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from solverbench import pretrained
from solverbench.errors import ArtifactError, UsageError, nearest
from solverbench.fields.base import Array
from solverbench.fields.network import Network, NetworkField

if TYPE_CHECKING:
    from solverbench.numbers import Number

SIDE = 32


def open_trained(path: Path, **options: Any) -> NetworkField:
    """The field in the artifact `path` (.safetensors, its .json card beside it), on the EDM path with x0 prediction.

    options: label, guidance, dtype and device, as `NetworkField` has them; a flow map takes the last two, and needs its
    teacher's files beside its own. Raises ArtifactError if a file is not the one its card describes, or not a network
    of this package, and UsageError for options it does not take.
    """
    card = pretrained.read_card(path)
    kind = str(card.get("field"))
    if kind not in _KINDS:
        raise ArtifactError(f"{path}: its card describes no trained field: {kind!r}{nearest(kind, _KINDS)}")
    return _KINDS[kind](card, pretrained.read_tensors(path), path, options)


class JumpField(NetworkField):
    """A denoiser on the EDM path with a flow map of its probability-flow ODE: callable (x, s (n,), t (n,)) -> x_t."""

    def __init__(self, network: Network, flow_map: Callable[..., Any], **options: Any) -> None:
        from solverbench.networks.denoiser import CLASSES

        super().__init__(network, "edm", (3, SIDE, SIDE), labels=CLASSES, takes_times=True, **options)
        self.flow_map = flow_map

    def jump(self, x: Array, s: Number, t: Number) -> Array:
        """The states at t of the trajectories through x (n, 3, 32, 32) at s >= t, in the kind, dtype and device of x.

        Raises UsageError for t > s: a trained map knows the way to the data alone.
        """
        if t > s:
            raise UsageError(f"the trained flow map goes from noise to data, not from {float(s)} to {float(t)}")

        def over(part: Any) -> Any:
            return self._checked(part, self.flow_map(part, *(part.new_full((len(part),), float(a)) for a in (s, t))))

        return self._over_chunks(x, over)


def _unet(card: dict[str, Any], tensors: dict[str, Any], path: Path, options: dict[str, Any]) -> NetworkField:
    from solverbench.networks.denoiser import CLASSES, Denoiser, Spectrum
    from solverbench.networks.filled import built, filled

    module = filled(built(Denoiser, card, path, Spectrum.empty(SIDE)), tensors, path)

    def network(x: Any, t: Any, label: Any) -> Any:
        return module(x, x.new_zeros(len(x)) + t, label)

    field = NetworkField(network, "edm", (3, SIDE, SIDE), labels=CLASSES, takes_times=True, **options)
    module.to(field.device, field.dtype)
    return field


def _flow_map(card: dict[str, Any], tensors: dict[str, Any], path: Path, options: dict[str, Any]) -> NetworkField:
    """The map, and its teacher as the field: found beside it, by the checksum on the map's card."""
    from solverbench.networks.denoiser import Spectrum
    from solverbench.networks.filled import built, filled
    from solverbench.networks.flow_map import FlowMap

    if given := [name for name in ("label", "guidance") if options.get(name) is not None]:
        raise UsageError(f"{path} has no {given[0]}: the flow map is unconditional")
    module = filled(built(FlowMap, card, path, Spectrum.empty(SIDE)), tensors, path)
    known = card.get("teacher")
    name, expected = (str(known.get(key)) for key in ("name", "sha256")) if isinstance(known, dict) else ("", "")
    teacher = path.with_name(f"{Path(name).name}.safetensors")
    found = pretrained.read_card(teacher)
    if (found["sha256"], found.get("field")) != (expected, "unet"):
        raise ArtifactError(f"{path} was distilled from another {name}: a unet of sha256 {expected}")
    field = JumpField(open_trained(teacher, **options).network, module, **options)
    module.to(field.device, field.dtype)
    return field


_KINDS: dict[str, Callable[..., NetworkField]] = {"unet": _unet, "flowmap": _flow_map}
