"""Run folders made up for the tests: the shape of a real run, numbers from a formula."""

from __future__ import annotations

import json
import math

import numpy as np

NFE = [5, 6, 8, 10, 15, 20, 30, 50, 100]

# name, family, order, evaluations per step, stochastic, same_as
SOLVERS = [
    ("euler", "runge-kutta", 1, 1, False, None),
    ("midpoint", "runge-kutta", 2, 2, False, None),
    ("heun", "runge-kutta", 2, 2, False, None),
    ("rk4", "runge-kutta", 4, 4, False, None),
    ("euler-sigma", "runge-kutta", 1, 1, False, None),
    ("rho-midpoint", "runge-kutta", 2, 2, False, None),
    ("rho-2heun", "runge-kutta", 2, 2, False, None),
    ("rho-4rk", "runge-kutta", 4, 4, False, None),
    ("exp-euler", "exponential", 1, 1, False, None),
    ("exp-rk2", "exponential", 2, 2, False, None),
    ("exp-rk3", "exponential", 3, 3, False, None),
    ("exp-ab2", "exponential", 2, 1, False, None),
    ("exp-ab3", "exponential", 3, 1, False, None),
    ("dpm-1", "dpm-solver", 1, 1, False, "exp-euler"),
    ("dpm-2", "dpm-solver", 2, 2, False, None),
    ("dpm-3", "dpm-solver", 3, 3, False, None),
    ("dpmpp-1", "dpm-solver++", 1, 1, False, "exp-euler"),
    ("dpmpp-2s", "dpm-solver++", 2, 2, False, None),
    ("dpmpp-3s", "dpm-solver++", 3, 3, False, None),
    ("dpmpp-2m", "dpm-solver++", 2, 1, False, None),
    ("dpmpp-3m", "dpm-solver++", 3, 1, False, None),
    ("deis-rhoab1", "deis", 2, 1, False, None),
    ("deis-rhoab2", "deis", 3, 1, False, None),
    ("deis-rhoab3", "deis", 4, 1, False, None),
    ("deis-tab1", "deis", 2, 1, False, None),
    ("deis-tab2", "deis", 3, 1, False, None),
    ("deis-tab3", "deis", 4, 1, False, None),
    ("unipc-1", "unipc", 2, 1, False, None),
    ("unipc-2[variant=bh1]", "unipc", 3, 1, False, None),
    ("unipc-3", "unipc", 4, 1, False, None),
    ("ddim", "ddim", 1, 1, False, "exp-euler"),
    ("ddpm", "ddim", 1, 1, True, None),
    ("euler-maruyama", "sde", 1, 1, True, None),
    ("sde-dpmpp-2m", "dpm-solver++", 2, 1, True, None),
    ("edm-heun", "edm", 2, 2, False, None),
    ("edm-stochastic", "edm", 2, 2, True, None),
    ("flow-map", "flow-map", None, 1, False, None),
]


def records():
    """Every cell of two problems; rk4 is too big for a budget of 5 minus one, deis-tab3 diverges, dpm-3 fails once."""
    rng = np.random.default_rng(0)
    made = []
    for problem, kind in (("cifar10-gaussian", "law"), ("cifar10-mixture", "paired")):
        constants = {name: math.exp(rng.normal(0, 0.5)) for name, *_ in SOLVERS}
        for name, family, order, per, stochastic, same_as in SOLVERS:
            for budget in NFE:
                steps = budget // per
                record = {
                    "cell": f"{problem}.{name}.{budget}", "problem": problem, "kind": kind, "solver": name,
                    "family": family, "order": order, "stochastic": stochastic, "budget": budget, "nfe": steps * per,
                    "steps": steps, "grid": "edm", "seed": 0, "status": "ok", "reason": None, "same_as": same_as,
                    "seconds": 0.3 + 0.02 * budget, "field_seconds": 0.018 * steps * per,
                    "overhead_seconds": 0.002 * steps, "flops": 2.5e7 * steps * per, "rows": 4,
                }  # fmt: skip
                if name == "deis-tab3" and budget <= 6:
                    record |= {"status": "diverged", "reason": "not finite after step 3"}
                elif name == "dpm-3" and budget == 5:
                    record |= {"status": "failed", "reason": "the plan has a coefficient | that is not finite"}
                elif per == 4 and budget == 5:
                    record |= {"status": "skipped", "reason": "too small", "nfe": None, "steps": None}
                else:
                    constant = constants[same_as or name] * (4 if per > 1 else 12)
                    measure(record, constant * steps ** -float(order or 2))
                made.append(record)
    return made


def measure(record, error):
    """Numbers that look like a measurement with this error."""
    if record["kind"] == "law":
        total = math.hypot(error, 2e-4)
        record |= {"w2": total, "w2_initialisation": 2e-5, "w2_truncation": 2e-4, "w2_discretisation": error}
        record |= {"kl": total**2 * 80, "kl_initialisation": 1e-9, "kl_truncation": 1e-5}
        record |= {"kl_discretisation": error**2 * 80}
        record |= {"mean_error": error / 9, "std_error_min": -error / 5, "std_error_max": error / 90}
    else:
        rmse = 0.35 if record["stochastic"] else math.hypot(error / 6, 3e-7)
        record |= {"rmse": rmse, "rmse_se": rmse * 0.06, "rmse_max": rmse * 3, "reference_error": 1e-6}
        record |= {"fd": 141 + 300 * error**2, "fd_floor": 141.0, "fd_floor_sd": 0.8, "n": 512, "n_paired": 64}


def write_run(folder, cells=None, planned=None, torn=False, images=0):
    """Write a run folder with these cells; torn cuts its last line short, images is how many each cell keeps."""
    cells = records() if cells is None else cells
    folder.mkdir(parents=True, exist_ok=True)
    problems = {c["problem"]: c["kind"] for c in cells}
    manifest = {
        "schema": 1, "suite": "cifar10", "title": "CIFAR-10", "suite_hash": "0", "run": folder.name,
        "command": "solverbench run --suite cifar10",
        "cells": len(cells) if planned is None else planned, "nfe": NFE, "seed": 0,
        "problems": [{"name": name, "kind": kind} for name, kind in problems.items()],
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    text = "".join(json.dumps(c, allow_nan=False) + "\n" for c in cells)
    (folder / "cells.jsonl").write_text(text[:-40] if torn else text)
    if images:
        write_images(folder / "arrays", cells, images)
    return folder


def write_images(folder, cells, images):
    """Smooth random pictures, the same for every solver up to its error; and errors that grow along the trajectory."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    coarse = rng.uniform(0, 255, (images, 3, 5, 5))
    exact = np.kron(coarse, np.ones((1, 1, 7, 7)))[:, :, :32, :32]
    for problem in {c["problem"] for c in cells if c["kind"] == "paired"}:
        np.savez(folder / f"reference-{problem}.npz", images=exact.astype(np.uint8))
    for c in cells:
        if c["kind"] == "paired" and c["status"] == "ok":
            off = exact + 255 * min(c.get("rmse") or 0, 1) * rng.standard_normal(exact.shape)
            sigma = np.geomspace(80, 0.002, c["steps"] + 1)[1:]
            error = (c.get("rmse") or 0.0) * np.exp(-sigma)
            along = np.stack([sigma, error, 0.05 * error, 1e-9 * np.ones_like(sigma)], axis=1)
            np.savez(folder / f"{c['cell']}.npz", images=off.clip(0, 255).astype(np.uint8), along=along)
