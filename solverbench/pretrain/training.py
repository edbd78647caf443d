"""One training loop for all networks: resumable after a kill, and the same for it as long as its plan is the same.

Everything random in step k follows from (seed, k) and the kind of device alone, so a checkpoint is the step number and
the tensors. Hidden
convolutions are updated by Muon, all else by AdamW; the rate rises over the first steps, is constant, and falls to
zero at the end. What is kept is the power-function average of the weights (Karras et al. 2024, arXiv 2312.02696,
section 3.1), whose width is a fixed share of the run, however long it is.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import io
import math
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from solverbench.errors import SolverbenchError
from solverbench.networks.unet import channels_last
from solverbench.pretrain.artifact import command, digest, replace_file
from solverbench.pretrain.data import CHANNELS, SIDE, Bytes, to_pixels
from solverbench.pretrain.muon import Muon

Say = Callable[[str], None]

_WIDTH = 16.97  # EDM2's gamma: a standard deviation of 5 % of the run
_EVERY = 200  # steps per point of the loss curve
_ADAM = (0.9, 0.99)


class Task(Protocol):
    """What is trained, and on what."""

    @property
    def module(self) -> nn.Module:
        """Whose parameters are to be found."""

    def loss(self, step: int) -> Tensor:
        """The loss of step `step`, a number; everything drawn for it follows from the step."""


@dataclass(frozen=True)
class Plan:
    """How long and how fast: `images` in all, of which `warmup` steps rise and the last share `decay` falls."""

    images: int
    batch: int = 32
    rate: float = 0.02
    adam_rate: float = 0.002
    warmup: int = 100
    decay: float = 0.4
    bf16: bool = False
    """Whether products are in bfloat16 (autocast): for GPUs, and processors that have it, such as those with AMX."""
    device: str = "cpu"
    """Where, and with whose random numbers."""

    @property
    def steps(self) -> int:
        return math.ceil(self.images / self.batch)

    def factor(self, step: int) -> float:
        """Of the learning rates, in (0, 1]."""
        left = (self.steps - step) / self.steps
        return min(1.0, (step + 1) / self.warmup, left / self.decay)


@dataclass
class Progress:
    """What a training has come to."""

    average: nn.Module
    steps: int = 0
    seconds: float = 0.0
    curve: list[tuple[int, float]] = field(default_factory=list)
    """(images seen, mean loss since the point before)."""
    stages: list[tuple[int, int]] = field(default_factory=list)
    """(images seen when it began, images planned) of every plan that was followed, which one command is not."""


@dataclass(frozen=True)
class Job:
    """What the command line asks of any training; `say` takes lines of progress."""

    out: Path
    cache: Path
    say: Say
    source: Path | None = None
    """The data, or the teacher."""
    seed: int = 0
    smoke: bool = False
    images: int | None = None
    batch: int | None = None
    bf16: bool = False
    device: str = "cpu"

    def plan(self, images: int, smoke_images: int, **usual: Any) -> Plan:
        """The plan asked for; `images`, `smoke_images` and `usual` are the artifact's own, where nothing was asked."""
        if self.batch:
            usual["batch"] = self.batch
        usual["images"] = self.images or (smoke_images if self.smoke else images)
        return Plan(**usual, bf16=self.bf16, device=self.device)

    def train(self, name: str, task: Task, plan: Plan, settings: Any, data: Bytes, axis: str) -> Progress:
        """`train`, kept in the cache by all that cifar10-`name` depends on, with a picture of its loss."""
        progress = train(task, plan, checkpoint(self.cache, name, settings, plan, self.seed, data), say=self.say)
        draw_curve(self.out / f"cifar10-{name}.png", progress.curve, f"cifar10-{name}", axis)
        return progress

    def card(self, name: str, progress: Progress, plan: Plan, settings: Any) -> dict[str, Any]:
        """What an artifact's card says of its training."""
        asked = [f"--images {plan.images}"] + [f"--batch {self.batch}"] * bool(self.batch) + ["--bf16"] * plan.bf16
        asked += [f"--device {plan.device}"] * (plan.device != "cpu")
        return {
            "command": " ".join([command(name, self.seed, self.smoke, data=name != "flowmap"), *asked]),
            "seed": self.seed,
            "smoke": self.smoke,
            "settings": asdict(settings) | asdict(plan),
            "parameters": sum(p.numel() for p in progress.average.parameters()),
            "steps": progress.steps,
            "hours": round(progress.seconds / 3600, 3),
            **({"processor": torch.cuda.get_device_name(plan.device)} if plan.device != "cpu" else {}),
            **({"stages": progress.stages} if len(progress.stages) > 1 else {}),
        }


class DivergedError(SolverbenchError):
    """The loss is not a number any more."""


def checkpoint(cache: Path, name: str, settings: Any, plan: Plan, seed: int, data: Bytes) -> Path:
    """Where a training is kept: by all that its weights depend on but the length, so that a longer plan goes on."""
    inputs = f"{settings} {replace(plan, images=0)} {seed} {digest(data)}"
    return cache / f"{name}-{hashlib.sha256(inputs.encode()).hexdigest()[:16]}.pt"


def generator(seed: int, step: int, stream: int = 0, device: Any = "cpu") -> torch.Generator:
    """The source of all that is random in one step; streams are independent of each other."""
    return torch.Generator(device).manual_seed((stream << 56) ^ (seed << 28) ^ step)


def batch_rows(n: int, batch: int, seed: int, step: int) -> Tensor:
    """Which of n examples make up a batch: the next of a random order, a new one in every epoch."""
    first, last = step * batch, (step + 1) * batch
    epochs = range(first // n, (last - 1) // n + 1)
    order = torch.cat([_order(n, seed, epoch) for epoch in epochs])
    return order[first - epochs[0] * n : last - epochs[0] * n]


@functools.lru_cache(maxsize=8)
def _order(n: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(n, generator=generator(seed, epoch, 1))


def optimisers(module: nn.Module, plan: Plan) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the convolutions between hidden layers, AdamW for everything else."""
    hidden = [p for layer in _hidden(module) for p in layer.parameters() if p.ndim == 4]
    known = {id(p) for p in hidden}
    rest = [p for p in module.parameters() if id(p) not in known]
    return Muon(hidden, plan.rate), torch.optim.AdamW(rest, plan.adam_rate, _ADAM, weight_decay=0.0)


def _hidden(module: nn.Module) -> Iterator[nn.Module]:
    """The convolutions but those that map from or to what is outside: a network's `stem` and `head`."""
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d) and not {"stem", "head"} & set(name.split(".")):
            yield layer


def train(task: Task, plan: Plan, kept: Path, *, say: Say, save_seconds: float = 120.0) -> Progress:
    """Train to the plan's end, from the checkpoint `kept` if there is one, and return the averaged module.

    The checkpoint is replaced every `save_seconds` and stays when done, so that a longer plan goes on from it.
    The rates follow the plan, so those weights are not the ones that the longer plan gives in one go.
    Raises DivergedError when the loss is not finite.
    """
    channels_last(task.module.to(plan.device))
    progress = Progress(copy.deepcopy(task.module).requires_grad_(False))
    optimise = optimisers(task.module, plan)
    if _resume(kept, task.module, progress, optimise, plan.device):
        say(f"resuming at {progress.steps * plan.batch} images")
    if not progress.stages or progress.stages[-1][1] != plan.images:
        progress.stages.append((progress.steps * plan.batch, plan.images))
    rates = (plan.rate, plan.adam_rate)
    started = saved = time.perf_counter()
    before, losses = progress.seconds, list[Tensor]()
    for step in range(progress.steps, plan.steps):
        for optimiser, rate in zip(optimise, rates, strict=True):
            optimiser.param_groups[0]["lr"] = rate * plan.factor(step)
            optimiser.zero_grad()
        with torch.autocast(torch.device(plan.device).type, torch.bfloat16, enabled=plan.bf16):
            loss = task.loss(step)
        loss.backward()
        for optimiser in optimise:
            optimiser.step()
        losses.append(loss.detach())
        progress.steps = step + 1
        _average(progress.average, task.module, progress.steps)
        progress.seconds = before + time.perf_counter() - started
        if progress.steps % _EVERY == 0:
            _report(progress, plan, float(torch.stack(losses).mean()), say)
            losses.clear()
        if time.perf_counter() - saved > save_seconds:
            _save(kept, task.module, progress, optimise)
            saved = time.perf_counter()
    _save(kept, task.module, progress, optimise)
    return progress


def _report(progress: Progress, plan: Plan, loss: float, say: Say) -> None:
    seen = progress.steps * plan.batch
    if not math.isfinite(loss):
        raise DivergedError(f"the loss is {loss} after {seen} images: lower the rates, or look at the data")
    progress.curve.append((seen, loss))
    say(f"{seen}/{plan.images} images, loss {loss:.4f}, {seen / progress.seconds:.0f} images/s")


@torch.no_grad()
def _average(average: nn.Module, module: nn.Module, step: int) -> None:
    weight = 1 - (1 - 1 / step) ** (_WIDTH + 1)
    torch._foreach_lerp_(list(average.parameters()), list(module.parameters()), weight)
    for mine, its in zip(average.buffers(), module.buffers(), strict=True):
        mine.copy_(its)


def _save(path: Path, module: nn.Module, progress: Progress, optimise: tuple[torch.optim.Optimizer, ...]) -> None:
    stream = io.BytesIO()
    state = {
        "module": module.state_dict(),
        "average": progress.average.state_dict(),
        "optimisers": [optimiser.state_dict() for optimiser in optimise],
        "steps": progress.steps,
        "seconds": progress.seconds,
        "curve": progress.curve,
        "stages": progress.stages,
    }
    torch.save(state, stream)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, stream.getvalue())


def _resume(
    path: Path, module: nn.Module, progress: Progress, optimise: tuple[torch.optim.Optimizer, ...], device: str
) -> bool:
    if not path.is_file():
        return False
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        module.load_state_dict(state["module"])
        progress.average.load_state_dict(state["average"])
        for optimiser, its in zip(optimise, state["optimisers"], strict=True):
            optimiser.load_state_dict(its)
        progress.steps, progress.seconds = int(state["steps"]), float(state["seconds"])
        progress.curve = [(int(seen), float(loss)) for seen, loss in state["curve"]]
        progress.stages = [(int(seen), int(images)) for seen, images in state["stages"]]
    except (RuntimeError, KeyError, ValueError, TypeError, EOFError, OSError, pickle.UnpicklingError) as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        raise SolverbenchError(f"the checkpoint {path} cannot be read ({why}): delete it to start over") from error
    return True


def images_of(data: Bytes) -> Tensor:
    """Bytes to pixels in [-1, 1], (n, 3, 32, 32) float32."""
    return torch.from_numpy(to_pixels(data)).view(-1, CHANNELS, SIDE, SIDE)


def half(module: nn.Module) -> dict[str, NDArray[Any]]:
    """The state of a module as it ships: parameters in float16, buffers as they are."""
    parameters = {name for name, _ in module.named_parameters()}
    state = module.state_dict().items()
    return {name: (t.half() if name in parameters else t).contiguous().cpu().numpy() for name, t in state}


def refill(module: nn.Module, tensors: dict[str, NDArray[Any]]) -> None:
    """Give a module the state that ships, so that what is measured is what a reader of the file gets."""
    module.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})


def draw_curve(path: Path, curve: list[tuple[int, float]], title: str, axis: str) -> None:
    """The loss curve as a picture."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
    axes.plot([seen for seen, _ in curve], [loss for _, loss in curve], lw=1)
    axes.set(title=title, xlabel="images seen", ylabel=axis)
    axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)
