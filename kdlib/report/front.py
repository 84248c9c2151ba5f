"""The front page: the answer of the whole study, its picture and the claims as a small table. (No torch.)"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from kdlib.report import goes_with
from kdlib.report.claims import CLAIMS, Effect, Verdict, mean_interval, paired
from kdlib.report.claims.words import WORDS
from kdlib.report.pages import caption
from kdlib.report.plots.style import name_of
from kdlib.report.verdict_tables import interval
from kdlib.report.words import markdown, signed

if TYPE_CHECKING:
    from IPython.display import HTML, Markdown
    from matplotlib.figure import Figure

    from kdlib.report.verdicts import Column

DISTANCE = "test_kl_to_bcp"
BASELINE = "deterministic"
CEILING = "exact_bcp"


def rows_of(column: Column) -> pd.DataFrame:
    """Return a row a teacher and seed: its distance to the BCPs as trained, and its students' gain at the chosen T.

    Args:
        column: of a study whose teachers' distances are known; without such teachers there are no rows.
    """
    frame = column.part.frame
    frame = frame[frame["dataset"] == column.dataset]
    teachers = frame[frame["run_type"] == "teacher"].drop_duplicates(["teacher_label", "seed"])
    if DISTANCE not in teachers:
        return pd.DataFrame()
    gained = goes_with.gains(frame[frame["run_type"] == "student"], None)
    known = teachers[["teacher_label", "seed", DISTANCE]]
    return gained.merge(known, on=["teacher_label", "seed"]).dropna(subset=[DISTANCE, "gain"])


def ceiling(column: Column) -> Effect | None:
    """Return what students of the exact BCPs gain over one-hot students, at the T that validation images choose."""
    frame = column.part.frame
    own = frame[(frame["dataset"] == column.dataset) & (frame["run_type"] == "student")]
    exact = own[(own["teacher"] == CEILING) & own["label"].astype(str).str.startswith("ceiling")]
    floor = own[own["label"].astype(str).str.startswith("floor")].drop_duplicates("seed").set_index("seed")
    if exact.empty or floor.empty:
        return None
    best = exact.groupby("temperature")["val_accuracy"].mean().idxmax()
    gain = exact[exact["temperature"] == best].set_index("seed")["test_accuracy"] - floor["test_accuracy"]
    return mean_interval(gain.dropna())


def picture(column: Column) -> Figure | None:
    """Draw each teacher's distance against what its students gain, with 95 % t intervals both ways."""
    from kdlib.report.plots.against import crossed

    rows = rows_of(column)
    if rows.empty:
        return None
    order = rows.groupby("teacher_label")[DISTANCE].mean().sort_values().index
    ordered = pd.concat([rows[rows["teacher_label"] == label] for label in order])
    height = 4.4 + 0.28 * len(order)  # of the panel, and of the legend below it
    figure, (axes, *_) = crossed(ordered, [(DISTANCE, 1.0, "gain", 100.0)], "teacher_label", height)
    axes.set(xlabel="KL(BCP ‖ teacher) (nats), as trained", ylabel="students' gain over labels (points)")
    axes.axhline(0, color="#858585", linewidth=1.2, zorder=1)
    axes.annotate("one-hot labels", (1, 0), (-4, 4), xycoords=("axes fraction", "data"),
                  textcoords="offset points", ha="right", fontsize=12)  # fmt: skip
    top = ceiling(column)
    if top is not None:
        axes.axhline(100 * top.mean, color="black", linewidth=1.2, linestyle="--", zorder=1)
        axes.annotate("exact BCPs", (1, 100 * top.mean), (-4, 4), xycoords=("axes fraction", "data"),
                      textcoords="offset points", ha="right", fontsize=12)  # fmt: skip
    return figure


def shown(column: Column) -> HTML | None:
    """Return the picture of the study with its caption."""
    figure = picture(column)
    if figure is None:
        return None
    return caption(
        figure,
        "study",
        f"Does a teacher that is nearer to the truth teach better? Each mark is a teacher on {column.dataset}: how far "
        "its answers lie from the Bayes class probabilities of test images, and how much more accurate its students "
        "are than students of labels, at the temperature that validation images choose. Bars are 95 % t intervals.",
        "One mark a teacher: gain of its students in points against its distance to the Bayes class probabilities in "
        "nats, with lines for students of labels (zero) and of the exact probabilities.",
    )


def sentences(column: Column) -> list[str]:
    """Return the answer of the whole study: who is nearest, whether that is who teaches best, how the claims fare."""
    rows, said = rows_of(column), []
    if not rows.empty:
        means = rows.groupby("teacher_label")[[DISTANCE, "gain"]].mean()
        nearest, best = str(means[DISTANCE].idxmin()), str(means["gain"].idxmax())
        wide = rows.pivot(index="seed", columns="teacher_label", values=DISTANCE)
        if BASELINE in wide and nearest != BASELINE:
            nearer = paired(wide[nearest].to_numpy(), wide[BASELINE].to_numpy())
            said.append(
                f"**The {name_of(nearest)} teacher estimates the Bayes class probabilities best** on {column.dataset}: "
                f"KL {means[DISTANCE][nearest]:.3f} nats, {interval(nearer, 'nats')} against the {name_of(BASELINE)} "
                f"teacher (n = {nearer.n})."
            )
        same = "the same teacher's" if best == nearest else f"those of the {name_of(best)} teacher"
        found = [one for one in goes_with.correlations(_both(rows)) if one.measure == DISTANCE]
        rank = f" Over teachers trained apart, nearer goes with better by ρ = {_rho(found[0].within)}." if found else ""
        said.append(
            f"**The students that gain most over labels are {same}**, {signed(100 * means['gain'][best], 1)} points."
            + rank
        )
    counted = Counter(answer.verdict for answer in column.answers)
    parts = [f"{counted[one]} {words}" for one, words in COUNTED.items() if counted[one]]
    said.append(f"**Of the papers' fourteen claims** {', '.join(parts)}.")
    return said


COUNTED = {
    Verdict.SUPPORTED: "hold here",
    Verdict.NOT_SUPPORTED: "do not hold here",
    Verdict.INCONCLUSIVE: "are left open",
    Verdict.UNFINISHED: "wait for planned seeds",
    Verdict.NOT_RUN: "were not measured",
}


def _both(rows: pd.DataFrame) -> pd.DataFrame:
    own = rows[rows["teacher_label"].isin(goes_with.APART)]
    return own.assign(**{name: own.get(name, float("nan")) for name in goes_with.MEASURES})


def _rho(effect: Effect) -> str:
    half = (effect.high - effect.low) / 2
    return f"{signed(effect.mean, 2)} ± {half:.2f} (Spearman within seeds, n = {effect.n}; −1 would be always)"


def answer(column: Column) -> Markdown:
    """Return the answer of the whole study, as the front page has it."""
    return markdown("\n\n".join(sentences(column)))


def table(columns: Sequence[Column]) -> Markdown:
    """Return the claims as a small table: what is claimed, with a link to the page that decides, and each verdict."""
    heads = ["", "claim", *(column.name for column in columns)]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for claim in CLAIMS:
        words = WORDS[claim.id]
        verdicts = [str(next(one.verdict for one in column.answers if one.claim.id == claim.id)) for column in columns]
        link = f"{{doc}}`{words.short} </book/results/{words.page}>`"
        lines.append("| " + " | ".join([claim.id, link, *verdicts]) + " |")
    return markdown("\n".join(lines))
