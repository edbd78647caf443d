"""Solvers compared with their authors' sources, which no package ships: our output then, pinned.

Compared in November 2026 in float64 on the mixture of test_kdiffusion, on its levels or, where authors make their own,
on theirs; differences are relative to the largest state:

* SEEDS and the exponential Heun rules with the formulas of ComfyUI's comfy/k_diffusion/sampling.py (commit 02159d8),
  restated for alpha = 1: at most 5e-15. Their eta is eta^2 here.
* ER-SDE with er_sde_solver.py of QinpengCui/ER-SDE-Solver (commit 25ca6c2), every scale, its clipping of small noise
  off: order one 1e-15; orders two and three 1e-3, falling in proportion to 1e-6 as its 100 points of quadrature are
  raised to 100000.
* Restart with benchmarks/generate_restart.py of Newbeeer/diffusion_restart_sampling (commit 8cbcb07), without its
  additional churn (restart_gamma = 0): 3e-16 once its float32 levels are made float64, 2e-7 before.
* iPNDM and iPNDM_v of two to four values with diff-solvers-main/solvers.py of zju-pi/diff-sampler (commit 68d5ce4), its
  thresholding off: at most 1e-15.
* UniPC's vary_coeff with uni_pc.py of wl-zhao/UniPC (commit cf9de85), its updates called step by step on vp-linear: at
  most 1e-15, predictor and corrector.
* RX-Euler with edm/generate.py of jin01020/rx-dpm (commit 580ecf7), its coefficients in float64, where the step onto
  the data stands alone (skip_last): 7e-16.
"""

from __future__ import annotations

import numpy as np
import pytest

import solverbench as sb
from solverbench.engines import numpy as numpy_engine
from solverbench.fields import Mixture
from solverbench.paths import VPLinear

SIGMAS = (14.0, 8.0, 5.5, 2.9, 1.6, 0.9, 0.41, 0.2, 0.07)
MEANS = np.array([[0.9, -0.4], [-0.7, 0.5]])
FIELD = Mixture([0.4, 0.6], MEANS, variances=[0.25, 0.09], path="edm", prediction="x0")
START = np.array([[13.0, -9.0]])
PINNED = {
    "unipc-vary-2": (1.118165353107, -0.5884564217924),
    "unipc-vary-3": (0.922284315294, -0.4739714516552),
    "heunpp2": (0.9533581162484, -0.4828141376459),
    "dpm-v3": (0.9862066839585, -0.5121174004262),
    "dpm-v3-2": (1.103154030361, -0.5816039721109),
    "dpm-v3[corrector=False]": (1.060021236076, -0.5542721570803),
    "ipndm2": (1.051957848311, -0.5458569747148),
    "ipndm3": (1.080225488598, -0.564761452802),
    "ipndm4": (1.086516193303, -0.5690009819499),
    "ipndm-v3": (1.070119628416, -0.558026118256),
    "ipndm-v4": (1.092066498792, -0.5725532826426),
    "seeds-2": (-0.5352151888942, 0.3650309952629),
    "seeds-2[eta=0.5]": (0.7105595952031, -0.3090940401778),
    "seeds-3": (-0.5143383979291, 0.4846633621514),
    "seeds-3[eta=0.5]": (0.7678588998112, -0.2265577707738),
    "exp-heun-2-x0-sde": (0.09688238413312, 0.1145359465133),
    "er-sde-1": (0.8264484581923, -0.3060714053857),
    "er-sde-2": (0.9464095002552, -0.3679360109311),
    "er-sde-3": (0.9564856240106, -0.372645965959),
    "er-sde-3[scale=sde-1]": (1.057136175445, -0.5645874137352),
    "er-sde-3[scale=sde-4]": (0.9606452203941, -0.3973313987409),
    "restart[s_low=0.3,s_high=1.5]": (-0.3217361351636, 0.4086054362965),
    "rx-euler": (1.104659323484, -0.5779113284736),
}


def end(solver):
    """Where START ends; draw k is (sin(3k + 1), cos(5k + 2)), of no law."""
    plan = sb.plan(solver, "edm", SIGMAS, prediction="x0")
    return numpy_engine.run(plan, FIELD, START, lambda k: np.array([[np.sin(3 * k + 1), np.cos(5 * k + 2)]]))[0]


@pytest.mark.parametrize("solver", PINNED)
def test_output_has_not_changed(solver):
    np.testing.assert_allclose(end(solver), PINNED[solver], rtol=1e-10)


TAB = {
    1: (1.036667068601, -0.5349326270935),
    2: (1.075002198565, -0.5590721432653),
    3: (1.089276442366, -0.5684465326216),
}


@pytest.mark.parametrize("degree", TAB)
def test_tab_deis_has_not_changed(degree):
    """On the path in whose time diff-sampler's polynomials are."""
    path = VPLinear(beta_0=-0.004768986493722593, beta_1=17.53318800077773)
    field = Mixture([0.4, 0.6], MEANS, variances=[0.25, 0.09], path=path, prediction="x0")
    times = tuple(path.inverse_sigma_tilde(s) for s in SIGMAS)
    plan = sb.plan(f"deis-tab{degree}", path, times, prediction="x0")
    end = numpy_engine.run(plan, field, START * path.alpha(times[0]))[0] / path.alpha(times[-1])
    np.testing.assert_allclose(end, TAB[degree], rtol=1e-10)
