"""A study as jobs: executed notebooks that hold many runs each, for Snakemake to order, run and resume."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kdlib.base import paths
from kdlib.base.errors import InputError
from kdlib.runs import studies, sweeps
from kdlib.runs.plans import Plan, Planner, canonical
from kdlib.runs.recipes import RECIPES
from kdlib.store import runs
from kdlib.study import records
from kdlib.study.labels import plans_of

ALIKE = ("run_type", "dataset", "architecture", "epochs", "batch_size", "kind", "layers", "steps")
"""What runs that take about as long have in common."""
UNSAFE = re.compile(r'[{}"$`\\\x00-\x1f]')
"""Wildcards to Snakemake, or not quoted where it hands a long command to a shell as a file."""


@dataclass(frozen=True)
class Job:
    """One execution of a run notebook."""

    name: str
    notebook: str
    given: dict[str, Any]
    runs: tuple[str, ...]
    needs: tuple[str, ...]
    """Names of the jobs that make its parents, or runs of its own."""

    @property
    def finished(self) -> bool:
        """Say whether the store has all of the job's runs."""
        return all(runs.Run(name).finished for name in self.runs)


def check_paths(cluster: bool = False) -> None:
    """Refuse paths that cannot stand in a rule of Snakemake or, on a cluster, in the commands that it makes of them.

    Raises:
        InputError: the path of Python, of the clone, of the jobs or of the pages has such a character.
    """
    places = {"clone": paths.ROOT, "KDLIB_JOBS": paths.jobs(), "KDLIB_PAGES": paths.pages(), "Python": sys.executable}
    for name, path in ((name, str(place)) for name, place in places.items()):
        if cluster and shlex.quote(path) != path:
            raise InputError(
                f"{name} = {path!r} is refused on a cluster, which gets paths through several shells: allowed are "
                "letters without accents, digits and _ @ % + = : , . / -."
            )
        if name != "Python" and UNSAFE.search(path):
            raise InputError(
                f"{name} = {path!r} is refused: allowed for studies is a path without any of "
                '{ } " $ ` \\ and control characters.'
            )


def jobs_of(study: studies.Study, runs_per_job: int) -> dict[str, Job]:
    """Return a study's jobs by name: each entry's sweep, cut into products of at most `runs_per_job` runs."""
    made: dict[str, str] = {}
    jobs: dict[str, Job] = {}
    plan = Planner().plan
    for entry in study.entries:
        recipe = RECIPES[entry.run_type]
        for piece in sweeps.split(entry.run_type, entry.given, runs_per_job):
            planned = [plan(config) for config in sweeps.expand(entry.run_type, piece)]
            parents = [parent.name for p in planned for parent in p.ancestors]
            names = tuple(dict.fromkeys(p.name for p in planned))
            # a run that an earlier job makes too: two that make it side by side would meet at its lock
            needs = sorted({made[name] for name in (*parents, *names) if name in made})
            notebook = recipe.notebook
            if notebook != recipe.name:  # which is told there what it is to make
                piece = {**piece, "kind": str(recipe.name)}
            digest = hashlib.sha256(canonical([notebook, piece, names]).encode()).hexdigest()[:8]
            name = f"{study.folder_name}-{notebook}-{entry.label}-{digest}"
            jobs[name] = Job(name, notebook, piece, names, tuple(n for n in needs if n != name))
            made |= {run: name for run in names if run not in made}
    return jobs


@functools.cache
def _seconds() -> dict[str, list[float]]:
    """Return the times that finished runs have taken, by what they have in common."""
    from kdlib.study.rows import table

    past: dict[str, list[float]] = {}
    for *values, seconds in table().reindex(columns=[*ALIKE, "seconds"]).itertuples(index=False):
        past.setdefault(_alike(values), []).append(float(seconds))
    return past


def _alike(values: Iterable[Any]) -> str:
    # a table writes what a run type lacks as NaN, a config as None
    return " ".join("-" if value is None or value != value else f"{value}".removesuffix(".0") for value in values)


def expected_seconds(planned: Plan) -> float | None:
    """Return the median time of finished runs like this one, or `None` if there are none."""
    own = {"run_type": planned.record["run_type"], **planned.record["config"]}
    past = sorted(_seconds().get(_alike(map(own.get, ALIKE)), []))
    return past[len(past) // 2] if past else None


def outlook(study: studies.Study) -> list[str]:
    """Say what a study would run, and how long the like has taken."""
    lines, known, total = [], 0.0, 0
    for entry in study.entries:
        planned = {p.name: p for one, p in plans_of(study) if one is entry}
        open_ = [p for p in planned.values() if not p.run.finished]
        times = [expected_seconds(p) for p in open_]
        seconds = sum(t for t in times if t is not None)
        unknown = sum(t is None for t in times)
        guess = f"about {seconds:.0f} s" if len(times) > unknown else "time not known"
        more = f" and {unknown} whose like never ran" if unknown and len(times) > unknown else ""
        lines.append(
            f"{entry.run_type:8} {entry.label:24} {len(planned):4} runs, {len(planned) - len(open_):4} finished"
            + (f", {len(open_)} to run: {guess}{more}" if open_ else "")
        )
        lines += [f"  {p.run.damage}" for p in open_ if p.run.damage]
        known, total = known + seconds, total + len(open_)
    guess = f"; those whose like has run take about {known:.0f} s one after another" if known else ""
    lines.append(f"{total} runs to make{guess}.")
    return lines


def spent(study: studies.Study) -> list[str]:
    """Say how long a study's experiments and pages took: the runs' own times, whenever they were made, and the pages'.

    Runs that several entries share count for the first. Several jobs run side by side, so the sum is no waiting time.
    """
    lines, seen, total = [], set[str](), 0.0
    for entry in study.entries:
        names = {p.name for one, p in plans_of(study) if one is entry} - seen
        made = [runs.Run(name) for name in names if runs.Run(name).finished]
        seconds = sum(session.get("seconds") or 0.0 for run in made for session in run.provenance["sessions"])
        lines.append(f"{entry.run_type:9} {entry.label:24} {len(made):4} runs {seconds:8.1f} s")
        seen, total = seen | names, total + seconds
    for report in study.reports:
        page = paths.pages() / f"{report}.ipynb"
        if page.is_file():
            seconds = json.loads(page.read_bytes())["metadata"].get("papermill", {}).get("duration") or 0.0
            lines.append(f"page      {report:24} {seconds:18.1f} s")
            total += seconds
    return [*lines, f"{'in all, one after another':44} {total:8.1f} s"]


def stale(made: Mapping[str, Job]) -> list[str]:
    """Return the executed notebooks whose runs are not all in the store: their jobs have to be run again."""
    files = {paths.jobs() / f"{job.name}.ipynb": job for job in made.values()}
    return [str(path) for path, job in files.items() if path.is_file() and not job.finished]


def sources_of_pages() -> list[str]:
    """Return the files, besides runs, that a page is made of: when one changes, the page is made again."""
    rooms = ("report", "study", "measures")
    code = [path for room in rooms for path in sorted((paths.ROOT / "kdlib" / room).rglob("*.py"))]
    return [str(path) for path in [*code, *records.files()]]


def shown_with(name: str) -> str:
    """Return the studies that the pages of a study show, joined by `+`; none of them stands for all there are.

    A scratch study has pages of its own; one outside `data/studies` stands on them with the others.
    """
    if studies.load(name).scratch:
        return name
    others = [other for other in studies.names() if not studies.load(other).scratch]
    return "" if name in others else "+".join([*others, name])


def reports_of(study: studies.Study) -> list[str]:
    """Return the pages that a study fills.

    Raises:
        InputError: a report has no notebook.
    """
    there = {path.stem for path in paths.REPORTS.glob("*.ipynb")}
    for name in study.reports:
        if name not in there:
            raise InputError(
                f"reports = {name!r} is refused in study {study.name}: allowed are {', '.join(sorted(there))}."
            )
    return list(study.reports)
