"""The store: a run is whole or goes on, is made once, by one process."""

from __future__ import annotations

import fcntl
import math
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import TextIOWrapper
from pathlib import Path

import pytest
import small
import torch

from kdlib.base import paths
from kdlib.base.errors import InputError, KdlibError, RunLocked
from kdlib.base.files import write_atomically, write_json
from kdlib.runs.execute import execute
from kdlib.runs.plans import plan
from kdlib.store import runs
from kdlib.store.runs import Run
from kdlib.study.records import STEP

SHAPE = small.DATASET.shape
RECORD = {**plan(small.teacher()).record, "dataset": "digits:tiny"}


def started(name: str, **given: object) -> Run:
    run = Run(name)
    with runs.locked(run):
        runs.start(run, {**RECORD, "run": name}, small.teacher(**given), SHAPE)
    return run


def finished(name: str) -> Run:
    run = started(name)
    runs.finish(run, {"val_nll": 1.0}, {"val": torch.zeros(2, 3)})
    return run


def test_what_is_written_is_read(store: Path) -> None:
    run = started("a")
    (run.checkpoints).mkdir()
    (run.checkpoints / "step-000000001.safetensors").touch()
    assert not run.finished
    weights, history = {"w": torch.arange(3.0)}, {name: [0.0, 1.0] for name in STEP} | {"val_nll": [math.nan, 0.1]}
    runs.finish(
        run, {"val_nll": 0.1}, {"val": torch.ones(2, 3), "test": torch.ones(1, 3)}, weights, history, {"best_epoch": 1}
    )
    assert run.finished
    assert run.metrics == {"val_nll": 0.1}
    assert torch.equal(run.weights()["w"], weights["w"])
    assert torch.equal(run.predictions()["val"], torch.ones(2, 3))
    assert run.history()["val_nll"].tolist()[1] == 0.1
    assert run.provenance["best_epoch"] == 1
    assert {"torch", "numpy", "python"} <= run.provenance["versions"].keys()
    assert not run.checkpoints.exists()


def test_metrics_that_are_no_numbers_finish_nothing(store: Path) -> None:
    run = started("a")
    with pytest.raises(KdlibError, match=r"The run a is not finished: its val_nll, val_x are no finite numbers\."):
        runs.finish(
            run,
            {"val_nll": math.nan, "val_x": -math.inf, "fine": 1.0},
            {"val": torch.ones(2, 3), "test": torch.ones(1, 3)},
        )
    assert not run.finished


def test_runs_are_found_by_name_or_unique_prefix(store: Path) -> None:
    assert runs.names() == []
    for name in ("teacher-a1", "teacher-a12", "student-b"):
        finished(name)
    started("unfinished")
    assert runs.names() == ["student-b", "teacher-a1", "teacher-a12", "unfinished"]
    assert runs.find("teacher-a1").name == "teacher-a1"
    assert runs.find("stu").name == "student-b"
    for name, says in (("teacher", "begins 2 runs"), ("x", "is no run in the store"), ("unfin", "is not finished")):
        with pytest.raises(InputError, match=f"parent = '{name}' is refused: .*{says}"):
            runs.find(name, "parent")


def test_one_at_a_time(store: Path) -> None:
    with runs.locked(Run("a")):
        with pytest.raises(RunLocked, match="The run a is being made by another process"), runs.locked(Run("a")):
            pass
        with runs.locked(Run("b")):
            pass
    with runs.locked(Run("a")), pytest.raises(BlockingIOError):
        raise BlockingIOError  # what happens inside is not mistaken for the lock
    with runs.locked(Run("a")):
        pass


HOLD = """
import fcntl, os, sys
fcntl.flock(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX)
print(1, flush=True)
input()
"""


def test_what_is_locked_is_a_file_opened_for_writing(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As NFS asks for: it gives no lock of a folder that another machine would see."""
    seen = list[tuple[bool, int]]()

    def flock(file: TextIOWrapper, _: int) -> None:
        mode = fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE
        seen.append((stat.S_ISREG(os.fstat(file.fileno()).st_mode), mode))

    monkeypatch.setattr(fcntl, "flock", flock)
    with runs.locked(Run("a")):
        assert seen == [(True, os.O_WRONLY)]
    assert runs.names() == []


def test_a_second_process_stops_with_one_sentence(store: Path) -> None:
    run = plan(small.teacher()).run
    run.path.mkdir(parents=True)
    (store / ".locks").mkdir()
    command = [sys.executable, "-c", HOLD, str(store / ".locks" / run.name)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "1\n"
        with pytest.raises(RunLocked) as stopped:
            execute(small.teacher())
        assert not list(run.path.iterdir())
        other.kill()  # the lock goes with the process, however it ends
    sentence = f"The run {run.name} is being made by another process: wait for it or stop it."
    assert str(stopped.value) == sentence
    assert execute(small.teacher()).finished


def test_the_first_start_s_settings_are_used_again(store: Path) -> None:
    given = {"threads": 2, "precision": "bfloat16"}
    run = started("a", **given)
    recorded = run.provenance["hardware"]
    assert (recorded["threads"], recorded["precision"]) == (2, "bfloat16")
    again = runs.start(run, {"run": "a"}, small.teacher(threads=1, precision="float32"), SHAPE)
    assert (again.threads, again.precision) == (2, "bfloat16")
    assert run.provenance["hardware"] == recorded
    assert len(run.provenance["sessions"]) == 2


def test_another_machine_decides_for_itself(store: Path) -> None:
    run = started("a", threads=2)
    provenance = run.provenance
    provenance["hardware"]["name"] = "another processor"
    write_json(run.path / "provenance.json", provenance)
    assert runs.start(run, {"run": "a"}, small.teacher(threads=1), SHAPE).threads == 1


def test_a_killed_process_s_scraps_are_cleared(store: Path) -> None:
    run = started("a")
    (run.path / ".weights.safetensors.123").write_bytes(b"half")
    started("a")
    assert not [path for path in run.path.iterdir() if path.name.startswith(".")]


def test_a_finished_run_is_never_computed_twice(store: Path) -> None:
    run = execute(small.teacher())
    before = {path.name: path.stat().st_mtime_ns for path in run.path.iterdir()}
    assert execute(small.teacher()) == run
    assert {path.name: path.stat().st_mtime_ns for path in run.path.iterdir()} == before


def test_retrain_sets_the_old_run_aside_and_makes_the_same(store: Path) -> None:
    run = execute(small.teacher())
    before, inode = small.content(run), run.path.stat().st_ino
    again = execute(small.teacher(retrain=True))
    assert small.content(again) == before
    assert again.path.stat().st_ino == inode  # the folder is the lock
    (aside,) = (store / "aside").iterdir()
    assert aside.name.startswith(run.name)
    assert {path.name for path in aside.iterdir()} == {path.name for path in run.path.iterdir()}
    assert runs.names() == [run.name]


@pytest.mark.parametrize("place", ["file/runs", "file"])
def test_a_store_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KDLIB_RUNS", str(tmp_path / place))
    with pytest.raises(InputError, match=r"KDLIB_RUNS = .* is refused: it cannot be written"):
        execute(small.teacher())


def test_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    """Two machines that share a disk may have processes of one number."""
    file, pieces = tmp_path / "shared.json", [bytes([k]) * 200_000 for k in range(4)]

    def write(piece: bytes) -> None:
        for _ in range(25):
            write_atomically(file, piece)
            assert file.read_bytes() in pieces

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, pieces))
    assert [path.name for path in tmp_path.iterdir()] == ["shared.json"]


def test_outside_a_clone_no_other_repository_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "unpacked").mkdir()
    monkeypatch.setattr(paths, "ROOT", tmp_path / "unpacked")
    monkeypatch.setenv("KDLIB_COMMIT", "as said")
    assert runs.commit() == "as said"
