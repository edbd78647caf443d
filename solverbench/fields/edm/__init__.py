"""A network in a file as EDM stores it (Karras et al. 2022, arXiv 2206.00364), opened without executing any of it.

machine     reads pickles without being able to run anything
reader      what is in the file: arguments and arrays
blocks, networks, precond   the network, rebuilt
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from solverbench.errors import ArtifactError

if TYPE_CHECKING:
    import pathlib

    from solverbench.fields.network import NetworkField

__all__ = ["open_edm"]


def open_edm(
    path: pathlib.Path,
    *,
    label: int | None = None,
    guidance: float | None = None,
    dtype: Any = "float32",
    device: Any = "cpu",
) -> NetworkField:
    """The averaged network (`ema`) of a `network-snapshot.pkl` as a field on path "edm", answering x0.

    label, guidance, dtype, device: as `NetworkField` has them; the states have shape (channels, resolution,
    resolution), and the file's own `use_fp16` is not heeded. Raises ArtifactError for a file that is damaged, asks for
    anything such a network does not need or does not have exactly its tensors, and UsageError for a dtype that is none,
    or a label or guidance the network cannot have.
    """
    import torch

    from solverbench.fields.edm.precond import build
    from solverbench.fields.edm.reader import read_edm
    from solverbench.fields.network import NetworkField, type_of

    kind = type_of(dtype)
    snapshot = read_edm(path)
    try:
        denoiser, shape = build(snapshot, kind, torch.device(device))
    except ArtifactError as error:
        raise ArtifactError(f"{path}: refused as an EDM network: {error}") from error
    return NetworkField(
        denoiser,
        "edm",
        shape,
        prediction="x0",
        labels=denoiser.labels,
        label=label,
        guidance=guidance,
        dtype=kind,
        device=device,
    )
