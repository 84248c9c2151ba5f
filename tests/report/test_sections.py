"""What a report page starts from: sections, groups, tables of means."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pandas as pd
import pytest

from kdlib.base import paths
from kdlib.base.errors import InputError
from kdlib.report.claims import CLAIMS
from kdlib.report.claims.inference import mean_interval
from kdlib.report.sections import (
    Section,
    comparison,
    finding,
    named,
    not_yet,
    nothing,
    present,
    sections,
    with_interval,
)
from kdlib.runs import studies
from kdlib.study.keeping import keep
from kdlib.study.rows import table


def students(**columns: list[object]) -> pd.DataFrame:
    """Return a table of students of one teacher with these settings, two seeds a row."""
    rows = pd.DataFrame({"teacher_label": "plain", **columns})
    both = pd.concat([rows.assign(seed=0), rows.assign(seed=1)], ignore_index=True)
    return both.assign(test_accuracy=0.5, dataset="digits:tiny", architecture=both.get("architecture", "cnn4"))


def test_a_section_is_a_study_s_runs_of_one_type(study: str) -> None:
    (teachers,) = sections("teachers", "teacher", study)
    (pupils,) = sections("distillation", "student", study)
    (measures,) = sections("teachers", "measure", study)
    assert (teachers.name, teachers.title, teachers.about) == ("studied", "Studied", "A small study of one epoch.")
    assert [len(part.frame) for part in (teachers, pupils, measures)] == [2, 6, 2]
    assert sections("claims", "teacher", study) == []
    assert [name for name, _ in pupils.settings] == ["digits:tiny, cnn4"]


def test_without_a_name_every_study_with_results_is_shown_but_no_scratch(study: str) -> None:
    assert sections("teachers", "teacher") == []  # the store has runs, but of no study of the project
    kept = [name for name in studies.names() if not studies.load(name).scratch]
    assert len(sections("teachers", "teacher", "+".join([*kept, study]))) == 1
    with pytest.raises(InputError, match="study = 'nowhere' is refused"):
        sections("teachers", "teacher", f"nowhere+{study}")


def test_a_section_says_how_many_seeds_it_waits_for(study: str, tmp_path: Path) -> None:
    longer = tmp_path / "studied.yaml"
    longer.write_text(Path(study).read_text().replace("seed: [0, 1]", "seed: [0, 1, 2, 3, 4]"))
    (part,) = sections("distillation", "student", study)
    assert part.waiting == "", "two seeds are planned, and no verdict follows from so few"
    (part,) = sections("distillation", "student", str(longer))
    assert part.waiting == "2 of 5 seeds are there; no verdict before the last." and part.waiting in part.heading().data
    said = not_yet(part, "digits:tiny", CLAIMS[3], CLAIMS[4]).data
    assert said == f"**Studied** (digits:tiny): C4, C5: not yet. {part.waiting}"


def test_chosen_runs_are_a_section_of_their_own(study: str) -> None:
    frame = table(study)
    names = list(frame[frame["label"] == "distilled"]["run"])
    (part,) = sections("distillation", "student", chosen="+".join(names))
    assert sorted(part.frame["run"]) == sorted(names)
    ((_, grouped),) = part.settings
    assert set(grouped["group"]) == {"deterministic T 1", "deterministic T 4"}
    assert sections("teachers", "teacher", chosen=names[0]) == []
    with pytest.raises(InputError, match="runs = 'nobody' is refused"):
        sections("teachers", "teacher", chosen="nobody")


def test_where_the_numbers_come_from_is_said(study: str) -> None:
    (part,) = sections("distillation", "student", study)
    assert part.origin().startswith("6 runs: 6 made by this store (")
    assert "compare them with care" not in part.origin()
    keep(study, [0])
    (part,) = sections("distillation", "student", study)
    assert "3 made by this store" in part.origin() and "3 kept as records" in part.origin()
    other = part.frame.assign(processor=["another", *part.frame["processor"][1:]])
    mixed = Section(part.name, part.title, "A <b> & `code`.", other)
    assert "compare them with care" in mixed.origin()
    heading = str(mixed.heading().data)
    assert '<h2 id="studied">Studied</h2>' in heading and "A &lt;b&gt; &amp; <code>code</code>." in heading


def test_groups_are_told_apart_by_as_many_settings_as_it_takes(study: str) -> None:
    (part,) = sections("distillation", "student", study)
    ((_, frame),) = part.settings
    assert list(frame.groupby("group", sort=False)["seed"].nunique().items()) == [
        ("one_hot", 2), ("plain T 1", 2), ("plain T 4", 2),
    ]  # fmt: skip
    # T and S always differ together: one of them is enough
    tied = named(students(temperature=[1.0, 4.0], student_temperature=[1.0, 4.0]))
    assert set(tied["group"]) == {"plain T 1", "plain T 4"}
    assert set(named(students(kd_weight=[0.5]))["group"]) == {"plain"}
    some = named(students(omit_classes=["", "3+5"], preset=[None, "mcmi"]))
    assert set(some["group"]) == {"plain", "plain without 3+5"}


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_group_is_never_two_settings(size: int) -> None:
    settings = {"fraction": [0.1, 1.0], "kd_weight": [0.5, 0.7], "match": ["steps", "epochs"], "epochs": [2, 3]}
    for names in itertools.combinations(settings, size):
        rows = list(itertools.product(*(settings[name] for name in names)))
        frame = named(students(**{name: [row[i] for row in rows] for i, name in enumerate(names)}))
        assert (frame.groupby("group").size() == 2).all() and frame["group"].nunique() == len(rows)


def test_the_table_of_means(study: str) -> None:
    (part,) = sections("distillation", "student", study)
    ((_, frame),) = part.settings
    shown = str(comparison(frame, ["test_accuracy", "test_kl_to_teacher"]).data)
    assert shown.count("<tr>") == 1 + 3 and shown.count("<td>2</td>") == 3
    values = (frame[frame["group"] == "plain T 4"]["test_accuracy"] * 100).tolist()
    assert f"<td>{with_interval(values)}</td>" in shown
    assert "<td>–</td>" in shown, "labels have no teacher to be far from"


def test_means_are_written_with_half_their_interval() -> None:
    values = [70.0, 72.0, 71.0]
    effect = mean_interval(values)
    assert with_interval(values) == f"71.0 ± {effect.high - 71:.1f}"
    assert with_interval([0.5, 0.7]) == f"0.600 ± {mean_interval([0.5, 0.7]).high - 0.6:.3f}"
    assert (with_interval([]), with_interval([0.1234]), with_interval([71.23])) == ("–", "0.123", "71.2")


def test_findings_name_the_best_and_the_floor(study: str) -> None:
    (part,) = sections("distillation", "student", study)
    ((name, frame),) = part.settings
    line = str(finding(part, name, "test_nll", frame).data)
    assert line.startswith("**Studied** (digits:tiny, cnn4; ") and "n = 2" in line
    assert line.count("(best)") == 1 and "one-hot" in line
    best = frame.groupby("group")["test_nll"].mean()
    assert with_interval(frame[frame["group"] == best.idxmin()]["test_nll"].tolist()) + " (best)" in line
    highest = str(finding(part, name, "test_nll", frame, best="highest").data)
    assert with_interval(frame[frame["group"] == best.idxmax()]["test_nll"].tolist()) + " (best)" in highest


def test_present_and_nothing(study: str) -> None:
    frame = table(study)
    asked = ["test_accuracy", "test_kl_to_bcp", "test_charm"]
    assert present(frame, asked) == asked[:2]
    assert present(frame[frame["label"] == "floor"], ["test_kl_to_teacher"]) == []
    assert "(teach&lt;ers)" in str(nothing("teach<ers").data)


def test_a_section_says_how_many_of_its_runs_there_are(study: str) -> None:
    (part,) = sections("distillation", "student", study)
    shutil.rmtree(paths.runs() / str(part.frame["run"].iloc[0]))
    (part,) = sections("distillation", "student", study)
    assert part.missing == 1
    assert part.origin().startswith("5 of 6 runs: 5 made by this store (")
