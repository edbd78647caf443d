"""solverbench: diffusion and flow-matching samplers, judged.

    import solverbench as sb

    field = sb.fields.load("cifar10-mixture")            # or any object with path, prediction, shape, __call__(x, t)
    grid = sb.grid("edm", field.path, steps=10)
    print(sb.plan("dpmpp-2m", field.path, grid).table())
    images = sb.sample(field, "dpmpp-2m", grid, n=16, seed=0).x

Names are loaded when first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from solverbench import fields
    from solverbench.adaptive import adaptive_solvers
    from solverbench.api import law, log_likelihood, plan
    from solverbench.errors import SolverbenchError, UsageError
    from solverbench.eta import Eta
    from solverbench.grids import Grid, grid
    from solverbench.measures.law import Law
    from solverbench.methods.registry import Solver, solver, solvers
    from solverbench.orders import order
    from solverbench.orders.impulse import black_box_law
    from solverbench.paths import Path, path
    from solverbench.plans import Plan
    from solverbench.sampling import Samples, sample

__version__ = "0.1.0"

_HOME = {
    "Eta": "eta",
    "Grid": "grids",
    "Law": "measures.law",
    "Path": "paths",
    "Plan": "plans",
    "Samples": "sampling",
    "Solver": "methods.registry",
    "SolverbenchError": "errors",
    "UsageError": "errors",
    "adaptive_solvers": "adaptive",
    "black_box_law": "orders.impulse",
    "fields": "",
    "grid": "grids",
    "law": "api",
    "log_likelihood": "api",
    "order": "orders",
    "path": "paths",
    "plan": "api",
    "sample": "sampling",
    "solver": "methods.registry",
    "solvers": "methods.registry",
}

__all__ = [
    "Eta", "Grid", "Law", "Path", "Plan", "Samples", "Solver", "SolverbenchError", "UsageError", "adaptive_solvers",
    "black_box_law", "fields",
    "grid", "law", "log_likelihood", "order", "path", "plan", "sample", "solver", "solvers",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'solverbench' has no attribute {name!r}")
    if not _HOME[name]:
        return import_module(f"solverbench.{name}")
    value = getattr(import_module(f"solverbench.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
