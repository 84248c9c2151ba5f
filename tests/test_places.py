"""Where a command is typed does not matter, nor what its terminal can write; a path means the same everywhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import small

from kdlib.base import paths
from kdlib.base.config import RunType
from kdlib.base.errors import InputError
from kdlib.base.tensors import write_tensors
from kdlib.runs import studies
from kdlib.runs.recipes import resolve, with_whole_paths
from kdlib.study.jobs import jobs_of


def command(*words: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m kdlib` in a folder, with `KDLIB_*` as given."""
    environment = {**os.environ, "PYTHONPATH": str(paths.ROOT), "OMP_NUM_THREADS": "1", **more}
    line = [sys.executable, "-m", "kdlib", *words]
    return subprocess.run(line, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("run_type", [RunType.TEACHER, RunType.STUDENT])
def test_a_relative_path_is_that_of_the_command(
    run_type: RunType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    given: dict[str, Any] = {"dataset": "folder:photos", "data_root": "~/data"}
    if run_type is RunType.STUDENT:
        given |= {"teacher": "weights:net.safetensors", "teacher_architecture": "cnn4"}
    config = resolve(run_type, given)
    assert config.dataset == f"folder:{tmp_path}/photos" and config.data_root == str(tmp_path / "home" / "data")
    assert getattr(config, "teacher", "") in ("", f"weights:{tmp_path}/net.safetensors")
    monkeypatch.chdir(tmp_path.parent)
    assert resolve(run_type, config.model_dump()) == config
    assert paths.data_root("~/data") == tmp_path / "home" / "data"


def test_the_home_of_nobody_is_one_sentence() -> None:
    with pytest.raises(InputError, match="'~nobody-here/photos' begins in a home that is not known"):
        resolve(RunType.TEACHER, {"dataset": "folder:~nobody-here/photos"})


def test_what_is_no_path_stays() -> None:
    given = {"dataset": "digits:tiny@0.2", "teacher": "quick/deterministic", "seed": [0, 1], "omit_classes": "3+5"}
    assert with_whole_paths(given) == given
    assert with_whole_paths({"dataset": ["folder:/a", "digits"]}) == {"dataset": ["folder:/a", "digits"]}


def test_a_study_s_jobs_hold_whole_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job runs in the clone's folder: what it is given must not depend on that."""
    monkeypatch.chdir(tmp_path)
    write_tensors(tmp_path / "net.safetensors", small.network().state_dict())
    (tmp_path / "mine.yaml").write_text(
        "title: Mine\nparameters: {dataset: 'digits:tiny', data_root: here, architecture: cnn4, epochs: 1}\n"
        "students: {own: {teacher: 'weights:net.safetensors', teacher_architecture: cnn4}}\n"
    )
    (job,) = jobs_of(studies.load(str(tmp_path / "mine.yaml")), 16).values()
    assert job.given["data_root"] == str(tmp_path / "here")
    assert job.given["teacher"] == f"weights:{tmp_path}/net.safetensors"


def test_folders_of_the_environment_are_whole_for_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KDLIB_RUNS", "my runs")
    assert paths.runs() == tmp_path / "my runs"
    paths.settle()
    assert os.environ["KDLIB_RUNS"] == str(tmp_path / "my runs")


@pytest.mark.parametrize("text", ["abc", "-1", "nan", "inf", ""])
def test_numbers_of_the_environment(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDLIB_SAVE_EVERY", text)
    if not text:
        assert paths.number("KDLIB_SAVE_EVERY", 10) == 10
        return
    with pytest.raises(InputError, match=f"KDLIB_SAVE_EVERY = '{text}' is refused: it must be a number from 0 on"):
        paths.number("KDLIB_SAVE_EVERY", 10)


def test_a_wrong_number_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"dataset": "digits:tiny", "architecture": "cnn4", "epochs": 1}')
    done = command("run", "mine.json", cwd=tmp_path, KDLIB_SAVE_EVERY="abc", KDLIB_RUNS="runs")
    assert done.returncode == 2 and done.stderr.startswith("kdlib: KDLIB_SAVE_EVERY = 'abc' is refused")
    assert len(done.stderr.splitlines()) == 1 and not (tmp_path / "runs").exists()


def test_a_study_is_planned_by_snakemake_from_any_folder(tmp_path: Path) -> None:
    (tmp_path / "here.yaml").write_text(
        "title: Here\nparameters: {dataset: 'digits:tiny', architecture: cnn4, epochs: 1}\nteachers: {plain: {}}\n"
    )
    done = command("study", "here.yaml", "-n", cwd=tmp_path, KDLIB_RUNS="runs", KDLIB_JOBS="jobs")
    assert done.returncode == 0, done.stderr
    assert "teacher   plain" in done.stdout or "plain" in done.stdout
    assert not (tmp_path / "runs").exists() and not (tmp_path / "profiles").exists()


def test_an_ascii_terminal_and_a_closed_pipe_bring_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "ümläut.yaml").write_text("title: x\nteachers: {plain: {epochs: 0}}\n")
    done = command("plan", "ümläut.yaml", cwd=tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 2 and done.stderr.startswith("kdlib: ") and "Traceback" not in done.stderr
    reader, writer = os.pipe()
    os.close(reader)
    line = [sys.executable, "-m", "kdlib", "list"]
    closed = subprocess.run(line, cwd=paths.ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert closed.returncode == 141 and closed.stderr == ""


def test_files_are_utf_8_wherever_they_are_read(tmp_path: Path) -> None:
    """Also where the system's own encoding is another."""
    (tmp_path / "mine.json").write_text('{"dataset": "digits:tiny", "omit_classes": "größe"}', encoding="utf-8")
    ascii_alone = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = command("run", "mine.json", cwd=tmp_path, **ascii_alone)
    assert done.returncode == 2 and done.stderr.startswith("kdlib: omit_classes names 'gr??e', but the classes are")


def test_ctrl_c_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "long.json").write_text(
        '{"dataset": "digits:tiny", "architecture": "cnn4", "epochs": 100000, "threads": 1}'
    )
    environment = {**os.environ, "PYTHONPATH": str(paths.ROOT), "KDLIB_RUNS": str(tmp_path / "runs")}
    line = [sys.executable, "-m", "kdlib", "run", "long.json"]
    running = subprocess.Popen(
        line, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip
    while not list(tmp_path.glob("runs/*/config.json")) and running.poll() is None:
        pass
    running.send_signal(signal.SIGINT)
    try:
        _, said = running.communicate(timeout=60)
    finally:
        running.kill()  # a failing test leaves nothing behind
    assert running.returncode == 130, said
    assert said.strip().splitlines()[-1] == "kdlib: stopped; the same command goes on from here."
    assert "Traceback" not in said
