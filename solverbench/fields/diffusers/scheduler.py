"""scheduler_config.json: the betas a network was trained with and what it predicts, as a path and a prediction.

The betas are the library's own, which computes them in single precision; their products are taken in double, so that
alpha^2 is the cumulative product of 1 - beta to rounding, and the library's own product up to its single precision.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from solverbench.errors import ArtifactError, UsageError
from solverbench.fields.base import Vector
from solverbench.fields.diffusers.config import Values
from solverbench.paths import VPDiscrete

if TYPE_CHECKING:
    from solverbench.predictions import Prediction

CLASSES = tuple(
    f"{name}Scheduler"
    for name in (
        "DDPM", "DDPMParallel", "DDIM", "DDIMParallel", "PNDM", "LMSDiscrete", "EulerDiscrete",
        "EulerAncestralDiscrete", "HeunDiscrete", "DPMSolverMultistep", "DPMSolverSinglestep", "DEISMultistep",
        "UniPCMultistep",
    )
)  # fmt: skip
"""Those whose configuration describes discrete variance-preserving training; how they sample does not matter here."""
PREDICTIONS: dict[str, Prediction] = {"epsilon": "noise", "v_prediction": "v", "sample": "x0"}


def read(path: Path) -> tuple[VPDiscrete, Prediction]:
    """The path and the prediction in a scheduler_config.json. Raises ArtifactError for what is not supported."""
    values = Values(path)
    values.one_of("_class_name", None, CLASSES)
    values.take("use_flow_sigmas", False, lambda v: v is False, "false: this is no flow")
    values.one_of("timestep_type", "discrete", ("discrete",))
    legacy = values.take("predict_epsilon", None, lambda v: v in (None, True, False), "true or false")
    default = "sample" if legacy is False else "epsilon"  # until 2022 this was the only choice
    kind = values.one_of("prediction_type", default, tuple(PREDICTIONS))
    zero = values.flag("rescale_betas_zero_snr", False)
    try:
        return VPDiscrete(tuple(betas(values).tolist()), zero_terminal_snr=zero), PREDICTIONS[kind]
    except UsageError as error:
        raise ArtifactError(f"{path}: {error}") from error


def betas(values: Values) -> Vector:
    """beta_1..beta_N of a scheduler's configuration, each a number of single precision. Raises ArtifactError."""
    import torch

    steps = values.whole("num_train_timesteps", None, low=2, high=1_000_000)
    if values.table.get("trained_betas") is not None:
        return _trained(values, steps)
    schedule = values.one_of("beta_schedule", None, ("linear", "scaled_linear", "squaredcos_cap_v2"))
    if schedule == "squaredcos_cap_v2":
        return np.array(_cosine(steps), dtype=np.float32).astype(np.float64)
    start, end = (
        values.number(f"beta_{end}", None, lambda v: 0 < v < 1, "between 0 and 1") for end in ("start", "end")
    )
    if schedule == "linear":
        found = torch.linspace(start, end, steps, dtype=torch.float32)
    else:
        found = torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float32) ** 2
    return np.asarray(found.double().numpy())


def _trained(values: Values, steps: int) -> Vector:
    def accepts(found: Any) -> bool:
        return isinstance(found, list) and len(found) == steps and all(type(b) is float and 0 < b < 1 for b in found)

    table = values.take("trained_betas", None, accepts, f"num_train_timesteps={steps} numbers between 0 and 1")
    return np.array(table, dtype=np.float32).astype(np.float64)


def _cosine(steps: int, s: float = 0.008, largest: float = 0.999) -> list[float]:
    """Ratios of cos^2 at neighbouring times (Nichol & Dhariwal 2021, eq. 17), none above `largest`."""
    squared = [math.cos((n / steps + s) / (1 + s) * math.pi / 2) ** 2 for n in range(steps + 1)]
    return [min(1 - after / before, largest) for before, after in itertools.pairwise(squared)]
