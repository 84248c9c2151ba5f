"""C8: MCMI raises the teacher's conditional mutual information at little cost in accuracy. (No torch.)"""

from __future__ import annotations

import pandas as pd

from kdlib.report.claims.claim import MCMI, Claim, Effects, Guard
from kdlib.report.claims.teachers import ENOUGH, difference


def effects(frame: pd.DataFrame, column: str = "test_cmi") -> Effects:
    """Return MCMI's measure minus the deterministic teacher's."""
    return {"mcmi": difference(frame, column, "mcmi")}


CLAIM = Claim(
    id="C8",
    text="MCMI raises the teacher's conditional mutual information at little cost in accuracy.",
    source=MCMI,
    page="temperature",
    short="MCMI raises the teacher's CMI",
    lead="The teacher's CMI against the deterministic teacher's",
    published="The paper raises it at less than a point of accuracy.",
    measure="test CMI of the teacher",
    unit="nats",
    smallest=ENOUGH,
    treated=("mcmi",),
    guard=Guard("the teacher's test accuracy", -0.01, lambda frame: effects(frame, "test_accuracy")),
    effects=effects,
)
