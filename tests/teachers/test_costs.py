"""What a run notes of its costs: its own time, that of its lineage, the numbers it keeps, and the peak of memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small import teacher

from kdlib.report import noise, truths
from kdlib.report.sections import named
from kdlib.runs.execute import execute
from kdlib.study.rows import table
from kdlib.teachers import costs


def test_lineage_adds_up() -> None:
    first = costs.of_teacher(3.0, {"w": torch.zeros(4, 5)}, [], needs_parents=False)
    assert first == {"training_seconds": 3.0, "lineage_seconds": 3.0, "numbers_kept": 20}
    tuned = costs.of_teacher(1.0, {"w": torch.zeros(20)}, [first], needs_parents=False)
    assert tuned["lineage_seconds"] == 4.0 and tuned["numbers_kept"] == 20
    both = costs.of_teacher(0.5, {}, [first, tuned], needs_parents=True)
    assert both["lineage_seconds"] == 7.5 and both["numbers_kept"] == 40
    old = costs.of_teacher(0.5, {}, [{}], needs_parents=True)  # made before costs were noted
    assert old["lineage_seconds"] is None and old["numbers_kept"] is None


HELD = """
import torch
from kdlib.teachers import costs
device = torch.device("cpu")
costs.restart_peak(device)
before = costs.peak_memory(device)
held = torch.ones(40 * 2**20, dtype=torch.uint8)
assert costs.peak_memory(device) >= before + held.nbytes // 2
"""


def test_peak_of_memory_sees_what_was_held() -> None:
    # in a process of its own: this one may still own the memory that an earlier test freed
    subprocess.run([sys.executable, "-c", HELD], check=True, timeout=120)


def test_runs_note_their_costs_and_reports_read_them(store: Path) -> None:
    made = [execute(teacher(kind=kind, seed=0)) for kind in ("deterministic", "temperature_scaled")]
    frame = table(only=[run.name for run in made]).set_index("kind", drop=False)
    plain, scaled = frame.loc["deterministic"], frame.loc["temperature_scaled"]
    assert scaled["lineage_seconds"] == pytest.approx(plain["training_seconds"] + scaled["training_seconds"])
    assert scaled["numbers_kept"] == plain["numbers_kept"] + 1
    assert (frame["prediction_seconds_per_image"] > 0).all() and (frame["peak_memory_bytes"] > 2**20).all()
    assert list(frame["samples_used"]) == [1, 1]

    rows = named(frame.reset_index(drop=True).assign(teacher_label=list(frame["kind"]), label="noise"))
    truth, answers = truths.truth_of(rows), truths.answers_of(rows)
    assert truth is not None and truth.called == "exact BCPs"
    tempered = truths.with_temperatures(rows, truth, answers)
    # float16 answers lead to the temperature and the distance that the control's own run measured in float32
    assert tempered["best_temperature"][0] == pytest.approx(made[1].provenance["fitted_temperature"], rel=5e-3)
    assert tempered["test_kl_to_bcp_tempered"][0] == pytest.approx(scaled["test_kl_to_bcp"], rel=1e-3)
    assert np.isnan(tempered["test_kl_to_bcp_tempered"][1])
    whole = truths.parts_table(truth, answers).drop(columns=["group", "seed"]).sum(axis=1)
    assert whole.tolist() == pytest.approx(frame["test_kl_to_bcp"].tolist(), rel=1e-3)
    assert truths.examples(truth, truths.first_of(answers)["deterministic"])
    assert not list(noise.sweeps([rows]))  # one noise is no sweep
    assert truths.truth_of(rows.assign(dataset="folder:/nowhere")) is None
