"""Solvers by name. Importing this package registers the built-in ones, in the order of the modules below."""

from solverbench.methods import runge_kutta, exponential, multistep, pndm, unipc, stochastic, flow_map  # noqa: I001  # order of `list`
from solverbench.methods.registry import SOLVERS, Solver, solver

__all__ = [
    "SOLVERS", "Solver", "exponential", "flow_map", "multistep", "pndm", "runge_kutta", "solver", "stochastic", "unipc",
]  # fmt: skip
