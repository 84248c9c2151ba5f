"""C10: Eigen-CAM shows more contextual information in an MCMI teacher. (No torch.)"""

from __future__ import annotations

import pandas as pd

from kdlib.report.choice import effect
from kdlib.report.claims.claim import MCMI, Claim, Effects
from kdlib.report.claims.teachers import compared


def last_stage(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of Eigen-CAM at the last stage: one a teacher and seed, that of the most images."""
    rows: pd.DataFrame = frame[frame["run_type"] == "eigencam"]
    if rows.empty:
        return rows
    rows = rows[rows["stage"] == rows["stage"].min()].sort_values("images", kind="stable")  # counted from the last
    return rows.drop_duplicates(["architecture", "teacher_label", "seed"], keep="last").sort_index()


def effects(frame: pd.DataFrame) -> Effects:
    """Return the entropy of MCMI's maps (nats) minus that of the deterministic teacher's, at the last stage."""
    rows = compared(last_stage(frame), "eigencam")
    return {"mcmi": effect(rows, "mcmi", "deterministic", "cam_entropy") if len(rows) else None}


CLAIM = Claim(
    id="C10",
    text="Eigen-CAM shows more contextual information in an MCMI teacher.",
    source=MCMI,
    page="eigencam",
    short="MCMI's Eigen-CAM maps are broader",
    lead="Entropy of the maps against the deterministic teacher's",
    published="The paper shows pictures and no number.",
    measure="entropy of the Eigen-CAM map scaled to sum to one, mean over the test images",
    unit="nats",
    smallest=0.05,
    treated=("mcmi",),
    effects=effects,
)
