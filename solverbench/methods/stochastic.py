"""First-order samplers that draw noise: DDIM and DDPM, Euler-Maruyama, and the reverse-diffusion predictor.

The reverse process of strength eta has the marginals of the path for every eta. In canonical coordinates, u = sigma~^2,

    dx~ = (1 + eta^2)/2 (x~ - D)/u du + eta dB_u     (u decreasing; Song et al. 2021, eq. 6, generalised)

eta = 0 is the probability-flow ODE, eta = 1 the reverse SDE. Where k-diffusion's eta multiplies the drift (its
2m_sde and 3m_sde) it is eta^2 here; where it scales the noise of an ancestral step (`renoising`) it is eta in a small
step. All agree at 0 and 1.

Langevin correctors (Song et al. 2021, algorithm 4) are left out: their step length is a ratio of norms of the state's
score and of the noise, so they are not linear programs.
"""

from __future__ import annotations

from solverbench.errors import UsageError
from solverbench.grids import Grid
from solverbench.methods.registry import solver
from solverbench.numbers import Number, sqrt
from solverbench.paths import Path
from solverbench.plans import State


@solver("ddim", order=1, integrates="noise", family="ddim", cite="song2021ddim")
def ddim(x: State, path: Path, grid: Grid, *, eta: float = 0.0) -> State:
    """DDIM: x~_t = D + sqrt(sigma~_t^2 - c^2) eps + c z (eq. 12, on any path).

    c = eta sigma~_t sqrt(1 - sigma~_t^2/sigma~_s^2). eta = 0 is deterministic, eta = 1 is DDPM.
    """
    if not 0 <= eta <= 1:
        raise UsageError(f"ddim: eta must be between 0 and 1, got {eta}: a larger one leaves no room for the state")
    for s, t in grid.steps:
        D, eps = x.predict("x0", at=s), x.predict("noise", at=s)
        sigma_s, sigma_t = path.sigma_tilde(s), path.sigma_tilde(t)
        c = eta * sigma_t * sqrt((1 - sigma_t / sigma_s) * (1 + sigma_t / sigma_s))
        x = path.alpha(t) * (D + sqrt((sigma_t - c) * (sigma_t + c)) * eps)
        if eta:
            x = x + path.alpha(t) * c * x.noise(s, t)
    return x


solver("ddpm", order=1, integrates="x0", family="ddim", cite="ho2020ddpm", eta=1.0,
       reason="ancestral sampling with the posterior variance is DDIM with eta = 1 (section 4.1)")(ddim)  # fmt: skip


@solver("ddpm-large", order=1, integrates="x0", family="ddim", cite="ho2020ddpm")
def ddpm_large(x: State, path: Path, grid: Grid) -> State:
    """DDPM with the variance of the forward step from t to s, the larger of the paper's two choices (section 3.2).

    x_t = alpha_t (r x~_s + (1 - r) D) + g z, r = (sigma~_t/sigma~_s)^2, g^2 = sigma_s^2 - (alpha_s sigma_t/alpha_t)^2.
    On a variance-preserving path g^2 = beta: DDIM's sigma-hat and the ancestral predictor of Song et al. (2021).
    """
    for s, t in grid.steps:
        D = x.predict("x0", at=s)
        r = (path.sigma_tilde(t) / path.sigma_tilde(s)) ** 2
        x = path.alpha(t) * (r * x / path.alpha(s) + (1 - r) * D) + _forward_step(path, s, t)[1] * x.noise(s, t)
    return x


def _forward_step(path: Path, s: Number, t: Number) -> tuple[Number, Number]:
    """(a, g) of x_s = a x_t + g z, s > t."""
    a = path.alpha(s) / path.alpha(t)
    return a, a * sqrt((path.sigma(s) / a - path.sigma(t)) * (path.sigma(s) / a + path.sigma(t)))


@solver("euler-maruyama", order=1, integrates="velocity", family="sde", cite="song2021sde")
def euler_maruyama(x: State, path: Path, grid: Grid, *, eta: float = 1.0) -> State:
    """Euler-Maruyama in t on the reverse SDE of strength eta.

    dx = (v - eta^2 g^2/2 score) dt + eta g dw with g^2 = 2 sigma (alpha sigma' - alpha' sigma)/alpha.
    """
    for s, t in grid.steps:
        a, sigma = path.alpha(s), path.sigma(s)
        g2 = 2 * sigma * (a * path.d_sigma(s) - path.d_alpha(s) * sigma) / a
        drift = x.predict("velocity", at=s) - eta * eta * g2 / 2 * x.predict("score", at=s)
        x = x + (t - s) * drift
        if eta:
            x = x + eta * sqrt(g2 * (s - t)) * x.noise(s, t)
    return x


@solver("reverse-diffusion", order=1, integrates="score", family="sde", cite="song2021sde")
def reverse_diffusion(x: State, path: Path, grid: Grid, *, eta: float = 1.0) -> State:
    """Reverse-diffusion predictor: the forward step from t to s, x_s = a x_t + g z, run backwards (appendix E).

    a = alpha_s/alpha_t, g^2 = sigma_s^2 - a^2 sigma_t^2; x_t = (2 - a) x_s + (1 + eta^2)/2 g^2 score + eta g z. On a
    variance-preserving path a^2 = 1 - beta and g^2 = beta, on an exploding one a = 1 and g^2 = sigma_s^2 - sigma_t^2:
    the paper's algorithms 2 and 3. Its steps are as short as those of training; in long ones 2 - a is far
    from 1/a.
    """
    for s, t in grid.steps:
        a, g = _forward_step(path, s, t)
        score = x.predict("score", at=s)
        x_t = (2 - a) * x + (1 + eta * eta) / 2 * g * g * score
        x = x_t + eta * g * x.noise(s, t) if eta else x_t
    return x
