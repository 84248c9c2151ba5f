"""A damaged run is named with what is wrong, and stops nothing but itself."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import small
import torch

from kdlib.__main__ import main
from kdlib.base import files
from kdlib.base.errors import DamagedRun, InputError, NotWritten
from kdlib.base.files import write_atomically, write_json
from kdlib.base.tensors import read_tensors, write_tensors
from kdlib.data.cache import sampled
from kdlib.data.options import Augmentation
from kdlib.runs import studies
from kdlib.runs.execute import execute
from kdlib.runs.plans import plan
from kdlib.store import runs
from kdlib.store.runs import Run
from kdlib.students.answers import Answers
from kdlib.study import jobs
from kdlib.study.keeping import keep
from kdlib.study.rows import table

TORN = [b"", b'{"test_acc', b"\xff\xfe", b"[" * 100_000, b"[]", b"1", b"9" * 5000, b"null"]
HARMS = [
    *((file, data) for file in ("metrics.json", "config.json", "provenance.json") for data in TORN),
    ("metrics.json", b'{"test_accuracy": "high"}'),
    ("metrics.json", b'{"test_accuracy": NaN}'),
    ("metrics.json", b'{"test_accuracy": 1e999}'),
    ("metrics.json", b'{"test_accuracy": true}'),
    ("metrics.json", b'{"test_accuracy": 1' + b"0" * 400 + b"}"),
    ("config.json", b'{"run": "another"}'),
    ("config.json", b"{}"),
    ("provenance.json", b'{"hardware": {"device": "cpu"}, "sessions": []}'),
    ("provenance.json", b'{"hardware": null, "sessions": []}'),
    ("provenance.json", b"{}"),
    ("history.parquet", b""),
    ("history.parquet", b"PAR1"),
    ("history.parquet", b"PAR1 and then it was cut"),
    ("metrics.json", b" " * (2**24 + 1)),
]


@pytest.fixture
def pair(store: Path) -> tuple[Run, Run]:
    """Return two runs of hand-made folders, of seeds 0 and 1."""
    first, second = (small.pretend(plan(small.teacher(seed=seed)), test_accuracy=0.5) for seed in (0, 1))
    return first, second


@pytest.mark.parametrize(("file", "data"), HARMS, ids=lambda given: str(given)[:24])
def test_a_damaged_run_is_named_and_stops_nothing(
    pair: tuple[Run, Run], capsys: pytest.CaptureFixture[str], file: str, data: bytes
) -> None:
    bad, good = pair
    assert bad.finished and list(table()["run"]) == sorted((bad.name, good.name))
    (bad.path / file).write_bytes(data)
    assert not bad.finished and good.finished
    assert list(table()["run"]) == [good.name]
    assert main(["list"]) == 0
    said = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert said[bad.name].startswith(f"damaged: {file} ")
    assert said[good.name] == "test accuracy 0.5000"
    with pytest.raises(InputError, match=f"The run {bad.name} is damaged: {file} "):
        runs.find(bad.name)


@pytest.mark.parametrize("file", ["config.json", "provenance.json"])
def test_what_was_lost_is_said(pair: tuple[Run, Run], file: str) -> None:
    bad, good = pair
    (bad.path / file).unlink()
    assert str(bad.damage).startswith(f"The run {bad.name} is damaged: {file} is missing;")
    assert bad.name in runs.names() and list(table()["run"]) == [good.name]


def test_a_folder_under_another_name_is_no_run(pair: tuple[Run, Run], store: Path) -> None:
    shutil.copytree(pair[0].path, store / "copied")
    assert "config.json belongs to the run" in str(Run("copied").damage)
    assert "copied" not in set(table()["run"])


def test_a_mended_run_counts_again(pair: tuple[Run, Run]) -> None:
    path = pair[0].path / "metrics.json"
    before = path.read_bytes()
    write_atomically(path, before[:-5])
    assert not pair[0].finished
    write_atomically(path, before)
    assert pair[0].finished and pair[0].metrics == {"test_accuracy": 0.5}


def test_what_is_read_can_be_changed(pair: tuple[Run, Run]) -> None:
    for _ in range(2):
        metrics = pair[0].metrics
        assert metrics == {"test_accuracy": 0.5}
        metrics["more"] = 1.0


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def without_digest(path: Path) -> None:
    from safetensors.torch import save_file

    save_file(read_tensors(path)[0], path)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (flipped, "is corrupt"),
        (without_digest, "is corrupt"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "cannot be read"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: write_tensors(path, {"w": torch.ones(2)}, "another"), "belongs to the run 'another'"),
    ],
    ids=["flipped", "no digest", "cut", "empty", "lost", "another's"],
)
@pytest.mark.parametrize("file", ["weights", "predictions", "arrays"])
def test_tensors_are_refused_with_run_and_file(
    pair: tuple[Run, Run], file: str, harm: Callable[[Path], None], says: str
) -> None:
    run = pair[0]
    path = run.path / f"{file}.safetensors"
    write_tensors(path, {"val": torch.ones(1), "test": torch.ones(1), "w": torch.arange(8.0)}, run.name)
    assert torch.equal(getattr(run, file)()["w"], torch.arange(8.0))
    harm(path)
    with pytest.raises(DamagedRun, match=rf"The run {run.name} is damaged: {file}\.safetensors {says}"):
        getattr(run, file)()


def test_predictions_are_of_validation_and_test_images(pair: tuple[Run, Run]) -> None:
    run = pair[0]
    write_tensors(run.path / "predictions.safetensors", {"val": torch.ones(2, 10)}, run.name)
    with pytest.raises(
        DamagedRun, match=rf"The run {run.name} is damaged: predictions\.safetensors lacks those of one"
    ):
        run.verify()


def test_damaged_runs_are_set_aside_on_request(pair: tuple[Run, Run], capsys: pytest.CaptureFixture[str]) -> None:
    bad, good = pair
    for run in pair:
        write_tensors(run.path / "weights.safetensors", {"w": torch.arange(8.0)}, run.name)
    flipped(bad.path / "weights.safetensors")
    before = {path.name: path.read_bytes() for path in bad.path.iterdir()}
    assert main(["list", "--set-aside"]) == 0
    assert f"{bad.name}  damaged: weights.safetensors is corrupt" in capsys.readouterr().out
    assert runs.names() == [good.name]
    (aside,) = (bad.path.parent / "aside").iterdir()
    assert {path.name: path.read_bytes() for path in aside.iterdir()} == before


def test_a_damaged_run_is_set_aside_when_it_is_made_again(store: Path) -> None:
    run = execute(small.teacher(epochs=1))
    before = small.content(run)
    torn = (run.path / "metrics.json").read_bytes()[:-9]
    (run.path / "metrics.json").write_bytes(torn)
    with pytest.warns(UserWarning, match=rf"metrics\.json is no JSON .*{run.name} is set aside in"):
        again = execute(small.teacher(epochs=1))
    assert small.content(again) == before
    (aside,) = (store / "aside").iterdir()
    assert (aside / "metrics.json").read_bytes() == torn and (aside / "weights.safetensors").is_file()


def test_a_study_is_planned_and_kept_without_its_damaged_runs(study: str) -> None:
    torn, *others, scrambled = runs.names()
    (Run(torn).path / "metrics.json").write_bytes(b"{")
    history = Run(scrambled).path / "history.parquet"
    data = history.read_bytes()
    history.write_bytes(data[:4] + bytes(len(data) - 8) + data[-4:])  # its ends are whole: found only when it is read
    said = "\n".join(jobs.outlook(studies.load(study)))
    assert f"The run {torn} is damaged: metrics.json is no JSON" in said and "1 runs to make" in said
    with pytest.warns(UserWarning, match=rf"The run {scrambled} is damaged: history\.parquet cannot be read"):
        _, count = keep(study)
    assert count == len(others)


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(NotWritten, match=rf"{path} cannot be written \(No space left on device\)"):
        write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_store_without_locks_is_refused(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(InputError, match=r"KDLIB_RUNS = .* is refused: its file system has no locks"):
        execute(small.teacher())


@pytest.mark.parametrize("harm", ["settings.json", "answers"])
def test_answers_are_asked_for_again(tmp_path: Path, harm: str) -> None:
    rows = torch.arange(20)

    def answers() -> Answers:
        teacher, split = small.untrained_teacher(), small.DATASET.train
        return Answers(teacher, split, rows, "print", Augmentation.NONE, 0, tmp_path)

    expected = answers()._of(0, 0)
    (file,) = tmp_path.glob("*/*.safetensors")
    abandoned, young = file.with_name(".old.1"), file.with_name(".new.2")
    for scrap in (abandoned, young):
        scrap.touch()
    os.utime(abandoned, (0, 0))
    if harm == "answers":
        write_tensors(file, {"outputs": expected[:, :-1]})
    else:
        (tmp_path / harm).write_text('{"device": "c')
        file.unlink()
    assert torch.equal(answers()._of(0, 0), expected)
    assert torch.equal(read_tensors(file)[0]["outputs"], expected)
    assert young.exists() and not abandoned.exists()


@pytest.mark.parametrize("length", [0, 1, 9, 10, 11, 25, 40])
def test_small_files_are_sampled_whole(tmp_path: Path, length: int) -> None:
    path, digests = tmp_path / "pixels", set()
    for changed in range(-1, length):
        path.write_bytes(bytes(index == changed for index in range(length)))
        digests.add(sampled(path, blocks=4, size=10))
    assert len(digests) == length + 1


def test_large_files_are_sampled_from_end_to_end(tmp_path: Path) -> None:
    path, seen = tmp_path / "pixels", []
    path.write_bytes(bytes(100))
    whole = sampled(path, blocks=4, size=10)
    for changed in range(100):
        path.write_bytes(bytes(index == changed for index in range(100)))
        seen += [changed] * (sampled(path, blocks=4, size=10) != whole)
    assert seen == [*range(10), *range(30, 40), *range(60, 70), *range(90, 100)]
