"""What a report notebook starts from: the sections of its page, a study each, and their tables. (No torch.)"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from kdlib import studies
from kdlib.config import RunType
from kdlib.inference import mean_interval
from kdlib.style import axis_of
from kdlib.table import table

if TYPE_CHECKING:
    from IPython.display import HTML

NAMED = ("architecture", "epochs", "preset", "fraction", "match", "omit_classes", "kd_weight", "temperature",
         "student_temperature", "samples", "framework", "batch_size", "learning_rate", "optimizer")  # fmt: skip
"""Settings that tell the groups of a page apart, where they differ."""

SHORT = {"kd_weight": "α", "temperature": "T", "student_temperature": "S", "omit_classes": "without"}


@dataclass(frozen=True)
class Section:
    """One study's part of a page: the finished runs or records of one run type."""

    name: str
    title: str
    about: str
    frame: pd.DataFrame

    @property
    def settings(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Return the section's parts that may be compared: one dataset and architecture each, with its name."""
        for (dataset, architecture), part in self.frame.groupby(["dataset", "architecture"], sort=False):
            yield f"{dataset}, {architecture}", named(part)

    def origin(self) -> str:
        """Say how many runs there are, on what they were made, and warn where a comparison mixes machines."""
        frame = self.frame
        made = {"run": "made by this store", "record": "kept as records"}
        counts = [f"{n} {made[str(source)]}" for source, n in frame["source"].value_counts().items()]
        places = frame[["processor", "precision"]].drop_duplicates().fillna("unknown")
        where = "; ".join(f"{row.processor}, {row.precision}" for row in places.itertuples())
        mixed = (
            " Devices or precisions differ between these runs, so compare them with care." if len(places) > 1 else ""
        )
        days = sorted(str(day)[:10] for day in frame["finished"].dropna())
        when = f" Measured {days[0]}" + (f" to {days[-1]}." if days[0] != days[-1] else ".") if days else ""
        return f"{len(frame)} runs: {', '.join(counts)} ({where}).{when}{mixed}"

    def heading(self) -> HTML:
        """Return the section's heading, what the study is about, and where its numbers come from."""
        parts = (f'<h2 id="{self.name}">{html.escape(self.title)}</h2>', self.about, self.origin())
        return _html("".join(f"<p>{html.escape(part)}</p>" if i else part for i, part in enumerate(parts) if part))


def named(frame: pd.DataFrame) -> pd.DataFrame:
    """Add `group`: the label that tells a row's group apart, its teacher's with the settings in which groups differ."""
    differing = [name for name in NAMED if name in frame and frame[name].dropna().astype(str).nunique() > 1]

    def text(row: pd.Series[object]) -> str:
        values = [f"{SHORT.get(n, n)} {_number(row[n])}" for n in differing if pd.notna(row[n]) and row[n] != ""]
        return " ".join([str(row["teacher_label"]), *values])

    return frame.assign(group=frame.apply(text, axis=1))


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def sections(report: str, run_type: RunType | str, only: str = "", chosen: str = "") -> list[Section]:
    """Return a page's sections: the studies that fill this report and have finished runs or records.

    Args:
        report: the page's name, as studies list it.
        run_type: whose runs: teacher, student, measure.
        only: studies joined by `+`; all of them by default.
        chosen: run names joined by `+`; then the page has one section, of these runs.
    """
    if chosen:
        frame = table(only=[name for name in chosen.split("+") if name])
        frame = frame[frame["run_type"] == run_type]
        frame = frame.assign(label=frame["teacher"], teacher_label=frame["teacher"])
        return [Section("chosen", "Chosen runs", "", frame)] if len(frame) else []
    out = []
    for name in only.split("+") if only else studies.names():
        study = studies.load(name)
        if report not in study.reports or (study.scratch and not only):
            continue
        frame = table(name)
        frame = frame[frame["run_type"] == run_type]
        if len(frame):
            out.append(Section(study.name, study.title, study.about, frame.reset_index(drop=True)))
    return out


def comparison(frame: pd.DataFrame, measures: Sequence[str], by: str = "group") -> HTML:
    """Return a table of means with 95 % t intervals over seeds: a row a group, a column a measure."""
    rows = []
    for group, part in frame.groupby(by, sort=False):
        cells = [f"<th>{html.escape(str(group))}</th><td>{part['seed'].nunique()}</td>"]
        for name in measures:
            _, factor = axis_of(name)
            values = (part[name].dropna().astype(float) * factor).tolist()
            cells.append(f"<td>{with_interval(values)}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    heads = "".join(f"<th>{html.escape(axis_of(name)[0])}</th>" for name in measures)
    return _html(
        '<div class="wide-table" tabindex="0"><table class="table"><thead><tr><th></th><th>n</th>'
        f"{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def with_interval(values: Sequence[float]) -> str:
    """Write a mean and half its 95 % t interval, or the value alone where there is one."""
    if not values:
        return "–"
    if len(values) == 1:
        return f"{values[0]:.3g}" if abs(values[0]) < 10 else f"{values[0]:.1f}"
    effect = mean_interval(values)
    half = (effect.high - effect.low) / 2
    digits = 1 if abs(effect.mean) >= 10 else 3
    return f"{effect.mean:.{digits}f} ± {half:.{digits}f}"


def present(frame: pd.DataFrame, measures: Sequence[str]) -> list[str]:
    """Return those measures that a table has numbers for."""
    return [name for name in measures if name in frame and frame[name].notna().any()]


def nothing(report: str) -> HTML:
    """Say that no study has filled this page here."""
    return _html(
        f"<p>No study has filled this page ({html.escape(report)}) here yet: <code>make book</code> runs the study "
        "<code>quick</code>.</p>"
    )


def _html(text: str) -> HTML:
    from IPython.display import HTML

    shown: HTML = HTML(text)  # type: ignore[no-untyped-call]
    return shown
