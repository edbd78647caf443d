"""First-order samplers that draw noise: DDIM and DDPM, Euler-Maruyama, and the reverse-diffusion predictor.

The reverse process of strength eta has the marginals of the path for every eta. In canonical coordinates, u = sigma~^2,

    dx~ = (1 + eta^2)/2 (x~ - D)/u du + eta dB_u     (u decreasing; Song et al. 2021, eq. 6, generalised)

eta = 0 is the probability-flow ODE, eta = 1 the reverse SDE. It may depend on the noise level (`solverbench.eta`): a
step takes eta_n = `eta.over(path, s, t)`, which is eta itself where that is constant. Where k-diffusion's eta
multiplies the drift (its 2m_sde and 3m_sde) it is eta^2 here; where it scales the noise of an ancestral step
(`renoising`) it is eta in a small step. All agree at 0 and 1.

Langevin correctors (Song et al. 2021, algorithm 4) are left out: their step length is a ratio of norms of the state's
score and of the noise, so they are not linear programs.
"""

from __future__ import annotations

from solverbench.errors import UsageError, check_known
from solverbench.eta import ONE, ZERO, Eta
from solverbench.grids import Grid
from solverbench.methods.registry import solver
from solverbench.numbers import Number, expm1, gauss_legendre, log1p, sqrt
from solverbench.paths import Path
from solverbench.plans import State


@solver("ddim", order=1, integrates="noise", family="ddim", cite="song2021ddim")
def ddim(x: State, path: Path, grid: Grid, *, eta: Eta = ZERO) -> State:
    """DDIM: x~_t = D + sqrt(sigma~_t^2 - c^2) eps + c z (eq. 12, on any path).

    c = eta sigma~_t sqrt(1 - sigma~_t^2/sigma~_s^2). eta = 0 is deterministic, eta = 1 is DDPM.
    """
    if eta.largest > 1:
        raise UsageError(f"ddim: eta must be between 0 and 1, got {eta}: a larger one leaves no room for the state")
    for s, t in grid.steps:
        D, eps = x.predict("x0", at=s), x.predict("noise", at=s)
        sigma_s, sigma_t, eta_n = path.sigma_tilde(s), path.sigma_tilde(t), eta.over(path, s, t)
        c = eta_n * sigma_t * sqrt((1 - sigma_t / sigma_s) * (1 + sigma_t / sigma_s)) if eta_n else sigma_t * 0
        x = path.alpha(t) * (D + sqrt((sigma_t - c) * (sigma_t + c)) * eps)
        if eta_n:
            x = x + path.alpha(t) * c * x.noise(s, t)
    return x


solver("ddpm", order=1, integrates="x0", family="ddim", cite="ho2020ddpm", eta=1.0,
       reason="ancestral sampling with the posterior variance is DDIM with eta = 1 (song2021ddim, section 4.1)"
       )(ddim)  # fmt: skip


@solver("ddpm-large", order=1, integrates="x0", family="ddim", cite="ho2020ddpm")
def ddpm_large(x: State, path: Path, grid: Grid, *, beta: str = "step") -> State:
    """DDPM with the variance of the forward step from t to s, the larger of the paper's two choices (section 3.2).

    x_t = (r x_s + (1 - r) alpha_s D)/a + g z, r = 1 - g^2/sigma_s^2, for the forward step x_s = a x_t + g z. On a
    variance-preserving path g^2 = beta: DDIM's sigma-hat and the ancestral predictor of Song et al. (2021).

    beta: "step", that of the whole step, or "rate", its rate at s times s - t, as in programs that discretise a
    continuous schedule (Pierret & Galerne 2025); then steps must be so short that beta < 1.
    """
    check_known("beta", beta, ("step", "rate"), "ddpm-large: ")
    for s, t in grid.steps:
        D = x.predict("x0", at=s)
        if beta == "step":
            a, g = _forward_step(path, s, t)
            r = (path.sigma_tilde(t) / path.sigma_tilde(s)) ** 2
        else:
            a, g = _forward_rate(path, s, t)
            r = 1 - (g / path.sigma(s)) ** 2
        x = (r * x + (1 - r) * path.alpha(s) * D) / a + g * x.noise(s, t)
    return x


def _forward_step(path: Path, s: Number, t: Number) -> tuple[Number, Number]:
    """(a, g) of x_s = a x_t + g z, s > t."""
    a = path.alpha(s) / path.alpha(t)
    return a, a * sqrt((path.sigma(s) / a - path.sigma(t)) * (path.sigma(s) / a + path.sigma(t)))


def _forward_rate(path: Path, s: Number, t: Number) -> tuple[Number, Number]:
    """(a, g) of x_s = a x_t + g z to first order: a^2 = 1 + 2 (s - t) alpha'/alpha, g^2 = (s - t) g_s^2."""
    a2 = 1 + 2 * (s - t) * path.d_alpha(s) / path.alpha(s)
    if not a2 > 0:
        raise UsageError(f"ddpm-large: the step from {float(s):.6g} to {float(t):.6g} is too long for beta=rate")
    return sqrt(a2), sqrt((s - t) * _diffusion(path, s))


def _diffusion(path: Path, t: Number) -> Number:
    """g^2 of the forward process dx = alpha'/alpha x dt + g dw."""
    alpha, sigma = path.alpha(t), path.sigma(t)
    return 2 * sigma * (alpha * path.d_sigma(t) - path.d_alpha(t) * sigma) / alpha


@solver(
    "euler-maruyama", order=1, strong=1, weak=1, integrates="velocity", family="sde", cite="song2021sde; kloeden1992"
)
def euler_maruyama(x: State, path: Path, grid: Grid, *, eta: Eta = ONE) -> State:
    """Euler-Maruyama in t on the reverse SDE of strength eta.

    dx = (v - eta^2 g^2/2 score) dt + eta g dw with g^2 = 2 sigma (alpha sigma' - alpha' sigma)/alpha. The noise does
    not depend on the state: strong order one, and not one half.
    """
    for s, t in grid.steps:
        g2, eta_n = _diffusion(path, s), eta.over(path, s, t)
        drift = x.predict("velocity", at=s) - eta_n * eta_n * g2 / 2 * x.predict("score", at=s)
        x = x + (t - s) * drift
        if eta_n:
            x = x + eta_n * sqrt(g2 * (s - t)) * x.noise(s, t)
    return x


@solver("exp-score", order=1, integrates="score", family="sde", cite="chen2023sampling; pierret2025gaussian")
def exp_score(x: State, path: Path, grid: Grid, *, eta: Eta = ONE) -> State:
    """The exponential integrator "EI" of convergence proofs: linear part and noise exactly, the score frozen.

    x_t = q x_s + (1 + eta^2)/2 G score + eta sqrt(q^2 sigma_s^2 - sigma_t^2) z with q = alpha_t/alpha_s and
    G = alpha_t int alpha d(sigma~^2) from t to s, which is 2 (q - 1) on a variance-preserving path. Freezing D or eps
    instead is sde-dpmpp-1 or sde-dpm-1.
    """
    for s, t in grid.steps:
        score = x.predict("score", at=s)
        q, eta_n = path.alpha(t) / path.alpha(s), eta.over(path, s, t)
        noise = sqrt((q * path.sigma(s) - path.sigma(t)) * (q * path.sigma(s) + path.sigma(t)))
        x_t = q * x + (1 + eta_n * eta_n) / 2 * path.alpha(t) * _mean_alpha(path, s, t) * score
        x = x_t + eta_n * noise * x.noise(s, t) if eta_n else x_t
    return x


def _mean_alpha(path: Path, s: Number, t: Number) -> Number:
    """int alpha d(sigma~^2) from t to s by Gauss's rule in w, sigma~ = sinh w, d(sigma~^2) = 2 sinh w cosh w dw.

    In w alpha has no singularity near the line: 1/cosh w on a variance-preserving path, 1/(1 + sinh w) on a rectified
    one. 32 nodes reach rounding error for any step in use.
    """
    first, last = (_arsinh(path.sigma_tilde(r)) for r in (t, s))
    half = (last - first) / 2

    def term(node: Number, weight: Number) -> Number:
        e = expm1(first + half * (1 + node))
        sinh = (e + e / (1 + e)) / 2
        return weight * 2 * sinh * sqrt(1 + sinh * sinh) * path.alpha(path.inverse_sigma_tilde(sinh))

    return half * sum(map(term, *gauss_legendre(32, half)))


def _arsinh(y: Number) -> Number:
    return log1p(y + y * y / (1 + sqrt(1 + y * y)))


@solver("reverse-diffusion", order=1, integrates="score", family="sde", cite="song2021sde")
def reverse_diffusion(x: State, path: Path, grid: Grid, *, eta: Eta = ONE) -> State:
    """Reverse-diffusion predictor: the forward step from t to s, x_s = a x_t + g z, run backwards (appendix E).

    a = alpha_s/alpha_t, g^2 = sigma_s^2 - a^2 sigma_t^2; x_t = (2 - a) x_s + (1 + eta^2)/2 g^2 score + eta g z. On a
    variance-preserving path a^2 = 1 - beta and g^2 = beta, on an exploding one a = 1 and g^2 = sigma_s^2 - sigma_t^2:
    the paper's algorithms 2 and 3. Its steps are as short as those of training; in long ones 2 - a is far
    from 1/a.
    """
    for s, t in grid.steps:
        (a, g), eta_n = _forward_step(path, s, t), eta.over(path, s, t)
        score = x.predict("score", at=s)
        x_t = (2 - a) * x + (1 + eta_n * eta_n) / 2 * g * g * score
        x = x_t + eta_n * g * x.noise(s, t) if eta_n else x_t
    return x
