"""The table and the sentence of the page on temperature. (No torch.)"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from kdlib.report import cmi_by_temperature as sweeps
from kdlib.report.claims import MINIMUM_PAIRS, Verdict
from kdlib.report.plots.style import axis_of, name_of
from kdlib.report.sections import Section, with_interval
from kdlib.report.words import markdown, table_of
from kdlib.study.rows import table

if TYPE_CHECKING:
    from IPython.display import HTML, Markdown


def cmi_of(students: pd.DataFrame, teachers: Sequence[Section]) -> pd.DataFrame:
    """Return the CMI by temperature of some students' teachers and of other seeds of theirs.

    Args:
        students: one sweep of the temperature.
        teachers: the page's sections of teachers, among which theirs may be.

    Returns:
        What `cmi_by_temperature.sweep` gives, with `teacher`, `teacher_label` and `seed`.
    """
    labels = students.drop_duplicates("teacher_run").set_index("teacher_run")["teacher_label"]
    shared = ["dataset", "architecture", "teacher_label"]
    frames = [part.frame for part in teachers if part.frame["run"].isin(labels.index).any()]
    known = frames[0] if frames else table(only=labels.index)
    known = known.assign(teacher_label=known["run"].map(labels).fillna(known.get("teacher_label", "")))
    alike = known.loc[known["run"].isin(labels.index), shared].drop_duplicates()
    own = known.merge(alike, on=shared).drop_duplicates(["teacher_label", "seed"])
    return sweeps.sweep(own).merge(own[["run", "teacher", "teacher_label", "seed"]], on="run")


def side_by_side(cmi: pd.DataFrame, students: pd.DataFrame) -> HTML:
    """Return a table of means with 95 % t intervals: the teachers' CMI and their students' accuracy at each T."""
    labels = list(dict.fromkeys([*cmi["teacher_label"], *students["teacher_label"]]))
    measured = ((cmi, "test_cmi"), (students, "test_accuracy"))
    columns = [(frame, value, label) for frame, value in measured for label in labels]
    rows = []
    for t in sorted({*cmi["temperature"], *students["temperature"]}):
        cells = [f"<th>{t:g}</th>"]
        for frame, value, label in columns:
            own = frame.loc[(frame["teacher_label"] == label) & (frame["temperature"] == t), value]
            cells.append(f"<td>{with_interval((own * axis_of(value)[1]).tolist())}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    whose = {"test_cmi": "teacher", "test_accuracy": "student of"}
    heads = [f"{whose[value]} {name_of(label)}: {axis_of(value)[0]}" for _, value, label in columns]
    return table_of(f"<th>T</th>{''.join(f'<th>{html.escape(head)}</th>' for head in heads)}", rows)


def finding(part: Section, where: str, cmi: pd.DataFrame, students: pd.DataFrame) -> Markdown:
    """Say in one line what T > 1 does to the CMI, with C13's verdict, and at which T the students are most accurate."""
    lines = [f"C13: {Verdict.UNFINISHED}. {part.waiting}"] if part.waiting else []
    said = sweeps.judged(cmi)
    warmest = sweeps.best(cmi)
    if said.effect is not None and warmest is not None and not part.waiting:
        half, few = sweeps.spread(said.effect), said.effect.n < MINIMUM_PAIRS
        change = f"{said.effect.mean:+.3f}".replace("-", "−") + (f" ± {half:.3f}" if half == half else "")
        lines.append(
            f"CMI of the deterministic teacher at T = {warmest:g}, the best T above 1 on validation images, minus that "
            f"at T = 1: {change} nats (n = {said.effect.n}), where {sweeps.CLAIM.smallest:g} would matter; C13: "
            f"{said.verdict}{' (fewer than five pairs)' if few else ''}"
        )
    for label, rows in students.groupby("teacher_label", sort=False):
        t = rows.groupby("temperature")["val_accuracy"].mean().idxmax()
        own = (100 * rows.loc[rows["temperature"] == t, "test_accuracy"]).tolist()
        plain = (100 * rows.loc[rows["temperature"] == 1, "test_accuracy"]).tolist()
        beside = f", at T = 1 {with_interval(plain)}" if plain and t != 1 else ""
        lines.append(
            f"students of {name_of(label)} are most accurate on validation images at T = {t:g}: test accuracy "
            f"{with_interval(own)} %{beside}"
        )
    return markdown(f"**{part.title}** ({where}): {'; '.join(lines)}.")
