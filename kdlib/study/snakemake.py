"""A study through Snakemake: not started where nothing is to do; else one line says what is done and what is left."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from kdlib.base import paths
from kdlib.study import jobs
from kdlib.study.jobs import Job

STEPS = re.compile(r"(\d+) of (\d+) steps")
STARTED = re.compile(r"\s+wildcards: (?:job|page)=(.+)$")
JOB = re.compile(r"\s+jobid: (\d+)$")
FINISHED = re.compile(r"Finished jobid: (\d+)")
NOISE = re.compile(
    r"$|\[\w{3} \w{3} .*\d{4}\]$|Select jobs|Execute \d+ jobs|(local)?rule \w+:$|Using (workflow|shell)|Provided cores|"
    r"Assuming unrestricted|Building DAG|Rules claiming|Job stats|job +count|-+ +-+$|(job|page|all|total) +\d+$|"
    r"Complete log|Elapsed time: |host: |    (input|output|log|jobid|reason|wildcards|threads|resources): "
)
"""Lines of Snakemake that say neither what is being done nor what went wrong."""


def nothing_to_do(made: Mapping[str, Job], reports: Sequence[str]) -> bool:
    """Say whether all runs are in the store, and every notebook is at least as new as what it was made of.

    Args:
        made: the study's jobs by name.
        reports: the pages it fills.
    """
    of = {name: paths.jobs() / f"{name}.ipynb" for name in made}
    sources = [*of.values(), *map(Path, jobs.sources_of_pages())]
    pages = {paths.pages() / f"{page}.ipynb": [paths.REPORTS / f"{page}.ipynb", *sources] for page in reports}
    needs = {of[name]: [of[other] for other in job.needs] for name, job in made.items()}
    broken = paths.ROOT / ".snakemake" / "incomplete"  # where Snakemake notes what was cut off
    return (
        not (broken.is_dir() and any(broken.iterdir()))
        and all(job.finished for job in made.values())
        and all(_current(file, of) for file, of in {**needs, **pages}.items())
    )


def _current(file: Path, made_of: Iterable[Path]) -> bool:
    """Say whether a file is there and at least as new as others, which are there too."""
    try:
        made = file.stat().st_mtime_ns
        return all(other.stat().st_mtime_ns <= made for other in made_of)
    except FileNotFoundError:
        return False


def run(command: Sequence[str], environment: Mapping[str, str], title: str) -> int:
    """Run Snakemake and tell its lines as `told`, on stderr as it does; return its exit status.

    Ctrl-C reaches it too: its end is awaited.
    """
    watched = sys.stderr.isatty()
    with subprocess.Popen(
        command, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        try:
            _show(told(process.stdout, title), watched)
        except KeyboardInterrupt:
            _show(told(process.stdout, title), watched)
            process.wait()
            raise
    if watched:
        print(file=sys.stderr)
    return process.returncode


def _show(lines: Iterable[str], watched: bool) -> None:
    """Show lines; where somebody watches, a line of progress takes the place of the last."""
    for line in lines:
        progress = line.startswith("\r")
        text, end = line.removeprefix("\r"), "\n"
        if watched:
            text, end = f"\r\x1b[K{text}", "" if progress else "\n"
        print(text, end=end, file=sys.stderr, flush=True)


def told(lines: Iterable[str], title: str, now: Callable[[], float] = time.monotonic) -> Iterator[str]:
    """Yield what Snakemake says, of its progress one line a step, which begins with a carriage return.

    Args:
        lines: of Snakemake's output.
        title: the study's name.
        now: seconds.
    """
    began, running, started = now(), dict[str, str](), ""
    for line in (line.rstrip("\n") for line in lines):
        if found := JOB.match(line):
            started = found[1]
        elif found := STARTED.match(line):
            running[started] = re.sub(rf"^{re.escape(title)}-|-[0-9a-f]{{8}}$", "", found[1])
        elif found := FINISHED.match(line):
            running.pop(found[1], None)
        elif found := STEPS.match(line):
            done, total = int(found[1]), int(found[2])
            left = (now() - began) / done * (total - done)
            doing = f"; now {', '.join(running.values())}" if running else ""
            yield f"\r{title}: {done} of {total} steps done, about {left:.0f} s left{doing}"
        elif not NOISE.match(line):
            yield line
