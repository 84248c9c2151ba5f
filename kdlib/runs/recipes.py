"""The run types, each in a file of its own: a new one is listed here. (No torch.)"""

from __future__ import annotations

from typing import Any

from pydantic.fields import FieldInfo

from kdlib.base.config import Config, RunType, kind_of, validated
from kdlib.base.errors import InputError
from kdlib.base.registry import Registry
from kdlib.runs.eigencam import EigencamRecipe
from kdlib.runs.measure import MeasureRecipe
from kdlib.runs.recipe import Recipe
from kdlib.runs.student import StudentRecipe
from kdlib.runs.synthetic import SyntheticRecipe
from kdlib.runs.teacher import TeacherRecipe
from kdlib.runs.typed import names_path, with_whole_paths

RECIPES: Registry[Recipe] = Registry(
    "run_type", (TeacherRecipe(), StudentRecipe(), MeasureRecipe(), EigencamRecipe(), SyntheticRecipe())
)


def recipe_of(config: Config) -> Recipe:
    """Return the run type of a config."""
    return RECIPES[config.run_type]


def fields(run_type: RunType | str) -> dict[str, FieldInfo]:
    """Return the parameters of a run type, by name."""
    return RECIPES.one(run_type).schema().model_fields


def of_notebook(name: str) -> list[Recipe]:
    """Return the run types that a run notebook makes, its own first."""
    return sorted((one for one in RECIPES.values() if one.notebook == name), key=lambda one: one.name != name)


def recorded(run_type: str, values: dict[str, Any]) -> Config:
    """Return the config that the record of a run of this type holds.

    Raises:
        InputError: there is no such type, or a value that this version does not mean.
    """
    return RECIPES.one(run_type).recorded(values)


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
    return recipe.normalised(validated(schema, filled))
