"""KD: the teacher's class probabilities. (No torch.)"""

from __future__ import annotations

from kdlib.students.frameworks.framework import Framework


class KD(Framework):
    """The teacher's class probabilities (Hinton et al., 2015)."""

    name = "kd"
    title = "KD"
    follows = False
