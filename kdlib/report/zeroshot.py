"""The zero-shot page: students that never saw some classes, which their teachers know. (No torch.)

A study's zero-shot students are those with `omit_classes`. Claim C12 is about students without one class.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kdlib.base.config import Config
from kdlib.report.claims import CLAIMS, Effect, choice, judge, mean_interval
from kdlib.report.confusions import Confusion, counts_of, mean_shares
from kdlib.report.plots.style import name_of
from kdlib.report.plots.zeroshot import confusion_grid, omitted_rows
from kdlib.report.sections import Section, not_yet
from kdlib.report.words import DUE, markdown, points, table_of
from kdlib.training.config import TrainingConfig

if TYPE_CHECKING:
    from IPython.display import HTML, Markdown
    from matplotlib.figure import Figure

CLAIM = next(claim for claim in CLAIMS if claim.id == "C12")
BASELINE, TREATED, FLOOR = CLAIM.baseline, "mcmi", "one_hot"
OMITTED, KEPT = "test_omitted_accuracy", "test_kept_accuracy"
STRICT = "val_kept_accuracy"
"""The validation measure that does not look at the omitted classes."""
Cell = tuple[str, NDArray[np.float64]]
"""A title and shares in percent `(classes, classes)`."""
Panel = tuple[str, NDArray[np.float64], int]
"""The same with the number of students."""
ORDER = (FLOOR, "exact_bcp", BASELINE, TREATED)
"""Supervisions in the order of the pictures; the others follow."""


def compared(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the students that may be compared: one way of training each, with the numbers of `omitted` classes.

    Students that omit none and were taught by the same teachers in the same `setting` stand beside them; accuracy on
    the kept classes is theirs on all.
    """
    if "omit_classes" not in frame or OMITTED not in frame:
        return
    rows = frame[frame["run_type"] == "student"] if "run_type" in frame else frame
    rows = rows[rows["framework"] == "kd"] if "framework" in rows else rows
    spec = rows["omit_classes"].fillna("").astype(str)
    omitted = spec.map(lambda text: len({part for part in text.split("+") if part}))
    weighted = rows.loc[omitted > 0, "kd_weight"].dropna().nunique() > 1
    rows = rows.assign(omit_classes=spec, omitted=omitted, setting=_settings(rows, weighted))
    rows[KEPT] = rows[KEPT].where(rows["omitted"] > 0, rows["test_accuracy"])
    shared = [name for name in TrainingConfig.model_fields if name not in (*Config.model_fields, "omit_classes")]
    training = choice.texts(rows, [name for name in shared if name in rows])
    for one in dict.fromkeys(training[rows["omitted"] > 0]):
        part = rows[training == one]
        taught = choice.texts(part, ("teacher_label", *choice.FREE))
        part = part[taught.isin(taught[part["omitted"] > 0])]
        part = part.drop_duplicates(["teacher_label", "setting", "omit_classes", "seed"])
        labels = part[["teacher_label", "teacher"]].drop_duplicates().itertuples(index=False)
        order = sorted(labels, key=lambda one: ORDER.index(one.teacher) if one.teacher in ORDER else len(ORDER))
        rank = part["teacher_label"].map({one.teacher_label: k for k, one in enumerate(order)})
        yield part.assign(rank=rank).sort_values(["rank", "omitted"], kind="stable").drop(columns="rank")


def _settings(rows: pd.DataFrame, weighted: bool) -> pd.Series[str]:
    """Write each student's temperatures, with its weight if that tells students apart; "" for labels alone."""

    def text(row: pd.Series) -> str:  # type: ignore[type-arg]
        warm, own = row["temperature"], row["student_temperature"]
        if pd.isna(warm) or row["teacher"] == FLOOR:
            return ""
        both = f"T = S = {warm:g}" if warm == own else f"T = {warm:g}, S = {own:g}"
        return both + (f", α = {row['kd_weight']:g}" if weighted else "")

    return pd.Series([text(row) for _, row in rows.iterrows()], index=rows.index, dtype=str)


def in_panels(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the students with those of labels alone, which have no temperature, repeated in every setting."""
    settings = [name for name in _in_order(rows) if name] or ["labels alone"]
    plain = rows["setting"] == ""
    parts = [part for name in settings for part in (rows[plain].assign(setting=name), rows[rows["setting"] == name])]
    return pd.concat(parts, ignore_index=True)


def _in_order(rows: pd.DataFrame) -> list[str]:
    """Return the settings of students from cold to warm."""
    keys = ["temperature", "student_temperature", "kd_weight"]
    return list(dict.fromkeys(rows.sort_values(keys, kind="stable")["setting"]))


def of_one_class(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the students without exactly one class."""
    return rows[rows["omitted"] == 1]


def chosen(rows: pd.DataFrame, value: str = "val_accuracy") -> pd.DataFrame:
    """Return the students without one class at the setting chosen for each teacher.

    Args:
        rows: from `compared`.
        value: the validation measure that chooses: `val_accuracy`, on all classes, or `STRICT`.
    """
    one = of_one_class(rows)
    return choice.chosen(one[one["teacher"] != FLOOR], value=value)


def difference(rows: pd.DataFrame, treated: str, value: str = "val_accuracy") -> Effect | None:
    """Return a teacher's accuracy on the one omitted class minus the deterministic one's, paired; None without pairs.

    Which class it is may differ from seed to seed. Where a seed omits one class and another in turn, it counts once, by
    its mean over the classes that both have.

    Args:
        rows: from `compared`.
        treated: the label of a teacher.
        value: the validation measure that chooses each one's setting.
    """
    best = chosen(rows, value)
    wide = best.pivot(index=["seed", "omit_classes"], columns="teacher_label", values=OMITTED)
    wide = wide.reindex(columns=[treated, BASELINE]).dropna()
    gains = (wide[treated] - wide[BASELINE]).groupby("seed").mean()
    return mean_interval(gains.to_numpy()) if len(gains) else None


def effects(frame: pd.DataFrame, value: str = "val_accuracy") -> dict[str, dict[str, Effect | None]]:
    """Return claim C12's effect: accuracy on one omitted class, MCMI − deterministic, at the temperatures chosen.

    Args:
        frame: the rows of one study and one dataset; the first way of training that has pairs counts.
        value: the validation measure that chooses the temperatures.
    """
    if value not in frame:
        return {CLAIM.id: {TREATED: None}}
    found = (difference(rows, TREATED, value) for rows in compared(frame))
    return {CLAIM.id: {TREATED: next((one for one in found if one is not None), None)}}


def choices(rows: pd.DataFrame) -> HTML:
    """Return a table: the setting chosen for each teacher by all validation images, and by those of kept classes."""
    lines = []
    by_all, by_kept = chosen(rows), chosen(rows, STRICT)
    for label in dict.fromkeys(by_all["teacher_label"]):
        cells = [f"<th>{html.escape(name_of(label))}</th>"]
        for best, value in ((by_all, "val_accuracy"), (by_kept, STRICT)):
            own = best[best["teacher_label"] == label]
            gain = None if label == BASELINE else difference(rows, str(label), value)
            cells += [f"<td>{html.escape(', '.join(dict.fromkeys(own['setting'])))}</td>",
                      f"<td>{_mean(own)}</td>",
                      f"<td>{'–' if gain is None else points(gain, 1)}</td>"]  # fmt: skip
        lines.append(f"<tr>{''.join(cells)}</tr>")
    three = "<th>chosen by {}</th><th>omitted class (%)</th><th>minus deterministic (points)</th>"
    heads = "<th></th>" + "".join(three.format(name) for name in ("all validation images", "kept classes only"))
    return table_of(heads, lines)


def by_number(rows: pd.DataFrame) -> HTML | None:
    """Return a table of MCMI − deterministic on the omitted classes: a row a set of them, a column a setting."""
    two = rows[(rows["omitted"] > 0) & rows["teacher_label"].isin((BASELINE, TREATED))]
    if two["teacher_label"].nunique() < 2:
        return None
    settings, lines = _in_order(two), []
    each = two[two["omitted"] == 1].groupby("seed")["omit_classes"].nunique()  # one: each seed has a class of its own
    sets = two["omit_classes"].where((two["omitted"] > 1) | (not bool(each.eq(1).all())), "one class")
    for names, part in two.groupby(sets, sort=False):
        cells, n = [], set()
        for setting in settings:
            own = part[part["setting"] == setting]
            found = choice.effect(own, TREATED, BASELINE, OMITTED)
            cells.append(f"<td>{'–' if found is None else points(found, 1)}</td>")
            n |= {found.n} if found else set()
        lines.append(f"<tr><th>{html.escape(str(names))}</th><td>{min(n, default=0)}</td>{''.join(cells)}</tr>")
    heads = "".join(f"<th>{html.escape(setting)} (points)</th>" for setting in settings)
    return table_of(f"<th>omitted</th><th>n</th>{heads}", lines)


def changed(rows: pd.DataFrame) -> str:
    """Say whether choosing on the kept classes only changes any teacher's setting."""
    both = [best.groupby("teacher_label", sort=False)["setting"].first()
            for best in (chosen(rows), chosen(rows, STRICT))]  # fmt: skip
    other = [f"{name_of(label)}: {both[1][label]} in place of {both[0][label]}" for label in both[0].index
             if both[1][label] != both[0][label]]  # fmt: skip
    if not other:
        return "Choosing on the kept classes only changes no choice."
    return f"Choosing on the kept classes only changes the choice ({'; '.join(other)})."


def pictures(rows: pd.DataFrame) -> tuple[Figure, Figure, str, int] | None:
    """Return confusion matrices and the omitted class's row, both means over seeds, the class's name and the least n.

    Of students without one class (the first, where studies omit several); None where neither runs nor records know.
    """
    one = of_one_class(rows)
    if one.empty:
        return None
    one = one[one["omit_classes"] == one["omit_classes"].iloc[0]]
    settings = [name for name in _in_order(one) if name]
    labels = list(dict.fromkeys(one["teacher_label"]))
    panels: dict[tuple[str, str], Panel] = {}
    known: Confusion | None = None
    for (label, setting), part in one.groupby(["teacher_label", "setting"], sort=False):
        found = [one for one in (counts_of(row) for _, row in part.iterrows()) if one is not None]
        if found:
            known = found[0]
            title = ", ".join(text for text in (name_of(label), str(setting)) if text)
            panels[str(label), str(setting)] = title, mean_shares(found), len(found)
    if known is None:
        return None
    place = known.place(str(one["omit_classes"].iloc[0]))
    order = [key for label in labels for key in ((label, name) for name in ("", *settings)) if key in panels]
    figure = confusion_grid(_placed(panels, one, settings), known.classes, [place])
    row = omitted_rows({panels[key][0]: panels[key][1][place] for key in order}, known.classes, place)
    return figure, row, known.classes[place], min(n for *_, n in panels.values())


def _placed(panels: dict[tuple[str, str], Panel], one: pd.DataFrame, settings: list[str]) -> list[list[Cell | None]]:
    """Put the matrices into rows: labels and exact BCPs first, then deterministic and MCMI teachers, then the best."""
    kind_of = dict(zip(one["teacher_label"], one["teacher"], strict=True))
    cells: dict[tuple[str, str], Cell] = {key: (title, shares) for key, (title, shares, _) in panels.items()}
    first: list[Cell | None] = [cell for key, cell in cells.items() if kind_of[key[0]] in ORDER[:2]]
    both = [label for label in dict.fromkeys(key[0] for key in panels) if kind_of[label] in ORDER[2:]]
    others = one[~one["teacher"].isin(ORDER)].groupby(["teacher_label", "setting"])[OMITTED].mean()
    best = [str(others.idxmax()[0])] if len(others) else []  # type: ignore[index]
    rows = [[cells.get((label, setting)) for setting in settings] for label in [*both, *best]]
    return ([first] if first else []) + [row for row in rows if any(row)]


def verdict(rows: pd.DataFrame) -> Markdown:
    """Say what C12 comes to: the floor, both teachers at their temperatures, the paired difference and its verdict."""
    effect, control = difference(rows, TREATED), choice.against_control(rows)
    best, floor = chosen(rows), of_one_class(rows)
    parts = [f"one-hot {_mean(floor[floor['teacher'] == FLOOR])}"] if (floor["teacher"] == FLOOR).any() else []
    for kind in (BASELINE, TREATED):
        own = best[best["teacher_label"] == kind]
        if len(own):
            parts.append(f"{name_of(kind)} {_mean(own)} at {own['setting'].iloc[0]}")
    (said,) = judge(CLAIM, {TREATED: effect})
    gain = "no pair" if effect is None else f"difference {points(effect, 1)} points (n = {effect.n})"
    return markdown(
        f"{'; '.join(parts)}; {gain}, where {100 * CLAIM.smallest:g} would matter. "
        f"C12: **{said.verdict}**. {changed(rows)}{_beside(rows, control)}"
    )


def _beside(rows: pd.DataFrame, control: pd.DataFrame) -> str:
    """Write the effect where T is chosen on the kept classes, and what of it is due to CMI, as far as measured."""
    strict = difference(rows, TREATED, STRICT)
    due = difference(control, TREATED) if len(control) else None
    said = f" With T chosen so: {points(strict, 1)} points (n = {strict.n})." if strict else ""
    return said + (f" {DUE[0].upper()}{DUE[1:]}: {points(due, 1)} points (n = {due.n})." if due else "")


def short(part: Section, name: str, rows: pd.DataFrame) -> Markdown:
    """Say in one line what students make of the class that they never saw."""
    if part.waiting:
        return not_yet(part, name, CLAIM)
    return markdown(f"**{part.title}** ({name}; test accuracy on one omitted class, %): {verdict(rows).data}")


def _mean(rows: pd.DataFrame) -> str:
    """Write the mean accuracy on the omitted class in percent, with half its interval."""
    effect = mean_interval(100 * rows[OMITTED].dropna().to_numpy())
    half = (effect.high - effect.low) / 2
    return f"{effect.mean:.1f}" + ("" if math.isnan(half) else f" ± {half:.1f}")
