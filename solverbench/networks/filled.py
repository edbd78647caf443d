"""A network from its artifact: built as the card says, filled from the file, ready to answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from solverbench.errors import ArtifactError
from solverbench.networks.unet import channels_last

M = TypeVar("M", bound=nn.Module)


def built(kind: Callable[..., M], card: dict[str, Any], path: Path, *arguments: Any) -> M:
    """`kind` with the arguments and the options under "network" on the card; ArtifactError if they do not suit it."""
    try:
        return kind(*arguments, **card["network"])
    except (KeyError, TypeError, ValueError, RuntimeError, IndexError) as error:
        raise ArtifactError(f"{path}: its card describes no network that can be built ({error})") from error


def filled(module: M, tensors: dict[str, Any], path: Path) -> M:
    """The module with the parameters of the file, in evaluation mode; ArtifactError if they do not fit."""
    try:
        module.load_state_dict({name: torch.from_numpy(array).float() for name, array in tensors.items()})
    except RuntimeError as error:
        raise ArtifactError(f"{path} does not fit the network of its card: {error}") from error
    channels_last(module)
    return module.eval().requires_grad_(False)
