"""Which runs a claim compares: settings chosen on validation images, then pairs of seeds. (No torch.)"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import pandas as pd

from kdlib.base.config import Config, RunType
from kdlib.base.errors import InputError
from kdlib.report.inference import Effect, paired, paired_relative
from kdlib.runs.recipes import fields
from kdlib.training.config import TrainingConfig

if TYPE_CHECKING:
    from collections.abc import Hashable

Found = TypeVar("Found")

FREE = ("kd_weight", "temperature", "student_temperature")
"""What is chosen for each teacher by the mean validation accuracy of its students."""

TRAINING = (
    "dataset",
    "image_size",
    *(
        name
        for name, field in TrainingConfig.model_fields.items()
        if name not in Config.model_fields and field.json_schema_extra["hashed"]  # type: ignore[index,call-overload]
    ),
)
"""On what and how a student is trained: what must be equal in students that are compared."""
PARAMETERS = tuple(
    name for name in {**fields(RunType.TEACHER), **fields(RunType.STUDENT)} if name not in Config.model_fields
)
"""All that a teacher or a student is a function of, beside its images and its seed."""


LABELS = ("one_hot", "exact_bcp", "deterministic", "variational", "laplace", "mcmi", "temperature_scaled",
          "temperature_scaled_mcmi")  # fmt: skip
"""The labels of a study that claims compare; teachers of other labels, whatever their kind, enter no verdict."""
CONTROL = "fine_tuned"
"""The label of MCMI's own control: what MCMI gains over it is due to the CMI term."""


def once(function: Callable[..., Found]) -> Callable[..., Found]:
    """Remember what a function found in the last four tables: claims and pages ask the same of a study's again."""
    known: list[tuple[pd.DataFrame, tuple[object, ...], Found]] = []

    @functools.wraps(function)
    def asked(frame: pd.DataFrame, *more: object) -> Found:
        for table, others, found in known:
            if table is frame and others == more:
                return found
        known.insert(0, (frame, more, function(frame, *more)))
        del known[4:]
        return known[0][2]

    return asked


def entering(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows that enter verdicts: those of the labels that claims compare, so one label a kind."""
    return rows[rows["teacher_label"].isin(LABELS)] if "teacher_label" in rows else rows


def against_control(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows as claims read them with MCMI's control in place of the deterministic teacher.

    A measure of them is then MCMI minus the same fine-tuning without CMI; empty where a study has no such teacher.
    """
    control = rows["teacher_label"] == CONTROL
    if not control.any():
        return rows.iloc[:0]
    names = {"teacher": "deterministic", "teacher_label": "deterministic", "label": "deterministic"}
    own = rows[control]
    stand_in = own.assign(**{name: own[name].replace(CONTROL, new) for name, new in names.items() if name in own})
    return pd.concat([rows[rows["teacher_label"].isin(("one_hot", "exact_bcp", "mcmi"))], stand_in])


def texts(rows: pd.DataFrame, names: Sequence[str]) -> pd.Series[str]:
    """Write what each row has in some columns, so that rows can be told apart by it; a missing column says nothing."""
    values = rows.reindex(columns=list(names))
    number = values.groupby(list(names), sort=False, dropna=False).ngroup()  # a text a group: rows are thousands
    groups = values[~number.duplicated()].itertuples(index=False)
    return number.map({k: " ".join(map(str, one)) for k, one in enumerate(groups)}).astype(str)


def chosen(
    rows: pd.DataFrame, by: Sequence[str] = ("teacher_label",), free: Sequence[str] = FREE, value: str = "val_accuracy"
) -> pd.DataFrame:
    """Keep, in each group, the rows of the setting with the highest mean of a validation measure over seeds.

    A setting that has fewer seeds than another of its group cannot be chosen: it might have had the easier ones.
    Means that differ by less than 1e-9 are equal, and of equals the smallest setting is chosen, on every machine.

    Args:
        rows: students, one row a group, setting and seed.
        by: the columns that make a group, within which settings compete.
        free: the columns that make a setting.
        value: the validation measure; higher is better.
    """
    if rows.empty:
        return rows
    keys, names = list(by), list(free)
    setting = rows.reindex(columns=names).groupby(names, dropna=False).ngroup()  # numbered from the smallest
    groups = rows[[*keys, "seed", value]].assign(setting=setting).groupby([*keys, "setting"], dropna=False)
    measured = {"seeds": groups["seed"].nunique(), "mean": groups[value].mean().round(9)}
    found = pd.DataFrame(measured).reset_index().dropna(subset="mean")
    most = found.groupby(keys, dropna=False)["seeds"].transform("max")
    best = found[found["seeds"] == most].groupby(keys, dropna=False)["mean"].idxmax()
    return rows[groups.ngroup().isin(best)]


def ranked(rows: pd.DataFrame, value: str, by: str = "teacher_label", ascending: bool = True) -> pd.DataFrame:
    """Return the rows with the groups of the column `by` in the order of their means of a measure."""
    order = rows.groupby(by)[value].mean().sort_values(ascending=ascending).index
    return rows.set_index(by).loc[order].reset_index()


def effect(
    rows: pd.DataFrame,
    treated: Hashable,
    baseline: Hashable,
    value: str = "test_accuracy",
    by: str = "teacher_label",
    relative: bool = False,
) -> Effect | None:
    """Return treated − baseline, paired over the seeds that both have; None where they share none.

    Args:
        rows: one row a group and seed.
        treated, baseline: groups, values of the column `by`.
        value: the column to compare.
        by: the column of groups.
        relative: whether the effect is the relative change of a positive measure; a pair in which it is zero has none
            and is left out.

    Raises:
        InputError: a group has several runs of one seed, as where a study sweeps what no claim chooses.
    """
    if len(twice := rows[rows[[by, "seed"]].duplicated()]):
        one = twice.iloc[0]
        raise InputError(
            f"{by} = {one[by]!r} has several runs of seed {one['seed']:g}, and a claim compares one: give other "
            "settings a label of their own."
        )
    wide = rows.pivot(index="seed", columns=by, values=value)
    if treated not in wide or baseline not in wide:
        return None
    both = wide[[treated, baseline]].dropna()
    if relative:
        both = both[(both > 0).all(axis=1)]
    if both.empty:
        return None
    return (paired_relative if relative else paired)(both[treated].to_numpy(), both[baseline].to_numpy())


def gains(
    rows: pd.DataFrame, value: str = "test_accuracy", baseline: str = "deterministic", by: str = "teacher_label"
) -> pd.DataFrame:
    """Return each row's measure minus that of the baseline's row of the same seed, without the baseline; maybe no rows.

    Args:
        rows: one row a group and seed.
        value: the measure; the column holds the differences.
        baseline: the teacher label that is subtracted.
        by: the column of groups, of which the baseline's first counts.
    """
    own = rows[rows["teacher_label"] == baseline]
    plain = own[own[by].isin(own[by].head(1))].set_index("seed")[value]
    others = rows[rows["teacher_label"] != baseline]
    return others.assign(**{value: others[value] - others["seed"].map(plain)}).dropna(subset=value)


def leads(rows: pd.DataFrame, value: str, by: str = "teacher_label", lowest: bool = True) -> tuple[str, bool]:
    """Return the group of the lowest (or highest) mean of a measure, and whether it is surely ahead of the next.

    It is where the paired 95 % t interval of their difference leaves zero out, or where there is no other.

    Args:
        rows: one row a group and seed.
        value: the measure.
        by: the column of groups.
        lowest: whether lower is better.
    """
    first, *others = rows.groupby(by)[value].mean().sort_values(ascending=lowest).index
    found = effect(rows, first, others[0], value, by) if others else None
    return str(first), not others or (found is not None and (found.high < 0 if lowest else found.low > 0))
