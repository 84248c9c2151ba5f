"""The kinds of teacher, each in a file or folder of its own: a new one is listed here. (No torch.)"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from pydantic import create_model

from kdlib.base.config import at_constants, of_record
from kdlib.base.errors import InputError
from kdlib.base.registry import Registry
from kdlib.teachers.augmentation_averaged import AugmentationAveraged
from kdlib.teachers.deterministic import Deterministic
from kdlib.teachers.early_stopped import EarlyStopped
from kdlib.teachers.ensemble import Ensemble
from kdlib.teachers.fine_tuned import FineTuned
from kdlib.teachers.kind import Kind, TeacherConfig
from kdlib.teachers.label_smoothing import LabelSmoothing
from kdlib.teachers.laplace import Laplace
from kdlib.teachers.mcmi import MCMI
from kdlib.teachers.mse import MSE
from kdlib.teachers.temperature_scaled import TemperatureScaled
from kdlib.teachers.variational import Variational

KINDS: Registry[Kind] = Registry(
    "kind",
    (
        Deterministic(),
        LabelSmoothing(),
        MSE(),
        Variational(),
        Laplace(),
        MCMI(),
        FineTuned(),
        TemperatureScaled(),
        Ensemble(),
        EarlyStopped(),
        AugmentationAveraged(),
    ),
)


@functools.cache
def schema() -> type[TeacherConfig]:
    """Return the config of a teacher with the parameters of every kind.

    Raises:
        InputError: two kinds have a parameter of one name, which would have two meanings.
    """
    owners: dict[str, str] = {}
    for kind in KINDS.values():
        for name in kind.own():
            if owners.setdefault(name, kind.name) != kind.name:
                raise InputError(f"parameter {name!r} of kind {kind.name} is refused: kind {owners[name]} has it.")
    bases = dict.fromkeys(kind.config_type for kind in KINDS.values() if kind.own())
    made: type[TeacherConfig] = create_model("TeacherConfig", __base__=(*reversed(bases), TeacherConfig))
    return made


def kind_of(config: TeacherConfig) -> Kind:
    """Return the kind of a teacher's config."""
    return KINDS.one(config.kind)


def allowed_parents(kind: Kind) -> list[str]:
    """Return the kinds that a kind may start from."""
    return [one.name for one in KINDS.values() if kind.accepts(one)]


def unused(config: TeacherConfig) -> set[str]:
    """Return the parameters of kinds that mean nothing in a config: other kinds', and what its own does not use.

    Raises:
        InputError: it is given a parent or members that its kind does not have.
    """
    kind = kind_of(config)
    others = {name for one in KINDS.values() if one is not kind for name in one.own()}
    starts = {"parent", "members"} - ({kind.starts_with} if kind.starts_with else set())
    for name in sorted(starts, reverse=True):
        if getattr(config, name) is not None:
            raise InputError(f"{name} = {getattr(config, name)!r} is refused: kind {kind.name} has none.")
    return others | starts | kind.unused(config)


def recorded(values: Mapping[str, Any]) -> TeacherConfig:
    """Return the config that a teacher's record holds.

    Raises:
        InputError: it has a parameter or a value that this version does not mean.
    """
    KINDS.one(values.get("kind", schema().model_fields["kind"].default))
    dropped = {name: value for kind in KINDS.values() for name, value in kind.dropped.items()}
    config = of_record(schema(), values, dropped)
    return at_constants(config, unused(config))
