"""CMI against temperature: computed from stored answers, equal to that of tempered logits, and kept in records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from kdlib.base import paths
from kdlib.base.errors import InputError
from kdlib.measures.bcp_errors import tempered
from kdlib.measures.cmi import cmi
from kdlib.measures.metrics import measure
from kdlib.report import cmi_by_temperature as sweeps
from kdlib.report import temperature_tables
from kdlib.report.claims import Verdict
from kdlib.report.plots.temperature import cmi_and_accuracy
from kdlib.report.sections import sections
from kdlib.study.keeping import keep
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
        {"dataset": "d", "architecture": "a", "kd_weight": 1.0, "epochs": 3, "student_temperature": 1.0,
         "temperature": float(t), "seed": s, "teacher": kind, "teacher_label": kind, "fraction": 1.0,
         "omit_classes": "", "framework": "kd", **changed}
        for kind in ("deterministic", "mcmi", "laplace") for t in (1, 2, 4) for s in (0, 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_sweep_has_everything_else_in_common() -> None:
    ((where, found),) = sweeps.students_of(students())
    assert where == "d, a, α = 1, S = 1" and len(found) == 2 * 3 * 2
    assert set(found["teacher"]) == {"deterministic", "mcmi"}
    both = pd.concat([students(), students(kd_weight=0.5), students(fraction=0.1), students(framework="dkd")])
    assert [where for where, _ in sweeps.students_of(both)] == ["d, a, α = 1, S = 1", "d, a, α = 0.5, S = 1"]
    warm = students()
    warm["student_temperature"] = warm["temperature"]
    assert [where for where, _ in sweeps.students_of(warm)] == ["d, a, α = 1, S = T"]
    assert not list(sweeps.students_of(students(temperature=2.0)))


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


def test_the_claim_rests_on_the_temperature_that_validation_chose() -> None:
    up = swept(0.05, 6)
    assert sweeps.best(up) == 4.0
    found = sweeps.effect(up)
    assert found is not None and found.n == 6 and found.mean == pytest.approx(0.05, abs=2e-3)
    assert sweeps.judged(up).verdict is Verdict.SUPPORTED
    assert sweeps.judged(swept(-0.05, 6)).verdict is Verdict.NOT_SUPPORTED
    assert sweeps.judged(swept(0.05, 3)).verdict is Verdict.INCONCLUSIVE
    other = swept(9.0, 6, "overtrained")
    assert sweeps.judged(other).verdict is Verdict.NOT_RUN
    assert sweeps.effect(pd.concat([other, up])) == found, "another deterministic teacher changes nothing"


def test_the_sweep_of_runs_and_of_records(study: str) -> None:
    frame = table(study)
    teachers = frame[frame["run_type"] == "teacher"]
    found = sweeps.sweep(teachers)
    assert len(found) == 2 * len(sweeps.GRID) and set(found["run"]) == set(teachers["run"])
    plain = found[found["temperature"] == 1].set_index("run")
    for name, row in teachers.set_index("run").iterrows():
        for split in ("val", "test"):
            assert plain.loc[name, f"{split}_cmi"] == pytest.approx(row[f"{split}_cmi"], abs=1e-4)
    for _ in range(2):  # keeping again changes nothing
        folder, _ = keep(study)
    assert folder == paths.RECORDS / "studied"
    kept = sweeps.sweep(teachers.assign(source="record"))
    columns = ["run", "temperature"]
    pd.testing.assert_frame_equal(
        kept.sort_values(columns, ignore_index=True), found.sort_values(columns, ignore_index=True)
    )
    # the page: a figure and a table
    pupils = frame[frame["run_type"] == "student"]
    assert not list(sweeps.students_of(pupils))  # two temperatures are no sweep
    third = pupils[pupils["temperature"] == 4].assign(temperature=2.0)
    ((where, own),) = sweeps.students_of(pd.concat([pupils, third], ignore_index=True))
    cmi = temperature_tables.cmi_of(own, sections("distillation", "teacher", study))
    pd.testing.assert_frame_equal(temperature_tables.cmi_of(own, []), cmi)
    assert set(cmi["teacher_label"]) == {"plain"} and set(cmi["seed"]) == {0, 1}
    figure = cmi_and_accuracy(cmi, own)
    assert [len(axes.lines) for axes in figure.axes] == [2, 2]
    assert temperature_tables.side_by_side(cmi, own).data.count("<tr>") == 1 + len(sweeps.GRID)
    assert where == "digits:tiny, cnn4, α = 1, S = 1"


def test_nothing_to_draw() -> None:
    with pytest.raises(InputError, match="no rows"):
        cmi_and_accuracy(pd.DataFrame(), pd.DataFrame())
    assert sweeps.sweep(pd.DataFrame(columns=["run", "source"])).empty


def test_records_without_the_sweep_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "RECORDS", tmp_path)
    assert sweeps.sweep(pd.DataFrame([{"run": "gone", "source": "record"}])).empty
