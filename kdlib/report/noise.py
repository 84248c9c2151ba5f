"""The noise of the data as a sweep: entries of a study whose label begins with `noise`. (No torch, but to draw digits.)

Such an entry trains on `digits:<size>@<noise sd>` for several noises; the page on the distance to the Bayes class
probabilities (BCPs) shows it as one figure, and the other pages leave it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from kdlib.measures.bcp_errors import PARTS
from kdlib.report.truths import answers_of, parts_of, truth_of

if TYPE_CHECKING:
    from collections.abc import Iterator

SWEEP, PAGE = "noise", "bcp"
WHO = {"one_hot": "one_hot student", "exact_bcp": "exact_bcp student", "deterministic": "deterministic teacher"}
"""What is drawn, by the column `teacher`: the floor, the ceiling and the teacher between them."""
ALIKE = ["run_type", "teacher", "size", "architecture", "epochs", "batch_size", "learning_rate", "fraction"]
"""What runs of one sweep have in common."""


def swept(frame: pd.DataFrame) -> pd.Series[Any]:
    """Return which rows of a table of runs belong to a sweep of the noise."""
    return frame["label"].astype(str).str.startswith(SWEEP).astype(bool)


def sweeps(frames: list[pd.DataFrame]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each sweep in tables of runs: its size of digits and network, and its rows.

    Rows have `noise` (the pixel noise sd, in units of the full range of brightness), `who`, `seed`, the metrics,
    `bayes_accuracy` (of the classifier that knows the BCPs) and, for the teacher's runs of this store, the parts of
    its divergence from the BCPs in nats, named as in `bcp_errors.Part`.
    """
    from kdlib.data import digits

    rows = pd.concat(frames, ignore_index=True)
    rows = rows[rows["teacher"].isin(WHO) & rows["dataset"].str.startswith("digits")]
    if rows.empty:
        return
    named = [digits.parse(name) for name in rows["dataset"]]
    rows = rows.assign(size=[size for size, _ in named], noise=[noise for _, noise in named])
    # a run that the study lists elsewhere too, as its teacher at the usual noise, belongs to the sweep as well
    alike = rows.set_index(ALIKE).index
    rows = rows[alike.isin(alike[swept(rows)])]
    rows = rows.assign(who=rows["teacher"].map(WHO)).drop_duplicates(["who", "dataset", "seed", "architecture"])
    for (size, architecture), part in rows.groupby(["size", "architecture"], sort=False):
        if part["noise"].nunique() > 1:
            yield f"digits:{size}, {architecture}", _measured(part).sort_values("noise").reset_index(drop=True)


def _measured(rows: pd.DataFrame) -> pd.DataFrame:
    """Add what only the BCPs and the runs' own answers can tell."""
    out = []
    for _, part in rows.groupby("dataset"):
        truth = truth_of(part)
        if truth is None:
            continue
        answers = answers_of(part[part["run_type"] == "teacher"], "run")
        means = {run: parts_of(truth, given).mean(axis=0) for (run, _), given in answers.items()}
        table = np.array([means.get(str(run), np.full(len(PARTS), np.nan)) for run in part["run"]])
        columns = {str(name): table[:, k] for k, name in enumerate(PARTS)}
        out.append(part.assign(bayes_accuracy=float(truth.bcp.max(axis=1).mean()), **columns))
    return pd.concat(out, ignore_index=True)
