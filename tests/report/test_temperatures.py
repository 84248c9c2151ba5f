"""CMI against temperature: computed from stored answers, equal to that of tempered logits, and kept in records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from kdlib.base import paths
from kdlib.base.errors import DamagedRun, InputError
from kdlib.measures.bcp_errors import tempered
from kdlib.measures.cmi import GRID, cmi
from kdlib.measures.metrics import measure
from kdlib.report import temperatures
from kdlib.report.claims import c13
from kdlib.report.claims.rules import Verdict, judge
from kdlib.report.draw import lines
from kdlib.report.sections import part_of
from kdlib.store.runs import Run
from kdlib.study.keeping import keep
from kdlib.study.labels import study_of
from kdlib.study.rows import table


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0, 16.0])
def test_the_cmi_of_a_stored_answer_is_that_of_the_tempered_logits(temperature: float) -> None:
    torch.manual_seed(0)
    logits, labels = 4 * torch.randn(300, 7, dtype=torch.float64), torch.randint(7, (300,))
    stored = torch.log_softmax(logits, 1)
    wanted = measure(logits / temperature, labels)["cmi"]
    assert cmi(tempered(stored.numpy(), temperature), labels.numpy()) == pytest.approx(wanted, abs=1e-12)
    halved = stored.half().double().numpy()  # as runs keep them
    assert cmi(tempered(halved, temperature), labels.numpy()) == pytest.approx(wanted, rel=1e-3)


def test_the_cmi_of_hand_made_answers() -> None:
    with np.errstate(divide="ignore"):
        sure = np.log(np.eye(2)[[0, 1, 0, 0]])
    assert cmi(sure, [0, 0, 1, 1]) == pytest.approx(np.log(2) / 2)
    assert cmi(np.log(np.full((4, 2), 0.5)), [0, 0, 1, 1]) == pytest.approx(0)


def students(**changed: object) -> pd.DataFrame:
    rows = [
        {"run": f"{kind}-{t}-{s}-{changed}", "dataset": "d", "architecture": "a", "kd_weight": 1.0, "epochs": 3,
         "student_temperature": 1.0, "temperature": float(t), "seed": s, "teacher": kind, "teacher_label": kind,
         "fraction": 1.0, "omit_classes": "", "framework": "kd", "samples": 1, "label": "distilled",
         "val_accuracy": 0.5 + 0.1 * (t == 2) + 0.01 * s, "test_accuracy": 0.4 + 0.01 * t, **changed}
        for kind in ("deterministic", "mcmi", "laplace") for t in (1, 2, 4) for s in (0, 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_sweep_has_everything_else_in_common() -> None:
    found = temperatures.swept(students())
    assert len(found) == 2 * 3 * 2 and set(found["teacher"]) == {"deterministic", "mcmi"}
    other = [students(fraction=0.1), students(framework="dkd"), students(label="tempered"), students(kd_weight=0.5)]
    found = temperatures.swept(pd.concat([students(), *other]))
    assert len(found) == 12 and (found["fraction"] == 1).all() and found["kd_weight"].nunique() == 1
    warm = students()
    warm["student_temperature"] = warm["temperature"]
    both = pd.concat([warm, students(student_temperature=8.0)])
    found = temperatures.swept(both)
    assert len(found) == 12 and (found["student_temperature"] == found["temperature"]).all()
    assert temperatures.swept(students(temperature=2.0)).empty
    all_of = students()
    assert len(temperatures.swept(all_of[all_of["temperature"] < 4])) == 2 * 2 * 2
    assert temperatures.swept(all_of[all_of["temperature"] < 2]).empty, "one temperature is no sweep"
    assert temperatures.swept(students().iloc[:0]).empty


def test_the_best_temperature_is_that_of_validation() -> None:
    assert temperatures.warmest(students(), "mcmi") == 2.0


def swept(effect: float, n: int, label: str = "deterministic") -> pd.DataFrame:
    """Return a sweep whose teachers gain `effect` at T = 4 and lose at T = 2."""
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        [
            {"teacher_label": label, "seed": s, "temperature": t, "val_cmi": 0.1 + gain,
             "test_cmi": 0.1 * s + gain + 1e-3 * generator.standard_normal()}
            for s in range(n) for t, gain in ((0.5, 9.0), (1.0, 0.0), (2.0, -0.1), (4.0, effect))
        ]
    )  # fmt: skip


def judged(table: pd.DataFrame) -> Verdict:
    """Return the verdict on C13."""
    (found,) = judge(c13.CLAIM, {"T > 1": c13.effect(table)})
    return found.verdict


def test_the_claim_rests_on_the_temperature_that_validation_chose() -> None:
    up = swept(0.05, 6)
    assert c13.best(up) == 4.0
    found = c13.effect(up)
    assert found is not None and found.n == 6 and found.mean == pytest.approx(0.05, abs=2e-3)
    assert judged(up) is Verdict.SUPPORTED
    assert judged(swept(-0.05, 6)) is Verdict.NOT_SUPPORTED
    assert judged(swept(0.05, 3)) is Verdict.INCONCLUSIVE
    other = swept(9.0, 6, "overtrained")
    assert judged(other) is Verdict.NOT_RUN
    assert c13.effect(pd.concat([other, up])) == found, "another deterministic teacher changes nothing"


def test_the_sweep_of_runs_and_of_records(study: str) -> None:
    frame = table(study)
    teachers = frame[frame["run_type"] == "teacher"]
    found = c13.sweep(teachers)
    assert len(found) == 2 * len(GRID) and set(found["run"]) == set(teachers["run"])
    plain = found[found["temperature"] == 1].set_index("run")
    for name, row in teachers.set_index("run").iterrows():
        for split in ("val", "test"):
            assert plain.loc[name, f"{split}_cmi"] == pytest.approx(row[f"{split}_cmi"], abs=1e-4)
    for _ in range(2):  # keeping again changes nothing
        folder, _ = keep(study)
    assert folder == paths.RECORDS / "studied"
    kept = c13.sweep(teachers.assign(source="record"))
    columns = ["run", "temperature"]
    pd.testing.assert_frame_equal(
        kept.sort_values(columns, ignore_index=True), found.sort_values(columns, ignore_index=True)
    )
    # the page: teachers and students side by side
    part = part_of(study_of(study), True)
    pupils = part.of("student").replace({"teacher_label": {"plain": "deterministic"}})
    assert temperatures.swept(pupils[pupils["temperature"] == 4]).empty  # one temperature is no sweep
    third = pupils[pupils["temperature"] == 4].assign(temperature=2.0, run=lambda rows: rows["run"] + "-third")
    own = temperatures.swept(pd.concat([pupils, third], ignore_index=True))
    both = temperatures.side_by_side(part.frame.replace({"teacher_label": {"plain": "deterministic"}}), own)
    assert len(both) == 2 * len(GRID) and both["teacher_cmi"].notna().all() and set(both["seed"]) == {0, 1}
    assert both["student_accuracy"].notna().sum() == len(own) == 2 * 3
    figure = lines(both, "temperature", ["teacher_cmi", "student_accuracy"], base=2)
    drawn = [max((tuple(line.get_xdata()) for line in axes.lines), key=len) for axes in figure.axes]
    assert drawn == [GRID, (1.0, 2.0, 4.0)]


def test_a_damaged_teacher_is_named_and_not_left_out(study: str) -> None:
    teachers = table(study).query("run_type == 'teacher'")
    (Run(str(teachers["run"].iloc[0])).path / "predictions.safetensors").write_bytes(b"torn")
    with pytest.raises(DamagedRun, match=r"predictions\.safetensors"):
        c13.sweep(teachers)


def test_nothing_to_draw() -> None:
    with pytest.raises(InputError, match="no rows"):
        lines(pd.DataFrame(), "temperature", ["teacher_cmi"])
    assert c13.sweep(pd.DataFrame(columns=["run", "source"])).empty


def test_records_without_the_sweep_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "RECORDS", tmp_path)
    assert c13.sweep(pd.DataFrame([{"run": "gone", "source": "record"}])).empty
