"""Time grids: decreasing times from noise to data, named after the coordinate in which they are equally spaced.

A rule is a coordinate u(t): the grid's times are equally spaced in u between t_max and t_min.

    power         u = t^(1/order); uniform and quadratic are orders 1 and 2
    edm           u = sigma~^(1/rho); log-snr, u = lambda, is its limit for large rho
    exponential   u^rho = position in log sigma~
    tangent       u = arctan(sigma~/scale)
    shift         u = sigma~/(sigma~ + shift), the shifted time of rectified flows
    logit-normal  u = Phi((log sigma~ - mean)/std)
    vp            u = time of a linear VP schedule between the same noise levels
    beta          u = the beta distribution function of the position in t (beta-sigma: in sigma~)

Others state the spacing itself: linear-quadratic, shift-stretch, iddpm; published tables (ays-*, gits-*), which are
interpolated in log sigma~; and training indices of a discrete path (discrete, simple). The phases t, rho and log of
DEIS (Zhang & Chen 2023, ts_phase) of order r are power[order=r], edm[rho=r] and log-snr.

Three things can happen at the data, and each rule has the one its authors chose (`Rule.end`). Most rules end at
t_min > 0 and then jump to the data (`zero=True`): the last step is the denoiser itself. Rules that reach the data on
their own (those in t or in a bounded coordinate, with t_min = 0) need no jump and get none. Of a few the last time is
replaced by the data.

`GRIDS` holds the rules in the order of the modules below, and `grid` makes grids of them.
"""

from solverbench.grids import times, levels, bounded, discrete, tables  # noqa: F401, I001  # order of `list`
from solverbench.grids.base import Grid, Step
from solverbench.grids.make import grid
from solverbench.grids.rules import GRIDS, SIGMA_TILDE_RANGE, Rule

__all__ = ["GRIDS", "SIGMA_TILDE_RANGE", "Grid", "Rule", "Step", "grid"]
