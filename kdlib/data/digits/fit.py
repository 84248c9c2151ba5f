"""Fit the mixture behind `digits`: `python -m kdlib.data.digits.fit <file>` (needs scikit-learn).

A fit's last bits differ between CPUs, so it was made once and the file is kept; making it again elsewhere gives
the same digits to the eye and another fingerprint.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

COMPONENTS = 3
RANK = 10
REGULARISATION = 1e-2


def fit_digits() -> dict[str, Tensor]:
    """Return the fitted mixture: `weights`, `means`, `factors` and `floor`, float32 (`Mixture` of `mixture.py`).

    Each class's 174 to 183 images get three Gaussians by expectation maximisation; each covariance is then cut to
    its ten leading eigenvectors, with the mean of the other eigenvalues in all remaining directions, which is the
    maximum-likelihood solution of probabilistic principal components for that covariance.
    Source: Tipping and Bishop, "Probabilistic principal component analysis", 1999, equations 7 and 8.
    """
    from sklearn.datasets import load_digits
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    images, labels = load_digits(return_X_y=True)
    images = images / 16.0  # brightness is 0 to 16 there
    parts: dict[str, list[np.ndarray]] = {"weights": [], "means": [], "factors": [], "floor": []}
    for label in range(10):
        fit = GaussianMixture(COMPONENTS, reg_covar=REGULARISATION, n_init=5, random_state=0)
        with threadpool_limits(1):  # these products are too small to share: threads cost more than they do
            fit.fit(images[labels == label])
        values, vectors = np.linalg.eigh(fit.covariances_)  # ascending
        floor = values[:, :-RANK].mean(1)
        factors = vectors[:, :, -RANK:] * np.sqrt(values[:, None, -RANK:] - floor[:, None, None])
        for name, part in zip(parts, (fit.weights_, fit.means_, factors, floor), strict=True):
            parts[name].append(part)
    return {name: torch.from_numpy(np.stack(part).astype(np.float32)).contiguous() for name, part in parts.items()}


if __name__ == "__main__":
    save_file(fit_digits(), Path(sys.argv[1]))
