"""C14: an MCMI teacher lies nearer to the Bayes class probabilities, also where a temperature mends both."""

from __future__ import annotations

import pandas as pd

from kdlib.report.claims.claim import MCMI, Claim, Effects
from kdlib.report.claims.teachers import DISTANCE, difference, note


def effects(frame: pd.DataFrame) -> Effects:
    """Return MCMI's distance to the BCPs minus the deterministic teacher's, and the same of both temperature-scaled."""
    return {
        "as trained": difference(frame, DISTANCE, "mcmi"),
        "best temperature": difference(frame, DISTANCE, "temperature_scaled_mcmi", "temperature_scaled"),
    }


CLAIM = Claim(
    id="C14",
    text="MCMI estimates the BCPs better than maximum likelihood, also with the best temperature for each.",
    source=MCMI,
    page="bcp",
    short="MCMI is nearer the BCPs",
    lead="MCMI's distance to the BCPs against the deterministic teacher's (below zero is nearer)",
    published="The paper argues so and has no BCPs to measure it by.",
    measure="test KL(BCP ‖ teacher), as trained, and with each teacher's temperature fitted on validation NLL",
    unit="nats",
    smallest=-0.01,
    treated=("as trained", "best temperature"),
    effects=effects,
    note=lambda frame, dataset: note(frame, dataset, effects),
)
