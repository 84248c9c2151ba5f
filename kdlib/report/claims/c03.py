"""C3: Bayesian teachers lie nearer to the Bayes class probabilities. (No torch.)"""

from __future__ import annotations

import pandas as pd

from kdlib.report.claims.claim import BAYES, Claim, Effects
from kdlib.report.claims.teachers import DISTANCE, difference, note

MEMBERS = ("variational", "laplace")


def effects(frame: pd.DataFrame) -> Effects:
    """Return each Bayesian teacher's distance to the BCPs minus the deterministic one's."""
    return {member: difference(frame, DISTANCE, member) for member in MEMBERS}


CLAIM = Claim(
    id="C3",
    text="Bayesian teachers estimate the BCPs better than a deterministic one.",
    source=BAYES,
    page="bcp",
    short="Bayesian teachers are nearer the BCPs",
    lead="Distance to the BCPs against the deterministic teacher (below zero is nearer)",
    published="The paper argues so and measures calibration, not this distance.",
    measure="test KL(BCP ‖ teacher)",
    unit="nats",
    smallest=-0.01,
    treated=MEMBERS,
    effects=effects,
    note=lambda frame, dataset: note(frame, dataset, effects),
)
