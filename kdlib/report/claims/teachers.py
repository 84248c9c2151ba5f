"""Which teachers a claim compares: one network, the labels that claims name, one setting a label. (No torch.)"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from kdlib.report.choice import PARAMETERS, chosen, effect, entering, once
from kdlib.report.claims.claim import Effects
from kdlib.report.inference import Effect
from kdlib.report.theme import name_of
from kdlib.report.words import amount, differences, interval

BASELINE = "deterministic"
DISTANCE = "test_kl_to_bcp"
PEOPLE = "The answers of people to the full-size photographs (CIFAR-10H) stand in for the BCPs."
WEAKER = -0.01
"""Of its own test accuracy: what a Bayesian teacher may lose before what follows from it says little of Bayes."""
ENOUGH = 0.01
"""Nats of CMI that would matter: C8's smallest effect of interest."""
SETTINGS = tuple(name for name in PARAMETERS if name not in ("parent", "members"))
"""What may tell teachers of one label apart."""


@once
def compared(frame: pd.DataFrame, run_type: str = "teacher") -> pd.DataFrame:
    """Return the teachers that enter verdicts, a row a label and seed; empty without a deterministic one.

    Those with the network of the deterministic teacher; where a label has several settings, the one of the lowest mean
    validation NLL, never of the least distance.

    Args:
        frame: a study's rows on one dataset.
        run_type: `teacher`, or that of runs which measure teachers.
    """
    rows: pd.DataFrame = entering(frame[frame["run_type"] == run_type]) if len(frame) else frame
    plain = rows[rows["teacher_label"] == BASELINE] if len(rows) else rows
    if plain.empty:
        return rows.iloc[:0]
    rows = rows[rows["architecture"] == plain["architecture"].iloc[0]]
    if not rows[["teacher_label", "seed"]].duplicated().any():
        return rows
    return chosen(rows.assign(_nll=-rows["val_nll"]), free=SETTINGS, value="_nll")


def difference(frame: pd.DataFrame, column: str, treated: str, baseline: str = BASELINE) -> Effect | None:
    """Return a teacher's measure minus another's, paired over seeds; None where it was not measured."""
    rows = compared(frame)
    return effect(rows, treated, baseline, column) if len(rows) and column in rows else None


def weaker(frame: pd.DataFrame, members: Sequence[str]) -> str:
    """Name the teachers that are themselves surely less accurate than the deterministic one; nothing where none is."""
    found = ((member, difference(frame, "test_accuracy", member)) for member in members)
    said = [f"{name_of(member)} {interval(one, 'accuracy')}" for member, one in found if one and one.high < WEAKER]
    return f"the teacher's own test accuracy is below the deterministic teacher's: {', '.join(said)}" if said else ""


def dose(control: pd.DataFrame) -> str:
    """Say where the CMI term hardly raised the teacher's CMI over its control's: then MCMI was hardly tried.

    Args:
        control: a study's rows with the control in the deterministic teacher's place, from `against_control`.
    """
    raised = difference(control, "test_cmi", "mcmi")
    if raised is None or not raised.high < ENOUGH:
        return ""
    return f"the CMI term raised the teacher's CMI by {amount(raised.mean, 'nats')} nats, hardly a trial"


def note(frame: pd.DataFrame, dataset: str, effects: Callable[[pd.DataFrame], Effects]) -> str:
    """Say what stands in for the BCPs, if anything, and set test NLL beside; nothing where they are exact."""
    teachers = compared(frame)
    if dataset.startswith("digits") or teachers.empty:
        return ""
    known = DISTANCE in teachers and teachers[DISTANCE].notna().any()
    why = PEOPLE if known else f"Not measurable here: nobody knows the BCPs of {dataset}."
    lines = differences(effects(frame.assign(**{DISTANCE: frame["test_nll"]})), "nats")
    return why + (f" Beside it, test NLL minus the deterministic teacher's: {lines}." if lines else "")
