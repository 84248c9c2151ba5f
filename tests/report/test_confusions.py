"""Confusion counts: by hand, of real students, and from records as from runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import small
import torch
from sklearn.metrics import confusion_matrix
from small import DATASET

from kdlib.base import paths
from kdlib.base.errors import InputError
from kdlib.measures.confusion import count
from kdlib.report import confusions
from kdlib.report.claims import c12
from kdlib.report.confusions import counts_of, of_omitted
from kdlib.report.sections import parts_of
from kdlib.runs import execute as execute_module
from kdlib.runs.execute import execute
from kdlib.store.runs import Run
from kdlib.study.keeping import keep
from kdlib.study.rows import table

STUDY = """
title: Zero
parameters: {dataset: "digits:tiny", architecture: cnn4, epochs: 1, threads: 1, seed: [0, 1], optimizer: adam,
             learning_rate: 1.0e-3, weight_decay: 0, schedule: constant}
reports: [zeroshot]
students:
  floor: {teacher: one_hot}
  zeroshot: {teacher: [one_hot, exact_bcp], omit_classes: "3"}
"""


@pytest.fixture
def omitting(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the test a finished study of students that omit a class, and return its file."""
    monkeypatch.setattr(paths, "RECORDS", tmp_path / "records")
    file = tmp_path / "zero.yaml"
    file.write_text(STUDY)
    for given in ({}, {"omit_classes": "3"}, {"omit_classes": "3", "teacher": "exact_bcp"}):
        for seed in (0, 1):
            execute(small.student(epochs=1, seed=seed, **given))
    return str(file)


def test_counts_by_hand() -> None:
    log_probs = np.log([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]])
    counts = count(log_probs, [0, 0, 1, 2])
    assert counts.dtype == np.int32
    assert counts.tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 1]]


def test_shares_are_means_over_the_students_without_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    classes = ["cat", "dog", "2"]
    known = {
        "a": [[1, 1, 0], [1, 0, 0], [0, 0, 1]],
        "b": [[0, 2, 0], [0, 1, 0], [0, 0, 1]],
        "none": [[0, 0, 0], [0, 1, 0], [0, 0, 1]],  # a class without images
    }
    counts = {run: pd.DataFrame(one, classes, classes) for run, one in known.items()}
    monkeypatch.setattr(confusions, "counts_of", lambda row: counts.get(row["run"]))
    rows = pd.DataFrame([("a", "cat"), ("b", "0"), ("a", "1"), ("b", "dog"), ("a", "2"), ("gone", "cat")],
                        columns=["run", "omit_classes"])  # fmt: skip
    shares = of_omitted(rows)
    assert shares.to_numpy().tolist() == [[25, 75, 0], [50, 50, 0], [0, 0, 100]]
    assert list(shares.index) == list(shares.columns) == classes, "by name or by number"
    assert of_omitted(pd.DataFrame({"run": ["none"], "omit_classes": ["cat"]})).sum(axis=None) == 0
    assert of_omitted(rows[rows["run"] == "gone"]).empty and of_omitted(rows.iloc[:0]).empty


def test_counts_are_those_of_scikit_learn() -> None:
    log_probs = torch.randn(200, 10, generator=torch.Generator().manual_seed(0)).log_softmax(1)
    labels = torch.arange(200) % 10
    assert (count(log_probs, labels) == confusion_matrix(labels, log_probs.argmax(1), labels=range(10))).all()


def test_a_student_s_counts_are_its_measured_accuracies(omitting: str) -> None:
    for _, row in table(omitting).iterrows():
        found = counts_of(row)
        assert found is not None and list(found.index) == list(found.columns) == list(DATASET.classes)
        counts = found.to_numpy()
        assert counts.sum() == len(DATASET.test)
        assert np.trace(counts) / counts.sum() == pytest.approx(row["test_accuracy"])
        if row["omit_classes"] == "3":
            assert counts[3, 3] / counts[3].sum() == pytest.approx(row["test_omitted_accuracy"])


def test_a_record_shows_the_same_shares_as_a_run(omitting: str) -> None:
    def shown() -> tuple[set[str], pd.DataFrame]:
        (part,) = parts_of("zeroshot", omitting)
        (rows,) = c12.compared(part.of("student"))
        return set(part.frame["source"]), of_omitted(c12.without_one(rows))

    of_runs = shown()
    keep(omitting)
    shutil.rmtree(paths.runs())
    of_records = shown()
    assert (of_runs[0], of_records[0]) == ({"run"}, {"record"})
    assert of_runs[1].equals(of_records[1])
    assert list(of_runs[1].index) == ["3"] and of_runs[1].sum(axis=None) == pytest.approx(100)


def test_records_keep_students_that_omit_classes_and_what_was_there(omitting: str) -> None:
    frame = table(omitting)
    zero = frame[frame["omit_classes"] != ""]
    keep(omitting, [0])
    keep(omitting, [1])
    for _, row in frame.assign(source="record").iterrows():
        found = counts_of(row)
        assert (found is None) == (row["omit_classes"] == "")
        if found is not None:
            answers = Run(str(row["run"])).predictions()["test"]
            assert (found.to_numpy() == count(answers, DATASET.test.labels)).all()
    assert counts_of(zero.iloc[0].copy().replace(zero.iloc[0]["run"], "nobody").replace("run", "record")) is None


def test_without_the_images_a_run_has_no_counts(omitting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row = table(omitting).iloc[0]
    assert counts_of(row) is not None

    def gone(*key: object) -> None:
        raise InputError("dataset is not here.")

    monkeypatch.setattr(execute_module, "_loaded", gone)
    assert counts_of(row) is None
    with pytest.raises(InputError, match=r"^student-\S+ is not kept, .* takes its images: dataset is not here\.$"):
        keep(omitting)
    assert not list(paths.RECORDS.rglob("seed-*.parquet")), "a record without its counts would say that there are none"
