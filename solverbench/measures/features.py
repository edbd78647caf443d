"""Frechet distances in the features of a classifier: `cifar10-features` in place of Inception's FID.

States are rounded to bytes first, as pictures in files are and as the statistics of the data were taken: without it a
distance also measures how far pixels are from whole numbers. FID, the distance of this kind in Inception's features,
is of Heusel et al. (2017, arXiv 1706.08500, equation 6).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from solverbench import pretrained
from solverbench.errors import ArtifactError
from solverbench.measures.moments import Array, Normal
from solverbench.pictures import as_pictures, as_states

NAME = "cifar10-features"
SHAPE = (3, 32, 32)
_CHUNK = 500


class Extractor:
    """Features of pictures, and the mean and covariance they have over the training data.

    path: of the artifact, the shipped one by default. Raises ArtifactError if it is not what its card says.
    """

    def __init__(self, path: Path | None = None) -> None:
        from solverbench.networks.classifier import Classifier
        from solverbench.networks.filled import built, filled

        path = path or pretrained.path(NAME)
        tensors = pretrained.read_tensors(path)
        try:
            self.data = Normal(*(tensors.pop(f"statistics.{key}") for key in ("mean", "covariance")))
        except KeyError as error:
            raise ArtifactError(f"{path} has no {error.args[0]}: it is no feature extractor") from None
        self._network = filled(built(Classifier, pretrained.read_card(path), path), tensors, path)

    def __call__(self, x: np.ndarray[Any, Any]) -> Array:
        """Features (n, d) of states x (n, 3, 32, 32), pixels in [-1, 1]."""
        import torch

        images = torch.from_numpy(as_states(as_pictures(x)))
        with torch.inference_mode():
            features = torch.cat([self._network.features(part) for part in images.split(_CHUNK)])
        found: Array = features.double().numpy()
        return found
