"""The index of the store's rows: never more than a faster way to the same table."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd
import pytest
import small

from kdlib.runs.execute import execute
from kdlib.study import index, labels
from kdlib.study.rows import table


def made(store: Path) -> str:
    return execute(small.teacher(epochs=1)).name


def test_a_row_holds_while_its_metrics_do(store: Path) -> None:
    run = made(store)
    first = table()
    assert (store / index.FILE).is_file() and list(first["run"]) == [run]
    pd.testing.assert_frame_equal(table(), first)
    file = store / run / "metrics.json"
    metrics = json.loads(file.read_text())
    file.write_text(json.dumps({**metrics, "val_accuracy": 0.125}))
    assert table().iloc[0]["val_accuracy"] == 0.125
    file.unlink()
    assert table().empty, "the store alone says what is finished"


@pytest.mark.parametrize("content", [None, b"", b"[1]", b'{"a": 1}', b"\x00" * 50, b"{" * 100_000])
def test_an_index_that_is_gone_or_torn_is_made_again(store: Path, content: bytes | None) -> None:
    made(store)
    first = table()
    (store / index.FILE).unlink()
    if content is not None:
        (store / index.FILE).write_bytes(content)
    pd.testing.assert_frame_equal(table(), first)
    pd.testing.assert_frame_equal(table(), first)


def test_a_store_that_is_only_read_gives_its_table(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(store)
    first = table()
    (store / index.FILE).unlink()

    def refused(*given: object, **named: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "fsync", refused)
    pd.testing.assert_frame_equal(table(), first)
    assert not (store / index.FILE).exists()


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
