"""What a student learns from, and with which loss. (No torch.)"""

from __future__ import annotations

from typing import Any

from kdlib.base.config import RunType, Seed, parameter
from kdlib.data import family_of
from kdlib.students.frameworks import FRAMEWORKS
from kdlib.training.config import TrainingConfig

ONE_HOT, EXACT_BCP = "one_hot", "exact_bcp"
SUPERVISION = (ONE_HOT, EXACT_BCP)
"""Supervision without a trained teacher: labels, and the class probabilities themselves."""
WEIGHTS = "weights:"
"""What stands before the path of a teacher's weights."""


class StudentConfig(TrainingConfig):
    """One student."""

    run_type = RunType.STUDENT
    teacher: str = parameter(
        "deterministic", "one_hot, exact_bcp, a kind, <study>/<label>, a run's name or weights:<file>", reference=True
    )
    teacher_seed: Seed | None = parameter(None, "seed of the teacher; None: the student's", reference=True)
    teacher_architecture: str | None = parameter(None, "architecture of weights:<file>", reference=True)
    kd_weight: float | None = parameter(None, "weight of the teacher's term, 1 - that of the labels", ge=0, le=1)
    temperature: float | None = parameter(None, "T: the teacher's temperature", ge=0.01, le=1000)
    student_temperature: float | None = parameter(None, "S: the student's temperature", ge=0.01, le=1000)
    samples: int = parameter(1, "samples of a stochastic teacher a step", ge=1, le=1000)
    framework: str = parameter("kd", "kd, fitnet, at, pkt, sp, cc, rkd, vid, crd, dkd, reviewkd or hsakd")
    framework_weight: float | None = parameter(
        None, "weight of the framework's own loss; None: the published one", ge=0, le=1_000_000
    )


def settings(given: StudentConfig, usual_temperature: float) -> dict[str, Any]:
    """Return what a student sets where nothing is given: β, and S = T.

    Where T alone is given S is the same, as in distillation's first paper (Hinton et al. 2015); a given S moves no T.
    """
    family = family_of(given.dataset)
    published = given.preset is not None or not family.settings(given.run_type)
    beta = FRAMEWORKS.one(given.framework).beta(family.name, published)
    return {"framework_weight": beta, "student_temperature": given.temperature or usual_temperature}


def unused(config: StudentConfig) -> set[str]:
    """Return the parameters that mean nothing beside the others."""
    idle: set[str] = set()
    framework = FRAMEWORKS.one(config.framework)
    untaught = config.teacher == ONE_HOT
    if untaught:
        idle.add("kd_weight")
    if untaught or config.kd_weight == 0:
        idle |= {"temperature", "student_temperature", "samples"}
        if untaught or not framework.follows:
            idle |= {"framework", "framework_weight"}
    if framework.weight is None:
        idle.add("framework_weight")
    if config.teacher == EXACT_BCP:
        idle.add("samples")
    if config.teacher in SUPERVISION or config.teacher_seed == config.seed:
        idle.add("teacher_seed")
    if not config.teacher.startswith(WEIGHTS):
        idle.add("teacher_architecture")
    return idle
