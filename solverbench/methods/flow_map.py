"""Flow maps: a field that knows x_s -> x_t for any two times needs no integration, only jumps."""

from solverbench.grids import Grid
from solverbench.methods.registry import solver
from solverbench.paths import Path
from solverbench.plans import State


@solver("flow-map", integrates="flow map", family="flow-map", cite="boffi2024flowmap", takes=("head", "tail"))
def flow_map(x: State, path: Path, grid: Grid) -> State:
    """One jump per step of the grid, x_t = Psi(x_s, s, t). Exact on a field whose flow map is exact, at any number."""
    for s, t in grid.pairs:
        x = x.jump(s, t)
    return x
