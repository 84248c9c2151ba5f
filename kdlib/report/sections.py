"""What a report notebook starts from: the sections of its page, a study each, and their tables. (No torch.)"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from kdlib.base.config import RunType
from kdlib.base.errors import InputError
from kdlib.report import noise
from kdlib.report.claims import MINIMUM_PAIRS, Claim, Verdict
from kdlib.report.claims.inference import mean_interval
from kdlib.report.plots.style import axis_of, name_of
from kdlib.report.words import markdown, raw, table_of
from kdlib.runs import studies
from kdlib.runs.notebook import given_names
from kdlib.study.keeping import complete
from kdlib.study.labels import labels, study_of
from kdlib.study.rows import found, table

if TYPE_CHECKING:
    from IPython.display import HTML, Markdown

NAMED = ("architecture", "fraction", "match", "omit_classes", "kd_weight", "temperature", "student_temperature",
         "samples", "framework", "preset", "epochs", "batch_size", "learning_rate", "optimizer")  # fmt: skip
"""Settings that tell the groups of a page apart, the first that do."""

FRAMEWORKS = "frameworks"
OWN = {FRAMEWORKS: FRAMEWORKS, "temperature": "tempered", noise.PAGE: noise.SWEEP,
       **{page: page for page in ("samples", "fewshot", "zeroshot", "humans")}}  # fmt: skip
"""A page, and how the labels of the entries begin that fill it: no other page shows them."""

SHORT = {"kd_weight": "α", "temperature": "T", "student_temperature": "S", "omit_classes": "without"}


LIMITS = "Intervals cover initial weights, batch order and views, not the one training set."
"""What no number of seeds can say, beside every study."""


@dataclass(frozen=True, eq=False)
class Section:
    """One study's part of a page: the finished runs or records of one run type."""

    name: str
    title: str
    about: str
    frame: pd.DataFrame
    missing: int = 0
    """How many more runs the study has for this page, not finished here and not kept."""
    waiting: str = ""
    """How many of the planned seeds are complete, while some are not: then the page gives no verdict."""

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
        of = f" of {len(frame) + self.missing}" if self.missing else ""
        waiting = f" {self.waiting}" if self.waiting else ""
        return f"{len(frame)}{of} runs: {', '.join(counts)} ({where}).{when}{mixed}{waiting}"

    def heading(self) -> HTML:
        """Return the section's heading, what the study is about, and where its numbers come from."""
        about = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(self.about))
        title, origin = html.escape(self.title), html.escape(self.origin())
        name = html.escape(self.name)
        return raw(f'<h2 id="{name}">{title}</h2><p>{about} {LIMITS}</p><p><em>{origin}</em></p>')


def named(frame: pd.DataFrame) -> pd.DataFrame:
    """Add `group`: a row's teacher label, with as many settings as tell rows of the same label apart."""

    def texts(rows: pd.DataFrame) -> pd.Series[Any]:
        settings, differing, parts = rows.reindex(columns=list(NAMED)).astype(str), list[str](), 1
        for name in NAMED:
            finer = len(settings[[*differing, name]].drop_duplicates())
            if finer > parts:  # else it differs only together with those before it
                differing, parts = [*differing, name], finer
        label = str(rows["teacher_label"].iloc[0])
        values = (
            [f"{SHORT.get(n, n.replace('_', ' '))} {_number(row[n])}" for n in differing if _given(row[n])]
            for _, row in rows.iterrows()
        )
        return pd.Series([" ".join([label, *parts]) for parts in values], index=rows.index)

    groups = [texts(rows) for _, rows in frame.groupby("teacher_label", sort=False)]
    return frame.assign(group=pd.concat(groups))


def _given(value: Any) -> bool:
    return bool(pd.notna(value)) and value != ""


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def sections(report: str, run_type: RunType | str, only: str = "", chosen: str = "") -> list[Section]:
    """Return a page's sections: the studies that fill this report and have finished runs or records.

    Args:
        report: the page's name, as studies list it.
        run_type: whose runs: teacher, student, measure.
        only: studies joined by `+`; all of them by default.
        chosen: run names joined by `+`; then the page has one section, of these runs.

    Raises:
        InputError: a study or a run does not exist, or papermill was given a name that is no parameter.
    """
    known, injected = given_names()
    for name in injected:
        if name not in known:
            raise InputError(f"{name} is no parameter of this report: allowed are {', '.join(sorted(known))}.")
    if chosen:
        frame = table(only=[name for name in chosen.split("+") if name])
        frame = frame[frame["run_type"] == run_type]
        frame = frame.assign(label=frame["teacher"], teacher_label=frame["teacher"])
        return [Section("chosen", "Chosen runs", "", frame)] if len(frame) else []
    out = []
    for name in only.split("+") if only else studies.names():
        study = study_of(name)
        if report not in study.reports or ((study.scratch or study.sample) and not only):
            continue
        others = tuple(begins for page, begins in OWN.items() if page != report)
        wanted = {
            run: about
            for run, about in labels(study).items()
            if run.startswith(f"{run_type}-") and not about.label.startswith(others)
        }
        frame = found(wanted, study.folder_name)
        if len(frame):
            missing = len(wanted) - len(frame)
            there = set(found(labels(study), study.folder_name)["run"])
            out.append(Section(study.name, study.title, study.about, frame, missing, waits_for(study, there)))
    return out


def waits_for(study: studies.Study, there: Collection[str]) -> str:
    """Say how many seeds of a study are complete; nothing where all are, or where too few for a verdict are planned.

    Args:
        study: with all its entries.
        there: the runs that are finished or kept.
    """
    planned = {about.seed for about in labels(study).values() if about.seed is not None}
    done = complete(study, there)
    if len(planned) < MINIMUM_PAIRS or len(done) == len(planned):
        return ""
    return f"{len(done)} of {len(planned)} seeds are there; no verdict before the last."


def not_yet(part: Section, where: str, *claims: Claim) -> Markdown:
    """Say in one line that claims have no verdict yet, and how many seeds are there."""
    said = ", ".join(claim.id for claim in claims)
    return markdown(f"**{part.title}** ({where}): {said}: {Verdict.UNFINISHED}. {part.waiting}")


def comparison(frame: pd.DataFrame, measures: Sequence[str], by: str = "group") -> HTML:
    """Return a table of means with 95 % t intervals over seeds: a row a group, a column a measure."""
    rows = []
    for group, part in frame.groupby(by, sort=False):
        cells = [f"<th>{html.escape(name_of(group))}</th><td>{part['seed'].nunique()}</td>"]
        for name in measures:
            _, factor = axis_of(name)
            values = (part[name].dropna().astype(float) * factor).tolist()
            cells.append(f"<td>{with_interval(values)}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    heads = "".join(f"<th>{html.escape(axis_of(name)[0])}</th>" for name in measures)
    return table_of(f"<th></th><th>n</th>{heads}", rows)


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


def finding(part: Section, name: str, measure: str, frame: pd.DataFrame, best: str = "lowest") -> Markdown:
    """Say in one line which group is best in a measure, and where the deterministic or one-hot one lies."""
    text, factor = axis_of(measure)
    means = frame.groupby("group", sort=False)[measure].mean().sort_values(ascending=best == "lowest")
    plain = [group for group in means.index if str(group).startswith(("deterministic", "one_hot"))]
    shown = list(dict.fromkeys([*plain[:2], means.index[0]]))
    parts = []
    for group in shown:
        values = (frame.loc[frame["group"] == group, measure].dropna().astype(float) * factor).tolist()
        parts.append(f"{name_of(group)} {with_interval(values)}" + (" (best)" if group == means.index[0] else ""))
    n = frame.groupby("group")["seed"].nunique().min()
    return markdown(f"**{part.title}** ({name}; {text}, n = {n}): {'; '.join(parts)}.")


def present(frame: pd.DataFrame, measures: Sequence[str]) -> list[str]:
    """Return those measures that a table has numbers for."""
    return [name for name in measures if name in frame and frame[name].notna().any()]


def nothing(report: str) -> HTML:
    """Say that no study has filled this page here."""
    return raw(
        f"<p>No study has filled this page ({html.escape(report)}) here yet: <code>make book</code> runs the study "
        "<code>quick</code>.</p>"
    )
