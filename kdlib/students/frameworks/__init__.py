"""Frameworks of distillation, each in a file or folder of its own: a new one is listed here. (No torch.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdlib.base.errors import InputError
from kdlib.base.registry import Registry
from kdlib.students.frameworks.at import AT
from kdlib.students.frameworks.cc import CC
from kdlib.students.frameworks.crd import CRD
from kdlib.students.frameworks.dkd import DKD
from kdlib.students.frameworks.fitnet import FitNet
from kdlib.students.frameworks.framework import Framework
from kdlib.students.frameworks.hsakd import HSAKD
from kdlib.students.frameworks.kd import KD
from kdlib.students.frameworks.pkt import PKT
from kdlib.students.frameworks.reviewkd import ReviewKD
from kdlib.students.frameworks.rkd import RKD
from kdlib.students.frameworks.sp import SP
from kdlib.students.frameworks.vid import VID
from kdlib.teachers.kinds import KINDS

if TYPE_CHECKING:
    from kdlib.models.network import Network
    from kdlib.students.config import StudentConfig
    from kdlib.teachers.kind import Kind

FRAMEWORKS: Registry[Framework] = Registry(
    "framework",
    (KD(), FitNet(), AT(), PKT(), SP(), CC(), RKD(), VID(), CRD(), DKD(), ReviewKD(), HSAKD()),
)


def check(
    config: StudentConfig, classes: int, omitted: int, student: Network, teacher: tuple[Kind, Network] | None
) -> None:
    """Refuse a framework that the two networks, which may be shapes alone, or the supervision cannot have.

    Args:
        classes: of the dataset; `omitted` of them the student does not see.
        teacher: its kind and network; none where supervision needs no network.

    Raises:
        InputError: they cannot; the sentence says why.
    """
    framework = FRAMEWORKS[config.framework]
    if not framework.follows:
        return
    refused = f"framework = {framework.name!r} is refused"
    allowed = " and ".join(one.name for one in FRAMEWORKS.values() if not one.follows)
    if teacher is None:
        raise InputError(f"{refused} for teacher = {config.teacher!r}: it follows a network, so allowed are {allowed}.")
    kind, followed = teacher
    if not kind.followed:
        others = ", ".join(one.name for one in KINDS.values() if one.followed)
        raise InputError(
            f"{refused} for a teacher of kind {kind.name}, which has no one network to follow: allowed are {allowed}, "
            f"or a teacher of kind {others}."
        )
    mine, theirs = len(student.blocks) - 1, len(followed.blocks) - 1
    if framework.by_stage and mine != theirs:
        raise InputError(
            f"{refused}: it compares the stages after the stem one by one, and architecture {student.name} has {mine}, "
            f"the teacher's {followed.name} {theirs}."
        )
    framework.check(config, classes, omitted)
