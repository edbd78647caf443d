"""diffusers: its schedulers, each by the options that make another sampler of it. How they are driven: `schedulers`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib import metadata
from itertools import product
from typing import Any

from solverbench.peers.base import Library, Peer
from solverbench.peers.schedulers import (
    ALPHAS,
    COSINES,
    FLOW,
    FLOW_HEUN,
    GEOMETRIC,
    HALVES,
    HEUN,
    MIDPOINTS,
    PLAIN,
    THREE,
    TWO,
    Scheduler,
)  # fmt: skip

NAME, PIP = "diffusers", "diffusers torchsde scipy"


def _peer(
    scheduler: Scheduler, *, ours: str | None = None, path: str = "trig", eta: float | None = 0.0,
    evaluations: int = 1, stochastic: bool | None = None, setting: str = "", zero: bool = True, corrects: bool = False,
) -> Peer:  # fmt: skip
    shown = {**scheduler.options, **scheduler.step}
    shown.pop("clip_sample", None)
    shown.pop("tau_func", None)
    inside = ", ".join(f"{k}={v}" for k, v in (scheduler.shown or shown).items())
    said = [setting, *(f"{k}={v}" for k, v in scheduler.hidden.items())]
    stochastic = eta != 0 if stochastic is None else stochastic
    return Peer(
        NAME, scheduler.cls.removesuffix("Scheduler") + (f"({inside})" if inside else ""),
        partial(scheduler.run, True, False), scheduler.order, stochastic, eta, evaluations, corrects, ours, path,
        ", ".join(filter(None, said)), native=partial(scheduler.run, False, False),
        again=partial(scheduler.run, True, True), own_noise=stochastic, zero=zero,
    )  # fmt: skip


FULL = {"lower_order_final": False, "final_sigmas_type": "sigma_min"}
UNCLIPPED = {"clip_sample": False}


def _multistep() -> Iterator[Peer]:
    """DPMSolverMultistep: every algorithm, kind and order."""
    ours = {
        ("dpmsolver++", "midpoint", 1): "dpmpp-1", ("dpmsolver++", "midpoint", 2): "dpmpp-2m",
        ("dpmsolver++", "heun", 2): "exp-ab2", ("dpmsolver++", "midpoint", 3): "dpmpp-3m",
        ("dpmsolver", "midpoint", 1): "dpm-1", ("dpmsolver", "heun", 2): "exp-ab2[predicts=noise]",
        ("dpmsolver", "midpoint", 2): "dpm-2m",
        ("sde-dpmsolver++", "midpoint", 1): "sde-dpmpp-1", ("sde-dpmsolver++", "midpoint", 2): "sde-dpmpp-2m",
        ("sde-dpmsolver++", "heun", 2): "sde-dpmpp-2m[variant=heun]", ("sde-dpmsolver", "midpoint", 1): "sde-dpm-1",
        ("sde-dpmsolver", "midpoint", 2): "sde-dpm-2m", ("sde-dpmsolver", "heun", 2): "sde-dpm-2m[variant=heun]",
    }  # fmt: skip
    for algorithm in ("dpmsolver++", "dpmsolver", "sde-dpmsolver++", "sde-dpmsolver"):
        for kind in ("midpoint", "heun"):
            for order in (1, 2, 3):
                if kind == "heun" and order != 2:  # the other orders do not look at the kind
                    continue
                options = {"algorithm_type": algorithm, "solver_type": kind, "solver_order": order}
                predicts = "sample" if algorithm.endswith("++") else "epsilon"
                yield _peer(
                    Scheduler("DPMSolverMultistepScheduler", order, options, predicts=predicts, hidden=FULL),
                    ours=ours.get((algorithm, kind, order)), eta=1.0 if algorithm.startswith("sde") else 0.0,
                    zero=algorithm.endswith("++"),
                )  # fmt: skip


def _singlestep() -> Iterator[Peer]:
    ours = {("dpmsolver++", "midpoint", 2): "dpmpp-2s", ("dpmsolver", "midpoint", 2): "dpm-2"}
    for algorithm in ("dpmsolver++", "dpmsolver", "sde-dpmsolver++"):
        for kind in ("midpoint", "heun"):
            for order, table, c in ((2, TWO, "1/2"), (3, THREE, "1/3 and 2/3")):
                options = {"algorithm_type": algorithm, "solver_type": kind, "solver_order": order}
                yield _peer(
                    Scheduler("DPMSolverSinglestepScheduler", order, options, table=table, hidden=FULL,
                              predicts="sample" if algorithm.endswith("++") else "epsilon"),
                    ours=ours.get((algorithm, kind, order)), eta=1.0 if algorithm.startswith("sde") else 0.0,
                    evaluations=order, zero=False,
                    setting=f"{order} of its steps are one: stages inserted at {c} in log sigma",
                )  # fmt: skip


def _unipc() -> Iterator[Peer]:
    for variant in ("bh1", "bh2"):
        for p in (1, 2, 3):
            for x0 in (True, False):
                options = {"solver_type": variant, "solver_order": p, "predict_x0": x0}
                yield _peer(
                    Scheduler("UniPCMultistepScheduler", p + 1, options, predicts="sample" if x0 else "epsilon",
                              hidden=FULL),
                    ours=f"unipc-{p}[variant={variant},predicts={'x0' if x0 else 'noise'}]", zero=x0, corrects=True,
                )  # fmt: skip


def _sa() -> Iterator[Peer]:
    """SA-Solver with constant tau. A corrector that uses c values, the new one included, has order c (theorem 5.2)."""
    for tau in (0.0, 1.0):
        for p, c in ((1, 1), (2, 2), (3, 3)):
            options = {"predictor_order": p, "corrector_order": c, "tau_func": partial(_constant, tau)}
            yield _peer(
                Scheduler("SASolverScheduler", max(p, c), options, predicts="sample",
                          hidden={"lower_order_final": False},
                          shown={"predictor_order": p, "corrector_order": c, "tau": tau}),
                eta=tau, stochastic=tau > 0, zero=False, corrects=True,
                ours=f"sa-solver[predictor={p},corrector={c},eta={tau}]" if c > 1 else None,
            )  # fmt: skip


def _constant(tau: float, t: Any) -> float:
    return tau


def _peers() -> tuple[Peer, ...]:
    ve = partial(Scheduler, frame="ve", predicts="epsilon")
    index = partial(Scheduler, options=UNCLIPPED, table=ALPHAS)
    rectified = partial(Scheduler, frame="rectified", predicts="flow")
    even = "its weights are those of even steps, the noise levels given are not even"
    return (
        _peer(index("DDIMScheduler", 1, step={"eta": 0.0}), ours="ddim"),
        _peer(index("DDIMScheduler", 1, step={"eta": 0.6}), ours="ddim[eta=0.6]", eta=0.6),
        _peer(index("DDPMScheduler", 1), ours="ddpm", eta=1.0),
        _peer(Scheduler("PNDMScheduler", 4, {"skip_prk_steps": True}, table=ALPHAS), zero=False, setting=even),
        _peer(Scheduler("PNDMScheduler", 4, {"skip_prk_steps": False}, table=HALVES), zero=False,
              setting=f"{even}; stages of the first three steps halfway in log sigma"),
        _peer(Scheduler("IPNDMScheduler", 4, frame="vp", predicts="v_prediction", table=COSINES), ours="ipndm4",
              setting=even),
        _peer(ve("EulerDiscreteScheduler", 1), ours="ddim", path="edm"),
        _peer(ve("EulerDiscreteScheduler", None, step={"s_churn": 5.0}), eta=None, stochastic=True),
        _peer(ve("EulerAncestralDiscreteScheduler", 1), ours="euler-ancestral", eta=1.0, path="edm"),
        _peer(ve("HeunDiscreteScheduler", 2, table=HEUN), ours="rho-2heun", path="edm", evaluations=2),
        _peer(ve("KDPM2DiscreteScheduler", 2, table=GEOMETRIC), ours="dpm-2", evaluations=2),
        _peer(ve("KDPM2AncestralDiscreteScheduler", 2, table=GEOMETRIC), ours="dpm-2-ancestral", eta=1.0,
              evaluations=2),
        _peer(ve("DPMSolverSDEScheduler", 2, table=MIDPOINTS), ours="sde-dpmpp-2s", eta=1.0, evaluations=2),
        _peer(ve("LMSDiscreteScheduler", 4), ours="lms", path="edm"),
        *_multistep(),
        *_singlestep(),
        *_unipc(),
        *(_peer(Scheduler("DEISMultistepScheduler", p, {"solver_order": p}, hidden={"lower_order_final": False}),
                zero=False, ours=o) for p, o in ((1, "dpm-1"), (2, "deis-logrho2"), (3, "deis-logrho3"))),
        *_sa(),
        _peer(ve("EDMEulerScheduler", 1, predicts="edm"), ours="ddim", path="edm"),
        *(_peer(ve("EDMDPMSolverMultistepScheduler", p, options={"algorithm_type": a, "solver_order": p},
                   predicts="edm", hidden=FULL), eta=1.0 if a.startswith("sde") else 0.0, path="edm", ours=o)
          for a, p, o in (("dpmsolver++", 2, "dpmpp-2m"), ("dpmsolver++", 3, "dpmpp-3m"),
                          ("sde-dpmsolver++", 2, "sde-dpmpp-2m"), ("sde-dpmsolver++", 3, None))),
        _peer(rectified("FlowMatchEulerDiscreteScheduler", 1, table=FLOW), ours="ddim", path="rectified"),
        _peer(rectified("FlowMatchHeunDiscreteScheduler", 2, table=FLOW_HEUN), ours="heun", path="rectified",
              evaluations=2),
    )  # fmt: skip


def _configurations() -> Iterator[tuple[str, Scheduler, dict[str, Any]]]:
    """Every scheduler by every choice it has of noise levels, last level, order and kind; one option off the rest."""
    spacings: list[dict[str, Any]] = [{"timestep_spacing": s} for s in ("linspace", "leading", "trailing")]
    sigmas: list[dict[str, Any]] = [{f"use_{s}_sigmas": True} for s in ("karras", "exponential", "beta")]
    lu: dict[str, Any] = {"use_lu_lambdas": True}
    plain: dict[str, Any] = {}
    both = [*spacings, *sigmas]
    ends: list[dict[str, Any]] = [{"final_sigmas_type": s} for s in ("zero", "sigma_min")]
    choices: dict[str, list[list[dict[str, Any]]]] = {
        "DDIMScheduler": [spacings],
        "DDPMScheduler": [spacings],
        "PNDMScheduler": [[{"skip_prk_steps": True}, {"skip_prk_steps": False}], spacings],
        "IPNDMScheduler": [],
        "EulerDiscreteScheduler": [both, ends],
        "EulerAncestralDiscreteScheduler": [spacings],
        "HeunDiscreteScheduler": [both],
        "KDPM2DiscreteScheduler": [both],
        "KDPM2AncestralDiscreteScheduler": [both],
        "DPMSolverSDEScheduler": [both],
        "LMSDiscreteScheduler": [both],
        "DPMSolverMultistepScheduler": [
            [{"algorithm_type": a, "solver_order": p, "solver_type": k} for a, p, k in (
                ("dpmsolver++", 2, "midpoint"), ("dpmsolver++", 2, "heun"), ("dpmsolver++", 3, "midpoint"),
                ("dpmsolver", 2, "midpoint"), ("sde-dpmsolver++", 2, "midpoint"), ("sde-dpmsolver++", 3, "midpoint"),
                ("sde-dpmsolver", 2, "midpoint"))],
            [*both, lu], ends],
        "DPMSolverSinglestepScheduler": [
            [{"algorithm_type": a, "solver_order": p} for a in ("dpmsolver++", "dpmsolver", "sde-dpmsolver++")
             for p in (1, 2, 3)], [plain, *sigmas], ends],
        "UniPCMultistepScheduler": [
            [{"solver_order": 2, "solver_type": "bh1"},
             *({"solver_order": p, "predict_x0": x0} for p in (1, 2, 3) for x0 in (True, False))],
            both, ends],
        "DEISMultistepScheduler": [[{"solver_order": p} for p in (1, 2, 3)], both],
        "SASolverScheduler": [both],
        "EDMEulerScheduler": [[{"sigma_schedule": s} for s in ("karras", "exponential")], ends],
        "EDMDPMSolverMultistepScheduler": [
            [{"algorithm_type": a, "solver_order": p} for a in ("dpmsolver++", "sde-dpmsolver++") for p in (2, 3)],
            [{"sigma_schedule": s} for s in ("karras", "exponential")], ends],
        "FlowMatchEulerDiscreteScheduler": [[plain, *sigmas], [{"shift": 1.0}, {"shift": 3.0}]],
        "FlowMatchHeunDiscreteScheduler": [[{"shift": 1.0}, {"shift": 3.0}]],
    }  # fmt: skip
    drivers = {s.cls: s for s in (p.run.func.__self__ for p in _peers())}  # type: ignore[attr-defined]
    for cls, axes in choices.items():
        for options in product(*axes):
            chosen = {k: v for option in options for k, v in option.items()}
            driver = drivers[cls]
            bare = Scheduler(cls, None, dict(UNCLIPPED), driver.frame, driver.predicts, driver.table)
            if chosen.get("predict_x0") is False or chosen.get("algorithm_type") in ("dpmsolver", "sde-dpmsolver"):
                bare = replace(bare, predicts="epsilon")
            if cls.startswith("DPMSolverSingle"):
                bare = replace(bare, table=PLAIN)
            yield f"{cls.removesuffix('Scheduler')}({', '.join(f'{k}={v}' for k, v in chosen.items())})", bare, chosen


def library() -> Library:
    """Raises ModuleNotFoundError if it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import diffusers

    versions = {"diffusers": diffusers.__version__, "torch": metadata.version("torch")}
    def there(scheduler: str) -> bool:
        """Not so where a package it needs is missing: a stand-in that raises (DPMSolverSDE without torchsde)."""
        return not hasattr(getattr(diffusers, scheduler), "_backends")

    peers = tuple(p for p in _peers() if there(p.name.partition("(")[0] + "Scheduler"))
    own = {n: partial(scheduler.own, o) for n, scheduler, o in _configurations() if there(scheduler.cls)}
    return Library(NAME, PIP, peers, own, versions)
