"""The claims page: what measures each claim, what is said of it, how it is drawn, and what the book repeats of it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from kdlib.base import paths
from kdlib.base.errors import InputError
from kdlib.report import page
from kdlib.report.claims import CLAIMS, answers, c03, c08, c09, c10, c13, c14, synthetic, tables
from kdlib.report.claims.answers import Answer, Column
from kdlib.report.claims.rules import MINIMUM_PAIRS, Verdict
from kdlib.report.draw import verdicts as drawing
from kdlib.report.inference import Effect, mean_interval, paired, seeds_needed
from kdlib.report.sections import Part, apart, datasets_of

BY_ID = {claim.id: claim for claim in CLAIMS}
SEEDS = range(6)
TEACHERS = {  # label: kind, parent, KL to the BCPs, validation NLL, CMI, accuracy
    "deterministic": ("deterministic", None, 0.70, 0.90, 0.70, 0.75),
    "variational": ("variational", None, 0.40, 0.60, 0.50, 0.79),
    "inducing": ("variational", None, 0.30, 0.70, 0.40, 0.78),
    "laplace": ("laplace", "s/deterministic", 0.55, 0.75, 0.60, 0.75),
    "mcmi": ("mcmi", "s/deterministic", 0.73, 0.93, 0.75, 0.74),
    "early_stopped": ("early_stopped", "s/deterministic", 0.43, 0.65, 0.50, 0.78),
    "mcmi_of_early_stopped": ("mcmi", "s/early_stopped", 0.42, 0.64, 0.56, 0.781),
    "temperature_scaled": ("temperature_scaled", "s/deterministic", 0.53, 0.74, 0.55, 0.75),
    "temperature_scaled_mcmi": ("temperature_scaled", "s/mcmi", 0.52, 0.74, 0.56, 0.74),
}


def teachers(**changed: object) -> pd.DataFrame:
    """Return kept teachers of six seeds that differ by exactly what the table above says, and a little noise."""
    columns = ("teacher", "parent", "test_kl_to_bcp", "val_nll", "test_cmi", "test_accuracy")
    rows = []
    for place, (label, values) in enumerate(TEACHERS.items()):
        for seed in SEEDS:
            noise = 0.1 * seed + 1e-3 * (-1) ** seed * place
            one = dict(zip(columns, values, strict=True))
            measured = {name: float(str(one[name])) + noise for name in columns[2:]}
            rows.append({"run": f"{label}-{seed}", "source": "record", "run_type": "teacher", "dataset": "digits:tiny",
                         "architecture": "cnn4", "label": label, "teacher_label": label, "seed": seed,
                         **one, **measured, "test_nll": measured["val_nll"], **changed})  # fmt: skip
    return pd.DataFrame(rows)


def mean(effect: Effect | None) -> float:
    """Return an effect's mean."""
    assert effect is not None and effect.n == len(SEEDS)
    return effect.mean


def test_teachers_of_c3_and_c14() -> None:
    third, last = c03.effects(teachers()), c14.effects(teachers())
    # the teacher labelled variational, though another of its kind is nearer the BCPs
    assert mean(third["variational"]) == pytest.approx(-0.3)
    assert mean(third["laplace"]) == pytest.approx(-0.15)
    # MCMI of the deterministic teacher, though that of the early-stopped one is nearer
    assert mean(last["as trained"]) == pytest.approx(0.03)
    assert mean(last["best temperature"]) == pytest.approx(-0.01)
    one = teachers()
    assert c14.effects(one[one["teacher"] != "temperature_scaled"])["best temperature"] is None
    assert set(c03.effects(one[one["teacher"] != "deterministic"]).values()) == {None}
    other = pd.concat([one, teachers(architecture="cnn8", test_kl_to_bcp=0.0, run="other")], ignore_index=True)
    assert mean(c03.effects(other)["variational"]) == pytest.approx(-0.3), "one network at a time"


def test_of_several_settings_that_of_the_lowest_validation_nll_counts() -> None:
    """Never that of the least distance."""
    far = teachers().assign(epochs=2)
    near = far[far["label"] == "variational"].assign(epochs=3, test_kl_to_bcp=0.0, run=lambda t: t["run"] + "-x")
    for worse, expected in ((0.1, -0.3), (-0.1, -0.7)):
        frame = pd.concat([far, near.assign(val_nll=near["val_nll"] + worse)], ignore_index=True)
        found = c03.effects(frame)["variational"]
        assert found is not None and found.mean == pytest.approx(expected, abs=0.3 if worse < 0 else 1e-6)


def test_c8_is_about_mcmi_of_the_deterministic_teacher_and_has_a_guard() -> None:
    frame = teachers()
    assert mean(c08.effects(frame)["mcmi"]) == pytest.approx(0.05)
    guard = c08.CLAIM.guard
    assert guard is not None and mean(guard.effects(frame)["mcmi"]) == pytest.approx(-0.01)
    alone = frame[frame["teacher"] != "mcmi"]
    assert c08.effects(alone) == guard.effects(alone) == {"mcmi": None}


def test_c9_and_c10_among_other_rows() -> None:
    students = pd.DataFrame([
        {"run": f"{label}-{name}-{kind}-{seed}", "run_type": "student", "label": label, "architecture": "cnn4",
         "framework": name, "teacher": kind,
         "teacher_label": kind, "seed": seed, "epochs": 2, "kd_weight": 1.0, "val_accuracy": 0.5,
         "test_accuracy": 0.5 + 0.01 * seed + gain * (kind == "mcmi") * (1 + 0.01 * (-1) ** seed)}
        for label, name, gain in (("frameworks", "kd", 0.02), ("frameworks", "crd", -0.01), ("samples", "kd", 0.3))
        for kind in ("deterministic", "mcmi") for seed in SEEDS
    ])  # fmt: skip
    found = c09.effects(pd.concat([teachers(), students], ignore_index=True))
    assert [mean(found["kd"]), mean(found["crd"])] == pytest.approx([0.02, -0.01])
    assert list(found) == list(BY_ID["C9"].treated) and sum(one is not None for one in found.values()) == 2
    parts = []
    for stage, images in ((2.0, 50.0), (1.0, 50.0), (1.0, 20.0)):
        part = teachers(run_type="eigencam", stage=stage, images=images)
        part["run"] += f"-{stage}-{images}"
        parts.append(part.assign(cam_entropy=part["seed"] + (0.2 * stage) * (part["label"] == "mcmi")))
    maps = pd.concat(parts, ignore_index=True)
    last = c10.effects(pd.concat([students, maps], ignore_index=True))["mcmi"]
    assert mean(last) == pytest.approx(0.2), "the last stage's, which is 1"
    assert c10.effects(students) == {"mcmi": None}
    assert set(c09.effects(teachers()).values()) == {None}


def test_no_synthetic_experiment() -> None:
    none = teachers().iloc[:0]
    assert [claim.effects(none) for claim in CLAIMS[:2]] == [{"exact_bcp": None}, {"noisy_bcp": None}]
    assert synthetic.judged(none).empty


def test_datasets_of_a_study() -> None:
    frame = pd.concat([
        teachers(), teachers(dataset="digits:tiny@0.5", label="noise_floor"), teachers(dataset="cifar10h"),
        pd.DataFrame({"run_type": ["synthetic"], "dataset": [answers.MIXTURE], "label": ["networks"]}),
    ])  # fmt: skip
    assert datasets_of(frame) == ["digits:tiny"] and apart(Part("s", "S", "", frame))[0].frame is frame
    column = answers.column_of(Part("s", "S", "", frame[frame["run_type"] == "synthetic"]), of=())
    assert column.dataset == answers.MIXTURE and column.name == "S"


def test_a_study_of_two_datasets_has_a_part_of_each() -> None:
    """Nothing pairs or pools runs on other images; what belongs to no one dataset stands with each."""
    both = pd.concat([teachers(), teachers(dataset="digits:small"), teachers(dataset="cifar10h", label="humans")])
    first, second = apart(Part("s", "S", "", both, decides=True))
    assert (first.name, second.title, second.decides) == ("s digits:tiny", "S: digits:small", False)
    assert set(first.frame["dataset"]) == {"digits:tiny", "cifar10h"} and first.decides
    for part in (first, second):
        alone = answers.column_of(Part("s", "S", "", part.frame[part.frame["dataset"] != "cifar10h"]), of=["C3"])
        assert str(answers.column_of(part, of=["C3"]).answers) == str(alone.answers)


@pytest.fixture
def students_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out C13, which reads runs or records."""
    monkeypatch.setattr(c13, "sweep", lambda teachers: pd.DataFrame(columns=c13.COLUMNS))


@pytest.mark.usefixtures("students_not_run")
def test_answers_to_every_claim() -> None:
    by = {one.claim.id: one for one in answers.answers(teachers(), "digits:tiny")}
    assert list(by) == list(BY_ID)
    assert by["C3"].verdict is Verdict.SUPPORTED
    assert by["C14"].verdict is Verdict.NOT_SUPPORTED
    assert by["C8"].judged[0].verdict is Verdict.INCONCLUSIVE, "the interval of the accuracy reaches the worst"
    for name in ("C1", "C2", "C4", "C5", "C6", "C7", "C9", "C10", "C11", "C12", "C13"):
        assert by[name].verdict is Verdict.NOT_RUN and by[name].note == "", name
        assert list(by[name].measured) == list(BY_ID[name].treated)


@pytest.mark.usefixtures("students_not_run")
def test_a_bayesian_teacher_that_is_itself_worse_is_named() -> None:
    rows = teachers()
    assert not any(one.limit for one in answers.answers(rows, "digits:tiny")), "more accurate, or equal"
    rows.loc[rows["teacher_label"] == "variational", "test_accuracy"] -= 0.2
    by = {one.claim.id: one.limit for one in answers.answers(rows, "digits:tiny")}
    assert {name for name, said in by.items() if said} == {"C3", "C4", "C5"}
    assert "variational −16." in by["C4"] and "points" in by["C4"] and "Laplace" not in by["C4"]


@pytest.mark.usefixtures("students_not_run")
def test_where_nobody_knows_the_bcps_a_claim_is_not_measurable() -> None:
    rows = teachers(dataset="cifar100").drop(columns="test_kl_to_bcp")
    by = {one.claim.id: one for one in answers.answers(rows, "cifar100")}
    for name in ("C3", "C14"):
        assert by[name].verdict is Verdict.NOT_RUN
        assert by[name].note.startswith("Not measurable here: nobody knows the BCPs of cifar100. Beside it, test NLL")
    assert "variational −0.300 [" in by["C3"].note and "as trained +0.030 [" in by["C14"].note
    assert by["C8"].verdict is not Verdict.NOT_RUN
    people = {one.claim.id: one for one in answers.answers(teachers(dataset="cifar10"), "cifar10")}
    assert people["C3"].verdict is Verdict.SUPPORTED and "answers of people" in people["C3"].note


def test_a_study_from_file_to_page(study: str, tmp_path: Path) -> None:
    file = tmp_path / "studied.yaml"
    file.write_text(Path(study).read_text().replace("reports: [teachers, distillation]", "reports: [claims]"))
    file.write_text(file.read_text().replace("plain", "deterministic"))  # the label that claims compare
    assert answers.columns(study) == [], "a study that does not list the page"
    (column,) = answers.columns(str(file))
    assert (column.name, column.dataset, column.part.missing) == ("Studied", "digits:tiny", 0)
    by = {one.claim.id: one for one in column.answers}
    (c13,) = by["C13"].judged
    assert c13.effect is not None and c13.effect.n == 2 and c13.verdict is Verdict.INCONCLUSIVE
    assert all(one.verdict is Verdict.NOT_RUN for name, one in by.items() if name != "C13")
    (longer := tmp_path / "longer").mkdir()
    planned = file.read_text().replace("seed: [0, 1]", "seed: [0, 1, 2, 3, 4]")  # three are still to come
    (longer / "studied.yaml").write_text(planned)
    (column,) = answers.columns(str(longer / "studied.yaml"))
    trained = [one for one in column.answers if one.claim.id not in ("C1", "C2")]
    assert {one.verdict for one in trained} == {Verdict.UNFINISHED}
    shown = tables.verdicts(column.answers)
    assert shown["compared"].str.contains("2 of 5 seeds are there").sum() == len(trained)
    assert set(shown["treated − baseline"]) == {"–"}
    with pytest.raises(InputError, match="study = 'nowhere' is refused"):
        answers.columns("nowhere")


def answer(name: str, *effects: Effect | None, **more: object) -> Answer:
    """Return an answer whose members have these effects, in order."""
    claim = BY_ID[name]
    return Answer(claim, dict(zip(claim.treated, effects, strict=False)), **more)  # type: ignore[arg-type]


def test_seeds_that_a_verdict_would_need() -> None:
    wide = mean_interval([0.03, -0.02, 0.01, -0.01, 0.02])
    one = answer("C4", wide, None)
    assert one.needed(one.judged[0]) == seeds_needed(wide, BY_ID["C4"].smallest, comparisons=1)
    assert one.needed(one.judged[1]) is None, "nothing was run"
    both = answer("C4", wide, wide)
    assert both.needed(both.judged[0]) == seeds_needed(wide, BY_ID["C4"].smallest, comparisons=2)
    single = answer("C7", mean_interval([0.01]))
    assert single.needed(single.judged[0]) == MINIMUM_PAIRS
    clear = answer("C7", mean_interval([0.03, 0.031, 0.029, 0.03, 0.032]))
    assert clear.verdict is Verdict.SUPPORTED and clear.needed(clear.judged[0]) is None
    up = mean_interval([0.05, 0.051, 0.049, 0.05, 0.052])
    held = answer("C8", up, guards={"mcmi": wide})
    assert held.verdict is Verdict.INCONCLUSIVE and held.needed(held.judged[0]) == seeds_needed(wide, 0.01)


def test_effects_are_drawn_in_smallest_effects_of_interest() -> None:
    def units(value: float, name: str, relative: bool = False) -> float:
        return Effect(value, value, value, 5, 0.1, 0.5, relative).in_units(BY_ID[name].smallest).mean

    assert units(-0.02, "C3") == pytest.approx(2)
    assert units(0.005, "C4") == pytest.approx(1)
    assert units(-0.10, "C5", True) == pytest.approx(1)
    assert units(-0.19, "C5", True) == pytest.approx(2)
    assert units(0.10, "C2", True) == pytest.approx(1)
    turned = Effect(-0.02, -0.05, 0.01, 5, 0.03, 0.5).in_units(-0.01)
    assert (turned.low, turned.mean, turned.high, turned.sd) == pytest.approx((-1, 2, 5, 3))


def column(title: str = "Study") -> Column:
    """Return what a study might say, with every verdict in it."""
    rng = np.random.default_rng(0)

    def effect(size: float, n: int = 6) -> Effect:
        return paired(rng.normal(size, abs(size) * 0.05 + 1e-4, n), np.zeros(n))

    near = Effect(0.004, 0.001, 0.0055, 40, 0.007, 0.01)
    given = {"C3": (effect(-5), effect(0)), "C4": (near, None), "C7": (effect(0.0, 3),), "C8": (effect(0.05),),
             "C11": (Effect(0.5, -3.0, 4.0, 5, 3.0, 0.7),)}  # fmt: skip
    notes, guards = {"C14": "Nobody knows <them>."}, {"C8": {"mcmi": effect(-0.001)}}
    answers = tuple(
        answer(claim.id, *given.get(claim.id, [None] * len(claim.treated)), note=notes.get(claim.id, ""),
               guards=guards.get(claim.id, {}))
        for claim in CLAIMS
    )  # fmt: skip
    part = Part("s", title, "About.", pd.DataFrame({"run": ["a"]}), missing=3)
    return Column(part, "digits", answers)


def test_the_table_of_a_study() -> None:
    shown = tables.verdicts(column().answers)
    lines = [" | ".join(map(str, row)) for row in shown.itertuples(index=False)]
    assert any(line.startswith("C3 | variational | −0.01 nats | −") for line in lines)
    assert "C4 | Laplace | +0.5 points | – |  | – | not run | " in lines
    assert any(
        "+0.40 [+0.10, +0.55] points | 40 | 0.010 | inconclusive | too near the smallest" in one for one in lines
    )
    assert any("guard: not below −1 points" in line for line in lines)
    assert any("(Nobody knows <them>.)" in line for line in lines)
    assert list(dict.fromkeys(shown["claim"])) == list(BY_ID)


def test_the_table_of_what_was_fixed_beforehand() -> None:
    shown = tables.fixed().to_string()
    for claim in CLAIMS:
        assert claim.measure in shown and claim.text in shown and tables.smallest(claim) in shown
    assert "−10 %" in shown and "+0.5 points" in shown and "may fall by at most 1 points" in shown
    assert "each of 12 frameworks" in shown


def test_the_table_of_verdicts_has_a_column_a_study_and_differs_in_grey(monkeypatch: pytest.MonkeyPatch) -> None:
    table = tables.matrix([column("A"), column("<B>")])
    assert table.shape == (len(CLAIMS), 3) and list(table["A"]) == list(table["<B>"])
    assert (table["A"] == "not run").sum() == 9 and (table["A"] == "supported").sum() == 1
    said: list[str] = []
    monkeypatch.setattr(page, "show", said.append)
    page.verdict_matrix(table)
    assert "&lt;B&gt;" in said[0] and said[0].count("not run") == 18
    shades = sorted(0.299 * r + 0.587 * g + 0.114 * b for r, g, b in (
        (int(tile[k : k + 2], 16) for k in (1, 3, 5)) for tile, _ in page.TILES.values()
    ))  # fmt: skip
    assert min(np.diff([*shades, 255])) > 15


def test_the_figure_of_effects() -> None:
    figure = drawing.forest(tables.effects(column()))
    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[2:5] == ["C3 variational", "C3 Laplace", "C4 variational"]
    words = [text.get_text() for text in axes.texts]
    assert "supported\nn = 6" in words and "inconclusive\nn = 3" in words and words.count("not run") == 9
    arrows = [line for line in axes.lines if line.get_marker() in ("<", ">")]
    # C11's interval leaves the figure on both sides; C3's mean, 500 smallest effects, on the right, with both ends
    assert sorted(str(line.get_marker()) for line in arrows) == ["<", "<", ">", ">"]
    assert {abs(float(np.asarray(line.get_xdata(), float)[0])) for line in arrows} == {drawing.EDGE}
    assert set(drawing.LOOKS) == set(Verdict) and len({marker for marker, *_ in drawing.LOOKS.values()}) == len(Verdict)
    with pytest.raises(InputError, match="no rows"):
        drawing.forest(pd.DataFrame())


def extension() -> ModuleType:
    """Return the book's own Sphinx extension."""
    spec = importlib.util.spec_from_file_location("own", paths.ROOT / "book/_ext/distilling_bayes.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_opening_page_quotes_the_tagged_cells_of_a_page() -> None:
    outputs = [{"data": {"text/markdown": ["a ", "b"]}}, {"data": {"text/html": "<p>", "text/plain": "x"}}, {}]
    cells = [{"metadata": {"tags": ["front"]}, "outputs": outputs}, {"metadata": {}, "outputs": outputs}]
    assert extension().quoted({"cells": cells}, "front") == [("markdown", "a b"), ("html", "<p>")]
    assert extension().quoted({"cells": cells}, "guideline") == []


def test_the_book_s_chapter_on_the_claims_agrees_with_the_table() -> None:
    text = (paths.ROOT / "book/claims.md").read_text()
    rows = re.findall(r"^\| (C\d+) \| (.+?) \| (.+?) \|$", text, re.M)
    assert [name for name, _, _ in rows] == list(BY_ID)
    number = r"[+−]?\d+(?:\.\d+)?(?: %)?"
    for name, said, _ in rows:
        assert sorted(re.findall(number, said)) == sorted(re.findall(number, BY_ID[name].text)), name
    first, second = (text.index(key) for key in ("morad2026sgd", "ye2024bayes"))
    for name, source in ((claim.id, claim.source) for claim in CLAIMS):
        assert (first < text.index(f"| {name} |") < second) == (source == "Bayesian-KD")
    for verdict in Verdict:
        assert re.search(rf"^{verdict}\n: ", text, re.M)
    assert MINIMUM_PAIRS == 5 and "from five pairs on" in text
