"""MCMI's control: the same network trained on as long, with the same views and rate, without the CMI. (No torch.)"""

from __future__ import annotations

from kdlib.teachers.kind import DASH, Mark
from kdlib.teachers.labels import OnLabels
from kdlib.teachers.tuning import Tuned


class FineTuned(Tuned, OnLabels):
    """What MCMI gains over it is due to the conditional mutual information."""

    name = "fine_tuned"
    meaning = (
        "Control: a trained network, trained on as an MCMI teacher is, without the conditional mutual information."
    )
    title = "fine tuned"
    mark = Mark("#e8615a", "d", DASH, "...")
