"""Confusion counts of students that never saw some classes: from their predictions, or as kept in records."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray

from kdlib import paths
from kdlib.checkpoints import read_tensors, write_tensors
from kdlib.errors import InputError
from kdlib.runs import Run

FILE = "confusion.safetensors"
"""In a study's records: a tensor a run `(classes, classes)` int32, and the names of each run's classes beside them."""

Counts = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Confusion:
    """Hold how many test images of each class (rows) a student gave each class (columns)."""

    counts: Counts
    classes: tuple[str, ...]

    def place(self, name: str) -> int:
        """Return the row of a class, given as `omit_classes` gives it: by its name or its number."""
        return self.classes.index(name) if name in self.classes else int(name)


def count(log_probs: ArrayLike, labels: ArrayLike) -> Counts:
    """Return how many images of each class (rows) are given each class (columns): `(classes, classes)` int32.

    Args:
        log_probs: `(n, classes)`.
        labels: `(n,)` integers.
    """
    answers = np.asarray(log_probs)
    size = answers.shape[1]
    cells = np.asarray(labels, np.int64) * size + answers.argmax(axis=1)
    return np.bincount(cells, minlength=size**2).reshape(size, size).astype(np.int32)


def mean_shares(found: Sequence[Confusion]) -> NDArray[np.float64]:
    """Return the mean over students of the share of each class's images given to each class, in percent."""
    counts = np.array([one.counts for one in found], np.float64)
    return np.asarray((100 * counts / np.maximum(counts.sum(axis=2, keepdims=True), 1)).mean(axis=0))


def counts_of(row: pd.Series[Any]) -> Confusion | None:
    """Return a student's confusion counts on test images, from the store or from records; None where neither has them.

    Args:
        row: of the table of runs.
    """
    found = _of_run(row) if row["source"] == "run" else None
    if found is not None:
        return found
    for file in sorted(paths.RECORDS.glob(f"*/{FILE}")):
        tensors, classes = _kept(file, file.stat().st_mtime)
        if (name := str(row["run"])) in tensors:
            return Confusion(tensors[name].numpy(), tuple(classes[name]))
    return None


def keep(folder: Path, frame: pd.DataFrame) -> None:
    """Write the confusion counts of a study's students that omit classes into its records, beside what is there.

    Args:
        folder: `data/records/<study>`.
        frame: the table of the study's runs in the store.
    """
    if "omit_classes" not in frame:
        return
    rows = frame[(frame["run_type"] == "student") & (frame["omit_classes"].fillna("") != "")]
    found = {str(row["run"]): _of_run(row) for _, row in rows.iterrows()}
    fresh = {name: one for name, one in found.items() if one is not None}
    if not fresh:
        return
    file = folder / FILE
    tensors, classes = read_tensors(file) if file.is_file() else ({}, {})
    tensors |= {name: torch.from_numpy(one.counts) for name, one in fresh.items()}
    classes |= {name: list(one.classes) for name, one in fresh.items()}
    write_tensors(file, tensors, classes)


@functools.cache
def _kept(file: Path, _: float) -> tuple[dict[str, torch.Tensor], dict[str, list[str]]]:
    """Read a file of records once for each time that it was written."""
    return read_tensors(file)


def _of_run(row: pd.Series[Any]) -> Confusion | None:
    from kdlib.execute import dataset_of

    root, size = (None if pd.isna(row.get(name)) else row.get(name) for name in ("data_root", "image_size"))
    try:
        dataset = dataset_of(str(row["dataset"]), root, None if size is None else int(size))
    except InputError:  # the images are not here, so the labels are not
        return None
    answers = Run(str(row["run"])).predictions()["test"].numpy()
    return Confusion(count(answers, dataset.test.labels.numpy()), tuple(dataset.classes))
