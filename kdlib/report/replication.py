"""What was measured here beside the record, run by run. (No torch.)"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from kdlib.report.choice import PARAMETERS, texts
from kdlib.report.theme import axis_of, canvas, seaborn
from kdlib.runs import studies
from kdlib.study import records
from kdlib.study.labels import labels, study_of
from kdlib.study.rows import found

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("test_accuracy", "test_nll")
APART = ("parent", "members", "omit_classes")
"""Parameters that name other runs or classes from seed to seed."""
ALIKE = ["run_type", "dataset", "image_size", "teacher_label", "omitted",
         *(name for name in PARAMETERS if name not in APART)]  # fmt: skip
"""What runs share that differ in their seeds alone; `omitted` is the number of classes."""
TWICE = 2 * math.sqrt(2)
"""Times the sd over seeds: beyond it a difference of two runs is more than another seed would make."""


def rows(only: str = "") -> pd.DataFrame:
    """Return a row a run that was made here and is kept as a record of any study.

    Columns: run, seed, teacher_label, processor_here, processor, same (whether they are one), and for each of `COLUMNS`
    its value here, `<name>`, the record's, `<name>_record`, `<name>_difference`, and `<name>_sd`, that over the seeds
    of the record's like.

    Args:
        only: studies joined by `+`, whose runs are looked at; all by default.
    """
    names = only.split("+") if only else studies.names()
    wanted = {run: about for name in names for run, about in labels(study_of(name)).items()}
    here, kept = found(wanted, None, records_first=False), records.frame().reset_index()
    here = here[here["source"] == "run"].reindex(columns=["run", "processor", *COLUMNS])
    if here.empty or kept.empty:
        return pd.DataFrame()
    both = here.merge(kept.join(spread(kept)), on="run", suffixes=("", "_record"))
    for name in COLUMNS:
        both[f"{name}_difference"] = both[name] - both[f"{name}_record"]
    both["same"] = both["processor"] == both["processor_record"]
    return both.dropna(subset=[f"{name}_difference" for name in COLUMNS])


def spread(kept: pd.DataFrame) -> pd.DataFrame:
    """Return the standard deviation of each measure over the seeds of a run's like, `<name>_sd`; NaN of one alone.

    Args:
        kept: the rows of all records, whatever is looked at: of a sample's runs it has one seed each.
    """
    omitted = kept.reindex(columns=["omit_classes"])["omit_classes"].fillna("").astype(str)
    alike = texts(kept.assign(omitted=omitted.str.count(r"\+") + (omitted != "")), ALIKE)
    return kept.reindex(columns=list(COLUMNS)).groupby(alike).transform("std").add_suffix("_sd")


def beyond(both: pd.DataFrame) -> pd.Series[bool]:
    """Say which runs differ by more than they may: at all on one processor, by twice √2 sd over seeds on another."""
    off = pd.Series(False, index=both.index)
    for name in COLUMNS:
        apart = both[f"{name}_difference"].abs()
        off |= (apart > 0).where(both["same"], apart > TWICE * both[f"{name}_sd"])
    return off


def sentences(both: pd.DataFrame) -> list[str]:
    """Say how many runs were made here too, how far they are from the record, and how many lie beyond."""
    if both.empty:
        return ["No run that is kept as a record was made here yet: make book makes a sample of them."]
    apart, nll = 100 * both["test_accuracy_difference"].abs(), both["test_nll_difference"].abs()
    machines = sorted({*both["processor"], *both["processor_record"]})
    equal = int((apart == 0).sum())
    off = int(beyond(both).sum())
    said = [f"{len(both)} runs of the record were made here again; {equal} have the same accuracy to the last image."]
    if equal < len(both):
        said.append(
            f"The others differ by {apart[apart > 0].mean():.2f} points on average and {apart.max():.2f} at most; NLL "
            f"differs by {nll.mean():.4f} nats on average and {nll.max():.4f} at most."
        )
    return [*said, f"{off} of them lie beyond what another processor may make of them ({'; '.join(machines)})."]


def table(both: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with their differences, the largest first."""
    shown = pd.DataFrame(
        {
            "run": both["run"],
            "test accuracy here (%)": 100 * both["test_accuracy"],
            "record (%)": 100 * both["test_accuracy_record"],
            "difference (points)": 100 * both["test_accuracy_difference"],
            "NLL difference (nats)": both["test_nll_difference"],
            "made here on": both["processor"],
            "beyond": beyond(both).map({True: "yes", False: ""}),
        }
    )
    order = both["test_accuracy_difference"].abs().sort_values(ascending=False).index
    return shown.loc[order]


def agreement(both: pd.DataFrame, value: str = "test_accuracy") -> Figure:
    """Draw a measure of runs made here against their records, a mark a run, with the line on which they are equal."""
    text, factor = axis_of(value)
    figure, (axes,) = canvas(4.8)
    record, here = f"{text}, record", f"{text}, here"
    counts = both["run_type"].value_counts()
    sorts = both["run_type"].map({name: f"{name} (n = {n})" for name, n in counts.items()})
    drawn = pd.DataFrame({record: factor * both[f"{value}_record"], here: factor * both[value], "": sorts})
    seaborn().scatterplot(drawn, x=record, y=here, hue="", style="", s=90, ax=axes, palette="magma")
    low = drawn[[record, here]].min().min()
    axes.axline((low, low), slope=1, color="#858585", linewidth=1.2, zorder=1)
    return figure
