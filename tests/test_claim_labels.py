"""Claims compare labels: further teachers of the same kinds change no verdict, and MCMI's control stands beside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kdlib import studies
from kdlib.claims import Verdict
from kdlib.claims.choice import CONTROL, LABELS, against_control, entering
from kdlib.plans import plan
from kdlib.report import bcp_tables, cmi_gain, fewshot, framework_gains, grid, verdicts, zeroshot

SEEDS = range(6)
GAINS = {"one_hot": 0.0, "exact_bcp": 0.06, "deterministic": 0.02, "fine_tuned": 0.03, "variational": 0.04,
         "laplace": 0.021, "mcmi": 0.035}  # fmt: skip
OTHERS = {"overtrained": "deterministic", "inducing": "variational", "overtrained_laplace": "laplace",
          "overtrained_mcmi": "mcmi"}  # fmt: skip
"""Labels that a study may have beside: of kinds that claims compare, with absurd numbers."""


def student(label: str, teacher: str, kind: str, seed: int, accuracy: float, **more: Any) -> dict[str, Any]:
    jitter = 1e-3 * ((seed * 7 + len(teacher)) % 5)
    return {"run_type": "student", "source": "record", "label": label, "teacher": kind, "teacher_label": teacher,
            "seed": seed, "dataset": "digits", "architecture": "cnn8", "framework": "kd", "samples": 1,
            "match": "steps", "fraction": 1.0, "omit_classes": "", "epochs": 15, "schedule": "cosine", "kd_weight": 0.9,
            "temperature": 4.0, "student_temperature": 4.0, "val_accuracy": accuracy + jitter,
            "test_accuracy": accuracy + jitter,
            "test_omitted_accuracy": accuracy / 2 + jitter, "test_kept_accuracy": accuracy,
            "val_kept_accuracy": accuracy, **more}  # fmt: skip


def teacher(label: str, kind: str, seed: int, quality: float) -> dict[str, Any]:
    jitter = 1e-3 * ((seed * 3 + len(label)) % 5)
    return {"run_type": "teacher", "source": "record", "label": label, "teacher": kind, "teacher_label": label,
            "parent": "s/deterministic" if kind in ("mcmi", "laplace", "fine_tuned") else None, "seed": seed,
            "dataset": "digits", "architecture": "cnn32", "val_nll": 0.6 - quality + jitter, "test_nll": 0.6 - quality,
            "test_kl_to_bcp": 0.4 - quality + jitter, "test_cmi": 0.5 + quality + jitter,
            "test_accuracy": 0.8 + quality / 10 + jitter}  # fmt: skip


def rows_of(label: str, kind: str, gain: float) -> list[dict[str, Any]]:
    out = []
    for seed in SEEDS:
        if label not in ("one_hot", "exact_bcp"):
            out.append(teacher(label, kind, seed, gain))
        out.append(student("distilled", label, kind, seed, 0.75 + gain))
        out.append(student("fewshot", label, kind, seed, 0.6 + 2 * gain, fraction=0.05))
        out.append(student(f"zeroshot_{seed}", label, kind, seed, 0.7 + gain, omit_classes=str(seed)))
        if kind in ("deterministic", "mcmi", "fine_tuned"):
            out.append(student("frameworks", label, kind, seed, 0.74 + gain, framework="crd"))
    return out


def named(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows).assign(run=[f"run-{k}" for k in range(len(rows))])


PLAIN = named([row for label, gain in GAINS.items() for row in rows_of(label, label, gain)])
CROWDED = named([row for label, kind in OTHERS.items() for row in rows_of(label, kind, 0.9)] + PLAIN.to_dict("records"))
MEASURES: tuple[Callable[[pd.DataFrame], verdicts.Effects], ...] = (
    bcp_tables.effects, grid.effects, cmi_gain.effects, fewshot.effects, framework_gains.effects, zeroshot.effects,
)  # fmt: skip


@pytest.mark.parametrize("measure", MEASURES, ids=lambda one: one.__module__.rpartition(".")[2])
def test_labels_of_the_same_kinds_change_no_effect(measure: Callable[[pd.DataFrame], verdicts.Effects]) -> None:
    """However good, or however early in the table, they are."""
    plain, crowded = measure(PLAIN), measure(CROWDED)
    assert plain == crowded
    assert any(effect is not None and effect.n == len(SEEDS) for own in plain.values() for effect in own.values())


def test_what_mcmi_gains_over_its_control_is_its_gain_minus_the_control_s() -> None:
    control = against_control(CROWDED)
    assert set(control["teacher_label"]) == {"one_hot", "exact_bcp", "deterministic", "mcmi"}
    for measure, claim, member in (
        (fewshot.effects, "C11", "mcmi"),
        (framework_gains.effects, "C9", "crd"),
        (bcp_tables.effects, "C14", "as trained"),
    ):
        whole, due = (measure(rows)[claim][member] for rows in (CROWDED, control))
        assert whole is not None and due is not None and abs(due.mean) < abs(whole.mean)
    due = fewshot.effects(control)["C11"]["mcmi"]
    assert due is not None and due.mean == pytest.approx(2 * (GAINS["mcmi"] - GAINS[CONTROL]), abs=2e-3)
    assert against_control(PLAIN[PLAIN["teacher_label"] != CONTROL]).empty
    said = verdicts.due_to_cmi(PLAIN)
    assert {"C8", "C9", "C11", "C12", "C14"} <= set(said) <= set(verdicts.OF_MCMI)


def test_each_seed_omits_a_class_of_its_own() -> None:
    found = zeroshot.effects(PLAIN)["C12"]["mcmi"]
    assert found is not None and found.n == len(SEEDS)
    assert found.mean == pytest.approx((GAINS["mcmi"] - GAINS["deterministic"]) / 2, abs=2e-3)


def test_rows_that_enter() -> None:
    assert set(entering(CROWDED)["teacher_label"]) <= set(LABELS)
    assert entering(PLAIN.drop(columns="teacher_label")).shape[0] == len(PLAIN)


STUDY = """
title: Planned
parameters: {dataset: "digits:tiny", architecture: cnn4, epochs: 1, seed: [0, 1, 2, 3, 4, 5]}
reports: [claims]
teachers:
  deterministic: {}
"""


def test_nothing_is_judged_before_the_last_seed(tmp_path: Path) -> None:
    (tmp_path / "planned.yaml").write_text(STUDY)
    study = studies.load(str(tmp_path / "planned.yaml"))
    names = [plan(config).name for entry in study.entries for config in entry.configs()]
    waiting = verdicts.waits_for(study, set(names[:5]))
    assert waiting == "5 of 6 seeds are there; no verdict before the last."
    assert verdicts.waits_for(study, set(names)) == ""
    said = verdicts.answers(PLAIN, "digits", waiting)
    late = [one for one in said if one.claim.id not in ("C1", "C2")]
    assert {one.verdict for one in late} == {Verdict.UNFINISHED} and len(late) == 12
    assert all(one.note == waiting and not any(one.measured.values()) for one in late)
    assert all(judged.effect is None for one in late for judged in one.judged)
    (tmp_path / "few.yaml").write_text(STUDY.replace("[0, 1, 2, 3, 4, 5]", "[0, 1]"))
    assert verdicts.waits_for(studies.load(str(tmp_path / "few.yaml")), set()) == "", "too few for a verdict anyway"
