"""Command line of `solverbench.pretrain`: progress on stderr, the two written paths on stdout."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from solverbench.errors import SolverbenchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from solverbench.pretrain.artifact import Artifact
    from solverbench.pretrain.training import Job

CACHE = Path(".cache/solverbench-pretrain")  # below the working directory; git ignores it


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        (
            click.option("--out", type=click.Path(path_type=Path), help="Default: pretrained (smoke: a cache)."),
            click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1)),
            click.option("--smoke", is_flag=True, help="A small subset, under a minute; parameters of no use."),
        )
    ):
        command = option(command)
    return command


def _data(command: Callable[..., None]) -> Callable[..., None]:
    """The option of what is made from images."""
    option = click.option("--data", required=True, type=click.Path(path_type=Path), help="CIFAR-10: folder or archive.")
    return option(_options(command))


def _write(make: Callable[[], Artifact], out: Path | None, smoke: bool) -> None:
    try:
        for path in make().write(_folder(out, smoke)):
            click.echo(path)
    except SolverbenchError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)


def _folder(out: Path | None, smoke: bool) -> Path:
    """Where to write: a smoke run must not replace the real thing unless told so."""
    return out or (CACHE / "smoke" if smoke else Path("pretrained"))


def _say(line: str) -> None:
    click.echo(line, err=True)


@click.group(help=__doc__)
def main() -> None:
    pass


@main.command()
@_data
def gaussian(data: Path, out: Path | None, seed: int, smoke: bool) -> None:
    """Mean and covariance spectrum of the training images (the seed changes nothing)."""
    from solverbench.pretrain.gaussian import pretrain

    _write(lambda: pretrain(data, seed=seed, smoke=smoke, say=_say), out, smoke)


@main.command()
@_data
def mixture(data: Path, out: Path | None, seed: int, smoke: bool) -> None:
    """Mixture of factor analysers, by EM; resumes where a killed run stopped."""
    from solverbench.pretrain.mixture import pretrain

    _write(lambda: pretrain(data, seed=seed, smoke=smoke, cache=CACHE, say=_say), out, smoke)


def _training(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a network's training."""
    for option in reversed(
        (
            click.option(
                "--images",
                type=click.IntRange(1),
                help="How many to see in all; more than before trains on, at other rates than in one go.",
            ),
            click.option("--batch", type=click.IntRange(1), help="Images a step."),
            click.option("--bf16", is_flag=True, help="Products in bfloat16, for GPUs and CPUs that have it (AMX)."),
            click.option("--device", default="cpu", show_default=True, help="Where, as torch names it: cpu, cuda."),
        )
    ):
        command = option(command)
    return command


def _train(pretrain: Callable[[Job], Artifact], source: Path | None, out: Path | None, **asked: Any) -> None:
    """Make a network's artifact, with its loss curve beside it."""
    from solverbench.pretrain.training import Job

    folder = _folder(out, asked["smoke"])
    job = Job(folder, CACHE, _say, source, **asked)
    _write(lambda: pretrain(job), folder, job.smoke)


@main.command()
@_data
@_training
def unet(data: Path, out: Path | None, **asked: Any) -> None:
    """Denoiser with and without class; resumes where a killed run stopped, and trains on with more --images."""
    from solverbench.pretrain.unet import pretrain

    _train(pretrain, data, out, **asked)


@main.command()
@click.option("--teacher", type=click.Path(path_type=Path), help="A file that `unet` wrote; by default the shipped.")
@click.option("--data", type=click.Path(path_type=Path), help="Not needed: it learns from its teacher's trajectories.")
@_options
@_training
def flowmap(teacher: Path | None, data: Path | None, out: Path | None, **asked: Any) -> None:
    """Two-time jumps along the denoiser's trajectories; resumes and trains on as `unet` does."""
    from solverbench.pretrain.flowmap import pretrain

    _train(pretrain, teacher, out, **asked)


@main.command()
@_data
@_training
def features(data: Path, out: Path | None, **asked: Any) -> None:
    """Classifier as feature extractor for Frechet distances; resumes and trains on as `unet` does."""
    from solverbench.pretrain.features import pretrain

    _train(pretrain, data, out, **asked)


if __name__ == "__main__":
    main(prog_name="python -m solverbench.pretrain")
