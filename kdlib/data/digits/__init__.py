"""Digits drawn from a fitted mixture, so that their Bayes class probabilities are known exactly. (No torch.)"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdlib.base.errors import InputError
from kdlib.data.family import Family

if TYPE_CHECKING:
    from torch import Tensor

    from kdlib.data.dataset import Dataset

FITTED = Path(__file__).with_name("digits.safetensors")
"""The fitted mixture; `python -m kdlib.data.digits.fit` made it."""

SIDE = 8
CLASSES = tuple("0123456789")
NOISE = 0.4
"""The pixel noise σ of plain `digits`, in units of the full range of brightness."""

SEED = 1763
"""The seed of every draw; trials that chose sizes and noise used others."""

SIZES = {
    "tiny": (200, 100, 200),
    "small": (500, 500, 2_000),
    "medium": (2_000, 1_000, 10_000),
    "large": (20_000, 2_000, 10_000),
}
"""Named sizes: images to train, to validate and to test on. Plain `digits` is medium."""


def parse(name: str) -> tuple[str, float]:
    """Return the size and the noise that `digits`, `digits:<size>` or `digits:<size>@<noise sd>` names."""
    found = re.fullmatch(r"digits(?::([a-z]+)(?:@(\d+(?:\.\d*)?|\.\d+))?)?", name)
    size, noise = (found[1] or "medium", float(found[2] or NOISE)) if found else ("", 0.0)
    if size not in SIZES or noise > 10:
        raise InputError(
            f"dataset is {name!r}, but digits are called digits, digits:<size> or digits:<size>@<noise sd> "
            f"with a size of {', '.join(SIZES)} and a noise sd from 0 to 10."
        )
    return size, noise


@functools.cache
def fingerprint(name: str) -> str:
    """Return the fingerprint of these digits, from what they are drawn from: 16 hexadecimal digits."""
    size, noise = parse(name)
    fitted = hashlib.sha256(FITTED.read_bytes()).hexdigest()
    spec = {"draws": 1, "fitted": fitted, "noise": noise, "seed": SEED, "size": size, "n": SIZES[size]}
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]


# Chosen on seeds that no report uses (study `digits-choosing`): rates and lengths by the validation NLL of the
# deterministic teacher and of the one-hot student. SGD with this decay, because under Adam students of the exact BCPs
# hardly pass those of a good teacher, so that no better teacher could show.
SETTINGS: dict[str, Any] = {
    "optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 5e-3, "batch_size": 128,
    "schedule": "cosine", "lr_decay_epochs": "", "lr_decay_rate": 0.1,
    "augmentation": "none", "kd_weight": 0.9, "temperature": 4.0,
}  # fmt: skip
EPOCHS = {"teacher": 8, "student": 15}


class Digits(Family):
    """`digits`, `digits:<size>` and `digits:<size>@<noise sd>`."""

    name = "digits"
    spellings = ("digits", "digits:<size>", "digits:<size>@<noise sd>")
    sides = (SIDE,)
    architectures = {"teacher": "cnn32", "student": "cnn8"}
    exact = True
    teaches = True

    def canonical(self, name: str) -> str:
        """Return the shortest name of the same digits: `digits:medium@0.4` is `digits`."""
        size, noise = parse(name)
        if noise != NOISE:
            return f"digits:{size}@{noise:.10g}"
        return "digits" if size == "medium" else f"digits:{size}"

    def settings(self, role: str) -> Mapping[str, Any]:
        """Return how teachers and students of digits are trained."""
        return {**SETTINGS, "epochs": EPOCHS[role]}

    def classes(self, name: str) -> tuple[str, ...]:
        """Return the ten digits."""
        return CLASSES

    def fingerprint(self, name: str, root: Path, image_size: int | None) -> str:
        """Return the fingerprint of what the digits are drawn from."""
        return fingerprint(name)

    def load(self, name: str, root: Path, image_size: int | None) -> Dataset:
        """Draw the digits."""
        from kdlib.data.digits.mixture import load

        return load(self.canonical(name))

    def class_pixels(self, name: str) -> Tensor:
        """Return which pixels tell a digit from the others, from the mixture itself."""
        from kdlib.data.digits.mixture import class_pixels

        return class_pixels(parse(name)[1])


DIGITS = Digits()
