"""Records: a run comes back as it was, the same content gives the same bytes, and no file is trusted."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
import pytest
from pyarrow import parquet

from kdlib.base import paths
from kdlib.base.errors import InputError
from kdlib.runs import studies
from kdlib.store import runs
from kdlib.study import records
from kdlib.study.keeping import LOCAL, complete, keep, record_of
from kdlib.study.labels import labels
from kdlib.study.records import file_of, read, write
from kdlib.study.rows import of_run, table


def one(name: str = "teacher-a", **more: Any) -> dict[str, Any]:
    """Return a small record."""
    texts = dict.fromkeys(records.TEXTS, "some") | {"run": name, "run_type": "teacher"}
    steps = [{"step": 10 * k, "epoch": float(k), "val_accuracy": k / 7} for k in range(3)]
    given = {"maps": np.arange(6, dtype=np.float16).reshape(2, 3), "index": np.arange(2)}
    return {
        **texts, "seed": 0, "test_nll": 1 / 3, "provenance": "{}", "class_names": ["cat", "dog"], "history": steps,
        "arrays": records.packed(given), **more,
    }  # fmt: skip


def test_a_run_comes_back_from_its_record(study: str) -> None:
    keep(study)
    about, kept = labels(studies.load(study)), {**read(file_of("studied", 0)), **read(file_of("studied", 1))}
    assert set(kept) == set(about)
    for name, record in kept.items():
        wanted = {key: value for key, value in of_run(runs.Run(name)).items() if key not in LOCAL}
        row = {key: value for key, value in record.items() if key not in records.HEAVY}
        assert row == {**wanted, **about[name].columns}
        past = runs.Run(name).history()
        assert record["class_names"] == list("0123456789")
        ends = past[past["val_nll"].notna()] if len(past) else past
        assert [step["val_accuracy"] for step in record["history"] or []] == list(ends.get("val_accuracy", []))
        assert [step["step"] for step in record["history"] or []] == list(ends.get("step", []))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    given = {name: one(name, seed=seed) for seed, name in enumerate(("teacher-b", "teacher-a", "teacher-c"))}
    given["student-a"] = one("student-a", run_type="student", omit_classes="", test_omitted_accuracy=0.5, arrays=None)
    file = paths.RECORDS / "some" / "seed-0.parquet"
    write(file, given.values())
    assert list(read(file)) == sorted(given)
    for name, record in read(file).items():
        assert {key for key, value in record.items() if value is not None} == set(given[name]) - (
            {"arrays"} if given[name]["arrays"] is None else set()
        )
        assert {key: record[key] for key in given[name] if key != "history"} == {
            key: value for key, value in given[name].items() if key != "history"
        }
    # a teacher's row lacks what only students have
    assert "test_omitted_accuracy" not in read(file)["teacher-a"]
    arrays = records.arrays("teacher-a")
    assert arrays["maps"].dtype == np.float16 and arrays["maps"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert records.arrays("student-a") == records.arrays("nobody") == {}
    assert records.class_names("teacher-a") == ("cat", "dog") and records.class_names("nobody") == ()
    past = records.histories(["teacher-b", "nobody"])
    assert set(past["run"]) == {"teacher-b"} and past["val_accuracy"].tolist() == [0, 1 / 7, 2 / 7]
    assert records.histories(["nobody"]).empty
    # of two files that have a run the last counts whole, its row and its history
    later = paths.RECORDS / "some" / "seed-1.parquet"
    write(later, [one("teacher-b", test_nll=3.0, history=[{"step": 5, "epoch": 1.0, "val_accuracy": 1.0}])])
    assert records.histories(["teacher-b"])["step"].tolist() == [5]
    assert records.frame("some").loc["teacher-b", "test_nll"] == 3.0
    later.unlink()
    # a file that is written again is read again
    write(file, [one("teacher-a", test_nll=2.0)])
    assert [row["test_nll"] for row in read(file).values()] == [2.0]
    write(file, [])
    assert not file.exists()


def test_the_same_content_is_the_same_bytes(tmp_path: Path) -> None:
    given = [one(f"teacher-{k}", seed=k, test_ece=k / 9 if k % 2 else None) for k in range(20)]
    write(tmp_path / "a.parquet", given)
    write(tmp_path / "b.parquet", [dict(reversed(record.items())) for record in reversed(given)])
    first = (tmp_path / "a.parquet").read_bytes()
    assert (tmp_path / "b.parquet").read_bytes() == first
    write(tmp_path / "a.parquet", read(tmp_path / "a.parquet").values())
    assert (tmp_path / "a.parquet").read_bytes() == first
    write(tmp_path / "b.parquet", given[1:])
    assert (tmp_path / "b.parquet").read_bytes() != first


def test_stores_are_merged_and_the_store_wins(study: str) -> None:
    names = sorted(labels(studies.load(study)))
    keep(study)
    before = {path: path.read_bytes() for path in records.files("studied")}
    shutil.rmtree(paths.RECORDS)
    # the same from two stores with a half of the runs each
    store, whole = paths.runs(), paths.runs().with_name("whole")
    store.rename(whole)
    for half in (names[::2], names[1::2]):
        shutil.rmtree(store, ignore_errors=True)
        for name in half:
            shutil.copytree(whole / name, store / name)
        keep(study)
    assert {path: path.read_bytes() for path in records.files("studied")} == before
    # of a run that both have, the store's
    file = file_of("studied", 0)
    old = read(file)
    name = next(name for name in names[1::2] if name in old)
    write(file, [{**record, "test_accuracy": -1.0} for record in old.values()])
    keep(study)
    assert read(file)[name]["test_accuracy"] == runs.Run(name).metrics["test_accuracy"]
    assert {record["test_accuracy"] for key, record in read(file).items() if key in names[::2]} == {-1.0}


def test_what_a_study_no_longer_has_goes(study: str, tmp_path: Path) -> None:
    file = tmp_path / "studied.yaml"
    file.write_text(Path(study).read_text())
    folder, count = keep(study)
    assert count == 10 and len(records.files("studied")) == 2
    file.write_text(Path(study).read_text().replace("seed: [0, 1]", "seed: [1]").replace("[1, 4]}", "4}"))
    assert keep(str(file)) == (folder, 4)
    assert records.files("studied") == [file_of("studied", 1)]
    assert set(read(file_of("studied", 1))) == set(labels(studies.load(str(file))))
    with pytest.raises(InputError, match="has no finished run"):
        keep(str(file), [0])


def test_a_study_shows_its_own_records_only(study: str) -> None:
    keep(study)
    (paths.RECORDS / "studied").rename(paths.RECORDS / "another")
    shutil.rmtree(paths.runs())
    assert table(study).empty and len(table()) == 10


def test_complete_seeds(study: str) -> None:
    loaded = studies.load(study)
    assert complete(loaded) == []
    keep(study, [1])
    assert records.files("studied") == [file_of("studied", 1)] and complete(loaded) == [1]
    keep(study)
    assert complete(loaded) == [0, 1]
    kept = read(file_of("studied", 0))
    write(file_of("studied", 0), list(kept.values())[1:])
    assert complete(loaded) == [1]
    assert complete(loaded, set(kept)) == [0] and complete(loaded, set(list(kept)[1:])) == []


def test_a_record_of_a_run_alone_can_be_written(study: str, tmp_path: Path) -> None:
    name = next(name for name in runs.names() if name.startswith("teacher-"))
    write(tmp_path / "x.parquet", [{**record_of(runs.Run(name)), "label": "a", "teacher_label": "a"}])
    assert set(records.unpacked(read(tmp_path / "x.parquet")[name]["arrays"], "x")) == {
        "temperature", "val_cmi", "test_cmi",
    }  # fmt: skip


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in one().items() if key != name}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([one("../up")], "a name or run type is none"),
        ([one(), one()], "a run is there twice"),
        ([one(run_type="pickle")], "a name or run type is none"),
        ([one(run_type=None), one("teacher-b")], "a run lacks one of run, run_type"),
        ([without("label")], "no such column 'label', or need it"),
        ([one(run=7)], "no such column 'run', or need it"),
        ([one(test_nll=b"\x80\x04.")], "no such column 'test_nll'"),
        ([one(test_nll=[1.0, 2.0])], "no such column 'test_nll'"),
    ],
)
def test_a_file_with_another_content_is_refused(
    tmp_path: Path, given: list[dict[str, Any]], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:  # another program wrote it
        patch.setattr(records, "_allowed", lambda *_: True)
        write(tmp_path / "x.parquet", given)
    with pytest.raises(InputError) as refused:
        read(tmp_path / "x.parquet")
    assert says in str(refused.value) and "\n" not in str(refused.value) and str(refused.value).endswith(".")


def test_a_torn_file_or_one_of_another_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusal(file: Path) -> str:
        with pytest.raises(InputError) as refused:
            read(file)
        assert "\n" not in str(refused.value) and str(refused.value).endswith(".")
        return str(refused.value)

    whole = tmp_path / "x.parquet"
    write(whole, [one(), one("teacher-b")])
    data = whole.read_bytes()
    for k, torn in enumerate((b"", b"PAR1", data[:-9], data[len(data) // 2 :], b"\x80\x04pickle.")):
        (tmp_path / f"{k}.parquet").write_bytes(torn)
        assert "cannot be read" in refusal(tmp_path / f"{k}.parquet")
    parquet.write_table(arrow.table({"run": ["a"]}), tmp_path / "other.parquet")
    assert "no such column" in refusal(tmp_path / "other.parquet")
    monkeypatch.setattr(records, "MOST_RUNS", 1)
    records._light.cache_clear()
    assert "allowed are 1 runs" in refusal(whole)
    monkeypatch.setattr(records, "MOST_BYTES", 100)
    assert "more than 0 MiB" in refusal(whole)


@pytest.mark.parametrize("data", [b"", b"\x80\x04.", b"\xff" * 8 + b"{}", (2**40).to_bytes(8, "little")])
def test_arrays_that_are_no_safetensors_are_refused(data: bytes) -> None:
    write(file_of("some", 0), [one(arrays=data)])
    with pytest.raises(InputError, match=r"some/seed-0.parquet is refused: its arrays are no safetensors \(.*\)\.$"):
        records.arrays("teacher-a")


def test_a_study_of_ones_own_touches_no_other_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its records would prune the project's of the same name; names that differ get folders that do."""
    own = tmp_path / "digits.yaml"
    own.write_text("title: Mine\nteachers: {plain: {dataset: 'digits:tiny'}}\n")
    with pytest.raises(InputError, match="digits is one of the project's; give it another name"):
        studies.load(str(own))
    assert studies.load(str(paths.STUDIES / "digits.yaml")).name == "digits"
    alike = ["a b", "a_b", "ä_b", "a_b" + "c" * 70, "a_b" + "c" * 71]
    assert len({studies.folder_of(name) for name in alike}) == len(alike)
    assert all(re.fullmatch("[A-Za-z0-9_.-]{1,64}", studies.folder_of(name)) for name in alike)
    assert studies.folder_of("a_b") == "a_b"


def test_a_sample_keeps_no_records_of_its_own() -> None:
    with pytest.raises(InputError, match="study = 'quick' is refused: it is a sample of digits"):
        keep("quick")
