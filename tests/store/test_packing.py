"""Packed runs: they come back bit for bit, an interrupted one goes on, and nothing else gets into a store."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import small

from kdlib.__main__ import main
from kdlib.base.errors import InputError
from kdlib.runs.execute import execute
from kdlib.runs.plans import plan
from kdlib.store import packing, runs
from kdlib.store.runs import Run
from kdlib.students import distill
from kdlib.training.loop import Batch

ABOUT = {"card": "none"}


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the test go to another store."""
    return lambda name: monkeypatch.setenv("KDLIB_RUNS", str(tmp_path / name))


def interrupted(monkeypatch: pytest.MonkeyPatch, step: int = 4) -> Run:
    """Return a student whose training got SIGTERM in a step."""
    inner = distill.objective

    def asked_to_stop(*given: object) -> Callable[[Batch], object]:
        loss = inner(*given)  # type: ignore[arg-type]

        def objective(batch: Batch) -> object:
            if round(batch.progress * 2) == step - 1:
                os.kill(os.getpid(), signal.SIGTERM)
            return loss(batch)

        return objective

    with monkeypatch.context() as patch:
        patch.setattr(distill, "objective", asked_to_stop)
        with pytest.raises(SystemExit):
            execute(small.student())
    return plan(small.student()).run


def test_runs_come_back_and_go_on(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                  elsewhere: Callable[[str], None]) -> None:  # fmt: skip
    elsewhere("straight")
    straight = small.content(execute(small.student()))
    elsewhere("first")
    teacher = execute(small.teacher())
    expected, student = small.content(teacher), interrupted(monkeypatch)
    states = packing.pack([teacher.name, student.name, "no-such-run"], tmp_path / "packed", ABOUT)
    assert states == {teacher.name: "finished", student.name: "step 4", "no-such-run": "nothing yet"}
    manifest = json.loads((tmp_path / "packed" / "runs.json").read_text())
    assert manifest["card"] == "none" and manifest["runs"] == states
    elsewhere("second")
    assert packing.unpack(tmp_path / "packed") == {teacher.name: "finished", student.name: "step 4"}
    assert small.content(teacher) == expected
    assert [path.name for path in student.checkpoints.iterdir()] == ["step-000000004.safetensors"]
    assert small.content(execute(small.student())) == straight
    assert packing.unpack(tmp_path / "packed") == dict.fromkeys(
        states.keys() - {"no-such-run"}, "finished here already"
    )
    assert small.content(student) == straight


def test_the_later_of_two_checkpoints_stays(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                            elsewhere: Callable[[str], None]) -> None:  # fmt: skip
    student = interrupted(monkeypatch, 2)
    packing.pack([student.name], tmp_path / "early", ABOUT)
    interrupted(monkeypatch, 5)
    packing.pack([student.name], tmp_path / "late", ABOUT)
    assert packing.unpack(tmp_path / "early") == {student.name: "here already, at step 5"}
    elsewhere("second")
    assert packing.unpack(tmp_path / "early") == {student.name: "step 2"}
    assert packing.unpack(tmp_path / "late") == {student.name: "step 5"}
    elsewhere("first")
    done = small.content(execute(small.student()))
    packing.pack([student.name], tmp_path / "done", ABOUT)
    elsewhere("second")
    assert packing.unpack(tmp_path / "done") == {student.name: "finished"}
    assert small.content(student) == done and not student.checkpoints.exists()


def test_pieces_keep_to_their_size_and_what_does_not_fit_is_said(store: Path, tmp_path: Path) -> None:
    first, second = execute(small.teacher()), execute(small.teacher(seed=1))
    half = sum(path.stat().st_size for path in first.path.iterdir()) // 2
    states = packing.pack([first.name, second.name], tmp_path / "packed", ABOUT, most=3 * half, size=half)
    assert states == {first.name: "finished", second.name: "no room"}
    pieces = sorted(path.name for path in (tmp_path / "packed").iterdir())
    assert pieces == ["runs.json", "runs.zip.0", "runs.zip.1", "runs.zip.2"]
    assert all((tmp_path / "packed" / name).stat().st_size <= half for name in pieces[1:])
    whole = tmp_path / "runs.zip"
    whole.write_bytes(b"".join((tmp_path / "packed" / name).read_bytes() for name in pieces[1:]))
    with zipfile.ZipFile(whole) as archive:  # any tool reads it
        assert archive.testzip() is None
        assert {name.partition("/")[0] for name in archive.namelist()} == {first.name}
    packing.pack([], tmp_path / "packed", ABOUT)  # what lay there is gone
    assert sorted(path.name for path in (tmp_path / "packed").iterdir()) == ["runs.json", "runs.zip.0"]


def forged(folder: Path, name: str, compression: int = zipfile.ZIP_STORED, **more: str) -> Path:
    """Write a packing, with sums that fit, that holds a file of this name beside a run's own."""
    folder.mkdir()
    files = {
        "mine/config.json": json.dumps({**plan(small.teacher()).record, "run": "mine", "dataset": "digits:tiny"}),
        "mine/provenance.json": json.dumps({"hardware": small.settings().as_dict(), "sessions": []}),
        "mine/metrics.json": "{}",
    }
    with zipfile.ZipFile(folder / "runs.zip.0", "w", compression) as archive:
        for file, text in {**files, name: "{}", **more}.items():
            archive.writestr(file, text)
    sums = {"runs.zip.0": hashlib.sha256((folder / "runs.zip.0").read_bytes()).hexdigest()}
    (folder / "runs.json").write_text(json.dumps({"pieces": sums}))
    return folder


@pytest.mark.parametrize(
    "name",
    ["../out.json", "/out.json", "mine/../../out.json", "mine/../out.json", "mine/other/a.json", "mine/.hidden.json",
     "mine/a.pkl", "mine/a.py", "out.json", "..\\out.json", "../mine/a.json", "mine/checkpoints/../../a.json",
     "other/config.json"],
)  # fmt: skip
def test_no_other_file_gets_into_a_store(store: Path, tmp_path: Path, name: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    folder = forged(tmp_path / "packed", name)
    with pytest.raises(InputError, match=r"folder = .* is refused"):
        packing.unpack(folder)
    assert [path for path in sorted(tmp_path.rglob("*")) if folder not in (path, *path.parents)] == before


def test_what_is_not_whole_is_refused(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert packing.unpack(forged(tmp_path / "good", "mine/metrics.json")) == {"mine": "finished"}
    with pytest.raises(InputError, match="no run has a file"):
        packing.unpack(forged(tmp_path / "grown", "mine/history.parquet", zipfile.ZIP_DEFLATED))
    with pytest.raises(InputError, match="no run"):
        packing.unpack(forged(tmp_path / "named", "mine/a.json", **{"mine/config.json": '{"run": "yours"}'}))
    torn = forged(tmp_path / "torn", "mine/a.json")
    (torn / "runs.zip.0").write_bytes((torn / "runs.zip.0").read_bytes()[:-1])
    with pytest.raises(InputError, match=r"runs\.zip\.0 is not what runs\.json says"):
        packing.unpack(torn)
    (torn / "runs.zip.0").unlink()
    assert main(["unpack", str(torn)]) == 2
    assert "holds no whole packing" in capsys.readouterr().err
    assert runs.names() == ["mine"]
