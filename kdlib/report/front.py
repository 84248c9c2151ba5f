"""The front page: the answer of the whole study, its picture and the claims as a small table. (No torch.)"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from kdlib.report import goes_with, page
from kdlib.report.choice import ranked
from kdlib.report.claims import CLAIMS
from kdlib.report.claims.answers import Column
from kdlib.report.claims.rules import Verdict
from kdlib.report.draw import crosses, level
from kdlib.report.goes_with import DISTANCE
from kdlib.report.inference import Effect, paired
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


def pictured(columns: Sequence[Column]) -> list[tuple[Column, pd.DataFrame]]:
    """Return the datasets with a picture and its rows: teachers' distances are known, and every planned seed is in."""
    known = [(one, goes_with.teachers_and_gains(one.frame)) for one in columns if not one.part.waiting]
    return [(column, rows) for column, rows in known if rows["seed"].nunique() > 1]


def picture(shown: Sequence[tuple[Column, pd.DataFrame]]) -> Figure:
    """Draw each teacher's distance against what its students gain, with 95 % t intervals both ways, a panel a dataset.

    Args:
        shown: from `pictured`, at least one.
    """
    marks = marks_of(dict.fromkeys(label for _, rows in shown for label in ranked(rows, DISTANCE)["teacher_label"]))
    figure, panels = canvas(3.3 * len(shown) + 0.4, len(shown))
    for axes, (column, rows) in zip(panels, shown, strict=True):
        crosses(axes, rows, DISTANCE, "gain", marks, "teacher_label")
        truth = "BCP" if called(column.frame) == EXACT else "people"
        axes.set(xlabel=f"KL({truth} ‖ teacher) (nats), as trained", ylabel="gain over labels (points)")
        axes.set_title(f"{literal(column.dataset)}, n = {rows['seed'].nunique()}")
        level(axes, 0, "one-hot labels")
        if top := ceiling(column):
            level(axes, 100 * top.mean, "exact BCPs", dashed=True)
            axes.margins(y=0.12)
    legend(figure, marks)
    return figure


def show(columns: Sequence[Column]) -> None:
    """Show the picture of the study: all datasets whose distances are known."""
    if shown := pictured(columns):
        truths = " and the ".join(f"{called(column.frame)} on {column.dataset}" for column, _ in shown)
        exact = any(ceiling(column) for column, _ in shown)
        alt = ALT.format(truths, " and one for students of exact probabilities" if exact else "")
        rows = pd.concat([one.assign(dataset=column.dataset) for column, one in shown])
        page.figure(picture(shown), "study", CAPTION.format(truths), alt, rows)


def sentences(column: Column) -> list[str]:
    """Return the answer of a study: who is nearest to the truth, and whether that is who teaches best."""
    rows, said = goes_with.teachers_and_gains(column.frame), []
    if not rows.empty:
        means = rows.groupby("teacher_label")[[DISTANCE, "gain"]].mean()
        nearest, best = str(means[DISTANCE].idxmin()), str(means["gain"].idxmax())
        wide = rows.pivot(index="seed", columns="teacher_label", values=DISTANCE)
        if BASELINE in wide and nearest != BASELINE:
            nearer = paired(wide[nearest].to_numpy(), wide[BASELINE].to_numpy())
            said.append(
                f"**The {name_of(nearest)} teacher estimates the Bayes class probabilities best** on "
                f"{plain(column.dataset)}: KL {means[DISTANCE][nearest]:.3f} nats, {interval(nearer, 'nats')} against "
                f"the {name_of(BASELINE)} teacher (n = {nearer.n})."
            )
        same = "the same teacher's" if best == nearest else f"those of the {name_of(best)} teacher"
        trained, seen = (goes_with.within_seeds(one) for one in (rows, goes_with.at_temperature(column.frame, None)))
        rank = (
            f" Over teachers trained apart, distance and gain go together by {goes_with.rho(trained)}"
            if trained
            else ""
        )
        if trained and seen:
            rank += f"; with the distance of the answers as students saw them, tempered, {goes_with.rho(seen)}"
        rank += " (Spearman; −1: nearer is always better)." if trained else ""
        gain = signed(100 * means["gain"][best], 1)
        said.append(f"**The students that gain most over labels are {same}**, {gain} points.{rank}")
    return said


def counted(columns: Sequence[Column]) -> str:
    """Say how many of the claims hold on each dataset that has all of its seeds; of the first in any case."""
    each = []
    for column in [one for one in columns if not one.part.waiting] or columns[:1]:
        found = Counter(answer.verdict for answer in column.answers)
        parts = [f"{n} {words[n > 1]}" for verdict, words in COUNTED.items() if (n := found[verdict])]
        each.append(f"{', '.join(parts)} on {plain(column.name)}")
    return f"**Of the papers' fourteen claims** {'; '.join(each)}."


def table(columns: Sequence[Column]) -> str:
    """Return the claims as a small Markdown table: each with a link to the page that decides, and its verdicts."""
    lines = ["| " + " | ".join(["", "claim", *(plain(column.name) for column in columns)]) + " |"]
    lines.append("|" + "---|" * (2 + len(columns)))
    for place, claim in enumerate(CLAIMS):
        verdicts = [str(column.answers[place].verdict) for column in columns]
        link = f"{{doc}}`{claim.short} </book/results/{claim.page}>`"
        lines.append("| " + " | ".join([claim.id, link, *verdicts]) + " |")
    return "\n".join(lines)
