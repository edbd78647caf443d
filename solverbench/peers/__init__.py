"""Other libraries' samplers, judged as ours are: adapters, the audit, and which of ours they should equal."""

from __future__ import annotations

import json
from functools import cache
from importlib import import_module
from importlib.resources import files

from solverbench.errors import UsageError, nearest
from solverbench.peers.base import Library, Peer

LIBRARIES = {
    "diffusers": "diffusers",
    "k-diffusion": "kdiffusion",
    "azula": "azula",
    "torchdiffeq": "torchdiffeq",
    "torchsde": "torchsde",
    "scipy": "scipy",
}
"""Name -> module of this package."""


def library(name: str) -> Library:
    """The library of that name. Raises UsageError if there is no adapter for it, or it is not installed."""
    if name not in LIBRARIES:
        raise UsageError(f"no adapter for a library {name!r}{nearest(name, LIBRARIES)}; a file is named FILE.py")
    module = import_module(f"solverbench.peers.{LIBRARIES[name]}")
    try:
        found: Library = module.library()
    except ModuleNotFoundError as error:
        raise UsageError(f"{name} cannot be imported ({error}): pip install {module.PIP}") from error
    return found


def aliases(solver: str) -> list[str]:
    """What other libraries call a solver of ours of that name, e.g. "k-diffusion sample_dpmpp_2m".

    With options, what they call it at those; read from what `solverbench parity --aliases` measured to be equal.
    """
    return [f"{library} {name}" for library, name in _measured_equal().get(solver, [])]


@cache
def _measured_equal() -> dict[str, list[tuple[str, str]]]:
    text = (files("solverbench.peers") / "aliases.json").read_text()
    found: dict[str, list[tuple[str, str]]] = json.loads(text)
    return found


__all__ = ["LIBRARIES", "Library", "Peer", "aliases", "library"]
