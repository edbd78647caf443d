"""Where EM starts: k-means on how much energy an image has, and in which frequencies and orientations.

Images differ most in contrast, by orders of magnitude; log energies turn that into distance, and the components that
grow from these clusters become a mixture over scale and look.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from solverbench.pretrain.data import CHANNELS, SIDE
from solverbench.pretrain.em import Mixture, maximise, principal_factors

_BANDS = 5  # octaves of frequency, 1 to 31
_LLOYD = 30
_SWEEPS = 30  # the factors start far from the component they are to describe
_ROWS = 4096


def start_mixture(rows: Tensor, components: int, rank: int, floor: float, seed: int) -> Mixture:
    """A first mixture for rows (n, 3072) of basis coordinates: the pooled law, then one M-step on hard clusters."""
    clusters = k_means(features(rows), components, seed)
    mean = rows.mean(0)
    diagonal, factors = principal_factors((rows - mean) / len(rows) ** 0.5, rank, floor, seed)
    pooled = Mixture(
        torch.full((components,), 1 / components, dtype=torch.float64),
        mean.repeat(components, 1),
        diagonal.repeat(components, 1),
        factors.repeat(components, 1, 1),
    )
    return maximise(pooled, rows, torch.nn.functional.one_hot(clusters, components).double(), floor, _SWEEPS)


def features(rows: Tensor) -> Tensor:
    """Standardised per-image features (n, 28): mean colour, and log energy by octave (luma: by orientation too)."""
    i = torch.arange(SIDE)
    octave = torch.maximum(i[:, None], i[None, :]).clamp_min(1).double().log2().floor().long()
    octave[0, 0] = -1  # the mean is no energy
    lean = (i[:, None] > 2 * i[None, :]).long() + 2 * (i[None, :] > 2 * i[:, None]).long()
    blocks = []
    for start in range(0, len(rows), _ROWS):
        z = rows[start : start + _ROWS].reshape(-1, CHANNELS, SIDE, SIDE)
        columns = [z[:, c, 0, 0] for c in range(CHANNELS)]
        for band in range(_BANDS):
            masks = [(0, (octave == band) & (lean == way)) for way in range(3)]
            masks += [(c, octave == band) for c in range(1, CHANNELS)]
            columns += [(z[:, c][:, mask].square().mean(1) + 1e-8).log() for c, mask in masks if mask.any()]
        blocks.append(torch.stack(columns, 1).double())
    table = torch.cat(blocks)
    return (table - table.mean(0)) / table.std(0).clamp_min(1e-6)


def k_means(points: Tensor, clusters: int, seed: int) -> Tensor:
    """Cluster index of each point (n,), from k-means++ seeds and Lloyd's iteration."""
    rng = np.random.default_rng(seed)
    centres = points[[int(rng.integers(len(points)))]]
    while len(centres) < clusters:
        distance = torch.cdist(points, centres).amin(1).square() + 1e-12
        chosen = int(rng.choice(len(points), p=(distance / distance.sum()).numpy()))
        centres = torch.cat([centres, points[[chosen]]])
    for _ in range(_LLOYD):
        nearest = torch.cdist(points, centres).argmin(1)
        centres = torch.stack(
            [points[nearest == k].mean(0) if bool((nearest == k).any()) else centres[k] for k in range(clusters)]
        )
    return torch.cdist(points, centres).argmin(1)
