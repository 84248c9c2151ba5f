"""Snakemake is started where there is something to do, and says in a line how far it is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from kdlib.__main__ import main
from kdlib.base import paths
from kdlib.runs import studies
from kdlib.study import jobs, snakemake
from kdlib.study.jobs import Job

SAID = """Building DAG of jobs...
Job stats:
job      count
-----  -------
page        12
total       16

[Fri Nov 27 08:58:41 2026]
localrule job:
    output: /there/mine-teacher-plain-7b82cce4.ipynb
    jobid: 7
    reason: Missing output files: /there/mine-teacher-plain-7b82cce4.ipynb
    wildcards: job=mine-teacher-plain-7b82cce4
    resources: tmpdir=/tmp, gpu=0
[Fri Nov 27 08:58:41 2026]
localrule page:
    jobid: 3
    wildcards: page=bcp
Select jobs to execute...
[Fri Nov 27 08:58:51 2026]
Finished jobid: 7 (Rule: job)
1 of 4 steps (25%) done
Exception encountered at "In [6]":
ImportError: no such thing
Error in rule page:
    message: None
"""


def test_progress_is_one_line_and_what_is_wrong_stays() -> None:
    clock = iter([0.0, 10.0])
    lines = list(snakemake.told(SAID.splitlines(keepends=True), "mine", lambda: next(clock)))
    assert lines[0] == "\rmine: 1 of 4 steps done, about 30 s left; now bcp"
    assert lines[1:] == ['Exception encountered at "In [6]":', "ImportError: no such thing", "Error in rule page:",
                         "    message: None"]  # fmt: skip


def test_its_status_and_its_lines_come_through(capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        sys.executable,
        "-c",
        "import sys; print('2 of 2 steps (100%) done'); print('no', file=sys.stderr); exit(3)",
    ]
    assert snakemake.run(command, os.environ, "mine") == 3
    assert capsys.readouterr().err.splitlines() == ["mine: 2 of 2 steps done, about 0 s left", "no"]


@pytest.fixture
def done(study: str, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Job], tuple[str, ...]]:
    """Return the jobs and pages of a study of which everything is there."""
    loaded = studies.load(study)
    made, reports = jobs.jobs_of(loaded, 16), ("bcp", "claims")
    monkeypatch.setattr(paths, "ROOT", Path(os.environ["KDLIB_RUNS"]).parent)
    monkeypatch.setattr(jobs, "sources_of_pages", lambda: [])
    for folder, names in ((paths.jobs(), made), (paths.pages(), reports)):
        folder.mkdir()
        for place, name in enumerate(names):
            (folder / f"{name}.ipynb").write_text("{}")
            os.utime(folder / f"{name}.ipynb", (4e9 + place, 4e9 + place))  # later than the notebooks of the clone
    for page in reports:
        os.utime(paths.pages() / f"{page}.ipynb", (5e9, 5e9))
    return made, reports


def test_nothing_is_to_do_where_all_is_there_and_current(done: tuple[dict[str, Job], tuple[str, ...]]) -> None:
    made, reports = done
    assert snakemake.nothing_to_do(made, reports)
    page, job = paths.pages() / "bcp.ipynb", paths.jobs() / f"{next(iter(made))}.ipynb"
    os.utime(page, (3e9, 3e9))  # older than the jobs it shows
    assert not snakemake.nothing_to_do(made, reports)
    os.utime(page, (5e9, 5e9))
    assert snakemake.nothing_to_do(made, reports)
    job.unlink()
    assert not snakemake.nothing_to_do(made, reports)


def test_a_run_that_is_gone_and_a_page_cut_off_are_to_do(done: tuple[dict[str, Job], tuple[str, ...]]) -> None:
    made, reports = done
    cut = paths.ROOT / ".snakemake" / "incomplete"
    cut.mkdir(parents=True)
    assert snakemake.nothing_to_do(made, reports)
    (cut / "a").touch()
    assert not snakemake.nothing_to_do(made, reports)
    (cut / "a").unlink()
    (paths.runs() / next(iter(made.values())).runs[0] / "metrics.json").unlink()
    assert not snakemake.nothing_to_do(made, reports)


def test_a_study_that_is_done_does_not_start_snakemake(
    study: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(snakemake, "nothing_to_do", lambda *_: True)
    monkeypatch.setattr("subprocess.Popen", None)
    assert main(["study", study]) == 0
    assert capsys.readouterr().out.startswith("Nothing to be done: ")
