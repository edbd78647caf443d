"""`cifar10-flowmap`: two-time jumps along the trajectories of `cifar10-unet`, learnt by regression on the trajectories.

Distilling to a trajectory's own points needs a few evaluations of the teacher per trajectory, once, and gives targets
that are right from the first step on; the methods that teach a map by its own jumps save them at the price of targets
that are wrong for long. Which pairs (s, t) are asked for most is where a map is used: from pure noise, and to the data.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from solverbench import pretrained
from solverbench.errors import SolverbenchError, damage
from solverbench.fields.network import NetworkField
from solverbench.fields.trained import JumpField, open_trained
from solverbench.grids import grid
from solverbench.networks.denoiser import Spectrum
from solverbench.networks.flow_map import FlowMap
from solverbench.pretrain.artifact import Artifact, replace_file
from solverbench.pretrain.training import Job, Say, batch_rows, generator, half, refill
from solverbench.sampling import sample, start

JUMPS = (1, 2, 4)
"""Numbers of steps at which the map is measured beside DDIM."""
GRIDS: dict[str, dict[str, Any]] = {"tangent": {"t_min": 0.0}, "edm": {}}
"""The grids of the measurement; the first, equal steps in arctan(sigma), is the one for a few jumps."""
_SOLVER, _CHUNK, _STEPS = "dpmpp-3m", 64, range(16, 23)
_LEAST = 0.05
"""Noise below which trajectories are not stored but for their ends."""


@dataclass(frozen=True)
class Settings:
    """What the weights depend on beside teacher and seed."""

    trajectories: int = 20_480
    from_noise: float = 0.35
    """Share of pairs whose s is the largest noise; other s are any of the trajectory's."""
    to_data: float = 0.5
    """Share of pairs whose t is 0; other t are any of the trajectory's below s."""
    test_starts: int = 512
    test_steps: int = 64
    """Of the reference in the measurement, unipc-3 on the edm grid."""


SMOKE = Settings(trajectories=_CHUNK, test_starts=8, test_steps=16)
IMAGES, SMOKE_IMAGES = 100_000, 640
RATE, ADAM_RATE = 0.01, 0.001

Trajectories = tuple[Tensor, Tensor]
"""(times (m,) from largest to 0, states (m, chunk, 3, h, w))."""


class Recorder:
    """A field that keeps the states it is asked at: those at a grid's times, for a solver that asks once a step."""

    def __init__(self, field: NetworkField) -> None:
        self.path, self.prediction, self.shape = field.path, field.prediction, field.shape
        self.field, self.seen = field, list[tuple[float, Tensor]]()

    def __call__(self, x: Any, t: Any) -> Any:
        self.seen.append((float(t), x.clone()))
        return self.field(x, t)


def follow(field: NetworkField, chunk: int, seed: int, device: str = "cpu") -> Trajectories:
    """Trajectories chunk * 64 ... of the field from noise to data; grids differ from chunk to chunk in fineness."""
    recorder, times = Recorder(field), grid("edm", field.path, _STEPS[chunk % len(_STEPS)])
    x = torch.from_numpy(start(field, times, _CHUNK, seed, chunk * _CHUNK, np.float32)).to(device)
    end = sample(recorder, _SOLVER, times, x).x
    kept = [(t, x) for t, x in recorder.seen if t >= _LEAST] + [(0.0, end)]
    return torch.tensor([t for t, _ in kept]), torch.stack([x for _, x in kept]).cpu()


def bank(
    field: NetworkField, settings: Settings, seed: int, folder: Path, say: Say, device: str = "cpu"
) -> Iterator[Trajectories]:
    """All trajectories, each chunk from its file if there is one, else made and written."""
    chunks = settings.trajectories // _CHUNK
    for chunk in range(chunks):
        path = folder / f"{chunk:05}.npz"
        if not path.is_file():
            times, states = follow(field, chunk, seed, device)
            stream = io.BytesIO()
            np.savez(stream, times=times.numpy(), states=states.numpy())
            folder.mkdir(parents=True, exist_ok=True)
            replace_file(path, stream.getvalue())
            if (chunk + 1) % 10 == 0:
                say(f"{(chunk + 1) * _CHUNK}/{settings.trajectories} trajectories")
        try:
            with np.load(path, allow_pickle=False) as file:
                yield torch.from_numpy(file["times"]), torch.from_numpy(file["states"])
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise SolverbenchError(f"the trajectories {path} cannot be read ({damage(error)}): delete it") from error


class Jumping:
    """Squared error of N(x_s, s, t), in units of the map's coefficient, over pairs of points of trajectories."""

    def __init__(
        self, module: FlowMap, data: list[Trajectories], settings: Settings, batch: int, seed: int, device: str = "cpu"
    ) -> None:
        self.module, self.settings, self.batch, self.seed, self.device = module, settings, batch, seed, device
        self.points = torch.tensor([len(times) for times, _ in data], device=device)
        self.first = (self.points.cumsum(0) - self.points) * _CHUNK
        """Of each chunk's states, which lie one after the other: time by time, and trajectory by trajectory."""
        self.times = torch.cat([times.repeat_interleave(_CHUNK) for times, _ in data]).to(device)
        self.states = torch.cat([states.flatten(0, 1) for _, states in data]).to(device)

    def loss(self, step: int) -> Tensor:
        """Mean over a batch."""
        x_s, s, x_t, t = self.pairs(step)
        flow, scale, inputs = self.module.linear_flow(x_s, s, t)
        N = self.module.net(inputs, self.module.embed_jump(s, t)).float()
        return (N - (x_t - flow) / scale).square().mean()

    def pairs(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(x_s, s, x_t, t) as the step sees them, mirrored or not: the teacher saw images either way."""
        draw = generator(self.seed, step, device=self.device)
        rows = batch_rows(len(self.points) * _CHUNK, self.batch, self.seed, step).to(self.device)
        noise, data, a, b, mirror = torch.rand(5, self.batch, generator=draw, device=self.device)
        chunk, trajectory = rows // _CHUNK, rows % _CHUNK
        last = self.points[chunk] - 1
        i = torch.where(noise < self.settings.from_noise, 0, (a * last).long())
        j = torch.where(data < self.settings.to_data, last, i + 1 + (b * (last - i)).long())
        s, t = (self.first[chunk] + k * _CHUNK + trajectory for k in (i, j))
        mirrored = (mirror < 0.5)[:, None, None, None]
        x_s, x_t = (torch.where(mirrored, x.flip(-1), x) for x in (self.states[s], self.states[t]))
        return x_s, self.times[s], x_t, self.times[t]


def evaluate(field: JumpField, settings: Settings, seed: int) -> dict[str, Any]:
    """RMS distance of jumps and of DDIM from the ends of the teacher's own trajectories, and their ratio."""
    steps = settings.test_steps
    fine = grid("edm", field.path, steps)
    x = torch.from_numpy(start(field, fine, settings.test_starts, seed + 1, dtype=np.float32)).to(field.device)
    end, coarse = (sample(field, "unipc-3", grid("edm", field.path, n), x).x for n in (steps, steps // 2))
    measured: dict[str, Any] = {"starts": len(x), "reference_error": _rms(end - coarse)}
    for name, options in GRIDS.items():
        for jumps in JUMPS:
            times = grid(name, field.path, jumps, **options)
            ours, ddim = (_rms(sample(field, solver, times, x).x - end) for solver in ("flow-map", "ddim"))
            measured[f"{name}_{jumps}"] = {"rmse": ours, "rmse_ddim": ddim, "ratio": ours / ddim}
    return measured


def _rms(x: Tensor) -> float:
    return float(x.double().square().mean().sqrt())


def pretrain(job: Job) -> Artifact:
    """The artifact from its teacher `job.source`, a file that `pretrain unet` wrote; the shipped one by default."""
    teacher = job.source or pretrained.path("cifar10-unet")
    settings, plan = SMOKE if job.smoke else Settings(), job.plan(IMAGES, SMOKE_IMAGES, rate=RATE, adam_rate=ADAM_RATE)
    field = open_trained(teacher, device=plan.device)
    card, tensors = pretrained.read_card(teacher), pretrained.read_tensors(teacher)
    torch.manual_seed(job.seed)
    module = FlowMap(Spectrum.empty(field.shape[-1]), **card["network"])
    module.load_state_dict({**module.state_dict(), **{k: torch.from_numpy(v).float() for k, v in tensors.items()}})
    # in place of the data that other trainings are told apart by
    identity: NDArray[np.uint8] = np.frombuffer(card["sha256"].encode(), np.uint8)
    folder = job.cache / f"trajectories-{card['sha256'][:16]}-{job.seed}"
    data = list(bank(field, settings, job.seed, folder, job.say, plan.device))
    task = Jumping(module, data, settings, plan.batch, job.seed, plan.device)
    progress = job.train("flowmap", task, plan, settings, identity, "squared error of N")
    average, stored = progress.average, half(progress.average)
    refill(average, stored)
    assert isinstance(average, FlowMap)
    measured = evaluate(JumpField(field.network, average.eval(), device=plan.device), settings, job.seed)
    for jumps in JUMPS:
        job.say("{} jumps: rmse {rmse:.4f}, DDIM {rmse_ddim:.4f}, ratio {ratio:.3f}".format(
            jumps, **measured[f"tangent_{jumps}"]))  # fmt: skip
    details = {
        "cite": "krizhevsky2009cifar; karras2022edm; boffi2024flowmap",
        "description": "Flow map x_t = Psi(x_s, s, t) of the probability-flow ODE of its teacher, unconditional: the "
        "flow of the linear optimum plus a U-Net for what is left (solverbench.networks.flow_map).",
        "field": "flowmap",
        "network": module.options,
        "teacher": {"name": card.get("name"), "sha256": card["sha256"]},
        "data": {"source": "trajectories of the teacher from noise", "trajectories": len(data) * _CHUNK},
        "pixels": "byte / 127.5 - 1; (3, 32, 32)",
        **job.card("flowmap", progress, plan, settings),
        "measurements": measured,
    }
    return Artifact("cifar10-flowmap", stored, details)
