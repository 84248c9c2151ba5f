"""What students call the images of the class that they never saw, from records or from predictions."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pandas as pd

from kdlib.base.errors import NoImages
from kdlib.measures.confusion import ARRAY, count
from kdlib.runs.recipes import recorded
from kdlib.store.runs import Run
from kdlib.study import records


def counts_of(row: pd.Series[Any]) -> pd.DataFrame | None:
    """Return how many test images of each class (a row) a student gave each class (a column); None where nobody knows.

    Args:
        row: of the table of runs.
    """
    name = str(row["run"])
    counts, classes = records.arrays(name).get(ARRAY), records.class_names(name)
    if row["source"] == "run":
        from kdlib.runs.execute import labels_of

        run = Run(name)
        with suppress(NoImages):
            labels = labels_of(recorded(str(row["run_type"]), run.record["config"]))["test"]
            counts, classes = count(run.predictions()["test"].numpy(), labels), tuple(run.record["classes"])
    known = counts is not None and counts.shape == 2 * (len(classes),)
    return pd.DataFrame(counts, list(classes), list(classes)) if known else None


def of_omitted(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what the omitted class's images are called, in percent: a row an omitted class, a column a class given.

    Means over the students that are known; without any there are no rows.

    Args:
        rows: students of one teacher without one class, given by its name or its number.
    """
    found = []
    for _, row in rows.iterrows():
        counts, name = counts_of(row), row["omit_classes"]
        if counts is not None:
            found.append(counts.loc[name] if name in counts.index else counts.iloc[int(name)])
    shares = pd.DataFrame(found)  # a row a student, named by its omitted class
    shares = 100 * shares.div(shares.sum(axis=1).clip(lower=1), axis=0)
    return shares.groupby(level=0, sort=False).mean()
