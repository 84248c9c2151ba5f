"""C11: with 5 % of the images, students of an MCMI teacher gain. (No torch.)"""

from __future__ import annotations

import pandas as pd

from kdlib.report.claims.claim import MCMI, Claim, Effects, first
from kdlib.report.claims.fewshot import AT, of_mcmi, of_study
from kdlib.report.inference import Effect, mean_interval


def at(rows: pd.DataFrame, fraction: float = AT) -> Effect | None:
    """Return MCMI's gain over the deterministic teacher at a fraction of the images, over pairs of seeds."""
    wide = of_mcmi(rows)
    gained = wide[fraction].dropna() if fraction in wide else ()
    return mean_interval(gained) if len(gained) else None


def effects(frame: pd.DataFrame) -> Effects:
    """Return the effect of the first students that measure it."""
    return {"mcmi": first(map(at, of_study(frame)))}


CLAIM = Claim(
    id="C11",
    text="With 5 % of the data the students of MCMI teachers gain (up to +5.72 points).",
    source=MCMI,
    page="fewshot",
    short="MCMI's students gain at 5 % of the data",
    lead="MCMI's students against the deterministic teacher's at 5 % of the images",
    published="The paper reports up to +5.72 points.",
    measure="the student's test accuracy at fraction 0.05",
    unit="accuracy",
    smallest=0.01,
    treated=("mcmi",),
    effects=effects,
    advice=(
        "**With few images, take an MCMI teacher.**",
        "**With few images, MCMI does not pay by itself.**",
    ),
)
