"""The deterministic teacher: maximum likelihood. (No torch.)"""

from __future__ import annotations

from kdlib.teachers.kind import Mark
from kdlib.teachers.labels import OnLabels


class Deterministic(OnLabels):
    """The softmax of a network trained by cross-entropy."""

    name = "deterministic"
    meaning = "Maximum likelihood: the softmax of a network trained by cross-entropy."
    title = "deterministic"
    mark = Mark("#16305f", "o", "-", "//")
    keeps_best = True  # what an early-stopped teacher is made of
