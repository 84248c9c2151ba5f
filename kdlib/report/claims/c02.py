"""C2: noise in the class probabilities brings the gradient's variance back. (No torch.)"""

from __future__ import annotations

import pandas as pd

from kdlib.report.claims import synthetic
from kdlib.report.claims.claim import BAYES, Claim, Effects


def effects(frame: pd.DataFrame) -> Effects:
    """Return the relative change of the gradient's variance under the noisiest BCPs against exact ones."""
    table = synthetic.judged(frame)
    return {"noisy_bcp": synthetic.change(table, synthetic.noisiest(table), "exact_bcp")}


CLAIM = Claim(
    id="C2",
    text="Noise in the BCPs brings the variance back in proportion, and accuracy falls with it.",
    source=BAYES,
    page="synthetic",
    short="noise in the BCPs brings it back",
    lead="Change of the gradient's variance with the noisiest BCPs, against exact ones",
    published="The paper proves a growth in proportion to the noise.",
    measure="variance of the per-sample gradient, mean over the last half of the path, at the highest noise",
    unit="relative change",
    smallest=0.10,
    treated=("noisy_bcp",),
    baseline="exact_bcp",
    effects=effects,
)
