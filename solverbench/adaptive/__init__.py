"""Solvers that choose their steps by the samples: one is proposed, its error estimated, and accepted or shortened.

    batch     states with values: the formulas of `methods` run on them as they are traced for plans
    pairs     a step and estimates of its error, by embedded tableaux
    control   how large an error is, and how long the next step
    walk      the loop over steps, each sample at its own pace
    registry  the names

Their formulas are those of `methods`; nothing here says what a Runge-Kutta step is.
"""

from solverbench.adaptive.registry import ADAPTIVE, Adaptive, adaptive_solvers

__all__ = ["ADAPTIVE", "Adaptive", "adaptive_solvers"]
