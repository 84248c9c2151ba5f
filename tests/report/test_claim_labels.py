"""Claims compare labels: further teachers of the same kinds change no verdict, and MCMI's control stands beside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kdlib.report.choice import CONTROL, LABELS, against_control, entering
from kdlib.report.claims import CLAIMS, answers, c03, c04, c05, c08, c09, c11, c12, c13, c14, tables, teachers
from kdlib.report.claims.answers import Column
from kdlib.report.claims.claim import Claim
from kdlib.report.claims.rules import Verdict
from kdlib.report.claims.tables import DUE
from kdlib.report.sections import Part, waits_for
from kdlib.runs import studies
from kdlib.runs.plans import plan

SEEDS = range(6)
GAINS = {"one_hot": 0.0, "exact_bcp": 0.06, "deterministic": 0.02, "fine_tuned": 0.03, "variational": 0.04,
         "laplace": 0.021, "mcmi": 0.035}  # fmt: skip
OTHERS = {"overtrained": "deterministic", "inducing": "variational", "overtrained_laplace": "laplace",
          "overtrained_mcmi": "mcmi", "overtrained_temperature_scaled": "temperature_scaled"}  # fmt: skip
SCALED = {"temperature_scaled": "s/deterministic", "temperature_scaled_mcmi": "s/mcmi",
          "overtrained_temperature_scaled": "s/overtrained"}  # fmt: skip
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
            "parent": SCALED.get(label, "s/deterministic" if kind in ("mcmi", "laplace", "fine_tuned") else None),
            "seed": seed,
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
            out.append({**teacher("maps", kind, seed, gain), "teacher_label": label, "run_type": "eigencam",
                        "stage": 3.0, "images": 500.0, "cam_entropy": 3 + gain + 1e-3 * ((seed * 3 + len(label)) % 5),
                        "architecture": "cnn16" if label == "overtrained" else "cnn32"})  # fmt: skip
        if kind == "variational":
            out += [student("samples", label, kind, seed, 0.75 + gain * n, samples=n) for n in (2, 4)]
        for t in (1.0, 4.0):
            out.append(student("convergence", label, kind, seed, 0.8 + gain, epochs=50, schedule="constant",
                               temperature=t, student_temperature=t))  # fmt: skip
    return out


def curves(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the histories of the students at a constant rate: they jump the more, the better their teacher."""
    noise = {"one_hot": 0.01, "deterministic": 0.01, "variational": 0.005, "laplace": 0.02}
    return pd.DataFrame([
        {"run": row.run, "step": epoch, "val_accuracy": 0.8 + noise.get(str(row.teacher_label), 0.1)
         * (1 + 0.1 * row.seed) * (-1) ** (epoch * epoch // 3)}
        for row in rows.itertuples() for epoch in range(50)
    ])  # fmt: skip


def named(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows).assign(run=[f"run-{k}" for k in range(len(rows))])


PLAIN = named([row for label, gain in GAINS.items() for row in rows_of(label, label, gain)]
              + [teacher(label, "temperature_scaled", s, 0.1 + gain) for s in SEEDS
                 for label, gain in (("temperature_scaled", 0.0), ("temperature_scaled_mcmi", 0.005))])  # fmt: skip
CROWDED = named([row for label, kind in OTHERS.items() for row in rows_of(label, kind, 0.9)] + PLAIN.to_dict("records"))
TRAINED = CLAIMS[2:]
"""Those that compare teachers or students."""


@pytest.fixture(autouse=True)
def known_curves_and_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for what records keep of a run beside its row: its history, and its CMI by temperature."""
    monkeypatch.setattr(c05, "histories", curves)
    monkeypatch.setattr(c13, "sweep", lambda rows: pd.DataFrame([
        {"run": row.run, "temperature": t, "val_cmi": row.test_cmi * t, "test_cmi": row.test_cmi * t}
        for row in rows.itertuples() for t in (1.0, 2.0)
    ], columns=c13.COLUMNS))  # fmt: skip


@pytest.mark.parametrize("claim", TRAINED, ids=lambda one: one.id)
def test_labels_of_the_same_kinds_change_no_effect(claim: Claim) -> None:
    """However good, or however early in the table, they are."""
    plain, crowded = claim.effects(PLAIN), claim.effects(CROWDED)
    assert plain == crowded and any(plain.values())
    assert any(effect is not None and effect.n == len(SEEDS) for effect in plain.values())


def test_no_verdict_changes_and_no_label_is_a_stand_in() -> None:
    """From the table of runs to every claim's judgements; without the labels themselves nothing is measured."""
    plain, crowded = (answers.answers(rows, "digits") for rows in (PLAIN, CROWDED))
    for one, other in zip(plain, crowded, strict=True):
        assert str(one.judged) == str(other.judged) and one.due == other.due  # as text: NaN is no equal of itself
    assert {one.claim.id for one in plain if one.verdict is Verdict.NOT_RUN} == {"C1", "C2"}
    others = CROWDED[~CROWDED["teacher_label"].isin([*LABELS, CONTROL])]
    assert {one.verdict for one in answers.answers(others, "digits")} == {Verdict.NOT_RUN}


def test_what_stands_beside() -> None:
    by = {one.claim.id: one for one in answers.answers(PLAIN, "digits")}
    assert by["C9"].note == "2 of 12 run." and by["C9"].verdict is Verdict.INCONCLUSIVE
    ran = {one.member: one.verdict for one in by["C9"].judged if one.effect}
    assert ran == {"kd": Verdict.SUPPORTED, "crd": Verdict.SUPPORTED}, "a framework has a verdict of its own"
    assert by["C12"].note.startswith("With T chosen on validation images of the kept classes alone: +")
    people = {one.claim.id: one.note for one in answers.answers(PLAIN.assign(dataset="cifar10"), "cifar10")}
    for claim in ("C3", "C14"):
        assert people[claim].startswith(teachers.PEOPLE) and "Beside it, test NLL" in people[claim]
    beside = tables.verdicts(Column(Part("s", "Study", "", PLAIN), "digits", tuple(by.values())).answers)
    assert (beside["compared"] == DUE).sum() == 8, "C7, C8, two frameworks of C9, C10, C11, C12, C14 as trained"
    alone = answers.answers(PLAIN[PLAIN["teacher_label"] != CONTROL], "digits")
    assert not (tables.verdicts(alone)["compared"] == DUE).any() and not any(one.due for one in alone)


def test_c5_rests_on_students_at_a_constant_rate_alone() -> None:
    found, others = c05.effects(PLAIN), PLAIN[PLAIN["label"] != "convergence"]
    assert found["variational"] is not None and found["laplace"] is not None
    assert (found["variational"].mean, found["laplace"].mean) == pytest.approx((-0.5, 1.0))
    assert not any(c05.effects(others).values())
    assert c04.effects(PLAIN) == c04.effects(others) and all(c04.effects(PLAIN).values())


def test_what_mcmi_gains_over_its_control_is_its_gain_minus_the_control_s() -> None:
    control = against_control(CROWDED)
    assert set(control["teacher_label"]) == {"one_hot", "exact_bcp", "deterministic", "mcmi"}
    for claim, member in ((c11.CLAIM, "mcmi"), (c09.CLAIM, "crd"), (c14.CLAIM, "as trained")):
        whole, due = (claim.effects(rows)[member] for rows in (CROWDED, control))
        assert whole is not None and due is not None and abs(due.mean) < abs(whole.mean)
    due = c11.effects(control)["mcmi"]
    assert due is not None and due.mean == pytest.approx(2 * (GAINS["mcmi"] - GAINS[CONTROL]), abs=2e-3)
    assert against_control(PLAIN[PLAIN["teacher_label"] != CONTROL]).empty
    said = {one.claim.id for one in answers.answers(PLAIN, "digits") if one.due}
    assert said == {claim.id for claim in CLAIMS if claim.of_mcmi} == {"C7", "C8", "C9", "C10", "C11", "C12", "C14"}


def test_each_seed_omits_a_class_of_its_own() -> None:
    found = c12.effects(PLAIN)["mcmi"]
    assert found is not None and found.n == len(SEEDS)
    assert found.mean == pytest.approx((GAINS["mcmi"] - GAINS["deterministic"]) / 2, abs=2e-3)


def test_the_t_chosen_on_kept_classes_stands_beside() -> None:
    """The warmest students know the omitted class best, and the kept ones worst."""
    rows = PLAIN[PLAIN["omit_classes"] != ""]
    warm = rows[rows["teacher_label"] == "mcmi"].assign(temperature=8.0, student_temperature=8.0)
    warm = warm.assign(val_accuracy=warm["val_accuracy"] + 0.1, val_kept_accuracy=warm["val_kept_accuracy"] - 0.1,
                       test_omitted_accuracy=warm["test_omitted_accuracy"] + 0.2)  # fmt: skip
    frame = pd.concat([rows, warm], ignore_index=True)
    by_all, by_kept = (c12.effects(frame, name)["mcmi"] for name in ("val_accuracy", c12.STRICT))
    assert by_all is not None and by_kept is not None and by_all.n == by_kept.n == len(SEEDS)
    assert by_all.mean - by_kept.mean == pytest.approx(0.2)
    assert c12.effects(rows)["mcmi"] == by_kept


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
    waiting = waits_for(study, set(names[:5]))
    assert waiting == "5 of 6 seeds are there; no verdict before the last."
    assert waits_for(study, set(names)) == ""
    said = answers.answers(PLAIN, "digits", waiting)
    late = [one for one in said if one.claim.id not in ("C1", "C2")]
    assert {one.verdict for one in late} == {Verdict.UNFINISHED} and len(late) == 12
    assert all(one.note == waiting and not any(one.measured.values()) for one in late)
    assert all(judged.effect is None for one in late for judged in one.judged)
    (tmp_path / "few.yaml").write_text(STUDY.replace("[0, 1, 2, 3, 4, 5]", "[0, 1]"))
    assert waits_for(studies.load(str(tmp_path / "few.yaml")), set()) == "", "too few for a verdict anyway"


@pytest.mark.parametrize("column", ["kl_weight", "cmi_weight", "smoothing", "weight_decay", "learning_rate"])
def test_of_several_settings_of_a_teacher_that_of_the_least_validation_nll_counts(column: str) -> None:
    """Whichever parameter of its own a study sweeps under one label."""
    swept = PLAIN[(PLAIN["run_type"] == "teacher") & PLAIN["teacher_label"].isin(("variational", "mcmi"))]
    worse = swept.assign(**{column: 2.0}, val_nll=swept["val_nll"] + 1, test_kl_to_bcp=9.0, run=swept["run"] + "-worse")
    frame = pd.concat([worse, PLAIN.assign(**{column: PLAIN.get(column, 1.0)})], ignore_index=True)
    for claim in (c03.CLAIM, c14.CLAIM, c08.CLAIM):
        assert claim.effects(frame) == claim.effects(PLAIN)


def test_an_mcmi_teacher_whose_cmi_hardly_rose_is_hardly_a_trial() -> None:
    """Of every claim about MCMI, and of no other: what the CMI term adds to the control's CMI."""
    weak = PLAIN.assign(test_cmi=PLAIN["test_cmi"] - 0.004 * (PLAIN["teacher_label"] == "mcmi"))
    limits = {one.claim.id: one.limit for one in answers.answers(weak, "digits")}
    said = {name for name, limit in limits.items() if "nats, hardly a trial" in limit}
    assert said == {claim.id for claim in CLAIMS if claim.of_mcmi}
    strong = PLAIN.assign(test_cmi=PLAIN["test_cmi"] + 0.1 * (PLAIN["teacher_label"] == "mcmi"))
    assert not any("hardly a trial" in one.limit for one in answers.answers(strong, "digits"))


def test_what_more_draws_would_give_stands_beside_c4() -> None:
    by = {one.claim.id: one for one in answers.answers(PLAIN, "digits")}
    assert "one draw of the variational teacher a step; with 4 it is +13." in by["C4"].limit
    assert by["C4"].measured == c04.effects(PLAIN) and "one an epoch" in by["C5"].limit
    others = PLAIN[PLAIN["label"] != "samples"]
    assert "one draw of" not in {one.claim.id: one for one in answers.answers(others, "digits")}["C4"].limit
    longer = PLAIN.assign(epochs=PLAIN["epochs"].mask(PLAIN["label"] == "samples", 99))
    assert c04.drawn(longer) == "", "trained otherwise"
