"""diffusion_pytorch_model.safetensors into a module: names and shapes must agree before any memory is taken."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import nn

from solverbench.errors import ArtifactError

FILE = "diffusion_pytorch_model.safetensors"
_OLD = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_ATTENTION = re.compile(rf"(.*\.attentions\.\d+)\.({'|'.join(_OLD)})\.(weight|bias)")


def fill(module: nn.Module, folder: Path, device: Any, dtype: Any) -> None:
    """Give a module on the meta device the parameters in the folder's file, ready to answer.

    Raises ArtifactError if there is no safetensors file, or if it is malformed, truncated, or of another network; the
    message names the first tensor that is missing, unknown, or of another shape.
    """
    path = folder / FILE
    if not path.is_file():
        raise ArtifactError(_absent(folder))
    try:
        with safe_open(path, framework="pt") as file:
            names = _renamed(file.keys(), path)
            _check(module, {name: file.get_slice(stored) for name, stored in names.items()}, path)
            state = {name: file.get_tensor(stored).to(device, dtype, copy=True) for name, stored in names.items()}
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{path} is damaged, or no safetensors file ({error}): download it again") from error
    module.load_state_dict(state, assign=True)
    module.eval().requires_grad_(False)


def _renamed(stored: Iterable[str], path: Path) -> dict[str, str]:
    """Today's name of every tensor and the one in the file: attention was named otherwise until 2023."""
    names: dict[str, str] = {}
    for old in stored:
        match = _ATTENTION.fullmatch(old)
        name = f"{match[1]}.{_OLD[match[2]]}.{match[3]}" if match else old
        if name in names:
            raise ArtifactError(f"{path} has {name} twice: as {names[name]} and as {old}")
        names[name] = old
    return names


def _check(module: nn.Module, found: dict[str, Any], path: Path) -> None:
    expected = {name: tuple(p.shape) for name, p in module.state_dict().items()}
    for what, names in (("no tensor", expected.keys() - found.keys()), ("an unknown tensor", found.keys() - expected)):
        if names:
            count = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ArtifactError(f"{path} has {what} {min(names)}{count}: its config.json describes another network")
    for name, shape in expected.items():
        if (got := tuple(found[name].get_shape())) != shape:
            raise ArtifactError(f"{path}: {name} has shape {got}, the network of config.json needs {shape}")
        if (kind := found[name].get_dtype()) not in ("F16", "BF16", "F32", "F64"):
            raise ArtifactError(f"{path}: {name} is stored as {kind}, which is no floating-point type of a network")


def _absent(folder: Path) -> str:
    others = sorted(p.name for p in folder.glob("*") if p.suffix in (".bin", ".ckpt", ".pt", ".safetensors"))
    if pickles := [name for name in others if not name.endswith(".safetensors")]:
        return (
            f"{folder} has {pickles[0]} but no {FILE}: a pickle can run any program and is not opened. Download the "
            f"safetensors twin, or make it where you trust the file, with the diffusers library: "
            f"UNet2DModel.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r})"
        )
    parts = f"; it has {', '.join(others)}, but parts and variants are not read" if others else ""
    return f"{folder} has no {FILE}{parts}"
