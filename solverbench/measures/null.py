"""What a Frechet distance is when there is nothing to find: its mean and spread over Gaussian samples of one law.

To second order in the deviations delta of the mean and E of the covariance, in the eigenbasis with eigenvalues l,

    FD = |delta|^2 + 1/2 sum_ij E_ij^2 / (l_i + l_j),

and of n samples delta_i ~ N(0, l_i/n), E_ij ~ N(0, l_i l_j (1 + [i = j])/n), all independent to this order. With
p_ij = l_i l_j / (l_i + l_j) the mean and the variance are

    b / n,      b = sum l + (sum_ij p_ij + sum l / 2) / 2,
    v / n^2,    v = 9/4 sum l^2 + sum_ij p_ij^2.

Of two sets the 1/n add: 1/n + 1/m. It is an expansion for n well above the number of directions that matter; below,
the true bias is larger.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from solverbench.measures.estimate import Estimate


def null(spectrum: Any, n: int, m: int | None = None) -> Estimate:
    """Mean Frechet distance, and its standard deviation as `se`, of n Gaussian samples to their own law.

    spectrum: eigenvalues (d,) of the covariance, `Normal.spectrum`. m: samples of the reference, where it is not known.
    """
    lam = np.asarray(spectrum, np.float64)
    lam = lam[lam > 0]
    p = lam[:, None] * (lam / (lam[:, None] + lam))
    bias = lam.sum() + (p.sum() + lam.sum() / 2) / 2
    variance = 2.25 * np.sum(lam * lam) + np.sum(p * p)
    per = 1 / n + (1 / m if m else 0)
    return Estimate(float(bias * per), n, float(np.sqrt(variance) * per), "Gaussian null, second order")
