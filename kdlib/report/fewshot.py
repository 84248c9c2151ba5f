"""The few-shot page: what a teacher is worth to a student that sees a fraction of the data. (No torch.)

A study's few-shot students are its entries whose label begins with `fewshot`; those that see all the data may be of
another entry with the same settings. Gains are paired over seeds.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from kdlib.report.claims import CLAIMS, Effect, judge, mean_interval, paired
from kdlib.report.claims.choice import FREE, TRAINING, against_control, chosen, entering, texts
from kdlib.report.plots.lines import Panel, lines
from kdlib.report.plots.style import name_of
from kdlib.report.sections import OWN, SHORT, Section, not_yet, with_interval
from kdlib.report.words import DUE, answer, markdown, points, row_of, signed, table_of

if TYPE_CHECKING:
    from IPython.display import HTML, Markdown
    from matplotlib.figure import Figure

PAGE = "fewshot"
LARGER, SMALL = (next(claim for claim in CLAIMS if claim.id == name) for name in ("C7", "C11"))
(TREATED,) = SMALL.treated
BASELINE = SMALL.baseline
AT = 0.05
"""The fraction that C11 is about."""
DECIDES = "steps"
"""The protocol that the verdicts rest on: that of the paper whose claims they are."""
PROTOCOLS = {
    "steps": "as many steps as with all the data (MCMI)",
    "epochs": "as many passes over the subset (Bayesian-KD)",
}


class Trial(NamedTuple):
    """One row of MCMI's published few-shot log: test accuracies in percent, resnet56 to resnet20 on CIFAR-100."""

    percent: float
    framework: str
    plain: tuple[float, float]
    """Mean and standard deviation over trials with the maximum-likelihood teacher; 0 for one trial."""
    mcmi: tuple[float, float]
    gain: float
    trials: int


PUBLISHED = (
    Trial(0.5, "kd", (9.75, 0), (11.21, 0), 1.46, 1),
    Trial(1, "kd", (17.53, 0), (20.84, 0), 3.31, 1),
    Trial(5, "kd", (52.30, 0.25), (58.02, 0.43), 5.72, 5),
    Trial(10, "kd", (60.13, 0.46), (63.75, 0.17), 3.62, 5),
    Trial(25, "kd", (66.80, 0.21), (68.03, 0.19), 1.24, 5),
    Trial(50, "kd", (69.53, 0.09), (70.11, 0.24), 0.58, 5),
    Trial(75, "kd", (70.44, 0.14), (70.59, 0.24), 0.15, 5),
    Trial(0.5, "crd", (8.85, 0), (9.44, 0), 0.59, 1),
    Trial(1, "crd", (14.71, 0), (15.39, 0), 0.68, 1),
    Trial(5, "crd", (44.60, 0.63), (46.79, 0.29), 2.18, 5),
    Trial(10, "crd", (54.60, 0.29), (55.64, 0.18), 1.04, 5),
    Trial(25, "crd", (63.82, 0.26), (64.36, 0.51), 0.54, 3),
    Trial(50, "crd", (68.84, 0.13), (69.06, 0.33), 0.22, 5),
    Trial(75, "crd", (70.35, 0.10), (69.98, 0.65), -0.37, 3),
)
"""The only raw record that either paper's repository holds; gains as printed there."""


def compared(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield a framework and its students: a row a teacher label, fraction, `protocol` and seed, trained alike.

    Students that see all the data stand under every protocol, if some that see less share their kd_weight, T and S.
    Where there are several of these, those of the highest mean validation accuracy at that fraction.
    """
    frame = frame.drop_duplicates("run").reset_index(drop=True)
    begins, whole = frame["label"].astype(str).str.startswith(OWN[PAGE]), frame["fraction"] == 1
    own = (begins if begins.any() else ~whole) & ~whole
    alike = [name for name in TRAINING if name not in ("fraction", "match")]
    group = texts(frame, [*alike, "framework", "framework_weight"])
    key = texts(frame, ["teacher_label", *FREE, "samples"])
    for one in dict.fromkeys(group[own]):
        tables = []
        for protocol in PROTOCOLS:
            few = own & (group == one) & (frame["match"] == protocol)
            full = whole & (group == one) & key.isin(key[few])
            tables.append(frame[few | full].assign(protocol=protocol))
        rows = chosen(pd.concat(tables, ignore_index=True), by=("teacher_label", "fraction", "protocol"))
        yield str(rows["framework"].iloc[0]), rows.assign(percent=100 * rows["fraction"])


def gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the gain of each student over that of the deterministic teacher of the same seed, fraction and protocol.

    Columns: teacher_label, fraction, percent, protocol, seed, gain (of test accuracy).
    """
    keys = ["protocol", "fraction", "percent", "seed"]
    own = rows["teacher_label"] == BASELINE
    plain = rows[own][[*keys, SMALL.column]]
    both = rows[~own].merge(plain, on=keys, suffixes=("", "_plain"))
    both = both.assign(gain=both[SMALL.column] - both[f"{SMALL.column}_plain"])
    return both[["teacher_label", *keys, "gain"]]


def pair(rows: pd.DataFrame, protocol: str = DECIDES) -> dict[str, Effect | None]:
    """Return the effects of C11 and C7 by claim, under one protocol; None where no seed has all that it takes."""
    rows = rows[rows["protocol"] == protocol]
    table = gains(rows)
    table = table[table["teacher_label"] == TREATED]
    wide = table.pivot(index="seed", columns="fraction", values="gain")
    fewest = rows["fraction"].min()
    at = wide[AT].dropna() if AT in wide else ()
    both = wide[[fewest, 1.0]].dropna() if fewest < 1 and {fewest, 1.0} <= set(wide) else wide.iloc[:0]
    return {
        SMALL.id: mean_interval(at) if len(at) else None,
        LARGER.id: paired(both[fewest], both[1.0]) if len(both) else None,
    }


def effects(frame: pd.DataFrame) -> dict[str, dict[str, Effect | None]]:
    """Return the effects of C7 and C11 on one dataset: those of the first students that measure each.

    Args:
        frame: a study's table of runs, of one dataset.
    """
    students = entering(frame[frame["run_type"] == "student"])
    found = [pair(rows) for _, rows in compared(students)] if len(students) else []
    return {
        claim.id: {TREATED: next((one[claim.id] for one in found if one[claim.id]), None)} for claim in (LARGER, SMALL)
    }


def accuracies(rows: pd.DataFrame) -> Figure:
    """Draw test accuracy against the fraction, a line a teacher, a panel a protocol."""
    panels = [
        Panel(f"test accuracy (%), {PROTOCOLS[name]}", part, SMALL.column, 100) for name, part in _by_protocol(rows)
    ]
    return lines(panels, "percent", "teacher_label", "training images of each class (%)")


def gained(rows: pd.DataFrame) -> Figure:
    """Draw gains over the deterministic teacher's student against the fraction, above the published trials."""
    table = gains(rows)
    panels = [
        Panel(f"gain (points), {PROTOCOLS[name]}", part, "gain", 100, strip=SMALL.smallest)
        for name, part in _by_protocol(table)
    ]
    past = pd.DataFrame(trial._asdict() for trial in PUBLISHED if trial.percent >= table["percent"].min())
    past = past.assign(teacher_label="published " + past["framework"].map(name_of), seed=0)
    panels.append(Panel("published gain of MCMI (points), CIFAR-100", past, "gain", strip=100 * SMALL.smallest))
    return lines(panels, "percent", "teacher_label", "training images of each class (%)")


def _by_protocol(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(name, rows[rows["protocol"] == name]) for name in PROTOCOLS if (rows["protocol"] == name).any()]


def accuracy_table(rows: pd.DataFrame) -> HTML:
    """Return a table of test accuracies with 95 % t intervals: a row a protocol and fraction, a column a teacher.

    Where the students differ in kd_weight, T or S, as much of it as tells settings apart stands below the number.
    """
    free, parts = list[str](), 1
    for name in sorted(FREE, key=lambda name: name == "kd_weight"):
        finer = len(rows[[*free, name]].dropna().drop_duplicates())
        if finer > parts:  # else it differs only together with those before it
            free, parts = [*free, name], finer

    def cell(part: pd.DataFrame) -> str:
        said = ", ".join(f"{SHORT[name]} {part[name].iloc[0]:g}" for name in free if part[name].notna().all())
        return with_interval((100 * part[SMALL.column]).tolist()) + (f"<br><small>{said}</small>" if said else "")

    return _table(rows, cell, "%")


def gain_table(rows: pd.DataFrame) -> HTML:
    """Return a table of gains over the deterministic teacher with 95 % t intervals, in points, and their n."""

    def cell(part: pd.DataFrame) -> str:
        return f"{points(mean_interval(part['gain']))}<br><small>n = {len(part)}</small>"

    return _table(gains(rows), cell, "points")


def _table(rows: pd.DataFrame, cell: Callable[[pd.DataFrame], str], unit: str) -> HTML:
    labels, out = list(dict.fromkeys(rows["teacher_label"])), []
    for protocol, table in _by_protocol(rows):
        for percent in sorted(set(table["percent"])):
            parts = [table[(table["percent"] == percent) & (table["teacher_label"] == name)] for name in labels]
            out.append([f"{percent:g}&nbsp;%", protocol, *(cell(part) if len(part) else "–" for part in parts)])
    return _shown(["data", "as many", *(f"{name_of(name)} ({unit})" for name in labels)], out)


def published_table() -> HTML:
    """Return the published trials as a table: accuracies in percent with their standard deviations, and gains."""

    def spread(mean: float, sd: float) -> str:
        return f"{mean:.2f} ± {sd:.2f}" if sd else f"{mean:.2f}"

    rows = [
        [
            f"{t.percent:g}&nbsp;%",
            name_of(t.framework),
            spread(*t.plain),
            spread(*t.mcmi),
            signed(t.gain, 2),
            str(t.trials),
        ]
        for t in PUBLISHED
    ]
    heads = ["data", "framework", "maximum likelihood (%, ± sd)", "MCMI (%, ± sd)", "gain (points)", "trials"]
    return _shown(heads, rows)


def _shown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> HTML:
    """Return a table whose rows begin with a heading; cells are HTML."""
    return table_of(
        "".join(f"<th>{html.escape(head)}</th>" for head in heads), [row_of(first, rest) for first, *rest in rows]
    )


def short(part: Section, where: str, rows: pd.DataFrame) -> Markdown:
    """Say in a few lines what MCMI's students gain at 5 %, how that compares with all the data, and the verdicts."""
    if part.waiting:
        return not_yet(part, where, SMALL, LARGER)
    found, beside = pair(rows), pair(rows, "epochs")
    control = against_control(rows)
    due = pair(control) if len(control) else {}
    what = {
        SMALL: f"with {100 * AT:g} % of the data the student of MCMI gains ",
        LARGER: "the gain with the fewest data minus that with all of them is ",
    }
    said = []
    for claim, words in what.items():
        (one,) = judge(claim, {TREATED: found[claim.id]})
        other = beside[claim.id]
        also = f"; by passes over the subset {points(other)} points (n = {other.n})" if other else ""
        own = due.get(claim.id)
        also += f"; {DUE} {points(own)} points (n = {own.n})" if own else ""
        said.append((words if one.effect else "") + answer(claim, one) + also)
    text = "\n".join(f"- {one}." for one in [*said, _highest(rows)] if one)
    return markdown(f"**{part.title}** ({where}; over the deterministic teacher's student):\n\n{text}")


def _highest(rows: pd.DataFrame) -> str:
    """Say which supervision is best with the fewest data, beside the exact BCPs and the labels."""
    few = rows[(rows["protocol"] == DECIDES) & (rows["fraction"] == rows["fraction"].min())]
    means = few.groupby("teacher_label", sort=False)["val_accuracy"].mean()
    if len(means) < 2:
        return ""
    shown = []
    for name in dict.fromkeys([means.idxmax(), "exact_bcp", "one_hot"]):
        if name in means:
            own = (100 * few.loc[few["teacher_label"] == name, SMALL.column]).tolist()
            shown.append(f"{name_of(name)} {with_interval(own)} %")
    return (
        f"highest on validation images with the fewest data, beside BCPs and labels: test accuracy {', '.join(shown)}"
    )
