"""k-diffusion's samplers without its package, whose import wants all that its training scripts do."""

from __future__ import annotations

import importlib.util
import sys
import types
import warnings
from pathlib import Path

import pytest


def sampling():
    """The module k_diffusion.sampling, executed alone; skips the calling module where it is not installed."""
    found = importlib.util.find_spec("k_diffusion")
    if found is None or not found.submodule_search_locations:
        pytest.skip("parity needs k-diffusion", allow_module_level=True)
    for needed in ("torchdiffeq", "torchsde", "tqdm", "scipy"):
        pytest.importorskip(needed, reason="parity needs what k-diffusion's samplers import")
    package, utils = types.ModuleType("k_diffusion"), types.ModuleType("k_diffusion.utils")
    package.__path__ = []
    utils.append_dims = lambda x, ndim: x[(...,) + (None,) * (ndim - x.ndim)]
    package.utils = utils
    before = {name: sys.modules.get(name) for name in ("k_diffusion", "k_diffusion.utils")}
    sys.modules.update({"k_diffusion": package, "k_diffusion.utils": utils})
    file = Path(found.submodule_search_locations[0]) / "sampling.py"
    spec = importlib.util.spec_from_file_location("k_diffusion.sampling", file)
    module = importlib.util.module_from_spec(spec)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            spec.loader.exec_module(module)
    finally:
        for name, old in before.items():
            if old is None:
                del sys.modules[name]
            else:
                sys.modules[name] = old
    return module
