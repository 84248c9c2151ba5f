"""What the notebooks call: their parameters checked before any work, and a table to look at."""

from __future__ import annotations

import ast
import builtins
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kdlib.base import kinds
from kdlib.base.config import MEASURE, Config, RunType, fields, unknown
from kdlib.base.errors import InputError
from kdlib.runs.sweeps import expand, values_of
from kdlib.store.runs import Run

if TYPE_CHECKING:
    import pandas as pd
    from IPython.display import HTML, Markdown

INJECTED = "# Parameters"
"""How the cell begins that papermill puts after the parameters cell."""

COLUMNS = ("val_accuracy", "test_accuracy", "test_nll", "test_ece", "test_kl_to_bcp", "test_agreement",
           "cam_entropy", "cam_area", "cam_variation", "cam_overlap", "cam_spread", "seconds")  # fmt: skip


def parameters(run_type: RunType | str) -> list[str]:
    """Return the names in the parameters cell of a run notebook."""
    names = list(fields(run_type))
    if run_type == RunType.TEACHER:
        names += [name for name in fields(RunType.MEASURE) if name not in names]
    return names


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


def configs(run_type: RunType | str, namespace: Mapping[str, Any]) -> list[Config]:
    """Return the configs that a run notebook's variables mean: one, or one for each element of a sweep.

    Args:
        run_type: that of the notebook, such as `teacher`.
        namespace: the notebook's `globals()`.

    Raises:
        InputError: a value is refused, or a name that was given is no parameter.
    """
    run_type = RunType(run_type)
    known = parameters(run_type)
    for name in itertools.chain(*given_names()):
        if name not in known:
            raise InputError(unknown(name, run_type))
    if "teacher" in known and namespace.get("teacher") is None:  # the last cell leaves it so after labels alone
        raise InputError("teacher = None is refused: the parameters cell, executed again, says what is allowed.")
    given = {name: _plain(namespace[name]) for name in known if namespace.get(name) is not None}
    if run_type is RunType.TEACHER and given.get("kind") == MEASURE:
        defaults = {name: field.default for name, field in fields(RunType.TEACHER).items()}
        idle = [n for n in given if n not in fields(RunType.MEASURE) and n != "kind" and given[n] != defaults[n]]
        if idle:
            raise InputError(f"{idle[0]} = {given[idle[0]]!r} is refused: a measurement has no such parameter.")
        run_type, given = RunType.MEASURE, {n: v for n, v in given.items() if n in fields(RunType.MEASURE)}
    return expand(run_type, given)


def validate(run_type: RunType | str, namespace: Mapping[str, Any]) -> list[Config]:
    """Return `configs`, unless one of them cannot be run here.

    Raises:
        InputError: what `configs` refuses, or what does not fit the dataset, the store or this machine.
    """
    from kdlib.runs.execute import check

    return check(configs(run_type, namespace))


def samples_note(configs: Sequence[Config], samples: Any) -> Markdown | None:
    """Say for which teachers of a sweep a number of samples above one was taken as one; nothing where it counts.

    Args:
        configs: of students, as `validate` returns them.
        samples: what was given for the parameter, a number or several.
    """
    from kdlib.runs.plans import plan

    given = values_of(RunType.STUDENT, "samples", 1 if samples is None else samples)
    several = [int(value) for value in given if int(value) > 1]
    if not several:
        return None
    each = {str(getattr(config, "teacher", "")): config for config in configs}  # every seed of a teacher is alike
    asked = {name: config.model_copy(update={"samples": several[0]}) for name, config in each.items()}
    names = [name for name, config in asked.items() if plan(config).config.samples == 1]  # type: ignore[attr-defined]
    if not names:
        return None
    from IPython.display import Markdown

    numbers, teachers = ", ".join(map(str, several)), ", ".join(f"`{name}`" for name in names)
    said: Markdown = Markdown(  # type: ignore[no-untyped-call]
        f"`samples` = {numbers} is taken as 1 for {teachers}: only a teacher that is stochastic "
        f"({', '.join(kinds.STOCHASTIC)}) gives samples that differ."
    )
    return said


def _plain(value: Any) -> Any:
    """Take a teacher or a run that an earlier execution left under a parameter's name as its run's name."""
    if not hasattr(value, "outputs") and not isinstance(value, Run):
        return value
    return f"weights:{value.name}" if value.name.endswith(".safetensors") else value.name


def summary(done: Sequence[Run]) -> pd.DataFrame:
    """Return a table of runs, one a row, with the settings in which they differ and their main metrics."""
    from kdlib.study.rows import table

    frame = table(only=[run.name for run in done]).set_index("run")
    settings = [n for n in frame if any(n in fields(run_type) for run_type in RunType)]
    differing = [name for name in settings if frame[name].astype(str).nunique() > 1]
    return frame[[*differing, *(c for c in COLUMNS if c in frame and frame[c].notna().any())]]


def curves(done: Sequence[Run]) -> HTML | None:
    """Return a figure of how runs trained, a line a group of seeds; nothing for runs that trained no network."""
    from kdlib.report import plots
    from kdlib.report.pages import caption
    from kdlib.report.plots import style
    from kdlib.report.sections import named
    from kdlib.study.rows import histories, table

    frame = table(only=[run.name for run in done])
    history = histories(frame)
    if history.empty:
        return None
    groups = named(frame.assign(teacher_label=frame["teacher"]))[["run", "group"]]
    style.style()
    # as HTML: only a figure of pyplot's own would be drawn by the kernel itself
    return caption(
        plots.training_curves(history.merge(groups, on="run"), "group"),
        "training",
        "Training loss of every step, validation NLL and accuracy of every epoch.",
        "Three panels against training time: training loss, validation NLL, validation accuracy.",
    )
