"""What kinds share that train their parent's network on: MCMI and its control without CMI. (No torch.)"""

from __future__ import annotations

from typing import Any

from kdlib.teachers.kind import Kind, TeacherConfig
from kdlib.training.config import Preset

SETTINGS: dict[str, dict[str, Any]] = {
    "digits": {"epochs": 10, "learning_rate": 5e-3},
    Preset.BAYESIAN_KD: {"epochs": 20, "learning_rate": 2e-4, "lr_decay_epochs": ""},
    Preset.MCMI: {"epochs": 20, "learning_rate": 0.05, "schedule": "cosine"},
}
"""How long and at which rate: each paper has its own way; on digits by the validation NLL of the control."""


def place(given: TeacherConfig) -> str:
    """Return the key of `SETTINGS` that a teacher belongs to."""
    return given.preset or ("digits" if given.dataset.startswith("digits") else Preset.BAYESIAN_KD)


class Tuned(Kind):
    """A finished network, trained on with the same images and views."""

    starts_with = "parent"

    def settings(self, given: TeacherConfig, epochs: int) -> dict[str, Any]:
        """Return the length and the rate."""
        return dict(SETTINGS[place(given)])
