"""The front page: the answer of the whole study, its picture and the claims as a small table. (No torch.)"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from kdlib.report import goes_with, page
from kdlib.report.choice import effect, leads, ranked
from kdlib.report.claims import CLAIMS
from kdlib.report.claims.answers import Column
from kdlib.report.claims.rules import Verdict
from kdlib.report.draw import crosses, level
from kdlib.report.goes_with import DISTANCE
from kdlib.report.inference import Effect
from kdlib.report.laboratory import CEILING, differences
from kdlib.report.theme import canvas, legend, literal, marks_of, name_of
from kdlib.report.truths import EXACT, called
from kdlib.report.words import interval, plain, signed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BASELINE = "deterministic"
COUNTED = {
    Verdict.SUPPORTED: ("holds", "hold"),
    Verdict.NOT_SUPPORTED: ("does not hold", "do not hold"),
    Verdict.INCONCLUSIVE: ("is left open", "are left open"),
    Verdict.UNFINISHED: ("waits for planned seeds", "wait for planned seeds"),
    Verdict.NOT_RUN: ("was not measured", "were not measured"),
}
STAR = r"\*"
CAPTION = (
    "Does a teacher that is nearer to the truth teach better? Each mark is a teacher: how far its answers to test "
    "images lie from the {}, and how much more accurate its students are than students of labels, at the temperature "
    "that validation images choose. Bars are 95 % t intervals."
)
ALT = (
    "A panel a dataset, one mark a teacher: gain of its students in points against its distance to the {} in nats, "
    "with a line for students of labels (zero){}."
)


def ceiling(column: Column) -> Effect | None:
    """Return what students of the exact BCPs gain over one-hot students, at the T that validation images choose."""
    return differences(column.frame).get(CEILING)


class Panel(NamedTuple):
    """What the picture shows of a dataset."""

    column: Column
    rows: pd.DataFrame
    """A row a teacher and seed: its distance, and its students' gain."""
    top: Effect | None
    """The ceiling; none where nobody knows it."""


def pictured(columns: Sequence[Column]) -> list[Panel]:
    """Return the panels of the datasets on which teachers' distances are known and every planned seed is in."""
    known = [(one, goes_with.teachers_and_gains(one.frame)) for one in columns if not one.part.waiting]
    return [Panel(column, rows, ceiling(column)) for column, rows in known if rows["seed"].nunique() > 1]


def picture(shown: Sequence[Panel]) -> Figure:
    """Draw each teacher's distance against what its students gain, with 95 % t intervals both ways, a panel a dataset.

    Args:
        shown: from `pictured`, at least one.
    """
    marks = marks_of(dict.fromkeys(label for one in shown for label in ranked(one.rows, DISTANCE)["teacher_label"]))
    figure, panels = canvas(3.3 * len(shown) + 0.4, len(shown))
    for axes, (column, rows, top) in zip(panels, shown, strict=True):
        crosses(axes, rows, DISTANCE, "gain", marks, "teacher_label")
        truth = "BCP" if called(column.frame) == EXACT else "people"
        axes.set(xlabel=f"KL({truth} ‖ teacher) (nats), as trained", ylabel="gain over labels (points)")
        axes.set_title(f"{literal(column.dataset)}, n = {rows['seed'].nunique()}")
        level(axes, 0, "one-hot labels")
        if top:
            level(axes, 100 * top.mean, "exact BCPs", dashed=True)
            axes.margins(y=0.12)
    legend(figure, marks)
    return figure


def show(shown: Sequence[Panel]) -> None:
    """Show the picture of the study; nothing without a dataset whose distances are known.

    Args:
        shown: from `pictured`.
    """
    if shown:
        truths = " and the ".join(f"{called(column.frame)} on {column.dataset}" for column, *_ in shown)
        exact = any(one.top for one in shown)
        alt = ALT.format(truths, " and one for students of exact probabilities" if exact else "")
        rows = pd.concat([one.rows.assign(dataset=one.column.dataset) for one in shown])
        page.figure(picture(shown), "study", CAPTION.format(truths), alt, rows)


def sentences(shown: Sequence[Panel]) -> list[str]:
    """Return the answer of the study: who is nearest to the truth on each dataset, and whose students gain most.

    Args:
        shown: from `pictured`.
    """
    near, gained = list[str](), list[str]()
    for column, rows, _ in shown:
        nearest, words = _nearest(column)
        best, surely = leads(rows, "gain", lowest=False)
        gain, where = rows.loc[rows["teacher_label"] == best, "gain"].mean(), plain(column.dataset)
        whose = "the same teacher's" if best == nearest else f"those of the {name_of(best)} teacher"
        doubt = "" if surely else ", not surely ahead of the next"
        head = f"**The {name_of(nearest)} teacher estimates the Bayes class probabilities best** on {where}"
        near.append(
            f"On {where}, by {called(column.frame)}, it is the {name_of(nearest)} teacher: {words}."
            if near
            else f"{head}: {words}."
        )
        head = f"On {where} they are {whose}" if gained else f"**The students that gain most over labels are {whose}**"
        gained.append(f"{head}, {signed(100 * gain, 1)} points{doubt}.")
    return [" ".join(near), " ".join([*gained, *_together(shown[0])])] if shown else []


def _nearest(column: Column) -> tuple[str, str]:
    """Return the label of the teacher whose answers to test images lie nearest to the truth, and how near in words."""
    teachers = goes_with.teachers_of(column.frame).dropna(subset=DISTANCE)
    nearest, surely = leads(teachers, DISTANCE)
    nearer = effect(teachers, nearest, BASELINE, DISTANCE) if nearest != BASELINE else None
    over = f", {interval(nearer, 'nats')} against the {name_of(BASELINE)} teacher (n = {nearer.n})" if nearer else ""
    doubt = "" if surely else ", not surely ahead of the next"
    mean = teachers.loc[teachers["teacher_label"] == nearest, DISTANCE].mean()
    return nearest, f"KL {mean:.3f} nats{over}{doubt}"


def _together(panel: Panel) -> list[str]:
    """Say how distance and gain go together over teachers trained apart, as trained and as students saw them."""
    tempered = goes_with.teachers_and_gains(panel.column.frame, tempered=True)
    trained, seen = (goes_with.within_seeds(one) for one in (panel.rows, tempered))
    if trained is None:
        return []
    beside = f"; with the distance at the students' T {goes_with.rho(seen)}" if seen else ""
    return [f"Over teachers trained apart on {plain(panel.column.dataset)}, distance and gain go together by "
            f"{goes_with.rho(trained)}{beside} (Spearman; −1: nearer is always better)."]  # fmt: skip


def counted(columns: Sequence[Column]) -> str:
    """Say how many of the claims hold on each dataset that has all of its seeds; of the first in any case."""
    each = []
    for column in [one for one in columns if not one.part.waiting] or columns[:1]:
        found = Counter(answer.verdict for answer in column.answers)
        parts = [f"{n} {words[n > 1]}" for verdict, words in COUNTED.items() if (n := found[verdict])]
        each.append(f"{', '.join(parts)} on {plain(column.name)}")
    return f"**Of the papers' fourteen claims** {'; '.join(each)}."


def table(columns: Sequence[Column]) -> str:
    """Return the claims as a small Markdown table: each with a link to the page that decides, and its verdicts.

    A star marks what MCMI's control does as well; a line below says so.
    """
    lines = ["| " + " | ".join(["", "claim", *(plain(column.name) for column in columns)]) + " |"]
    lines.append("|" + "---|" * (2 + len(columns)))
    for place, claim in enumerate(CLAIMS):
        answers = [column.answers[place] for column in columns]
        verdicts = [f"{answer.verdict}{STAR * answer.without_cmi}" for answer in answers]
        link = f"{{doc}}`{claim.short} </book/results/{claim.page}>`"
        lines.append("| " + " | ".join([claim.id, link, *verdicts]) + " |")
    if any(answer.without_cmi for column in columns for answer in column.answers):
        lines += [
            "",
            f"{STAR} The same fine-tuning without the CMI term does it; CMI's own part is too small to matter.",
        ]
    return "\n".join(lines)
