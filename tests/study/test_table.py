"""The table of runs: one row a run, and records that are its equal."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest

from kdlib.base import paths
from kdlib.base.config import RunType
from kdlib.base.errors import InputError
from kdlib.runs import studies
from kdlib.runs.recipes import fields
from kdlib.store import runs
from kdlib.study import jobs, records, rows
from kdlib.study.keeping import keep
from kdlib.study.labels import labels
from kdlib.study.rows import histories, of_run, table


def test_a_row_has_everything_about_its_run(study: str) -> None:
    frame = table(study)
    assert len(frame) == frame["run"].nunique() == 2 + 2 + 4 + 2
    assert set(frame["source"]) == {"run"}
    known = {"run", "source", "run_type", "teacher", "teacher_run", "seconds", "device", "precision", "label"}
    assert (known | set(fields(RunType.STUDENT)) | set(fields(RunType.TEACHER))) <= set(frame)
    for _, row in frame.iterrows():
        run = runs.Run(str(row["run"]))
        assert {name: row[name] for name in run.metrics} == run.metrics
        assert row["seed"] == run.record["config"]["seed"]
        assert row["seconds"] > 0 and row["device"] == "cpu" and row["precision"] == "float32"
    assert frame["test_accuracy"].between(0, 1).all()


def test_teachers_and_labels(study: str) -> None:
    frame = table(study).set_index("run")
    seen = frame.groupby("label", sort=False)[["run_type", "teacher", "teacher_label"]].agg(set).to_dict("index")
    assert seen == {
        "plain": {"run_type": {"teacher"}, "teacher": {"deterministic"}, "teacher_label": {"plain"}},
        "floor": {"run_type": {"student"}, "teacher": {"one_hot"}, "teacher_label": {"one_hot"}},
        "distilled": {"run_type": {"student"}, "teacher": {"deterministic"}, "teacher_label": {"plain"}},
        "again": {"run_type": {"measure"}, "teacher": {"deterministic"}, "teacher_label": {"plain"}},
    }
    for _, row in frame[frame["label"].isin(["distilled", "again"])].iterrows():
        assert frame.loc[row["teacher_run"], "seed"] == row["seed"], "a student of seed s has the teacher of seed s"
    assert frame[frame["label"].isin(["plain", "floor"])]["teacher_run"].isna().all()


def test_a_study_s_table_is_its_own(study: str) -> None:
    everything = table()
    chosen = table(only=list(everything["run"])[:3])
    assert len(everything) == 10 and len(chosen) == 3
    shutil.copytree(runs.Run(chosen["run"][0]).path, paths.runs() / "copied-by-hand")
    assert "copied-by-hand" in runs.names() and len(table(study)) == 10
    # one that is not finished is no row, and may not be asked for
    (runs.Run(chosen["run"][1]).path / "metrics.json").unlink()
    assert len(table(study)) == 9
    with pytest.raises(InputError, match="is not finished"):
        table(only=[chosen["run"][1]])
    with pytest.raises(InputError, match="runs = 'nobody' is refused"):
        table(only=["nobody"])


def test_an_empty_store_gives_an_empty_table(study: str) -> None:
    shutil.rmtree(paths.runs())
    for frame in (table(), table(study)):
        assert frame.empty and {"run", "source", "run_type", "teacher"} <= set(frame)
    assert histories(table(study)).empty


def test_records_come_back_as_the_runs_were(study: str) -> None:
    before, past = table(study), histories(table(study))
    folder, count = keep(study)
    assert (folder, count) == (paths.RECORDS / "studied", 10)
    assert sorted(path.name for path in folder.iterdir()) == ["labels.parquet", "seed-0.parquet", "seed-1.parquet"]
    shutil.rmtree(paths.runs())
    after = table(study)
    assert set(after["source"]) == {"record"}
    same = [name for name in before if name not in ("source", "data_root", "retrain")]
    pd.testing.assert_frame_equal(after[same], before[same], check_dtype=False)
    # of the histories, the steps that end an epoch
    ends = past[past["val_nll"].notna()].drop(columns=["teacher"]).reset_index(drop=True)
    kept = histories(after).drop(columns=["teacher"])
    pd.testing.assert_frame_equal(kept[list(ends)], ends, check_dtype=False)
    kept_records = {name: one for file in records.files("studied") for name, one in records.read(file).items()}
    assert set(kept_records) == set(after["run"])
    assert all(json.loads(one["provenance"])["versions"]["torch"] for one in kept_records.values())


def test_one_row_where_a_run_and_its_record_exist(study: str) -> None:
    keep(study)
    frame = table(study)
    assert len(frame) == 10 and set(frame["source"]) == {"record"}, "pages say the same wherever they are made"
    assert len(table()) == 10
    here, gone = frame["run"][3], frame["run"][4]
    shutil.rmtree(runs.Run(gone).path)
    assert list(table(only=[here, gone])["source"]) == ["run", "record"], "who names runs gets those of this store"
    assert set(histories(table(study))["run"]) == set(frame[frame["run_type"] != "measure"]["run"])


def test_however_many_columns_there_are_they_lie_in_few_pieces(study: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else pandas warns, as on the page that sets runs beside records, and to take rows takes long."""
    more = {f"more_{k}": (0.5, k, k % 2 == 0)[k % 3] for k in range(300)}
    monkeypatch.setattr(rows, "of_run", lambda run: {**of_run(run), **more})
    frame = table(study)  # the filter of warnings makes one of fragments an error
    assert len(frame) == 10 and frame[list(more)].eq(more).all(axis=None)


def test_a_damaged_history_stops_nothing_but_itself(study: str) -> None:
    frame = table(study)
    (first, *others) = sorted(set(histories(frame)["run"]))
    file = runs.Run(first).path / "history.parquet"
    data = bytearray(file.read_bytes())
    data[8:-300] = bytes(len(data) - 308)
    file.write_bytes(data)
    with pytest.warns(UserWarning, match=f"{first}.*history.parquet"):
        assert sorted(set(histories(frame)["run"])) == others


def test_keeping_again_changes_nothing_and_forgets_nothing(study: str) -> None:
    folder, _ = keep(study)
    files = {path: path.read_bytes() for path in folder.iterdir()}
    for name in list(table(study)["run"])[::2]:
        shutil.rmtree(runs.Run(name).path)
    assert keep(study) == (folder, 10)
    assert {path: path.read_bytes() for path in folder.iterdir()} == files
    frame = table(study)
    kept = histories(frame)
    assert kept["run"].nunique() == 8 and not kept.duplicated(["run", "step"]).any()
    shutil.rmtree(paths.runs())
    with pytest.raises(InputError, match="has no finished run"):
        keep(study)


def test_records_hold_nothing_of_the_machine_s_places(study: str) -> None:
    folder, _ = keep(study)
    assert str(paths.ROOT).encode() not in (folder / "labels.parquet").read_bytes()
    for path in folder.glob("seed*"):
        held = records.read(path)
        assert str(paths.ROOT) not in repr(held) and str(paths.runs()) not in repr(held)
        assert not any({"data_root", "source", "retrain"} & set(row) for row in held.values())


def test_labels_name_every_run_of_a_study(study: str) -> None:
    loaded = studies.load(study)
    planned = {name for job in jobs.jobs_of(loaded, 16).values() for name in job.runs}
    assert set(labels(loaded)) == planned == set(table(study)["run"])
