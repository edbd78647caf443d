"""Faults to plant in solvers: wrong coefficients of the kinds people make."""

from __future__ import annotations

import inspect
import sys

import solverbench as sb
from solverbench.methods import SOLVERS


def planted(name, old, new, monkeypatch):
    """The solver of this name from its module's source with a fault in it."""
    module = sys.modules[sb.solvers()[name].function.__module__]
    source = inspect.getsource(module)
    assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in {module.__name__}"
    found = {}
    monkeypatch.setattr(SOLVERS, "add", lambda solver: found.update({solver.name: solver}))
    exec(compile(source.replace(old, new), "planted", "exec"), {"__name__": module.__name__})
    return found[name]


FAULTS = [
    ("dpmpp-2m", "[1 + 1 / (2 * r), -1 / (2 * r)]", "[1 + 1 / r, -1 / (2 * r)]", "a dropped factor 2, out of balance"),
    ("dpmpp-2m", "[1 + 1 / (2 * r), -1 / (2 * r)]", "[1 + r / 2, -r / 2]", "a ratio upside down"),
    ("dpmpp-2m", "[1 + 1 / (2 * r), -1 / (2 * r)]", "[1 + 1 / r, -1 / r]", "twice the slope"),
    ("dpmpp-3m", "phi(2, z) * D1 +", "phi(2, z) * D1 * 2 +", "a factor 2 too much"),
    ("ddim", "path.alpha(t) * (D +", "path.alpha(t) * (D * 0.99 +", "one percent of the data prediction lost"),
    ("ddpm", "(1 - sigma_t / sigma_s) *", "(1 - sigma_t / sigma_s) * 0.9 *", "a tenth too little noise"),
    ("unipc-2", "math.factorial(k) * phi(k + 1, z)", "phi(k + 1, z)", "a dropped factorial"),
    ("unipc-3", "for r_i in r] for k in n]", "for r_i in r[::-1]] for k in n]", "swapped indices"),
    ("exp-ab3", "math.factorial(k) * phi(k + 1, z)", "phi(k + 1, z)", "a dropped factorial"),
    ("exp-ab2", "(w(path, r) - w_s) / (w_t - w_s)", "(w_s - w(path, r)) / (w_t - w_s)", "a sign"),
    ("sa-solver", "x + spread * x.noise(s, t)", "x + 0.9 * spread * x.noise(s, t)", "a tenth too little noise"),
    ("exp-rk4-sw", 'p2="-2"), _phi(p2="4")', 'p2="-1"), _phi(p2="3")', "weights that sum but do not fit"),
    ("deis-rhoab2", "(t * 0 + 1) / (k + 1)", "(t * 0 + 1) / (k + 1 + (k == 2))", "a wrong moment"),
    ("deis-tab3", "(x / form.m(path, s) +", "(x / form.m(path, s) * 0.999 +", "a leak in the state"),
    ("rx-euler", "/ sum(h) ** 2", "/ sum(h) ** 2 * 0.9", "a wrong ratio of errors"),
    ("dpm-v3", "[(lam - lam_s) / h for", "[(lam_s - lam) / h for", "a sign"),
    ("dpm-v3", "exp(L - LS) * f", "exp(LS - L) * f", "a sign in the exponent"),
    ("rho-2heun", "(y + increment(a, k, h))", "(y + increment(a, k, h) * 0.97)", "a wrong stage"),
    ("rk4", "form.slope(states[-1], path, r)", "form.slope(states[-1], path, s)", "stages not at their times"),
    ("heun", "form.slope(states[-1], path, r)", "form.slope(states[-1], path, s)", "s for t"),
    ("euler-maruyama", "eta_n * eta_n * g2 / 2", "eta_n * eta_n * g2", "twice the drift"),
    ("seeds-1", "sqrt(-expm1(-2 * strength * h))", "sqrt(-expm1(-strength * h))", "a dropped 2 in the noise"),
    ("seeds-2", "ratio * N + spread * x.noise(r, u), u", "N + spread * x.noise(r, u), u", "noise not carried on"),
    ("er-sde-2", "(D - D_1) / (sigma_s - sigma_1)", "(D - D_1) / (sigma_1 - sigma_s)", "a sign"),
    ("sde-dpmpp-2m", "slope = h / h_old * (F - F_old)", "slope = h_old / h * (F - F_old)", "a ratio upside down"),
    ("dpm-2-churn", "gamma * (2 + gamma)", "gamma * (1 + gamma)", "a dropped 2 in the noise"),
    ("dpmpp-2s-ancestral", "(1 - sigma_t / sigma_s) * (1 + sigma_t / sigma_s)", "(1 - sigma_t / sigma_s)",
     "a dropped factor in the noise"),
    ("dpm-3", '_phi(p1="1", p2="-3/2"), NONE, _phi(p2="3/2")', '_phi(p1="1", p2="-1"), NONE, _phi(p2="1")',
     "weights that sum but do not fit"),
    ("dpm-2", "path.lam(s) + h * c.numerator", "path.lam(s) + 0.9 * h * c.numerator", "a node beside the middle"),
]  # fmt: skip
