"""The frameworks page: what an MCMI teacher's students gain within each framework. (No torch.)

A study's frameworks are its entries whose label begins with `frameworks`. Students of both teachers are compared at one
training setting, in pairs of seeds.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd

from kdlib.base.config import Config
from kdlib.report.claims import CLAIMS, Effect, Judgement, choice, judge, overall, paired
from kdlib.report.claims.choice import CONTROL, against_control, chosen, texts
from kdlib.report.plots import interval_dots
from kdlib.report.plots.style import name_of
from kdlib.report.sections import FRAMEWORKS, OWN, Section, not_yet, with_interval
from kdlib.report.words import DUE, markdown, p_value, points, table_of
from kdlib.training.config import TrainingConfig

if TYPE_CHECKING:
    from IPython.display import HTML, Markdown
    from matplotlib.figure import Figure

CLAIM = next(claim for claim in CLAIMS if claim.id == "C9")
BASELINE, TREATED = CLAIM.baseline, "mcmi"
FREE = (*choice.FREE, "framework_weight")
"""Settings that are chosen for each framework and teacher, by mean validation accuracy."""


def compared(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the students that may be compared: one training setting each, a row a framework, teacher and seed.

    Students of the entries for this page and those that differ from them in framework or teacher alone, of the
    deterministic and the MCMI teacher and MCMI's control; where there are several for a framework and teacher, those of
    the setting with the highest mean validation accuracy.
    """
    shared = [name for name in TrainingConfig.model_fields if name not in Config.model_fields and name in frame]
    rows = frame[frame["teacher_label"].isin((BASELINE, TREATED, CONTROL))]
    setting = texts(rows, shared)
    own = rows["label"].astype(str).str.startswith(FRAMEWORKS) if "label" in rows else rows["framework"] != "kd"
    own = own if own.any() else rows["framework"] != "kd"
    order = {name: k for k, name in enumerate(CLAIM.treated)}
    for one in dict.fromkeys(setting[own]):
        part = chosen(rows[setting == one], by=("framework", "teacher_label"), free=choice.FREE)
        yield part.sort_values(
            ["framework", "teacher_label", "seed"], key=lambda c: c.map(order) if c.name == "framework" else c
        )


def gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Return framework, seed and gain in test accuracy: MCMI's student minus the deterministic teacher's, by pairs."""
    wide = rows.pivot(index=["framework", "seed"], columns="teacher_label", values="test_accuracy")
    wide = wide.reindex(columns=[BASELINE, TREATED]).dropna()
    out = (wide[TREATED] - wide[BASELINE]).rename("gain").reset_index()
    order = [name for name in CLAIM.treated if name in set(out["framework"])]
    return out.set_index("framework").loc[order].reset_index()


def judged(rows: pd.DataFrame) -> list[Judgement]:
    """Return claim C9's verdict on each framework; not run where either teacher's students are missing."""
    return judge(CLAIM, {**dict.fromkeys(CLAIM.treated), **_by_framework(gains(rows))})


def due_to_cmi(rows: pd.DataFrame) -> dict[str, Effect | None]:
    """Return what MCMI's students gain over those of its control, in each framework that has both.

    Args:
        rows: from `compared`.
    """
    control = against_control(rows)
    return _by_framework(gains(control)) if len(control) else {}


def effects(frame: pd.DataFrame) -> dict[str, dict[str, Effect | None]]:
    """Return the effects of C9, a member a framework, at the training setting that has the most pairs.

    Args:
        frame: a study's rows on one dataset.
    """
    others = tuple(begins for page, begins in OWN.items() if page != FRAMEWORKS)
    rows = frame[(frame["run_type"] == "student") & ~frame["label"].astype(str).str.startswith(others)]
    networks = [part for _, part in rows.groupby("architecture", sort=False)] if len(rows) else []
    found = [gains(one) for part in networks for one in compared(part)]
    most = max(found, key=len, default=pd.DataFrame(columns=["framework", "gain"]))
    return {CLAIM.id: {**dict.fromkeys(CLAIM.treated), **_by_framework(most)}}


def _by_framework(table: pd.DataFrame) -> dict[str, Effect | None]:
    """Return the mean gain in each framework over pairs of seeds."""
    groups = table.groupby("framework", sort=False)
    return {str(name): paired(part["gain"], [0.0] * len(part)) for name, part in groups}


def verdicts(rows: pd.DataFrame) -> HTML:
    """Return a table: for each framework both accuracies, the paired gain, n, corrected p and claim C9's verdict."""
    by, due = {one.member: one for one in judged(rows)}, due_to_cmi(rows)
    lines = []
    for name in dict.fromkeys(rows["framework"]):
        part = rows[rows["framework"] == name]
        values = {label: (100 * own["test_accuracy"]).tolist() for label, own in part.groupby("teacher_label")}
        one, cells = by.get(str(name)), [with_interval(values.get(label, [])) for label in (BASELINE, TREATED)]
        if one is None or one.effect is None:
            cells += ["–", "–", "–", "not run"]
        else:
            cells += [points(one.effect), str(one.effect.n), p_value(one.p), str(one.verdict)]
        if due:
            own = due.get(str(name))
            cells.append("–" if own is None else f"{points(own)} (n = {own.n})")
        lines.append(f"<tr><th>{html.escape(name_of(name))}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    heads = ["", "deterministic (%)", "MCMI (%)", "gain (points)", "n", "p, corrected", "C9", *([DUE] if due else [])]
    return table_of("".join(f"<th>{html.escape(head)}</th>" for head in heads), lines)


def drawn(rows: pd.DataFrame) -> Figure:
    """Draw the paired gains: a row a framework, a dot a pair of seeds, the strip of what would not matter."""
    table = gains(rows)
    figure = interval_dots(
        table.assign(gain=100 * table["gain"]),
        "gain",
        "framework",
        axis="gain of MCMI over deterministic:\ntest accuracy (points)",
    )
    (axes,) = figure.axes
    axes.axvspan(-100 * CLAIM.smallest, 100 * CLAIM.smallest, color="#e4e4e4", zorder=0.5)
    axes.axvline(0, color="#222222", linewidth=1.4)
    return figure


def short(part: Section, name: str, rows: pd.DataFrame) -> Markdown:
    """Say in one line what the students of MCMI teachers gain in each framework, and what that says of claim C9."""
    if part.waiting:
        return not_yet(part, name, CLAIM)
    found = judged(rows)
    ran = sum(one.effect is not None for one in found)
    said = ", ".join(f"{name_of(one.member)} {points(one.effect)}" for one in found if one.effect)
    n = min((one.effect.n for one in found if one.effect), default=0)
    return markdown(
        f"**{part.title}** ({name}; gain of MCMI's students over the deterministic teacher's in test accuracy, points, "
        f"n = {n}): {said or 'no pair'}. {ran} of {len(found)} frameworks run; C9 over them all: "
        f"{overall(o.verdict for o in found)}."
    )
