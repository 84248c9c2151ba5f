"""C1: exact class probabilities calm stochastic gradient descent. (No torch.)"""

from __future__ import annotations

import pandas as pd

from kdlib.report.claims import synthetic
from kdlib.report.claims.claim import BAYES, Claim, Effects


def effects(frame: pd.DataFrame) -> Effects:
    """Return the relative change of the gradient's variance under exact BCPs against one-hot labels."""
    return {"exact_bcp": synthetic.change(synthetic.judged(frame), "exact_bcp", "one_hot")}


CLAIM = Claim(
    id="C1",
    text="Supervision by the exact BCPs lowers the variance of SGD's gradient and removes the neighbourhood "
    "term that one-hot labels leave.",
    source=BAYES,
    page="synthetic",
    short="exact BCPs lower the gradient's variance",
    lead="Change of the gradient's variance against one-hot labels",
    published="The paper proves that a term of it vanishes.",
    measure="variance of the per-sample gradient (trace of its covariance), mean over the last half of the path",
    unit="relative change",
    smallest=-0.10,
    treated=("exact_bcp",),
    baseline="one_hot",
    effects=effects,
)
