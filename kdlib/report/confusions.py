"""Confusion counts of students that never saw some classes: from their predictions, or as kept in records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from kdlib.base.errors import InputError
from kdlib.store.runs import Run
from kdlib.study import records

ARRAY = "confusion"
"""In a run's record: `(classes, classes)` int32."""

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
    name = str(row["run"])
    counts, classes = records.arrays(name).get(ARRAY), records.class_names(name)
    return Confusion(counts, classes) if counts is not None and counts.shape == 2 * (len(classes),) else None


def arrays_of_run(row: pd.Series[Any]) -> records.Arrays:
    """Return the counts of a run of the store as the array `ARRAY` of its record; none without its images here.

    Args:
        row: of the table of runs.
    """
    found = _of_run(row)
    return {} if found is None else {ARRAY: found.counts}


def _of_run(row: pd.Series[Any]) -> Confusion | None:
    from kdlib.runs.execute import dataset_of

    root, size = (None if pd.isna(row.get(name)) else row.get(name) for name in ("data_root", "image_size"))
    try:
        dataset = dataset_of(str(row["dataset"]), root, None if size is None else int(size))
    except InputError:  # the images are not here, so the labels are not
        return None
    answers = Run(str(row["run"])).predictions()["test"].numpy()
    return Confusion(count(answers, dataset.test.labels.numpy()), tuple(dataset.classes))
