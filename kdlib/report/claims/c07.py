"""C7: what MCMI gains over maximum likelihood is larger with few images. (No torch.)"""

from __future__ import annotations

import pandas as pd

from kdlib.report.claims.claim import MCMI, Claim, Effects, first
from kdlib.report.claims.fewshot import DECIDES, of_mcmi, of_study
from kdlib.report.inference import Effect, paired


def larger(rows: pd.DataFrame) -> Effect | None:
    """Return MCMI's gain at the smallest fraction that was run minus that with all the data, paired."""
    wide, fewest = of_mcmi(rows), rows.loc[rows["protocol"] == DECIDES, "fraction"].min()
    both = wide[[fewest, 1.0]].dropna() if fewest < 1 and {fewest, 1.0} <= set(wide) else wide.iloc[:0]
    return paired(both[fewest], both[1.0]) if len(both) else None


def effects(frame: pd.DataFrame) -> Effects:
    """Return the effect of the first students that measure it."""
    return {"mcmi": first(map(larger, of_study(frame)))}


CLAIM = Claim(
    id="C7",
    text="The gain over maximum likelihood is larger in few-shot than in full training.",
    source=MCMI,
    page="fewshot",
    short="MCMI gains more in few-shot",
    lead="MCMI's gain over the deterministic teacher at the fewest images minus that at all of them",
    published="The paper reports larger gains the fewer the images.",
    measure="the student's gain in test accuracy at the smallest fraction minus the gain with all the data",
    unit="accuracy",
    smallest=0.01,
    treated=("mcmi",),
    effects=effects,
)
