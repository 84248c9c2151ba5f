"""The noise of the data as a sweep: entries of a study whose label begins with `noise`. (No torch.)

Such an entry trains on `digits:<size>@<noise sd>` for several noises.
"""

from __future__ import annotations

import pandas as pd

from kdlib.data import digits
from kdlib.report.sections import swept

WHO = {"one_hot": "student", "exact_bcp": "student", "deterministic": "teacher"}
"""What is drawn, by the column `teacher`: the floor, the ceiling and the teacher between them."""
ALIKE = ["run_type", "teacher", "size", "architecture", "epochs", "batch_size", "learning_rate", "fraction"]
"""What runs of one sweep have in common."""


def sweep(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a study's sweep of the noise: its rows with `noise` (sd of a pixel, of the range of brightness), `who`.

    A run that the study lists elsewhere too, as its teacher at the usual noise, belongs to the sweep as well.

    Args:
        frame: a study's rows; without a sweep of two noises or more there are no rows.
    """
    rows = frame[frame["teacher"].isin(WHO) & frame["dataset"].astype(str).str.startswith("digits")]
    sizes, noises = zip(*map(digits.parse, rows["dataset"]), strict=True) if len(rows) else ((), ())
    rows = rows.assign(size=list(sizes), noise=list(noises))
    alike = rows.set_index(ALIKE).index
    rows = rows[alike.isin(alike[swept(rows)])]
    who = rows["teacher"].astype(str)
    rows = (
        rows.assign(who=who + " " + who.map(WHO))
        .drop_duplicates(["who", "noise", "seed"])
        .sort_values(["noise", "seed"])
    )
    return rows if rows["noise"].nunique() > 1 else rows.iloc[:0]
