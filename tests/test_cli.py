"""`python -m kdlib`: each command as a user calls it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from kdlib.__main__ import main
from kdlib.base import paths
from kdlib.runs import studies
from kdlib.store import runs
from kdlib.study.rows import table

SMALL: dict[str, Any] = {"dataset": "digits:tiny", "architecture": "cnn4", "epochs": 1, "threads": 1}


def call(capsys: pytest.CaptureFixture[str], *given: str) -> tuple[int, str, str]:
    """Return the exit status of a command, and what it said on both channels."""
    capsys.readouterr()
    status = main(list(given))
    said = capsys.readouterr()
    return status, said.out, said.err


def written(folder: Path, **given: Any) -> str:
    (folder / "mine.json").write_text(json.dumps(given))
    return str(folder / "mine.json")


def test_run_makes_a_run_once(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = written(tmp_path, run_type="teacher", **SMALL)
    status, said, _ = call(capsys, "run", config)
    (name,) = runs.names()
    assert status == 0
    assert said == (f"{name}  test accuracy {runs.Run(name).metrics['test_accuracy']:.4f}  "
                    f"test NLL {runs.Run(name).metrics['test_nll']:.4f}\n")  # fmt: skip
    before = (runs.Run(name).path / "metrics.json").stat().st_mtime_ns
    assert call(capsys, "run", config)[:2] == (0, said)
    # the config of a run is a config
    assert call(capsys, "run", str(runs.Run(name).path / "config.json"))[:2] == (0, said)
    assert (runs.Run(name).path / "metrics.json").stat().st_mtime_ns == before


def test_run_sweeps_and_makes_teachers(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = {"run_type": "student", "teacher": ["one_hot", "exact_bcp"], "temperature": [1, 4], "seed": [0, 1]}
    status, said, _ = call(capsys, "run", written(tmp_path, **SMALL, **given))
    assert (status, len(said.splitlines()), len(runs.names())) == (0, 6, 6)
    status, said, _ = call(capsys, "run", written(tmp_path, **SMALL, teacher="deterministic"))
    assert (status, len(said.splitlines()), len(runs.names())) == (0, 1, 8)
    teacher = next(name for name in runs.names() if name.startswith("teacher-"))
    status, said, _ = call(capsys, "run", written(tmp_path, run_type="measure", dataset="digits:tiny", parent=teacher))
    assert status == 0 and said.startswith("measure-")


def test_list_shows_every_run(study: str, capsys: pytest.CaptureFixture[str]) -> None:
    (runs.Run(runs.names()[0]).path / "metrics.json").unlink()
    status, said, _ = call(capsys, "list")
    assert status == 0
    first, *rest = [line.split("  ") for line in said.splitlines()]
    assert [first[0], *(line[0] for line in rest)] == runs.names()
    assert first[1] == "not finished" and all(line[1].startswith("test accuracy 0.") for line in rest)
    shutil.rmtree(paths.runs())
    assert call(capsys, "list")[:2] == (0, f"no runs in {paths.runs()}\n")


def test_plan_says_what_would_run(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said, _ = call(capsys, "plan", "cifar100-paper-mcmi")
    assert status == 0 and said.splitlines()[-1].endswith("runs to make.")
    assert len(said.splitlines()) == len(studies.load("cifar100-paper-mcmi").entries) + 1
    assert not store.exists()


def test_records_are_written(study: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "records", study)[:2] == (0, f"10 runs in {paths.RECORDS / 'studied'}\n")
    shutil.rmtree(paths.runs())
    assert set(table(study)["source"]) == {"record"}
    status, _, said = call(capsys, "records", study)
    assert status == 2 and "has no finished run" in said


def test_records_come_from_another_store(
    study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = paths.runs()
    monkeypatch.setenv("KDLIB_RUNS", str(tmp_path / "empty"))
    assert "has no finished run" in call(capsys, "records", study)[2]
    said = f"5 runs in {paths.RECORDS / 'studied'}\n"
    assert call(capsys, "records", study, "--from", str(there), "--seeds", "0")[:2] == (0, said)
    assert sorted(path.name for path in (paths.RECORDS / "studied").iterdir()) == ["labels.parquet", "seed-0.parquet"]
    status, _, said = call(capsys, "records", study, "--from", str(tmp_path / "nowhere"))
    assert status == 2 and "nowhere' is refused: it must be the folder of a run store." in said


@pytest.mark.parametrize("given", [[], ["fly"], ["run"], ["list", "--fast"], ["plan"]])
def test_what_is_no_command_shows_the_usage(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(given)
    assert refused.value.code == 2
    assert "usage: python -m kdlib" in capsys.readouterr().err


def test_help_says_what_each_command_does(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as shown:
        main(["--help"])
    assert shown.value.code == 0
    words = " ".join(capsys.readouterr().out.split())
    for command in ("run", "list", "plan", "study", "book", "records"):
        assert f" {command} " in words
    assert "Make the runs of a JSON file" in words
