"""Solvers by name. Importing this package registers the built-in ones, in the order of the modules below."""

from solverbench.methods import (  # noqa: I001  # order of `list`
    runge_kutta,
    exponential,
    multistep,
    dpm_v3,
    pndm,
    unipc,
    stochastic,
    additive,
    exponential_sde,
    er_sde,
    renoising,
    combinations,
    flow_map,
    exact,
)
from solverbench.methods.registry import SOLVERS, Solver, solver

__all__ = [
    "SOLVERS", "Solver", "additive", "combinations", "dpm_v3", "er_sde", "exact", "exponential", "exponential_sde",
    "flow_map", "multistep", "pndm", "renoising", "runge_kutta", "solver", "stochastic", "unipc",
]  # fmt: skip
