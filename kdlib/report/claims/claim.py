"""What a claim is: what is measured, between whom, what would matter, and how a reader says it. (No torch.)"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdlib.report.inference import Effect

if TYPE_CHECKING:
    import pandas as pd

Effects = Mapping[str, Effect | None]
"""Treated − baseline as it is, by member of a family; None where it was not run."""
BAYES, MCMI = "Bayesian-KD", "MCMI"
"""The papers."""


def first(found: Iterable[Effect | None]) -> Effect | None:
    """Return the first effect that was measured; of students that may be compared in several ways, one way decides."""
    return next((one for one in found if one is not None), None)


@dataclass(frozen=True)
class Guard:
    """Hold what a claim may not cost: a second measure, in accuracy, and the worst acceptable difference."""

    measure: str
    worst: float
    """Below zero: the most that the treatment may lose."""
    effects: Callable[[pd.DataFrame], Effects]


@dataclass(frozen=True)
class Claim:
    """Hold one claim: treated − baseline, paired over seeds, on one primary measure."""

    id: str
    text: str
    source: str
    """The paper that makes the claim."""
    page: str
    """The page that decides it."""
    short: str
    """The claim in a few words."""
    lead: str
    """What was measured, to be followed by each member's effect."""
    published: str
    """What the paper reports, or that it reports no number."""
    measure: str
    """The primary measure in words; the verdict rests on it alone."""
    unit: str
    smallest: float
    """The smallest effect of interest, on the side that is claimed: a fraction for accuracies and relative changes."""
    treated: tuple[str, ...]
    """The family: what is compared, each member with the baseline; corrected together."""
    effects: Callable[[pd.DataFrame], Effects]
    """Measures a study's rows on one dataset."""
    baseline: str = "deterministic"
    guard: Guard | None = None
    note: Callable[[pd.DataFrame, str], str] | None = None
    """Says what stands beside the verdict, of a study's rows on a dataset and its name; enters no verdict."""
    limit: Callable[[pd.DataFrame], str] | None = None
    """Says what else may lie behind the effects, of a study's rows on a dataset; enters no verdict."""
    advice: tuple[str, str] = ("", "")
    """What to do in practice where the claim is supported, and where it is not."""

    @property
    def of_mcmi(self) -> bool:
        """Say whether what MCMI gains over its control, the same fine-tuning without CMI, stands beside."""
        return self.source == MCMI and self.baseline == Claim.baseline
