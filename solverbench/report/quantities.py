"""What a run measures, and how tables and figures name it: one place, so that they agree."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Quantity:
    """A column of the records that solvers are compared by; smaller is better."""

    key: str
    name: str
    meaning: str
    error: tuple[str, ...] = ()
    """The columns with its standard error, the first that has one counts; none for a value that is computed."""
    methods: tuple[str, ...] = ()
    """How each of these is found."""
    n: str | None = None
    """The column with the number of samples it is made of."""
    samples: str | None = None
    """The array with what it is the mean of, start by start, for paired tests; older runs have none."""
    mean: Literal["arithmetic", "quadratic", "geometric"] = "arithmetic"
    """Whether it is that mean, its root, or the root of the geometric one."""
    resolution: str | None = None
    """The column with the error of the reference: below `paired.RESOLVES` times that nothing is told but that."""
    floor: str | None = None
    """The column with what exact samples score: the goal, as less is then no better but only narrower."""
    spread: str | None = None
    """The column with the standard deviation of what exact samples score."""
    parts: bool = False
    """Whether it is split into initialisation, truncation and discretisation."""
    partial: bool = False
    """Whether many solvers cannot have it, and are then left out of its table."""


JACKKNIFE = "jackknife, leaving out samples"
PARTS = ("initialisation", "truncation", "discretisation")

RMSE = Quantity(
    "rmse",
    "paired RMSE",
    "Paired RMSE: root-mean-square error per pixel against the reference trajectory from the same start.",
    error=("rmse_se",),
    methods=("over starts, to first order",),
    n="n_paired",
    samples="squared_errors",
    mean="quadratic",
    resolution="reference_error",
)

TYPICAL = replace(
    RMSE,
    key="typical",
    name="typical error",
    meaning="Typical error: the geometric mean of the starts' own root-mean-square errors, which a few starts that end "
    "far from the reference cannot dominate.",
    error=("typical_se",),
    mean="geometric",
)

BITS = Quantity(
    "bits_error",
    "bits/dim error",
    "Bits/dim error: of the mean log-likelihood that a solver of the ODE computes for exact samples at the grid's last "
    "time with noise, going up to the prior; computed, not sampled.",
    partial=True,
)

W2 = (
    "W2: Wasserstein-2 distance of the exact output law from the data law, of whole states and not per pixel; "
    "computed, not sampled."
)

QUANTITIES = {
    "law": (
        Quantity("w2", "W2", W2, parts=True),
        Quantity(
            "kl",
            "KL",
            "KL: Kullback-Leibler divergence of the exact output law from the data law in nats; computed, not sampled.",
            parts=True,
        ),
        BITS,
    ),
    "paired": (
        RMSE,
        TYPICAL,
        Quantity(
            "fd",
            "FD_pixel",
            "FD_pixel: squared Frechet distance in pixel space between the outputs and the exact law "
            "(no Inception network: not comparable with FID).",
            error=("fd_se", "fd_floor_sd"),  # of exact samples, where parts of the set would cost too much
            methods=(JACKKNIFE, "that of exact samples"),
            n="n",
            samples="fd_by_start",
            floor="fd_floor",
            spread="fd_floor_sd",
        ),
        replace(
            BITS,
            meaning=BITS.meaning.replace("; computed, not sampled", ""),
            error=("bits_error_se",),
            methods=("over samples",),
            n="n_bits",
            samples="bits_by_start",
        ),
    ),
    "trajectory": (
        RMSE,
        TYPICAL,
        Quantity(
            "fd_reference",
            "FD_reference",
            "FD_reference: squared Frechet distance in the features of cifar10-features between the outputs and the "
            "ends of reference trajectories from the same starts; 0 for a perfect solver.",
            error=("fd_reference_se",),
            methods=(JACKKNIFE,),
            n="n",
            samples="fd_reference_by_start",
        ),
        Quantity(
            "fd_data",
            "FD_data",
            "FD_data: squared Frechet distance in the features of cifar10-features between the outputs and the "
            "training images (another network than Inception: not comparable with FID).",
            error=("fd_data_se",),
            methods=(JACKKNIFE,),
            n="n",
            samples="fd_data_by_start",
            floor="fd_data_floor",
        ),
    ),
}

BY_START = tuple(dict.fromkeys(q.samples for found in QUANTITIES.values() for q in found if q.samples))
"""The arrays that runs keep for paired tests."""

DISTANCE = next(q for q in QUANTITIES["paired"] if q.key == "fd")
"""The quantity set against compute."""
