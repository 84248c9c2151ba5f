"""What the run notebooks call: their parameters, checked before any work. (No torch before they are.)"""

from __future__ import annotations

import ast
import builtins
import itertools
import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from kdlib.base.config import Config, unknown
from kdlib.base.errors import InputError
from kdlib.runs.plans import Plan, plan_all
from kdlib.runs.recipe import Recipe
from kdlib.runs.recipes import RECIPES
from kdlib.runs.sweeps import expand
from kdlib.store.runs import Run
from kdlib.teachers.kind import as_teacher
from kdlib.teachers.kinds import KINDS, kind_of

if TYPE_CHECKING:
    from IPython.display import Markdown

INJECTED = "# Parameters"
"""How the cell begins that papermill puts after the parameters cell."""


def of_notebook(name: str) -> list[Recipe[Any]]:
    """Return the run types that a run notebook makes, its own first."""
    return sorted((one for one in RECIPES.values() if one.notebook == name), key=lambda one: one.name != name)


def parameters(notebook: str) -> list[str]:
    """Return the names in the parameters cell of a run notebook: those of every run type that it makes."""
    return list(dict.fromkeys(name for recipe in of_notebook(notebook) for name in recipe.schema().model_fields))


def given_names() -> tuple[list[str], list[str]]:
    """Return the names that the parameters cell sets, and those that papermill was given: it does not check them.

    Only the latest execution of either cell counts, so that a mended name is forgiven.
    """
    shell = getattr(builtins, "get_ipython", lambda: None)()
    cells: dict[str, list[str]] = {}
    for source in shell.user_ns.get("In", []) if shell is not None else []:
        try:
            statements = ast.parse(source).body
        except SyntaxError:  # it did not run either
            continue
        typed = [s.target for s in statements if isinstance(s, ast.AnnAssign)]
        plain = [target for s in statements if isinstance(s, ast.Assign) for target in s.targets]
        names = [target.id for target in (*typed, *plain) if isinstance(target, ast.Name)]
        if source.lstrip().startswith(INJECTED):
            cells["injected"] = names
        elif typed and {"dataset", "studies", "supervisions"} & set(names):
            cells["parameters"] = names
    return cells.get("parameters", []), cells.get("injected", [])


def configs(notebook: str, namespace: Mapping[str, Any]) -> list[Config]:
    """Return the configs that a run notebook's variables mean: one, or one for each element of a sweep.

    Args:
        notebook: its name, such as `teacher`.
        namespace: the notebook's `globals()`.

    Raises:
        InputError: a value is refused, or a name that was given is no parameter.
    """
    recipe, *others = of_notebook(notebook)
    known = parameters(notebook)
    for name in itertools.chain(*given_names()):
        if name not in known:
            raise InputError(unknown(name, recipe.schema()))
    if "teacher" in known and namespace.get("teacher") is None:  # the last cell leaves it so after labels alone
        raise InputError("teacher = None is refused: the parameters cell, executed again, says what is allowed.")
    given = {name: _plain(namespace[name]) for name in known if namespace.get(name) is not None}
    other = next((one for one in others if given.get("kind") == one.name), None)
    if other is not None:
        usual = {name: field.default for name, field in recipe.schema().model_fields.items()}
        theirs = other.schema().model_fields
        idle = [name for name in given if name not in theirs and name != "kind" and given[name] != usual[name]]
        if idle:
            raise InputError(f"{idle[0]} = {given[idle[0]]!r} is refused: a measurement has no such parameter.")
        recipe, given = other, {name: value for name, value in given.items() if name in theirs}
    return expand(recipe.name, given)


def validate(notebook: str, namespace: Mapping[str, Any]) -> list[Plan]:
    """Return the plans of `configs`, unless one of them cannot be run here.

    Raises:
        InputError: what `configs` refuses, or what does not fit the dataset, the store or this machine.
    """
    plans = plan_all(configs(notebook, namespace))
    from kdlib.runs.execute import check  # after them: it imports torch

    return check(plans)


def samples_note(plans: Sequence[Plan], samples: Any) -> Markdown | None:
    """Say for which teachers of a sweep a number of samples above one was taken as one; nothing where it counts.

    Args:
        plans: of students, as `validate` returns them.
        samples: what was given for the parameter, a number or several.
    """
    given = samples if isinstance(samples, list | tuple) else str(1 if samples is None else samples).split(",")
    several = [int(value) for value in map(float, given) if value > 1]
    if not several:
        return None
    alone = [
        planned
        for planned in plans
        if not any(kind_of(as_teacher(one.config)).stochastic for one in planned.parents.values())
    ]
    names = list(dict.fromkeys(str(getattr(planned.config, "teacher", "")) for planned in alone))
    if not names:
        return None
    from IPython.display import Markdown

    numbers, teachers = ", ".join(map(str, several)), ", ".join(f"`{name}`" for name in names)
    stochastic = ", ".join(kind.name for kind in KINDS.values() if kind.stochastic)
    said: Markdown = Markdown(  # type: ignore[no-untyped-call]
        f"`samples` = {numbers} is taken as 1 for {teachers}: only a teacher that is stochastic ({stochastic}) gives "
        "samples that differ."
    )
    return said


def _plain(value: Any) -> Any:
    """Take a teacher or a run that an earlier execution left under a parameter's name as its run's name."""
    if not hasattr(value, "outputs") and not isinstance(value, Run):
        return value
    return f"weights:{value.name}" if value.name.endswith(".safetensors") else value.name


def cell(notebook: str) -> str:
    """Return the parameters cell of a run notebook, one typed and commented line a parameter."""
    own, *others = of_notebook(notebook)
    schemas = [one.schema().model_fields for one in (*others, own)]
    fields = {name: field for schema in schemas for name, field in schema.items()}
    names = dict.fromkeys((*own.first, *own.schema().model_fields, *parameters(notebook)))
    lines = []
    for name in names:
        field = fields[name]
        choices = "".join(f"; {one.name}: {one.meaning_as_kind}" for one in others) if name == "kind" else ""
        written = f"{name}: {_written(field.annotation)} = {_literal(field.default)}"
        lines.append(f"{written}  # {field.description}{choices}")
    return "\n".join(["from typing import Optional", "", *lines])


def _literal(value: Any) -> str:
    plain = str(value) if isinstance(value, str) else value
    return json.dumps(plain) if isinstance(plain, str) else repr(plain)


def _written(annotation: Any) -> str:
    """Write a type as papermill's help can read it."""
    if get_origin(annotation) is Annotated:
        return _written(get_args(annotation)[0])
    if get_origin(annotation) in (UnionType, Union):
        (some,) = [part for part in get_args(annotation) if part is not type(None)]
        return f"Optional[{_written(some)}]"
    return "str" if issubclass(annotation, StrEnum) else str(annotation.__name__)
