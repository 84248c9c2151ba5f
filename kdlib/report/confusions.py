"""Confusion counts of students that never saw some classes: from their predictions, or as kept in records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kdlib.measures.confusion import ARRAY, Counts, count
from kdlib.runs.recipes import recorded
from kdlib.store.runs import Run
from kdlib.study import records


@dataclass(frozen=True, eq=False)
class Confusion:
    """Hold how many test images of each class (rows) a student gave each class (columns)."""

    counts: Counts
    classes: tuple[str, ...]

    def place(self, name: str) -> int:
        """Return the row of a class, given as `omit_classes` gives it: by its name or its number."""
        return self.classes.index(name) if name in self.classes else int(name)


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


def _of_run(row: pd.Series[Any]) -> Confusion | None:
    from kdlib.runs.execute import labels_here

    run = Run(str(row["run"]))
    labels = labels_here(recorded(str(row["run_type"]), run.record["config"]))
    if labels is None:
        return None
    return Confusion(count(run.predictions()["test"].numpy(), labels["test"]), tuple(run.record["classes"]))
