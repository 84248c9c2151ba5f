"""The images from which a weight draw's batch-norm statistics come: a file of the run, checked when it is loaded.

`calibration.safetensors` holds `rows` `(n,)` int64, rising rows of the training split, `fingerprint` `(8,)` uint8, that
of the dataset, and `pixels` `(n, channels, height, width)` as the dataset keeps them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kdlib.base.errors import InputError
from kdlib.base.hashing import stream
from kdlib.data.dataset import Dataset
from kdlib.data.subsets import shuffled
from kdlib.store.runs import Run
from kdlib.training.config import TrainingConfig
from kdlib.training.schedule import plan_steps

FILE = "calibration.safetensors"
IMAGES = 256
"""As many, or all training images where there are fewer."""


def rows_of(config: TrainingConfig, dataset: Dataset) -> Tensor:
    """Return `IMAGES` of the rows that a config trains on, rising int64, chosen by its seed.

    Every class has its share of them, rounded down or up: they are evenly spaced places in the rows, sorted by class
    and shuffled within each.
    """
    rows = plan_steps(config, dataset).rows
    mixed = shuffled(rows, stream(config.seed, IMAGES))
    ordered = mixed[dataset.train.labels[mixed].argsort(stable=True)]
    count = min(IMAGES, len(rows))
    return ordered[torch.arange(count) * len(rows) // count].sort().values


def of(config: TrainingConfig, dataset: Dataset) -> dict[str, Tensor]:
    """Return the tensors of the file."""
    rows = rows_of(config, dataset)
    return {"rows": rows, "fingerprint": _digits(dataset.fingerprint), "pixels": dataset.train.pixels[rows]}


def load(name: str, shape: tuple[int, ...]) -> Tensor:
    """Return the pixels `(n, channels, height, width)` of a run's calibration images, uint8 or float32.

    Args:
        name: of the run whose file is read.
        shape: of one image.

    Raises:
        InputError: the file is absent or torn, or holds something else.
    """
    run = Run(name)
    tensors = run.weights(FILE)
    refused = f"{FILE} of {name} is refused"
    if tensors.keys() != {"rows", "fingerprint", "pixels"}:
        raise InputError(f"{refused}: it holds {', '.join(sorted(tensors)) or 'nothing'}.")
    rows, pixels, fingerprint = tensors["rows"], tensors["pixels"], run.record["fingerprint"]
    rising = rows.dtype == torch.int64 and rows.ndim == 1 and bool((rows.diff() > 0).all())
    if not (rising and 0 < len(rows) <= IMAGES and rows[0] >= 0):
        raise InputError(f"{refused}: its rows are not 1 to {IMAGES} different rows in rising order.")
    if not torch.equal(tensors["fingerprint"], _digits(fingerprint)):
        raise InputError(f"{refused}: it is not of the images with the fingerprint {fingerprint}.")
    if pixels.dtype not in (torch.uint8, torch.float32) or pixels.shape != (len(rows), *shape):
        raise InputError(f"{refused}: its pixels are {pixels.dtype} of shape {tuple(pixels.shape)}.")
    if not torch.isfinite(pixels).all():
        raise InputError(f"{refused}: its pixels are not all finite.")
    return pixels


def _digits(fingerprint: str) -> Tensor:
    """Return a fingerprint's 16 hexadecimal digits as 8 bytes."""
    return torch.tensor(list(bytes.fromhex(fingerprint)), dtype=torch.uint8)
