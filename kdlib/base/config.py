"""From what a user gives to a frozen config, validated in one place.

What is not given (or is `None`) comes from the preset, else from the dataset's defaults, else from the constant in
`kdlib.base.schema`. Parameters that have no effect on the result are set back to their constants, so that two configs
that mean the same are equal. `effective` is what enters a run's name: the values that differ from the constants.
"""

from __future__ import annotations

import difflib
from typing import Any, Literal

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from kdlib.base import kinds, paths, sets
from kdlib.base.defaults import defaults
from kdlib.base.errors import InputError
from kdlib.base.options import (
    Augmentation,
    Framework,
    Link,
    Match,
    NormStatistics,
    Optimizer,
    Precision,
    Preset,
    RunType,
    Schedule,
    TeacherKind,
)
from kdlib.base.schema import (
    Config,
    EigencamConfig,
    MeasureConfig,
    StudentConfig,
    SyntheticConfig,
    TeacherConfig,
    TrainingConfig,
)

__all__ = [
    "Augmentation", "Config", "EigencamConfig", "Framework", "Match", "MeasureConfig", "NormStatistics", "Optimizer",
    "Precision", "Preset", "RunType", "Schedule", "StudentConfig", "SyntheticConfig", "TeacherConfig", "TeacherKind",
    "TrainingConfig", "effective", "fields", "recorded", "resolve", "unknown",
]  # fmt: skip

SCHEMAS: dict[RunType, type[Config]] = {
    c.run_type: c for c in (TeacherConfig, StudentConfig, MeasureConfig, EigencamConfig, SyntheticConfig)
}
PATHS = ("folder", "weights")
"""What stands before the path of a dataset, or of a teacher."""
FULL_SIZE = 32
"""The pixels a side of CIFAR's images as published: the same as none."""
MEASURE: Literal["measure"] = "measure"


def fields(run_type: RunType | str) -> dict[str, FieldInfo]:
    """Return the parameters of a run type, by name."""
    return SCHEMAS[RunType(run_type)].model_fields


def kind_of(field: FieldInfo) -> str:
    """Return `value`, `set` or `path`."""
    return str(field.json_schema_extra["kind"])  # type: ignore[index]


def _sentence(error: ValidationError, run_type: RunType) -> str:
    """Say the first of pydantic's complaints in one sentence."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "config"
    if first["type"] == "extra_forbidden":
        return unknown(name, run_type)
    message = first["msg"][0].lower() + first["msg"][1:]
    return f"{name} = {first['input']!r} is refused: {message}."


def unknown(name: str, run_type: RunType | str) -> str:
    """Say that a parameter is not known, and which one may have been meant."""
    names = sorted(fields(run_type))
    near = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(names)}."
    return f"{name} is no parameter of {RunType(run_type).value}: {hint}"


def with_whole_paths(given: dict[str, Any]) -> dict[str, Any]:
    """Return parameters with their paths absolute: those of `data_root`, `folder:<path>` and `weights:<file>`.

    So they mean the same in a plan and in a job, which runs in another folder. Lists are gone through.
    """

    def placed(name: str, value: Any) -> Any:
        if isinstance(value, list):
            return [placed(name, one) for one in value]
        if not isinstance(value, str):
            return value
        before, _, path = value.partition(":")
        if path and before in PATHS:
            return f"{before}:{paths.whole(path)}"
        return str(paths.whole(value)) if name == "data_root" else value

    return {name: placed(name, value) for name, value in given.items()}


def resolve(run_type: RunType | str, given: dict[str, Any]) -> Config:
    """Validate what was given, fill in the rest and set what has no effect back to its constant.

    Raises:
        InputError: a parameter is unknown or out of its range; one sentence says which and what is allowed.
    """
    run_type = RunType(run_type)
    schema = SCHEMAS[run_type]
    given = with_whole_paths({name: value for name, value in given.items() if value is not None})
    for name, value in given.items():
        field = schema.model_fields.get(name)
        own = name == "omit_classes" and str(given.get("dataset", "")).startswith("folder:")  # a class may have a comma
        if field is not None and kind_of(field) == "set" and "," in str(value) and not own:
            joined = "+".join(part.strip() for part in str(value).split(","))
            raise InputError(f'{name} = {value!r} is refused: it is one set, joined by +, as in "{joined}".')
    try:
        first = schema.model_validate(given)
        filled = {**defaults(first), **{n: getattr(first, n) for n in first.model_fields_set}}
        return _normalised(schema.model_validate(filled))
    except ValidationError as error:
        raise InputError(_sentence(error, run_type)) from None


DROPPED: dict[str, Any] = {"inducing_posterior": "diagonal", "posterior_members": 5}
"""Parameters of earlier versions, with the one value that this version still means."""


def recorded(run_type: RunType | str, values: dict[str, Any]) -> dict[str, Any]:
    """Return what a run's record was given: where it is older than a parameter, that parameter's constant.

    Raises:
        InputError: it has a value of a dropped parameter that this version no longer means.
    """
    for name, constant in DROPPED.items():
        if values.get(name, constant) != constant:
            raise InputError(f"{name} = {values[name]!r} is refused: of an earlier version this has {constant!r} only.")
    kept = {name: value for name, value in values.items() if name not in DROPPED}
    return {**{name: field.json_schema_extra["constant"] for name, field in fields(run_type).items()}, **kept}  # type: ignore[index]


def _numbers(name: str, text: str) -> str:
    """Write a set of epochs in one way: sorted, each once."""
    try:
        values = sorted({int(part) for part in text.split("+") if part.strip()})
        if values and values[0] < 0:
            raise ValueError
    except ValueError:
        raise InputError(
            f"{name} = {text!r} is refused: allowed are whole numbers joined by +, as in 150+180."
        ) from None
    return "+".join(map(str, values))


def _normalised(config: Config) -> Config:
    """Set parameters without effect back to the schema's constants."""
    if isinstance(config, SyntheticConfig):
        return config.model_copy(update=sets.normalised(config))
    idle: set[str] = set()
    changed: dict[str, Any] = {}
    if config.dataset.startswith("digits") or (config.dataset.startswith("cifar") and config.image_size == FULL_SIZE):
        idle.add("image_size")
    if isinstance(config, TrainingConfig):
        changed["lr_decay_epochs"] = _numbers("lr_decay_epochs", config.lr_decay_epochs or "")
        changed["omit_classes"] = "+".join(sorted({p.strip() for p in config.omit_classes.split("+") if p.strip()}))
        if config.optimizer is Optimizer.ADAM:
            idle.add("momentum")
        if config.schedule is not Schedule.STEPS:
            idle |= {"lr_decay_epochs", "lr_decay_rate"}
        elif not changed["lr_decay_epochs"]:
            idle.add("lr_decay_rate")
        if config.fraction == 1 and not changed["omit_classes"]:
            idle.add("match")
        if config.augmentation is Augmentation.NONE or config.augmentation_seed == config.seed:
            idle.add("augmentation_seed")
    if isinstance(config, TeacherConfig):
        idle |= kinds.idle(config.kind, config.family, config.link is Link.MC)
        given = [n for n in ("parent", "members") if n in idle and getattr(config, n) is not None]
        if given:
            raise InputError(f"{given[0]} = {getattr(config, given[0])!r} is refused: kind {config.kind} has none.")
        if config.members is not None:
            idle.add("ensemble_size")
    if isinstance(config, StudentConfig):
        if config.teacher == "one_hot":
            idle |= {"kd_weight"}
        if config.teacher == "one_hot" or config.kd_weight == 0:
            idle |= {"temperature", "student_temperature", "samples"}
            if config.teacher == "one_hot" or config.framework in (Framework.KD, Framework.DKD):
                idle |= {"framework", "framework_weight"}
        if config.framework is Framework.KD:
            idle.add("framework_weight")
        if config.teacher == "exact_bcp":
            idle.add("samples")
        if config.teacher in ("one_hot", "exact_bcp") or config.teacher_seed == config.seed:
            idle.add("teacher_seed")
        if not config.teacher.startswith("weights:"):
            idle.add("teacher_architecture")
    if isinstance(config, MeasureConfig) and not (config.parent or "").startswith("weights:"):
        idle.add("architecture")
    constants = {name: type(config).model_fields[name].default for name in idle}
    return config.model_copy(update={**changed, **constants})


def effective(config: Config) -> dict[str, Any]:
    """Return what enters a run's name: the hashed values that differ from the schema's constants.

    References to other runs and the dataset's name are left out: a run's identity holds the parents' names and
    the dataset's fingerprint in their place.
    """
    references = {
        "teacher",
        "teacher_seed",
        "teacher_architecture",
        "parent",
        "members",
        "dataset",
        "image_size",
    }
    if isinstance(config, TeacherConfig) and config.kind in kinds.DERIVED:  # its parents' names say how they trained
        references |= set(TrainingConfig.model_fields) - set(Config.model_fields)
    if isinstance(config, TeacherConfig) and config.kind is TeacherKind.ENSEMBLE:
        references.add("ensemble_size")
    values = config.model_dump(mode="json")
    out = {}
    for name, field in type(config).model_fields.items():
        extra: dict[str, Any] = field.json_schema_extra  # type: ignore[assignment]
        silent = (field.default, extra["constant"])
        if extra["hashed"] and name not in references and getattr(config, name) not in silent:
            out[name] = values[name]
    return out
