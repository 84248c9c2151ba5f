"""What a student learns from its teacher besides class probabilities: a framework's loss, weighted by β.

loss = (1 - α) CE + α T S KL + β · framework; DKD takes the place of the KL instead. A framework that follows the
teacher's layers runs the teacher live on the student's views; class probabilities are its kept answers everywhere.
"""

from __future__ import annotations

from torch import nn

from kdlib.base import kinds
from kdlib.base.config import Framework, StudentConfig, TeacherKind
from kdlib.base.errors import InputError
from kdlib.data import Dataset, resolve_classes
from kdlib.models import Network
from kdlib.students.frameworks import attention, contrast, correlation, hint, information, relations, review, rotations
from kdlib.students.frameworks.base import Auxiliary, Relational, shapes_of
from kdlib.training.schedule import plan_steps

__all__ = ["BY_STAGE", "PROBABILITIES", "Auxiliary", "build", "check"]

PROBABILITIES = (Framework.KD, Framework.DKD)
"""Frameworks that need nothing but class probabilities."""
BY_STAGE = (Framework.FITNET, Framework.AT, Framework.VID, Framework.REVIEWKD, Framework.HSAKD)
"""Frameworks that compare the networks stage by stage."""
FOLLOWED = (*kinds.NETWORKS, TeacherKind.LAPLACE, TeacherKind.AUGMENTATION_AVERAGED)
"""Kinds of teacher that have one network to follow."""


def check(
    config: StudentConfig, classes: tuple[str, ...], student: Network, kind: TeacherKind | None, teacher: Network | None
) -> None:
    """Refuse a framework that the two networks, which may be shapes alone, or the supervision cannot have.

    Args:
        classes: of the dataset.
        kind: of the teacher; `None` for exact class probabilities.

    Raises:
        InputError: they cannot; the sentence says why.
    """
    name = config.framework
    if name in PROBABILITIES:
        return
    refused = f"framework = {str(name)!r} is refused"
    allowed = " and ".join(PROBABILITIES)
    if kind is None or teacher is None:
        raise InputError(f"{refused} for teacher = {config.teacher!r}: it follows a network, so allowed are {allowed}.")
    if kind not in FOLLOWED:
        raise InputError(
            f"{refused} for a teacher of kind {kind}, which has no one network to follow: allowed are {allowed}, or a "
            f"teacher of kind {', '.join(FOLLOWED)}."
        )
    mine, theirs = len(student.blocks) - 1, len(teacher.blocks) - 1
    if name in BY_STAGE and mine != theirs:
        raise InputError(
            f"{refused}: it compares the stages after the stem one by one, and architecture {student.name} has {mine}, "
            f"the teacher's {teacher.name} {theirs}."
        )
    if name is Framework.CRD and len(classes) - len(resolve_classes(config.omit_classes, classes)) < 2:
        raise InputError(
            f"omit_classes = {config.omit_classes!r} is refused for framework = 'crd': it tells images from those of "
            "other classes, so at least two must stay."
        )


def build(config: StudentConfig, student: Network, teacher: nn.Module | None, dataset: Dataset) -> Auxiliary | None:
    """Return a framework's loss with what it trains, drawn from torch's random state; `None` for KD and DKD."""
    name, side = config.framework, dataset.shape[-1]
    if name in PROBABILITIES:
        return None
    assert isinstance(teacher, Network)
    plain = {Framework.AT: attention.loss, Framework.PKT: relations.pkt, Framework.SP: relations.sp,
             Framework.RKD: relations.rkd}  # fmt: skip
    by_stage = {Framework.FITNET: hint.Hint, Framework.VID: information.Information, Framework.REVIEWKD: review.Review,
                Framework.HSAKD: rotations.Rotations}  # fmt: skip
    if name in plain:
        return Relational(teacher, plain[name])
    if name in by_stage:
        made: Auxiliary = by_stage[name](teacher, shapes_of(student, side), shapes_of(teacher, side))
        return made
    if name is Framework.CC:
        return correlation.Correlation(student, teacher)
    return contrast.Contrast(student, teacher, plan_steps(config, dataset).rows, dataset.train.labels)
