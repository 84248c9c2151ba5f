"""What was measured here beside the record: zero on one processor, the spread of seeds on another."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from kdlib.base import paths
from kdlib.report import replication
from kdlib.runs import studies
from kdlib.study import labels as labelling
from kdlib.study import records
from kdlib.study.keeping import keep
from kdlib.study.rows import table


def test_runs_made_here_agree_with_their_records_to_the_bit(study: str) -> None:
    assert replication.rows(study).empty
    assert "No run that is kept" in replication.sentences(replication.rows(study))[0]
    keep(study)
    both = replication.rows(study)
    assert len(both) == len(table(study)) and set(table(study)["source"]) == {"record"}, "verdicts rest on records"
    assert (both["test_accuracy_difference"] == 0).all() and both["same"].all()
    assert not replication.beyond(both).any()
    assert f"{len(both)} have the same accuracy" in replication.sentences(both)[0]
    assert replication.agreement(both).axes


def test_what_is_beyond_depends_on_the_processor() -> None:
    both = pd.DataFrame(
        {
            "test_accuracy_difference": [0.0, 0.001, 0.001, 0.1],
            "test_nll_difference": [0.0, 0.0, 0.0, 0.0],
            "test_accuracy_sd": [0.01] * 4,
            "test_nll_sd": [0.1] * 4,
            "same": [True, True, False, False],
        }
    )
    assert replication.beyond(both).tolist() == [False, True, False, True]


def test_the_spread_is_that_of_seeds_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few-shot and zero-shot runs, other lengths and other images are no seeds of a run."""
    monkeypatch.setattr(paths, "RECORDS", paths.ROOT / "data" / "records")
    kept = records.frame("digits").reset_index()
    found = kept.join(replication.spread(kept))
    student = (
        (found["run_type"] == "student") & (found["teacher_label"] == "variational") & (found["label"] == "distilled")
    )
    full = found[student & (found["temperature"] == 4)]
    assert len(full) == 10 and full["test_accuracy_sd"].to_numpy() == pytest.approx(full["test_accuracy"].std())
    few = found[(found["label"] == "fewshot") & (found["teacher"] == "one_hot") & (found["fraction"] == 0.05)]
    few = few[few["match"] == "steps"]
    assert len(few) == 10 and few["test_nll_sd"].to_numpy() == pytest.approx(few["test_nll"].std())
    trained = found[found["run_type"].isin(("teacher", "student"))]
    assert trained["test_accuracy_sd"].max() < 0.1, "mixed with another setting it would be a fifth"
    alone = replication.spread(kept[kept["seed"] == 0].reset_index(drop=True))
    assert alone.isna().all(axis=None)


def test_a_sample_has_no_part_of_the_pages_but_its_own() -> None:
    quick = studies.load("quick")
    assert quick.sample == "digits"
    assert set(labelling.labels(quick)) <= set(labelling.labels(studies.load("digits")))


@pytest.fixture
def study(finished_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a study all of whose runs are in the store."""
    monkeypatch.setenv("KDLIB_RUNS", str(finished_study / "runs"))
    assert not records.files()
    return str(finished_study / "studied.yaml")
