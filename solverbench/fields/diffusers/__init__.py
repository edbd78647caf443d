"""Folders of the diffusers library with an unconditional or class-conditional UNet2DModel, read without the library.

The layout is that of google/ddpm-cifar10-32: config.json and diffusion_pytorch_model.safetensors in the folder or in
its unet/, scheduler_config.json in the folder or in its scheduler/. Nothing in it is executed, no pickle is read, and
every size is checked before memory is taken.

Time: the library counts timesteps k = 0..N-1 and has no step for the data itself. The path here is `VPDiscrete` of the
scheduler's betas, whose t runs over (0, 1] with alpha(n/N)^2 = prod_{m <= n} (1 - beta_m), so

    t = (k + 1) / N,      k = N t - 1,

and the network is asked at real k between two timesteps. Below t = 1/N, where it was not trained, it is asked at k = 0.
What a scheduler's own steps do beside the field, such as clipping D (clip_sample), is no part of the field.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from solverbench.errors import UsageError
from solverbench.fields.network import NetworkField

__all__ = ["open_diffusers", "timestep"]


def open_diffusers(
    folder: Path,
    *,
    label: int | None = None,
    guidance: float | None = None,
    dtype: Any = "float32",
    device: Any = "cpu",
) -> NetworkField:
    """The field in a folder of the diffusers library, on the discrete path of its scheduler.

    label, guidance, dtype, device: as `NetworkField` has them. A network with classes needs a label, and no guidance
    but 1: which of its classes, if any, means "unconditional" is written nowhere. A network with a fourier embedding
    takes the logarithm of k and answers nan at k = 0, as it does in the library.
    Raises UsageError if there is no such folder, ArtifactError if a file is missing, malformed, or asks for what is
    not supported here.
    """
    from solverbench.fields.diffusers import scheduler, weights
    from solverbench.fields.diffusers.config import find, read_layout
    from solverbench.fields.diffusers.unet import on_meta

    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"no such folder: {folder}")
    config = find(folder, "config.json", "unet")
    layout = read_layout(config)
    path, prediction = scheduler.read(find(folder, "scheduler_config.json", "scheduler"))
    if layout.classes and label is None:
        raise UsageError(f"the network in {folder} knows classes only: give label, 0 to {layout.classes - 1}")
    if layout.classes and guidance not in (None, 1):
        raise UsageError(f"the network in {folder} has no unconditional class to guide away from: leave guidance out")
    module = on_meta(layout, config)

    def network(x: Any, t: float, label: Any) -> Any:
        return module(x, timestep(t, path.steps), label)

    field = NetworkField(
        network,
        path,
        (layout.channels, *layout.side),
        prediction=prediction,
        labels=layout.classes,
        label=label,
        guidance=guidance,
        dtype=dtype,
        device=device,
    )
    weights.fill(module, config.parent, field.device, field.dtype)
    return field


def timestep(t: float, steps: int) -> float:
    """The timestep of the library at time t of the path: steps t - 1, a whole number at the knots, never below 0.

    Raises UsageError for t above 1, where there is no path.
    """
    k = t * steps - 1
    if k > steps - 1 + 1e-6:
        raise UsageError(f"the network has no time t={t}: its path ends at 1")
    whole = round(k)
    return float(max(whole if abs(k - whole) < 1e-9 * steps else k, 0))
