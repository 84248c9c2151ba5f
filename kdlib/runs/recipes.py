"""The run types, each in a file of its own: a new one is listed here; and what was typed, resolved. (No torch.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.fields import FieldInfo

from kdlib import data
from kdlib.base import paths
from kdlib.base.config import Config, RunType, kind_of, validated
from kdlib.base.errors import InputError
from kdlib.base.registry import Registry
from kdlib.data.families import FAMILIES
from kdlib.runs.eigencam import EigencamRecipe
from kdlib.runs.measure import MeasureRecipe
from kdlib.runs.recipe import Recipe
from kdlib.runs.student import StudentRecipe
from kdlib.runs.synthetic import SyntheticRecipe
from kdlib.runs.teacher import TeacherRecipe
from kdlib.students.config import WEIGHTS

RECIPES: Registry[Recipe[Any]] = Registry(
    "run_type", (TeacherRecipe(), StudentRecipe(), MeasureRecipe(), EigencamRecipe(), SyntheticRecipe())
)
BEFORE = (*(family.name for family in FAMILIES.values() if family.at_path), WEIGHTS.removesuffix(":"))
"""What stands before the path of a dataset, or of a teacher."""


def recipe_of(config: Config) -> Recipe[Any]:
    """Return the run type of a config."""
    return RECIPES[config.run_type]


def fields(run_type: RunType | str) -> dict[str, FieldInfo]:
    """Return the parameters of a run type, by name."""
    schema: type[Config] = RECIPES.one(run_type).schema()
    return schema.model_fields


def recorded(run_type: str, values: dict[str, Any]) -> Config:
    """Return the config that the record of a run of this type holds.

    Raises:
        InputError: there is no such type, or a value that this version does not mean.
    """
    config: Config = RECIPES.one(run_type).recorded(values)
    return config


def names_path(value: object) -> bool:
    """Say whether a value is a path with its sort before it."""
    return str(value).partition(":")[0] in BEFORE


def with_whole_paths(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with their paths absolute: those of `data_root`, `folder:<path>` and `weights:<file>`.

    So they mean the same in a plan and in a job, which runs in another folder. Lists are gone through.
    """

    def placed(name: str, value: Any) -> Any:
        if isinstance(value, list):
            return [placed(name, one) for one in value]
        if not isinstance(value, str):
            return value
        before, _, path = value.partition(":")
        if path and names_path(value):
            return f"{before}:{paths.whole(path)}"
        return str(paths.whole(value)) if name == "data_root" else value

    return {name: placed(name, value) for name, value in given.items()}


def resolve(run_type: RunType | str, given: dict[str, Any]) -> Config:
    """Validate what was given, fill in the rest and set what has no effect back to its constant.

    What is not given (or is `None`) comes from the preset, else from the dataset's own settings, else from the
    parameter's default.

    Raises:
        InputError: a parameter is unknown or out of its range; one sentence says which and what is allowed.
    """
    recipe = RECIPES.one(run_type)
    schema = recipe.schema()
    given = with_whole_paths({name: value for name, value in given.items() if value is not None})
    for name, value in given.items():
        field = schema.model_fields.get(name)
        own = name == "omit_classes" and names_path(given.get("dataset"))  # a class may have a comma
        if field is not None and kind_of(field) == "set" and "," in str(value) and not own:
            joined = "+".join(part.strip() for part in str(value).split(","))
            raise InputError(f'{name} = {value!r} is refused: it is one set, joined by +, as in "{joined}".')
    first = validated(schema, given)
    filled = {**recipe.settings(first), **{name: getattr(first, name) for name in first.model_fields_set}}
    config: Config = recipe.normalised(validated(schema, filled))
    if not recipe.images:
        return config
    return config.model_copy(update={"image_size": data.family_of(config.dataset).side(config.image_size)})
