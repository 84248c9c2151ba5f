"""What is kept of which runs a study has, and how long it holds; the table of runs follows the store."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import small

from kdlib.runs.execute import execute
from kdlib.study import labels
from kdlib.study.rows import table


def test_a_row_holds_while_its_metrics_do(store: Path) -> None:
    run = execute(small.teacher(epochs=1)).name
    first = table()
    assert list(first["run"]) == [run]
    pd.testing.assert_frame_equal(table(), first)
    file = store / run / "metrics.json"
    metrics = json.loads(file.read_text())
    file.write_text(json.dumps({**metrics, "val_accuracy": 0.125}))
    assert table().iloc[0]["val_accuracy"] == 0.125
    file.unlink()
    assert table().empty, "the store alone says what is finished"


def test_kept_labels_hold_for_what_they_were_worked_out_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kdlib.runs import studies

    file = tmp_path / "one.yaml"
    text = "title: One\nparameters: {dataset: 'digits:tiny', seed: [0, 1]}\nteachers: {plain: {epochs: 1}}\n"
    file.write_text(text)
    study = studies.load(str(file))
    assert labels._kept(study) is None
    labels.keep(study)
    labels._read.cache_clear()
    assert labels._kept(study) == labels.expanded(study) == labels.labels(study)
    assert {about.seed for about in labels.labels(study).values()} == {0, 1}
    monkeypatch.setattr(labels, "declarations", lambda: "another")
    labels._read.cache_clear()
    assert labels._kept(study) is None
    monkeypatch.undo()
    file.write_text(text.replace("epochs: 1", "epochs: 2"))
    labels._read.cache_clear()
    assert labels._kept(studies.load(str(file))) is None
