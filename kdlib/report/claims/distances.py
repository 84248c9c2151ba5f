"""What stands beside claims on the distance to the BCPs where nobody knows them. (No torch.)"""

from __future__ import annotations

from typing import Protocol

import pandas as pd

from kdlib.report.claims.claim import Effects
from kdlib.report.claims.teachers import compared
from kdlib.report.words import differences

PEOPLE = "The answers of people to the full-size photographs (CIFAR-10H) stand in for the BCPs."


class Measure(Protocol):
    """Measures a claim's effects in a column."""

    def __call__(self, frame: pd.DataFrame, column: str = ...) -> Effects:
        """Return the effects."""
        ...


def note(frame: pd.DataFrame, dataset: str, effects: Measure) -> str:
    """Say what stands in for the BCPs, if anything, and set test NLL beside; nothing where they are exact."""
    teachers = compared(frame)
    if dataset.startswith("digits") or teachers.empty:
        return ""
    known = "test_kl_to_bcp" in teachers and teachers["test_kl_to_bcp"].notna().any()
    why = PEOPLE if known else f"Not measurable here: nobody knows the BCPs of {dataset}."
    lines = differences(effects(frame, "test_nll"), "nats")
    return why + (f" Beside it, test NLL minus the deterministic teacher's: {lines}." if lines else "")
