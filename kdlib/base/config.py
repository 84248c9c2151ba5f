"""What a parameter and a config are: typed, frozen, and checked in one place. (No torch.)

A config is what a run is a function of. Each parameter is declared where what it steers is; here are those that all
runs have, and what can be asked of any: its constant, what enters a run's name, and a sentence for what is refused.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from kdlib.base.errors import InputError


class RunType(StrEnum):
    """What a run makes."""

    TEACHER = "teacher"
    """One teacher, of any kind."""
    STUDENT = "student"
    """One student of one teacher."""
    MEASURE = "measure"
    """Metrics and predictions of a teacher that exists, with another number of samples."""
    EIGENCAM = "eigencam"
    """Eigen-CAM maps of a teacher that exists."""
    SYNTHETIC = "synthetic"
    """Networks of many seeds and supervisions, trained together on a Gaussian mixture."""


class Precision(StrEnum):
    """In what numbers a network computes; weights are float32 always."""

    FLOAT32 = "float32"
    """Single precision throughout."""
    BFLOAT16 = "bfloat16"
    """Autocast: convolutions and products in bfloat16, the rest in single precision."""


def parameter(
    default: Any,
    meaning: str,
    hashed: bool = True,
    kind: str = "value",
    constant: Any = None,
    reference: bool = False,
    **limits: Any,
) -> Any:
    """Declare a parameter: `kind` is `value`, `set` (joined by `+`) or `path` (never split at commas).

    The constant, which names leave out, is the default, unless one is given: the value that was meant before there was
    such a parameter, where the defaults of a preset or a dataset are others. A `reference` names other runs or the
    images, whose own identities enter a run's in its place.
    """
    extra = {"hashed": hashed, "kind": kind, "constant": default if constant is None else constant}
    extra["reference"] = reference
    return Field(default, description=meaning, json_schema_extra=extra, **limits)


MOST_SHOWN = 120
"""Letters of a refused value that a sentence shows."""

Seed = Annotated[int, Field(ge=0, lt=2**31)]


def whole(text: str) -> int:
    """Read a whole number from 0 to below 2³¹, for `a_set`; a ValueError for another text."""
    if not text.isdecimal() or int(text) >= 2**31:
        raise ValueError
    return int(text)


def a_set(
    read: Callable[[str], float], allowed: str, least: int = 1, write: Callable[[Any], str] = "{:.12g}".format
) -> AfterValidator:
    """Say that a text is a set of `least` elements or more, of which `read` makes numbers to order them by.

    `read` raises a ValueError for what is none of those `allowed`, `write` undoes it.
    """

    def check(text: str) -> str:
        try:
            values = sorted({read(part.strip()) for part in text.split("+") if part.strip()})
        except ValueError:
            values = None
        if values is None or len(values) < least:
            raise PydanticCustomError("set", "allowed are {allowed}, joined by +", {"allowed": allowed})
        return "+".join(map(write, values))

    return AfterValidator(check)


class Config(BaseModel):
    """What all runs share. `None` means: from the preset, else from the dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)
    run_type: ClassVar[RunType]

    dataset: str = parameter(
        "digits", "digits, digits:<size>, cifar10, cifar100, cifar10h or folder:<path>", reference=True
    )
    data_root: str | None = parameter(None, "folder of raw datasets, only read", hashed=False, kind="path")
    image_size: int | None = parameter(
        None, "pixels a side, for folder:<path>; of CIFAR 32, 16 or 8", reference=True, ge=8, le=1024
    )
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

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse `true` where a number or a text is meant: it would count as 1."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise PydanticCustomError("truth", "true and false are no values of it")
        return value


C = TypeVar("C", bound=Config)


def kind_of(field: FieldInfo) -> str:
    """Return `value`, `set` or `path`."""
    return str(field.json_schema_extra["kind"])  # type: ignore[index]


def constant_of(field: FieldInfo) -> Any:
    """Return the value that names leave out."""
    return field.json_schema_extra["constant"]  # type: ignore[index]


def validated(schema: type[C], given: Mapping[str, Any]) -> C:
    """Return a config of values, those not given at their defaults.

    Raises:
        InputError: a parameter is unknown or out of its range; one sentence says which and what is allowed.
    """
    try:
        return schema.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "config"
        if first["type"] == "extra_forbidden":
            raise InputError(unknown(name, schema)) from None
        message, value = first["msg"][0].lower() + first["msg"][1:], repr(first["input"])
        value = value if len(value) <= MOST_SHOWN else f"{value[:MOST_SHOWN]}…"
        raise InputError(f"{name} = {value} is refused: {message}.") from None


def unknown(name: str, schema: type[Config], more: Iterable[str] = ()) -> str:
    """Say that a parameter is not known, and which one may have been meant."""
    names = sorted({*schema.model_fields, *more})
    near = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(names)}."
    return f"{name} is no parameter of {schema.run_type.value}: {hint}"


def of_record(schema: type[C], values: Mapping[str, Any], dropped: Mapping[str, Any]) -> C:
    """Return the config that a run's record holds: where it is older than a parameter, that parameter's constant.

    Args:
        values: the record's, resolved and complete when they were written.
        dropped: parameters of earlier versions, with the one value that this version still means.

    Raises:
        InputError: it has a value that this version no longer means.
    """
    for name, constant in dropped.items():
        if values.get(name, constant) != constant:
            raise InputError(f"{name} = {values[name]!r} is refused: of an earlier version this has {constant!r} only.")
    kept = {name: value for name, value in values.items() if name not in dropped}
    return validated(schema, {**{name: constant_of(field) for name, field in schema.model_fields.items()}, **kept})


def at_constants(config: C, idle: Iterable[str]) -> C:
    """Return a config with parameters that have no effect set back."""
    schema = type(config)
    return config.model_copy(update={name: schema.model_fields[name].default for name in idle})


def effective(config: Config, silent: Iterable[str] = ()) -> dict[str, Any]:
    """Return what enters a run's name: the hashed values that differ from their constants, references left out.

    Args:
        silent: parameters that say nothing of this run, for others of its identity do.
    """
    values, left_out, out = config.model_dump(mode="json"), set(silent), {}
    for name, field in type(config).model_fields.items():
        extra: Any = field.json_schema_extra
        same = getattr(config, name) in (field.default, extra["constant"])
        if extra["hashed"] and not extra["reference"] and not same and name not in left_out:
            out[name] = values[name]
    return out
