"""Tiny networks of every kind, with values that a formula gives, and what EDM's published code says of them.

`TENSORS` and `ANSWERS` were measured once by running that code (NVlabs/edm) on the same values; none of it is here.
"""

from __future__ import annotations

import math
from typing import Any

import torch

SONG = {"model_type": "SongUNet", "model_channels": 8, "channel_mult": [1, 2], "num_blocks": 1, "augment_dim": 3}
SONG |= {"attn_resolutions": [4], "dropout": 0.13}
FOURIER = SONG | {"embedding_type": "fourier", "channel_mult_noise": 2, "resample_filter": [1, 3, 3, 1]}
NETWORKS: dict[str, dict[str, Any]] = {
    "ddpmpp": SONG,
    "ncsnpp": FOURIER | {"encoder_type": "residual"},
    "skips": FOURIER | {"encoder_type": "skip", "decoder_type": "skip", "channel_mult": [1, 2, 1], "num_blocks": 2},
    "adm": {"model_type": "DhariwalUNet", "model_channels": 32, "channel_mult": [1, 4], "num_blocks": 1}
    | {"attn_resolutions": [4], "augment_dim": 3},
}
DENOISERS: dict[str, dict[str, Any]] = {
    "EDMPrecond": {"sigma_data": 0.6, "use_fp16": True},
    "VPPrecond": {"beta_d": 19.0, "beta_min": 0.2, "M": 500},
    "VEPrecond": {"sigma_max": 90},
    "iDDPMPrecond": {"M": 10},
}
SIDE, CHANNELS = 8, 2


def kwargs_of(denoiser: str, network: str, labels: int) -> dict[str, Any]:
    """What such a network is constructed with."""
    common = {"img_resolution": SIDE, "img_channels": CHANNELS, "label_dim": labels}
    return common | DENOISERS[denoiser] | NETWORKS[network]


def values(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Parameters and buffers, different for each name."""
    filled = {}
    for index, (name, shape) in enumerate(sorted(shapes.items())):
        count = math.prod(shape)
        fan = count / shape[0] if len(shape) > 1 else 1
        wave = torch.cos(0.7 * torch.arange(count, dtype=torch.float64) + index) * 1.5 / math.sqrt(fan)
        if name == "u":
            wave = torch.linspace(80, 0, count, dtype=torch.float64)
        filled[name] = wave.reshape(shape).float()
    return filled


def states(sigma: float, n: int = 2) -> torch.Tensor:
    """(n, 2, 8, 8)."""
    count = n * CHANNELS * SIDE**2
    return (
        ((1 + sigma) * torch.sin(1.3 * torch.arange(count, dtype=torch.float64) ** 1.1))
        .reshape(n, -1, SIDE, SIDE)
        .float()
    )


SIGMAS = (0.05, 3.0, 40.0)
TENSORS: dict[str, tuple[int, int, str]] = {
    "cond-vp": (55_735_299, 427, "740b096010232034dff94eb5d05d5ff968025bd853ba989c97a3334ac33656c1"),
    "uncond-vp": (55_733_891, 425, "1c5f38fd273af62af825096853b87dee71422792d762bfca333c82b91c7f2878"),
    "cond-ve": (56_400_643, 434, "35f55bbe1d6e322727f104d0771c5ca5412244cf8bd5ae2dcd5138aabbe63bd0"),
    "cond-adm-64": (295_899_267, 553, "a59bb78fad0da4fa29f9b3a2aa6f9f90b8498dfc3b531c9b26c20c22e80fee2a"),
}
"""Parameters, tensors with buffers, and sha256 of the lines "name shape" in order, of networks at full size."""
ANSWERS: dict[tuple[str, str, int], list[list[float]]] = {
    ("EDMPrecond", "ddpmpp", 4): [
        [0.0625192, -0.722968, -0.00551242, 0.898123, -0.816167, -0.85773],
        [0.740806, 0.578787, 0.975512, 0.810816, 0.679631, 0.720168],
        [0.775589, 0.716757, 0.993958, 0.708762, 0.800462, 0.844231],
    ],
    ("EDMPrecond", "ncsnpp", 0): [
        [0.0419438, -0.750888, -0.0347946, 0.920252, -0.806037, -0.859906],
        [0.519749, 0.282734, 0.689136, 1.04052, 0.794366, 0.694293],
        [0.556908, 0.361295, 0.682503, 0.97788, 0.927797, 0.850278],
    ],
    ("EDMPrecond", "skips", 4): [
        [0.270694, -0.68211, 0.226228, 0.381522, -1.31178, -0.981874],
        [3.19071, 1.03182, 3.73387, -5.30801, -5.14909, -0.716619],
        [3.25086, 1.15252, 3.8203, -5.54044, -5.11975, -0.589326],
    ],
    ("EDMPrecond", "adm", 4): [
        [0.0780176, -0.706228, -0.131714, 0.846526, -0.965827, -0.961455],
        [0.936897, 0.811174, -0.500441, 0.20196, -1.07177, -0.492091],
        [0.965094, 0.973511, -0.497638, 0.0892273, -0.964218, -0.368802],
    ],
    ("VPPrecond", "ddpmpp", 4): [
        [-0.0639063, -0.846019, -0.174253, 0.787467, -0.95999, -1.00992],
        [-3.97495, -6.66275, -5.33278, -0.257162, -7.38371, -7.74816],
        [-50.3644, -79.0457, -68.7507, -13.6416, -88.8956, -92.7622],
    ],
    ("VPPrecond", "ncsnpp", 0): [
        [-0.044111, -0.816401, -0.147355, 0.76505, -0.972098, -1.01055],
        [-2.71092, -4.95503, -3.85446, -1.52284, -8.07939, -7.81083],
        [-36.2123, -52.8735, -46.9828, -33.3454, -98.2498, -95.1844],
    ],
    ("VPPrecond", "skips", 4): [
        [-0.271712, -0.884073, -0.406213, 1.30638, -0.46578, -0.887735],
        [-16.2893, -8.86872, -19.3477, 30.8662, 22.2007, -0.579152],
        [-216.683, -108.572, -258.099, 402.692, 306.168, 2.44641],
    ],
    ("VPPrecond", "adm", 4): [
        [-0.08039, -0.867942, -0.0495319, 0.839213, -0.81239, -0.907555],
        [-4.79496, -7.75954, 2.13371, 2.82931, 1.40883, -1.76261],
        [-64.412, -96.1681, 29.5565, 27.6133, 29.0064, -12.564],
    ],
    ("VEPrecond", "ddpmpp", 4): [
        [0.0656331, -0.72584, -0.00838739, 0.904321, -0.826231, -0.867206],
        [4.03564, 0.662227, 4.76167, 6.52273, 0.811337, 0.323585],
        [53.3975, 17.8778, 58.5565, 71.4498, 12.4479, -9.35067],
    ],
    ("VEPrecond", "ncsnpp", 0): [
        [0.0443127, -0.758166, -0.0359849, 0.928234, -0.81221, -0.864166],
        [2.41592, -0.913402, 3.24085, 7.7238, 1.71342, 0.611197],
        [63.2244, 17.0921, 68.8882, 86.7232, 39.2998, 15.8],
    ],
    ("VEPrecond", "skips", 4): [
        [0.271444, -0.688922, 0.22531, 0.385085, -1.31861, -0.987171],
        [16.5286, 3.2062, 18.4751, -24.2119, -29.1397, -7.07738],
        [240.112, 49.3314, 220.188, -343.951, -386.265, -123.989],
    ],
    ("VEPrecond", "adm", 4): [
        [0.0805934, -0.704657, -0.132236, 0.85264, -0.972166, -0.967728],
        [4.48609, 1.09234, -2.85905, 3.56115, -8.11209, -5.47893],
        [56.4512, 5.64794, -29.2212, 39.5622, -88.6444, -54.4607],
    ],
    ("iDDPMPrecond", "ddpmpp", 4): [
        [-0.0609335, -0.844115, -0.174184, 0.786886, -0.961278, -1.01268],
        [-3.71165, -6.47316, -5.38787, -0.304129, -7.56037, -8.04832],
        [-52.1557, -79.0069, -69.972, -13.7228, -88.4651, -93.4637],
    ],
    ("iDDPMPrecond", "ncsnpp", 0): [
        [-0.0447924, -0.813358, -0.144572, 0.762721, -0.97179, -1.0114],
        [-2.60919, -4.6231, -3.55759, -1.74916, -8.20482, -7.98418],
        [-36.9999, -52.7171, -46.7343, -33.613, -97.7204, -94.832],
    ],
    ("iDDPMPrecond", "skips", 4): [
        [-0.271316, -0.883593, -0.407678, 1.30727, -0.465874, -0.888382],
        [-16.2913, -8.85878, -19.3439, 30.8656, 22.1961, -0.581889],
        [-216.859, -108.266, -257.631, 402.486, 306.098, 2.46732],
    ],
    ("iDDPMPrecond", "adm", 4): [
        [-0.0803692, -0.867894, -0.0495196, 0.839191, -0.812418, -0.907564],
        [-4.78512, -7.74369, 2.13735, 2.82278, 1.39784, -1.76478],
        [-64.365, -96.1009, 29.5717, 27.5875, 28.9498, -12.5705],
    ],
}
"""By denoiser, network and number of classes (class 2 is asked): every 51st value of D, for each of SIGMAS."""
