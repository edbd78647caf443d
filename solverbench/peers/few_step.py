"""diffusers' schedulers for consistency models, with the exact flow map in place of a network.

With exact jumps the law after every step is exact, so whatever is missing is the rule's own: its noise, its levels or
its boundary function. The output a scheduler asks for is computed from where the map lands, boundary function and
prediction type undone; one that adds no noise in its last step is set up for one step more, to the data, and stopped
before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import atan, cos
from typing import Any

import numpy as np
import torch

from solverbench.orders.subjects import Array, Draw
from solverbench.peers.base import Peer
from solverbench.peers.schedulers import ALPHA, Scheduler, silence
from solverbench.peers.tensors import Tensor, array, double, tensor

STRIDE = 20
"""Training indices from one level to the next, with levels between for schedulers that stop there."""
WIDTH = 0.5
"""sigma_data of TrigFlow's scheduler."""


@dataclass(frozen=True)
class Rule:
    """What a driver must know of a scheduler for jumps."""

    cls: str
    options: dict[str, Any]
    alpha: Callable[[float], float]
    place: Callable[[Any, list[float]], Any]
    """Put our levels there; the times to call `step` at, one for each step of ours."""
    output: Callable[[Any, Any, float, Tensor, Callable[[float], Tensor]], Tensor]
    """(scheduler, time, sigma~, x~, landing x~ by level) -> what the model would have said."""
    step: dict[str, Any]

    def run(self, lift: bool, denoise: Any, x: Array, sigmas: tuple[float, ...], noise: Draw | None) -> Array:
        """As `Scheduler.run`; `denoise.jump(x~, s, t)` is the flow map."""
        levels = [float(s) for s in sigmas]
        driver = Scheduler(self.cls, None)
        with silence(), double(), driver.given(noise, lift):
            scheduler = getattr(__import__("diffusers"), self.cls)(**self.options)
            times = self.place(scheduler, levels)
            state = tensor(x, 4) * self.alpha(levels[0])
            for t, s in zip(times, levels, strict=False):
                y = state / self.alpha(s)

                def landing(level: float, y: Tensor = y, s: float = s) -> Tensor:
                    return torch.from_numpy(np.asarray(denoise.jump(array(y), s, level), float)).reshape(y.shape)

                said = self.output(scheduler, t, s, y, landing)
                state = scheduler.step(said, t, state, return_dict=False, **self.step)[0]
        return array(state / self.alpha(levels[-1]))


def _indices(scheduler: Any, levels: list[float]) -> Any:
    """LCM and TCD: a table of alphas by training index, the data at index 0."""
    whole = levels if levels[-1] == 0 else [*levels, 0.0]
    index = STRIDE * np.arange(len(whole) - 1, -1, -1)
    sigma = np.interp(np.arange(index[0] + 1), index[::-1], whole[::-1])
    scheduler.alphas_cumprod = torch.from_numpy(1 / (1 + sigma**2))
    scheduler.register_to_config(num_train_timesteps=len(sigma), original_inference_steps=len(whole) - 1)
    scheduler.set_timesteps(timesteps=index[:-1].tolist())
    return scheduler.timesteps[: len(levels) - 1]


def _levels(last: Callable[[float], float], scheduler: Any, levels: list[float]) -> Any:
    """Those that keep sigmas."""
    scheduler.set_timesteps(len(levels) - 1)
    scheduler.sigmas = torch.tensor([last(s) for s in levels], dtype=torch.float64)
    scheduler.timesteps = torch.linspace(990, 10, len(levels) - 1, dtype=torch.float64)
    scheduler.is_scale_input_called = True
    scheduler.set_begin_index(0)
    return scheduler.timesteps


def _angles(scheduler: Any, levels: list[float]) -> Any:
    scheduler.set_timesteps(len(levels) - 1, intermediate_timesteps=None)
    scheduler.timesteps = torch.tensor([atan(s / WIDTH) for s in levels], dtype=torch.float64)
    scheduler.set_begin_index(0)
    return scheduler.timesteps[:-1]


def _lcm(scheduler: Any, t: Any, s: float, y: Tensor, landing: Callable[[float], Tensor]) -> Tensor:
    c_skip, c_out = scheduler.get_scalings_for_boundary_condition_discrete(t)
    said: Tensor = (landing(0.0) - c_skip * ALPHA["vp"](s) * y) / c_out
    return said


def _consistency(scheduler: Any, t: Any, s: float, y: Tensor, landing: Callable[[float], Tensor]) -> Tensor:
    c_skip, c_out = scheduler.get_scalings_for_boundary_condition(torch.tensor(s, dtype=torch.float64))
    floor = scheduler.config.sigma_min
    said: Tensor = (landing(floor) - c_skip * y) / c_out if s > floor else y
    return said


def _tcd(eta: float, scheduler: Any, t: Any, s: float, y: Tensor, landing: Callable[[float], Tensor]) -> Tensor:
    """The mean slope of the jump to the index below the next one."""
    following = [int(u) for u in scheduler.timesteps if u < t]
    a = float(scheduler.alphas_cumprod[int((1 - eta) * following[0]) if following else 0])
    level = (1 / a - 1) ** 0.5
    said: Tensor = (y - landing(level)) / (s - level)
    return said


def _flow(scheduler: Any, t: Any, s: float, y: Tensor, landing: Callable[[float], Tensor]) -> Tensor:
    """x - sigma v is the landing."""
    return (ALPHA["rectified"](s) * y - landing(0.0)) / (s / (1 + s))


def _trig(scheduler: Any, t: Any, s: float, y: Tensor, landing: Callable[[float], Tensor]) -> Tensor:
    """cos x - sin F is the landing."""
    return (torch.cos(t) ** 2 * y - landing(0.0)) / torch.sin(t)


def _rules() -> Iterator[tuple[str, Rule]]:
    vp, plain = ALPHA["vp"], {"clip_sample": False, "original_inference_steps": 1}
    yield "LCM", Rule("LCMScheduler", {**plain, "prediction_type": "sample"}, vp, _indices, _lcm, {})
    for eta in (0.3, 1.0):
        rule = Rule("TCDScheduler", {**plain, "prediction_type": "epsilon"}, vp, _indices, partial(_tcd, eta),
                    {"eta": eta})  # fmt: skip
        yield f"TCD(eta={eta})", rule
    yield "CMStochasticIterative", Rule(
        "CMStochasticIterativeScheduler", {"num_train_timesteps": 1000, "clip_denoised": False}, ALPHA["ve"],
        partial(_levels, lambda s: s), _consistency, {},
    )  # fmt: skip
    yield "FlowMatchLCM", Rule(
        "FlowMatchLCMScheduler", {}, ALPHA["rectified"], partial(_levels, lambda s: s / (1 + s)), _flow, {}
    )
    yield "SCM", Rule("SCMScheduler", {"sigma_data": WIDTH}, lambda s: cos(atan(s / WIDTH)), _angles, _trig, {})


def peers(library: str) -> tuple[Peer, ...]:
    """What `diffusers` has of them."""
    return tuple(
        Peer(library, name, partial(rule.run, True), None, True, None, 1, own_noise=True,
             setting="the model is the exact flow map, its boundary function undone", native=partial(rule.run, False))
        for name, rule in _rules()
    )  # fmt: skip
