"""The page on what people say of CIFAR-10's test images (CIFAR-10H): how far teachers are, and who learns from whom.

The distance is the mean of KL(people ‖ network) over images, in nats; people's shares stand where other pages have the
BCPs. The page makes no claim: C3 and C14 on `cifar10` follow from the page on the distance to the BCPs. (No torch.)
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from kdlib.base.config import Config
from kdlib.report.claims import Effect, choice
from kdlib.report.plots.humans import AXIS, called
from kdlib.report.plots.style import axis_of, name_of
from kdlib.report.sections import Section, named, with_interval
from kdlib.report.words import markdown, table_of
from kdlib.training.config import TrainingConfig

if TYPE_CHECKING:
    from IPython.display import HTML, Markdown

PHOTOS, PEOPLE = "cifar10", "cifar10h"
DISTANCE = "test_kl_to_bcp"
OF_TEACHER = "teacher_kl_to_bcp"
"""A student's column: how far its teacher is from people on CIFAR-10's test images."""
FLOOR, ANSWERS, BASELINE = "one_hot", "exact_bcp", "deterministic"
FEWEST = 3
"""Teachers below which a correlation over teachers says nothing."""


def asked(frame: pd.DataFrame) -> bool:
    """Say whether a table has runs on images that people were asked about."""
    return bool(frame["dataset"].isin(("cifar10", "cifar10h")).any())


def teachers(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the teachers whose distance to people is known, those of one architecture each, with its name."""
    if DISTANCE not in frame:
        return
    rows = frame[(frame["dataset"] == PHOTOS) & frame[DISTANCE].notna()]
    for architecture, part in rows.groupby("architecture", sort=False):
        yield f"{PHOTOS}, {architecture}", named(part)


def pupils(students: pd.DataFrame, known: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield students on CIFAR-10 that were trained alike, at the setting chosen for each teacher, and of labels.

    `teacher_kl_to_bcp` is their teacher's distance to people; NaN for labels, which have none.

    Args:
        students: rows of one study's students.
        known: rows of its teachers.
    """
    if DISTANCE not in known or "teacher_run" not in students:
        return
    far = known.dropna(subset=[DISTANCE]).drop_duplicates("run").set_index("run")[DISTANCE]
    rows = students.assign(**{OF_TEACHER: students["teacher_run"].map(far)})
    taught = rows[OF_TEACHER].notna() | (rows["teacher"] == FLOOR)
    for name, part in _alike(rows[(rows["dataset"] == PHOTOS) & taught & rows[DISTANCE].notna()]):
        if part[OF_TEACHER].notna().any():
            yield name, part


def of_people(students: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield students on CIFAR-10H that were trained alike, at the setting chosen for each supervision."""
    for name, part in _alike(students[students["dataset"] == PEOPLE]):
        order = [FLOOR, *(one for one in part["teacher_label"].unique() if one not in (FLOOR, ANSWERS)), ANSWERS]
        yield name, part.sort_values("teacher_label", key=lambda c: c.map(order.index), kind="stable")


def _alike(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield rows of one way of training each, one a supervision and seed, with the dataset and architecture."""
    shared = [name for name in TrainingConfig.model_fields if name not in Config.model_fields and name in rows]
    if "framework" in rows:
        rows = rows[rows["framework"] == "kd"]
    training = choice.texts(rows, ["dataset", *shared])
    for one in dict.fromkeys(training):
        part = choice.chosen(rows[training == one])
        first = part.iloc[0]
        yield f"{first['dataset']}, {first['architecture']}", part.drop_duplicates(["teacher_label", "seed"])


def baseline_of(rows: pd.DataFrame, by: str = "group") -> str | None:
    """Return the group of deterministic teachers, or None."""
    plain = rows.loc[rows["teacher"] == BASELINE, by]
    return None if plain.empty else str(plain.iloc[0])


def differences(
    rows: pd.DataFrame, pairs: Sequence[tuple[str, str]], measures: Sequence[str], by: str, network: str
) -> HTML:
    """Return a table of paired differences: a row a pair of groups, treated − baseline, a column a measure.

    Args:
        rows: one row a group and seed.
        pairs: treated and baseline groups.
        measures: columns of the table of runs.
        by: the column of groups.
        network: what they are, teacher or student.
    """
    lines = []
    for treated, baseline in pairs:
        found = {name: choice.effect(rows, treated, baseline, name, by) for name in measures}
        n = max((one.n for one in found.values() if one), default=0)
        label = f"{called(treated)} minus {called(baseline)}"
        cells = [_written(one, name) for name, one in found.items()]
        lines.append(f"<tr><th>{html.escape(label)}</th><td>{n}</td>{''.join(f'<td>{c}</td>' for c in cells)}</tr>")
    heads = "".join(f"<th>{html.escape(axis(name, network).replace('(%)', '(points)'))}</th>" for name in measures)
    return table_of(f"<th></th><th>n</th>{heads}", lines)


def pairs_of(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Return which students of CIFAR-10H are compared: those of people with all others, then teachers' with labels."""
    groups = list(dict.fromkeys(rows["teacher_label"].astype(str)))
    others = [one for one in groups if one != ANSWERS]
    first = [(ANSWERS, one) for one in others] if ANSWERS in groups else []
    return first + [(one, FLOOR) for one in others if one != FLOOR and FLOOR in groups]


def means(rows: pd.DataFrame, measures: Sequence[str], by: str, network: str) -> HTML:
    """Return a table of means with 95 % t intervals over seeds: a row a group, a column a measure."""
    lines = []
    for group, part in rows.groupby(by, sort=False):
        values = [(part[name].dropna().astype(float) * axis_of(name)[1]).tolist() for name in measures]
        cells = "".join(f"<td>{with_interval(one)}</td>" for one in values)
        head = f"<th>{html.escape(called(group))}</th><td>{part['seed'].nunique()}</td>"
        lines.append(f"<tr>{head}{cells}</tr>")
    heads = "".join(f"<th>{html.escape(axis(name, network))}</th>" for name in measures)
    return table_of(f"<th></th><th>n</th>{heads}", lines)


def axis(measure: str, network: str) -> str:
    """Return a measure's name as this page says it: the BCPs are people's answers, the network a teacher or student."""
    if measure == OF_TEACHER:
        return AXIS.format("teacher")
    if measure == DISTANCE:
        return f"test {AXIS.format(network)}"
    return axis_of(measure)[0].replace("the BCP", "people")


def correlation(rows: pd.DataFrame, value: str) -> float | None:
    """Return Pearson's correlation, over teachers, of their mean distance and their students' mean; None for few."""
    means_ = rows.dropna(subset=[OF_TEACHER]).groupby("teacher_label")[[OF_TEACHER, value]].mean()
    if len(means_) < FEWEST or (means_.nunique() < 2).any():
        return None
    return float(np.corrcoef(means_[OF_TEACHER], means_[value])[0, 1])


def observed(rows: pd.DataFrame) -> str:
    """Say what the scatter shows, in numbers; with so few teachers it is an observation, no test."""
    found = {text: correlation(rows, value) for text, value in
             (("their students' accuracy", "test_accuracy"), ("their students' own distance", DISTANCE))}  # fmt: skip
    count = rows.dropna(subset=[OF_TEACHER])["teacher_label"].nunique()
    if any(one is None for one in found.values()):
        return f"With {count} teacher{'s' * (count != 1)} there is no correlation to speak of."
    said = " and ".join(f"{one:+.2f} with {text}".replace("-", "−") for text, one in found.items() if one is not None)
    return (
        f"Over {count} teachers the correlation of their distance to people is {said}: an observation, no test. Nearer "
        "teachers having better students would be a negative and a positive number."
    )


def short_of_teachers(part: Section, name: str, rows: pd.DataFrame) -> Markdown:
    """Say in one line which teacher is nearest to people, and how far the deterministic one is."""
    order = rows.groupby("group", sort=False)[DISTANCE].mean().sort_values()
    plain = baseline_of(rows)
    shown = list(dict.fromkeys([*([plain] if plain else []), str(order.index[0])]))
    parts = []
    for group in shown:
        text = f"{name_of(group)} {with_interval(rows.loc[rows['group'] == group, DISTANCE].tolist())}"
        parts.append(text + (" (nearest)" if group == order.index[0] else ""))
    n = rows.groupby("group")["seed"].nunique().min()
    return markdown(f"**{part.title}** ({name}; {axis(DISTANCE, 'teacher')}, n = {n}): {'; '.join(parts)}.")


def short_of_people(part: Section, name: str, rows: pd.DataFrame) -> Markdown:
    """Say in one line what students gain that learn from people."""
    found = [(one, choice.effect(rows, *one)) for one in pairs_of(rows) if one[0] == ANSWERS]
    said = [f"over {called(base)} {_written(one, 'test_accuracy')} (n = {one.n})" for (_, base), one in found if one]
    return markdown(
        f"**{part.title}** ({name}; gain in test accuracy from learning from people's answers, points): "
        f"{', '.join(said) or 'no pair'}."
    )


def _written(effect: Effect | None, measure: str) -> str:
    """Write a paired difference with half its interval, in the unit of its measure's axis."""
    if effect is None:
        return "–"
    factor = axis_of(measure)[1]
    digits = 1 if factor == 100 else 3
    half = factor * (effect.high - effect.low) / 2
    mean = round(factor * effect.mean, digits)
    middle = f"{mean:+.{digits}f}".replace("-", "−") if mean else f"{0:.{digits}f}"
    return middle if math.isnan(half) else f"{middle} ± {half:.{digits}f}"
