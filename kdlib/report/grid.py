"""The distillation grid: settings chosen for each teacher, and what claims C4 and C5 rest on. (No torch.)

The grid is the students of entries whose label begins with `distilled`, over kd_weight, T and S. Each teacher's setting
is chosen by the mean validation accuracy of its students; the students chosen so are then compared with those of the
deterministic teacher in pairs of seeds. C5 rests on students of the entry `convergence`, trained at a constant rate:
under a falling one the trend's curvature decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from kdlib.measures.convergence import COLUMN, WINDOW, WINDOWS, of
from kdlib.report.claims import CLAIMS, Claim, Effect, Judgement, holm, judge
from kdlib.report.claims.choice import FREE, TRAINING, chosen, effect, entering, texts
from kdlib.report.sections import named
from kdlib.study.rows import histories

BEGINS = "distilled"
"""How the labels of the grid's entries begin."""
CONVERGENCE = "convergence"
"""The label of the students, trained at a constant rate, that C5 rests on."""
C4, C5 = (next(claim for claim in CLAIMS if claim.id == name) for name in ("C4", "C5"))
BASELINE, MEMBERS = C4.baseline, C4.treated
ENDS = ("one_hot", "exact_bcp")
"""The floor and the ceiling."""


def simplified(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep each teacher's students at one setting of kd_weight, T and S, the one that validation images prefer.

    Returns:
        The rows kept, with `group` as `kdlib.report.sections.named` gives it; all of them where there is no grid.
    """
    alike = texts(frame, ("teacher_label", *TRAINING, "framework", "framework_weight", "samples"))
    kept = chosen(frame.assign(alike=alike), by=("alike",)).drop(columns="alike")
    return named(kept)


def usual(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the students that were not trained at a constant rate for C5 alone."""
    return frame[frame["label"] != CONVERGENCE]


def compared(frame: pd.DataFrame, begins: str = BEGINS) -> Iterator[pd.DataFrame]:
    """Yield the students that may be compared: one training setting each, of every teacher and point of the grid.

    Args:
        frame: rows of one study (or of runs chosen by hand, which are labelled by their teacher) and one dataset.
        begins: how the labels of their entries begin.
    """
    rows = frame[~frame["teacher"].isin(ENDS)]
    own = rows["label"].astype(str).str.startswith(begins) | ((rows["label"] == rows["teacher"]) & (begins == BEGINS))
    plain = (rows["framework"] == "kd") & (rows["samples"] == 1) & (rows["omit_classes"].fillna("") == "")
    rows = rows[own & plain].drop_duplicates("run")
    setting = texts(rows, TRAINING)
    for one in dict.fromkeys(setting):
        yield rows[setting == one]


def with_ends(picked: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Add students of one-hot labels and of the exact BCPs that were trained alike: the floor and the ceiling."""
    setting = texts(picked, TRAINING)
    ends = frame[frame["teacher"].isin(ENDS) & (frame["framework"] == "kd")].drop_duplicates("run")
    ends = ends[texts(ends, TRAINING).isin(setting)]
    return pd.concat([picked, chosen(ends, by=("teacher",))]) if len(ends) else picked


def means(rows: pd.DataFrame, value: str = "test_accuracy") -> pd.DataFrame:
    """Return the grid's means over seeds: a row a teacher, a column a (kd_weight, T, S); NaN where none was trained."""
    order = list(dict.fromkeys(rows["teacher_label"]))
    return rows.pivot_table(index="teacher_label", columns=list(FREE), values=value, aggfunc="mean").loc[order]


def settings(rows: pd.DataFrame) -> dict[str, tuple[float, ...]]:
    """Return each teacher's kd_weight, T and S, of rows that have one setting a teacher."""
    first = rows[~rows["teacher"].isin(ENDS)].drop_duplicates("teacher_label")
    values = first[list(FREE)].astype(float).itertuples(index=False)
    return dict(zip(first["teacher_label"], map(tuple, values), strict=True))


def measured(rows: pd.DataFrame, windows: Sequence[int] = WINDOWS) -> pd.DataFrame:
    """Add the convergence noise of each student: `convergence_noise`, and `convergence_noise_<w>` for other windows."""
    past = histories(rows)
    if past.empty:
        return rows.assign(**{column(window): math.nan for window in (WINDOW, *windows)})
    found = {column(window): rows["run"].map(of(past, window)) for window in dict.fromkeys((WINDOW, *windows))}
    return rows.assign(**found)


def column(window: int) -> str:
    """Return the column of the convergence noise for a window."""
    return COLUMN if window == WINDOW else f"{COLUMN}_{window}"


def still(rows: pd.DataFrame, name: str = COLUMN) -> int:
    """Return how many students have no convergence noise at all; a ratio to zero says nothing, so they are left out."""
    return int((rows[name] == 0).sum())


def changes(rows: pd.DataFrame, claim: Claim, name: str = "") -> dict[str, Effect]:
    """Return each teacher's effect over the deterministic one on a claim's measure, paired over seeds.

    A pair with a convergence noise of zero is left out (`choice.effect`): a relative change is a ratio's logarithm.

    Args:
        rows: one row a teacher and seed.
        claim: C4 or C5.
        name: the column, if it is not the claim's own (another window).
    """
    name = name or claim.column
    others = [str(label) for label in dict.fromkeys(rows["teacher_label"]) if label != BASELINE]
    found = {label: effect(rows, label, BASELINE, name, relative=claim.relative) for label in others}
    return {label: one for label, one in found.items() if one is not None}


def family(rows: pd.DataFrame, claim: Claim, name: str = "") -> dict[str, Effect | None]:
    """Return the effect of each member of a claim's family, None where there is no pair."""
    found = changes(rows, claim, name)
    return {member: found.get(member) for member in claim.treated}


def judged(rows: pd.DataFrame, claim: Claim) -> list[Judgement]:
    """Return the verdict on each member of a claim's family."""
    return judge(claim, family(rows, claim))


def others(rows: pd.DataFrame, claim: Claim) -> dict[str, tuple[Effect, float]]:
    """Return the effects of teachers outside a claim's family, with p values corrected among them; no verdicts."""
    found = {label: one for label, one in changes(rows, claim).items() if label not in claim.treated}
    corrected = holm(np.array([one.p for one in found.values()]))
    return {label: (one, float(p)) for (label, one), p in zip(found.items(), corrected, strict=True)}


def by_window(rows: pd.DataFrame, windows: Sequence[int] = WINDOWS) -> dict[str, dict[int, Effect]]:
    """Return C5's effect for each member of its family and each window, of rows that `measured` gave."""
    out: dict[str, dict[int, Effect]] = {}
    for window in windows:
        for member, one in family(rows, C5, column(window)).items():
            if one is not None:
                out.setdefault(member, {})[window] = one
    return out


def converging(frame: pd.DataFrame) -> pd.DataFrame | None:
    """Return the students that C5 rests on, each teacher's at its chosen setting, with their convergence noise.

    With those of one-hot labels, for what stands beside; None where a study has none.
    """
    own = frame[frame["label"] == CONVERGENCE]
    for rows in compared(own, CONVERGENCE):
        return measured(with_ends(chosen(rows), own))
    return None


def effects(frame: pd.DataFrame) -> dict[str, dict[str, Effect | None]]:
    """Return the effects of C4, of the first training setting that the grid has, and of C5 on one dataset.

    Args:
        frame: a study's table of runs, of one dataset.
    """
    students = entering(frame[frame["run_type"] == "student"])
    found: dict[str, dict[str, Effect | None]] = {}
    for rows in compared(students) if len(students) else ():
        if {BASELINE} < {BASELINE, *MEMBERS} & set(rows["teacher_label"]):
            found[C4.id] = family(chosen(rows), C4)
            break
    noisy = converging(students) if len(students) else None
    return found if noisy is None else {**found, C5.id: family(noisy, C5)}
