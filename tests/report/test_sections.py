"""What a report page starts from: its parts, a study each, and groups of their rows."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from kdlib.base import paths
from kdlib.base.errors import InputError
from kdlib.report.sections import named, parts_of
from kdlib.runs import studies
from kdlib.study.keeping import keep
from kdlib.study.rows import table


def students(**columns: list[object]) -> pd.DataFrame:
    """Return a table of students of one teacher with these settings, two seeds a row."""
    rows = pd.DataFrame({"teacher_label": "plain", **columns})
    both = pd.concat([rows.assign(seed=0), rows.assign(seed=1)], ignore_index=True)
    return both.assign(test_accuracy=0.5, dataset="digits:tiny", architecture=both.get("architecture", "cnn4"))


def test_a_part_is_a_study_s_runs(study: str) -> None:
    (part,) = parts_of("teachers", study)
    assert (part.name, part.title, part.about) == ("studied", "Studied", "A small study of one epoch.")
    assert [len(part.of(run_type)) for run_type in ("teacher", "student", "measure")] == [2, 6, 2]
    assert part.decides, "it was asked for by name" and parts_of("claims", study) == []
    noise = replace(part, frame=part.frame.assign(label="noise"))
    assert noise.of("teacher").empty, "another noise is another dataset"


def test_without_a_name_every_study_with_results_is_shown_but_no_scratch(study: str) -> None:
    assert all(part.name != "studied" for part in parts_of("teachers"))
    kept = [name for name in studies.names() if not studies.load(name).scratch]
    assert "studied" in [part.name for part in parts_of("teachers", "+".join([*kept, study]))]
    with pytest.raises(InputError, match="study = 'nowhere' is refused"):
        parts_of("teachers", f"nowhere+{study}")


def test_the_study_that_decides_stands_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "RECORDS", paths.DATA / "records")
    first, *others = parts_of("distillation")
    assert first.name == "digits" and first.decides and not any(part.decides for part in others)


def test_a_part_says_how_many_seeds_it_waits_for(study: str, tmp_path: Path) -> None:
    longer = tmp_path / "studied.yaml"
    longer.write_text(Path(study).read_text().replace("seed: [0, 1]", "seed: [0, 1, 2, 3, 4]"))
    (part,) = parts_of("distillation", study)
    assert part.waiting == "", "two seeds are planned, and no verdict follows from so few"
    (part,) = parts_of("distillation", str(longer))
    assert part.waiting == "2 of 5 seeds are there; no verdict before the last." and part.waiting in part.origin()


def test_chosen_runs_are_a_part_of_their_own(study: str) -> None:
    frame = table(study)
    names = list(frame[frame["label"] == "distilled"]["run"])
    (part,) = parts_of("distillation", chosen="+".join(names))
    assert sorted(part.frame["run"]) == sorted(names) and not part.decides
    assert set(named(part.frame)["group"]) == {"deterministic T 1", "deterministic T 4"}
    with pytest.raises(InputError, match="runs = 'nobody' is refused"):
        parts_of("teachers", chosen="nobody")


def test_where_the_numbers_come_from_is_said(study: str) -> None:
    (part,) = parts_of("distillation", study)
    count = len(part.frame)
    assert part.origin().startswith(f"{count} runs: {count} made by this store (")
    assert "compare with care" not in part.origin()
    keep(study, [0])
    (part,) = parts_of("distillation", study)
    assert "made by this store" in part.origin() and "kept as records" in part.origin()
    other = part.frame.assign(processor=["another", *part.frame["processor"][1:]])
    assert "compare with care" in replace(part, frame=other).origin()


def test_groups_are_told_apart_by_as_many_settings_as_it_takes(study: str) -> None:
    (part,) = parts_of("distillation", study)
    frame = named(part.of("student"))
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


def test_a_part_says_how_many_of_its_runs_there_are(study: str) -> None:
    (part,) = parts_of("distillation", study)
    count = len(part.frame)
    shutil.rmtree(paths.runs() / str(part.of("student")["run"].iloc[0]))
    (part,) = parts_of("distillation", study)
    assert part.missing == 1
    assert part.origin().startswith(f"{count - 1} of {count} runs: {count - 1} made by this store (")
