"""Every parameter of every run: its type, range, default and meaning.

A user gives some parameters; `resolve` fills the rest and returns a frozen config. What is not given (or is
`None`) comes from the preset, else from the dataset's defaults, else from the constant in the schema below.
Parameters that have no effect on the result are set back to their constants, so that two configs that mean the
same are equal. `effective` is what enters a run's name: the values that differ from the schema's constants.
"""

from __future__ import annotations

import difflib
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from kdlib.defaults import Preset, defaults
from kdlib.errors import InputError


class RunType(StrEnum):
    """What a run makes."""

    TEACHER = "teacher"
    """One teacher, of any kind."""
    STUDENT = "student"
    """One student of one teacher."""
    MEASURE = "measure"
    """Metrics and predictions of a teacher that exists, with another number of samples."""


class TeacherKind(StrEnum):
    """How a teacher estimates the Bayes class probabilities."""

    DETERMINISTIC = "deterministic"
    """Maximum likelihood: the softmax of a network trained by cross-entropy."""


class Augmentation(StrEnum):
    """How a training image is changed each time it is seen."""

    NONE = "none"
    """Not at all."""
    REFLECT_CROP_FLIP = "reflect_crop_flip"
    """Reflect 4 pixels at each border, crop at random, flip left to right half the time (Bayesian-KD)."""
    ZERO_CROP_FLIP = "zero_crop_flip"
    """The same with zeros at the border (MCMI)."""


class Match(StrEnum):
    """What stays equal when the training set is a subset."""

    STEPS = "steps"
    """As many steps as with all the data: passes repeat (MCMI's protocol)."""
    EPOCHS = "epochs"
    """As many passes as with all the data, so fewer steps (Bayesian-KD's protocol)."""


class Optimizer(StrEnum):
    """Which optimiser."""

    ADAM = "adam"
    """Adam with betas 0.9 and 0.999; weight decay, if any, is added to the gradient."""
    SGD = "sgd"
    """Stochastic gradient descent with momentum; weight decay is added to the gradient."""


class Schedule(StrEnum):
    """How the learning rate falls."""

    STEPS = "steps"
    """Times `lr_decay_rate` at each epoch of `lr_decay_epochs`."""
    COSINE = "cosine"
    """Half a cosine from the learning rate to zero, changed every step."""
    CONSTANT = "constant"
    """Not at all."""


class Precision(StrEnum):
    """In what numbers a network computes; weights are float32 always."""

    FLOAT32 = "float32"
    """Single precision throughout."""
    BFLOAT16 = "bfloat16"
    """Autocast: convolutions and products in bfloat16, the rest in single precision."""


class Framework(StrEnum):
    """What a student learns from its teacher besides the labels."""

    KD = "kd"
    """The teacher's class probabilities (Hinton et al., 2015)."""


def parameter(default: Any, meaning: str, hashed: bool = True, kind: str = "value", **limits: Any) -> Any:
    """Declare a parameter: `kind` is `value`, `set` (joined by `+`) or `path` (never split at commas)."""
    return Field(default, description=meaning, json_schema_extra={"hashed": hashed, "kind": kind}, **limits)


Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Config(BaseModel):
    """What all runs share. `None` means: from the preset, else from the dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)
    run_type: ClassVar[RunType]

    dataset: str = parameter("digits", "digits, digits:<size>, cifar10, cifar100, cifar10h or folder:<path>")
    data_root: str | None = parameter(None, "folder of raw datasets, only read", hashed=False, kind="path")
    image_size: int | None = parameter(None, "pixels a side, for folder:<path>", ge=8, le=1024)
    seed: Seed = parameter(0, "seed of initial weights and batch order")
    eval_samples: int | None = parameter(
        None, "samples for the metrics; None: the kind's own", hashed=False, ge=1, le=1000
    )
    device: str | None = parameter(None, "cpu, cuda or cuda:<n>; None: cuda where there is one", hashed=False)
    precision: Precision | None = parameter(
        None, "float32 or bfloat16; None: what the hardware is fast at", hashed=False
    )
    threads: int | None = parameter(None, "CPU threads; None: as many as torch takes", hashed=False, ge=1, le=1024)
    retrain: bool = parameter(False, "set a finished run aside and make it again", hashed=False)


class TrainingConfig(Config):
    """What teachers and students share: how a network is trained."""

    architecture: str | None = parameter(None, "a name from kdlib.models.NAMES")
    augmentation: Augmentation | None = parameter(None, "none, reflect_crop_flip or zero_crop_flip")
    augmentation_seed: Seed | None = parameter(None, "seed of the views; None: the run's seed")
    preset: Preset | None = parameter(None, "a paper's settings: bayesian_kd or mcmi", hashed=False)
    epochs: int | None = parameter(None, "passes over the training set", ge=1, le=100_000)
    match: Match = parameter(Match.STEPS, "what a subset keeps: steps or epochs")
    batch_size: int | None = parameter(None, "images a step", ge=2, le=65_536)
    optimizer: Optimizer | None = parameter(None, "adam or sgd")
    learning_rate: float | None = parameter(None, "initial learning rate", gt=0, le=100)
    momentum: float | None = parameter(None, "momentum of sgd", ge=0, lt=1)
    weight_decay: float | None = parameter(None, "L2 penalty's factor in the gradient", ge=0, le=1)
    schedule: Schedule | None = parameter(None, "steps, cosine or constant")
    lr_decay_epochs: str | None = parameter(None, "epochs at which the rate falls, as in 150+180+210", kind="set")
    lr_decay_rate: float | None = parameter(None, "factor of the learning rate there", gt=0, le=1)
    fraction: float = parameter(1.0, "share of each class's training images", gt=0, le=1)
    omit_classes: str = parameter("", "classes whose training images are dropped, as in 3+5", kind="set")
    compile: bool = parameter(False, "torch.compile the networks: worth it for long runs", hashed=False)


class TeacherConfig(TrainingConfig):
    """One teacher."""

    run_type = RunType.TEACHER
    kind: TeacherKind = parameter(TeacherKind.DETERMINISTIC, "kind of teacher")
    parent: str | None = parameter(None, "the finished run that this teacher starts from")
    members: str | None = parameter(None, "the finished runs that it averages, joined by +", kind="set")


class StudentConfig(TrainingConfig):
    """One student."""

    run_type = RunType.STUDENT
    teacher: str = parameter(
        "deterministic",
        "one_hot, exact_bcp, a kind, <study>/<label>, a run's name or weights:<file>",
    )
    teacher_seed: Seed | None = parameter(None, "seed of the teacher; None: the student's")
    teacher_architecture: str | None = parameter(None, "architecture of weights:<file>")
    kd_weight: float | None = parameter(None, "weight of the teacher's term, 1 - that of the labels", ge=0, le=1)
    temperature: float | None = parameter(None, "T: the teacher's temperature", gt=0, le=1000)
    student_temperature: float | None = parameter(None, "S: the student's temperature", gt=0, le=1000)
    samples: int = parameter(1, "samples of a stochastic teacher a step", ge=1, le=1000)
    framework: Framework = parameter(Framework.KD, "kd")


class MeasureConfig(Config):
    """A teacher that exists, measured again."""

    run_type = RunType.MEASURE
    parent: str | None = parameter(None, "the teacher: a run's name, its prefix or weights:<file>")
    architecture: str | None = parameter(None, "architecture of weights:<file>")
    batch_size: int | None = parameter(None, "images a forward pass", hashed=False, ge=1, le=65_536)
    eval_samples: int | None = parameter(None, "samples for the metrics; None: the kind's own", ge=1, le=1000)


SCHEMAS: dict[RunType, type[Config]] = {c.run_type: c for c in (TeacherConfig, StudentConfig, MeasureConfig)}
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


def resolve(run_type: RunType | str, given: dict[str, Any]) -> Config:
    """Validate what was given, fill in the rest and set what has no effect back to its constant.

    Raises:
        InputError: a parameter is unknown or out of its range; one sentence says which and what is allowed.
    """
    run_type = RunType(run_type)
    schema = SCHEMAS[run_type]
    given = {name: value for name, value in given.items() if value is not None}
    for name, value in given.items():
        field = schema.model_fields.get(name)
        if field is not None and kind_of(field) == "set" and "," in str(value):
            joined = "+".join(part.strip() for part in str(value).split(","))
            raise InputError(f'{name} = {value!r} is refused: it is one set, joined by +, as in "{joined}".')
    try:
        first = schema.model_validate(given)
        filled = {**defaults(first), **{n: getattr(first, n) for n in first.model_fields_set}}
        return _normalised(schema.model_validate(filled))
    except ValidationError as error:
        raise InputError(_sentence(error, run_type)) from None


def _numbers(name: str, text: str) -> str:
    """Write a set of epochs in one way: sorted, each once."""
    try:
        values = sorted({int(part) for part in text.split("+") if part.strip()})
    except ValueError:
        raise InputError(
            f"{name} = {text!r} is refused: allowed are whole numbers joined by +, as in 150+180."
        ) from None
    return "+".join(map(str, values))


def _normalised(config: Config) -> Config:
    """Set parameters without effect back to the schema's constants."""
    idle: set[str] = set()
    changed: dict[str, Any] = {}
    if not config.dataset.startswith("folder:"):
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
    if isinstance(config, StudentConfig):
        if config.teacher == "one_hot":
            idle |= {"kd_weight"}
        if config.teacher == "one_hot" or config.kd_weight == 0:
            idle |= {"temperature", "student_temperature", "samples", "framework"}
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
    values = config.model_dump(mode="json")
    out = {}
    for name, field in type(config).model_fields.items():
        if field.json_schema_extra["hashed"] and name not in references and getattr(config, name) != field.default:  # type: ignore[index,call-overload]
            out[name] = values[name]
    return out
