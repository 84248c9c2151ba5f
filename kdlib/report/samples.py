"""The samples page: what more Monte Carlo samples of a stochastic teacher do for its students. (No torch.)

A study's sweeps are its entries whose label begins with `samples`; the student of one sample may be that of another
entry. Students are compared in pairs of seeds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from kdlib.report.claims import CLAIMS, Effect, judge
from kdlib.report.claims.choice import FREE, TRAINING, chosen, effect, texts
from kdlib.report.plots.lines import Panel, lines
from kdlib.report.plots.style import axis_of, name_of
from kdlib.report.sections import OWN, Section, not_yet, with_interval
from kdlib.report.words import answer, markdown, points

if TYPE_CHECKING:
    from IPython.display import Markdown
    from matplotlib.figure import Figure

PAGE = "samples"
CLAIM = next(claim for claim in CLAIMS if claim.id == "C6")
(MEMBER,) = CLAIM.treated
TEACHER = "variational"
"""The label of the teacher that C6 is about; sweeps of other teachers are shown and enter no verdict."""
ENDS = ("one_hot", "exact_bcp")
"""The floor and the ceiling."""


@dataclass(frozen=True)
class Sweep:
    """Hold the students of one teacher that differ in the number of samples and the seed."""

    teacher: str
    rows: pd.DataFrame
    """One row a number of samples and seed."""
    ends: pd.DataFrame
    """Students of one-hot labels and of the exact BCPs that were trained alike."""


def compared(frame: pd.DataFrame) -> Iterator[Sweep]:
    """Yield the sweeps of the number of samples, one a teacher and training setting.

    Where there are several kd_weight, T or S, each number of samples has those of the highest mean validation accuracy.
    """
    begins = frame["label"].astype(str).str.startswith(OWN[PAGE])
    own = begins if begins.any() else frame["samples"] > 1
    training = texts(frame, (*TRAINING, "framework", "framework_weight"))
    group = training + texts(frame, ["teacher_label"])
    key = group + texts(frame, FREE)
    taught = ~frame["teacher"].isin(ENDS)
    for one in dict.fromkeys(group[own & taught]):
        alike = key.isin(key[own & (group == one)])
        rows = chosen(frame[alike].drop_duplicates("run"), by=["samples"]).sort_values(["samples", "seed"])
        plain = texts(frame, TRAINING)
        ends = frame[~taught & (plain == plain[alike].iloc[0])]
        if rows["samples"].nunique() > 1:
            yield Sweep(str(rows["teacher_label"].iloc[0]), rows, _single(ends))


def _single(ends: pd.DataFrame) -> pd.DataFrame:
    """Keep one setting of each supervision, chosen as for teachers."""
    return chosen(ends.drop_duplicates("run"), by=["teacher"]).drop_duplicates(["teacher", "seed"])


def gain(sweep: Sweep) -> Effect | None:
    """Return the accuracy with the most samples minus that with one, paired over seeds."""
    return effect(sweep.rows, sweep.rows["samples"].max(), 1, CLAIM.column, by="samples")


def effects(frame: pd.DataFrame) -> dict[str, dict[str, Effect | None]]:
    """Return the effect of C6 on one dataset: that of the teacher's first sweep which has students of one sample.

    Args:
        frame: a study's table of runs, of one dataset.
    """
    students = frame[frame["run_type"] == "student"]
    sweeps = compared(students) if len(students) else ()
    found = [gain(sweep) for sweep in sweeps if sweep.teacher == TEACHER]
    return {CLAIM.id: {MEMBER: next((one for one in found if one is not None), None)}}


def drawn(sweep: Sweep) -> Figure:
    """Draw test accuracy, its paired gain over one sample and NLL against the number of samples."""
    ends = sweep.ends if len(sweep.ends) else None
    one = sweep.rows[sweep.rows["samples"] == 1].set_index("seed")[CLAIM.column]
    rows = sweep.rows.assign(gain=sweep.rows[CLAIM.column] - sweep.rows["seed"].map(one))
    panels = [Panel(title, rows, value, factor, ends) for value in (CLAIM.column, "test_nll")
              for title, factor in [axis_of(value)]]  # fmt: skip
    if rows["gain"].notna().any():
        panels.insert(1, Panel("gain over one sample (points)", rows, "gain", 100, strip=CLAIM.smallest))
    return lines(panels, "samples", "teacher_label", "samples of the teacher a step", base=2, seeds=True)


def grouped(sweep: Sweep) -> pd.DataFrame:
    """Return the sweep's rows and its ends as one table, with a `group` for each row of a comparison."""
    counts = [f"{count:g} sample{'s' * (count > 1)}" for count in sweep.rows["samples"]]
    return pd.concat([sweep.rows.assign(group=counts), sweep.ends.assign(group=sweep.ends["teacher"])])


def short(part: Section, where: str, sweep: Sweep) -> Markdown:
    """Say in one line what the most samples gain over one, and what that says of claim C6."""
    if part.waiting and sweep.teacher == TEACHER:
        return not_yet(part, where, CLAIM)
    most, found = sweep.rows["samples"].max(), gain(sweep)
    (one,) = judge(CLAIM, {MEMBER: found})
    both = [
        f"{with_interval((100 * sweep.rows.loc[sweep.rows['samples'] == count, 'test_accuracy']).tolist())} %"
        for count in (1, most)
        if (sweep.rows["samples"] == count).any()
    ]
    difference = f"{points(found)} points (n = {found.n})" if found else "not measured"
    said = answer(CLAIM, one) if sweep.teacher == TEACHER else difference
    return markdown(
        f"**{part.title}** ({where}; students of {name_of(sweep.teacher)}): test accuracy {' and '.join(both)} with 1 "
        f"and {most:g} samples a step; the difference is {said}."
    )
