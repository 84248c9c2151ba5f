"""What a run notes of its costs: its own time, that of its lineage, the numbers it keeps, and the peak of memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small import teacher

from kdlib.report import cost, noise, truths
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


def test_runs_note_their_costs_and_reports_read_them(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [execute(teacher(kind=kind, seed=0)) for kind in ("deterministic", "temperature_scaled")]
    frame = table(only=[run.name for run in made]).set_index("kind", drop=False)
    plain, scaled = frame.loc["deterministic"], frame.loc["temperature_scaled"]
    assert scaled["lineage_seconds"] == pytest.approx(plain["training_seconds"] + scaled["training_seconds"])
    assert scaled["numbers_kept"] == plain["numbers_kept"] + 1
    assert (frame["prediction_seconds_per_image"] > 0).all() and (frame["peak_memory_bytes"] > 2**20).all()
    assert list(frame["samples_used"]) == [1, 1]

    assert cost.multiples(frame.assign(group=frame["kind"], teacher_label=frame["kind"]))["lineage_times"].gt(0).all()
    rows = named(frame.reset_index(drop=True).assign(teacher_label=list(frame["kind"]), label="noise"))
    shown: list[str] = []
    monkeypatch.setattr("IPython.display.display", lambda one: shown.append(one.data))
    truths.show(rows, "tiny")
    assert "exact BCPs" in "".join(shown)
    assert noise.sweep(rows).empty  # one noise is no sweep
    assert truths.dataset_of(rows.assign(dataset="folder:/nowhere")) is None
