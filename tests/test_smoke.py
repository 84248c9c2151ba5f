"""The smoke study, as a user runs it: killed midway, run to its end, and run again."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pytest

from kdlib.base import paths
from kdlib.runs import studies
from kdlib.study import jobs

STUDY = "smoke"
RUNS_PER_JOB = 16
"""That of the profile `local`."""


@dataclass
class Told:
    """What the study did when it was run, one call after another."""

    folder: Path
    status: dict[str, int] = field(default_factory=dict)
    text: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    """CPU time of a call and of all it started."""
    files: dict[str, dict[str, int]] = field(default_factory=dict)
    """The time of every file after a call."""
    removed: list[str] = field(default_factory=list)
    """Runs that were taken away between two calls, and the jobs that had made them."""
    forced: list[str] = field(default_factory=list)

    def call(self, what: str, *options: str, until: Callable[[], bool] | None = None) -> None:
        """Run the study; with `until`, kill all of its process group as soon as that is true."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "kdlib", "study", STUDY, *options]
        with (self.folder / f"{what}.txt").open("w+") as out:
            started = subprocess.Popen(
                command, cwd=paths.ROOT, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
            if until is not None:
                while started.poll() is None and not until():
                    time.sleep(0.02)
                os.killpg(started.pid, signal.SIGKILL)
            self.status[what] = started.wait(timeout=600)
            out.seek(0)
            self.text[what] = out.read()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.seconds[what] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        inside = [path for name in ("runs", "jobs", "pages") for path in (self.folder / name).rglob("*")]
        self.files[what] = {str(path): path.stat().st_mtime_ns for path in inside if path.is_file()}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Run the study five times: killed, shown, to the end, again, and with a run that fails."""
    told = Told(tmp_path_factory.mktemp("smoke"))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("runs", "jobs", "pages"):
            patch.setenv(f"KDLIB_{name.upper()}", str(told.folder / name))
        patch.delenv("KDLIB_PROGRESS", raising=False)
        made = jobs.jobs_of(studies.load(STUDY), RUNS_PER_JOB)
        students = [job for job in made.values() if job.notebook == "student"]

        def executed() -> list[jobs.Job]:
            return [job for job in students if (paths.jobs() / f"{job.name}.ipynb").is_file()]

        told.call("killed", until=lambda: len(executed()) >= 2)
        for job in executed()[:2]:  # two, since forcing one job is not forcing another
            told.removed.append(job.runs[-1])
            told.forced.append(f"{job.name}.ipynb")
            shutil.rmtree(paths.runs() / job.runs[-1])
        told.files["removed"] = {p: t for p, t in told.files["killed"].items() if Path(p).exists()}
        told.call("shown", "-n")
        told.call("ended")
        told.call("again")
    return told


def test_a_study_killed_midway_ends_well(told: Told) -> None:
    assert told.status["killed"] == -signal.SIGKILL, told.text["killed"]
    assert told.status["ended"] == 0, told.text["ended"]
    for job in jobs.jobs_of(studies.load(STUDY), RUNS_PER_JOB).values():
        assert (told.folder / "jobs" / f"{job.name}.ipynb").is_file()
        for run in job.runs:
            assert (told.folder / "runs" / run / "metrics.json").is_file()
            assert not (told.folder / "runs" / run / "checkpoints").exists()
    assert not list((told.folder / "runs").glob("*/.*"))


def test_what_would_run_is_shown_and_not_run(told: Told) -> None:
    assert told.status["shown"] == 0
    counts = {line.split()[1]: line for line in told.text["shown"].splitlines() if " finished" in line}
    study = studies.load(STUDY)
    assert set(counts) == {entry.label for entry in study.entries}
    assert "runs to make" in told.text["shown"] and "dry-run" in told.text["shown"]
    assert told.files["shown"].keys() == told.files["removed"].keys()
    line = next(line for line in told.text["shown"].splitlines() if line.split()[:1] == ["job"] and "count" not in line)
    finished = [job for job in jobs.jobs_of(study, RUNS_PER_JOB).values()
                if str(told.folder / "jobs" / f"{job.name}.ipynb") in told.files["removed"]]  # fmt: skip
    expected = len(jobs.jobs_of(study, RUNS_PER_JOB)) - len(finished) + len(told.forced)
    assert line.split()[1] == str(expected), told.text["shown"]


def test_a_run_removed_from_the_store_is_made_again(told: Told) -> None:
    assert len(told.forced) == 2
    for name in told.forced:
        file = str(told.folder / "jobs" / name)
        assert told.files["ended"][file] > told.files["killed"][file]
    for name in told.removed:
        file = str(told.folder / "runs" / name / "metrics.json")
        assert told.files["ended"][file] > told.files["killed"][file]
    # what was finished and stayed was read, not made again
    kept = [file for file in told.files["removed"] if file.endswith("metrics.json")]
    assert kept and all(told.files["ended"][file] == told.files["killed"][file] for file in kept)


def test_the_second_time_nothing_is_executed(told: Told) -> None:
    assert told.status["again"] == 0
    assert told.files["again"] == told.files["ended"]
    assert "Nothing to be done" in told.text["again"]
    assert told.seconds["again"] < 15


def test_executed_notebooks_hold_results_and_no_noise(told: Told) -> None:
    executed = sorted((told.folder / "jobs").glob("*.ipynb")) + sorted((told.folder / "pages").glob("*.ipynb"))
    for path in executed:
        outputs = [output for cell in nbformat.read(path, as_version=4).cells for output in cell.get("outputs", [])]
        assert outputs
        # a bar, a warning, a print: nothing of the kind stands on a page
        assert not [output for output in outputs if output.output_type in ("stream", "error")], path.name
        assert any("text/html" in output.get("data", {}) for output in outputs)


def test_its_pages_show_the_study(told: Told) -> None:
    for report in studies.load(STUDY).reports:
        text = (told.folder / "pages" / f"{report}.ipynb").read_text()
        assert "No study has filled this page" not in text
        assert studies.load(STUDY).about in text and "<img" in text


def test_a_job_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path = tmp_path / "my stüdy's & more"  # the folder's name is a word of the command that says it
    tmp_path.mkdir()
    for name in ("runs", "jobs", "pages"):
        monkeypatch.setenv(f"KDLIB_{name.upper()}", str(tmp_path / name))
    (tmp_path / "diverging.yaml").write_text(
        "title: Diverging\nparameters: {dataset: 'digits:tiny', architecture: cnn4, epochs: 50, threads: 1}\n"
        "teachers: {steep: {optimizer: sgd, learning_rate: 100, weight_decay: 1, momentum: 0.9, schedule: constant}}\n"
    )
    command = [sys.executable, "-m", "kdlib", "study", str(tmp_path / "diverging.yaml")]
    done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    assert "NotFinite: The training loss is " in done.stderr
    assert "a smaller learning_rate than 100 may help." in done.stderr
    assert "Traceback" not in done.stderr and "papermill/" not in done.stderr
    assert not list((tmp_path / "jobs").glob("*.ipynb")) and not list(tmp_path.glob("runs/*/metrics.json"))
