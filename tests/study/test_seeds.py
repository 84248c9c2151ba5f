"""A study cut to some of its seeds: their runs, what these need, and no page."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdlib.__main__ import main
from kdlib.base.errors import InputError
from kdlib.runs import studies
from kdlib.runs.plans import plan
from kdlib.study import jobs, seeds

STUDY = """
title: Cut
parameters: {dataset: "digits:tiny", architecture: cnn4, seed: [0, 1, 2]}
reports: [teachers]
teachers:
  plain: {}
  tuned: {kind: mcmi, parent: plain}
  other: {kind: label_smoothing}
students:
  floor: {teacher: one_hot}
  distilled: {teacher: [plain, tuned], temperature: [1, 4]}
  borrowed: {teacher: plain, seed: 2, teacher_seed: 1}
synthetics:
  points: {seeds: 0+1, learning_rate: [0.1, 0.2]}
"""


@pytest.fixture
def cut(store: Path, tmp_path: Path) -> studies.Study:
    file = tmp_path / "cut.yaml"
    file.write_text(STUDY)
    return studies.load(str(file))


def names(study: studies.Study) -> dict[str, list[int]]:
    """Return the seeds of each entry's runs."""
    return {entry.label: sorted({config.seed for config in entry.configs()}) for entry in study.entries}


def test_only_the_runs_of_these_seeds(cut: studies.Study) -> None:
    one = seeds.only(cut, "0")
    assert names(one) == {label: [0] for label in ("plain", "tuned", "other", "floor", "distilled")}
    assert one.reports == () and cut.reports == ("teachers",)
    assert names(seeds.only(cut, "0,1")) == {label: [0, 1] for label in names(one)}
    # a student of seed 2 from the teacher of seed 1: that one too, and no other of seed 1
    two = names(seeds.only(cut, 2))
    assert two == {**{label: [2] for label in names(one)}, "plain": [1, 2], "borrowed": [2]}
    # synthetic experiments belong to none
    assert list(names(seeds.only(cut, "none"))) == ["points"]
    assert list(names(seeds.only(cut, "0,none"))) == [*names(one), "points"]
    assert seeds.only(cut, None) is cut


def test_the_parts_are_the_whole(cut: studies.Study) -> None:
    def made(study: studies.Study) -> set[str]:
        return {run for job in jobs.jobs_of(study, 3).values() for run in job.runs}

    parts = [made(seeds.only(cut, part)) for part in (0, 1, 2, "none")]
    assert set().union(*parts) == made(cut) == {plan(c).name for entry in cut.entries for c in entry.configs()}
    assert not parts[0] & parts[1] and not parts[0] & parts[3]
    for part in (0, 1, 2):  # whatever a run of the study starts from is made by a job of its own
        own = seeds.only(cut, part)
        for job in jobs.jobs_of(own, 3).values():
            assert set(job.needs) <= set(jobs.jobs_of(own, 3))
        parents = {one.name for entry in own.entries for c in entry.configs() for one in plan(c).ancestors}
        assert parents <= made(own)


@pytest.mark.parametrize("text", ["3", "", "0,", "-1", "x", "0-2", "0.0"])
def test_seeds_that_a_study_has_not_are_refused(cut: studies.Study, text: str) -> None:
    with pytest.raises(InputError) as refused:
        seeds.only(cut, text)
    assert str(refused.value) == f"seeds = {text!r} is refused: study cut has 0, 1, 2, none."


def test_plan_and_records_take_seeds(study: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", study, "--seeds", "1"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in said[:-1]] == ["1", "1", "2", "1"] and said[-1] == "0 runs to make."
    assert main(["records", study, "--seeds", "1"]) == 0
    assert capsys.readouterr().out.startswith("5 runs in ")
    for command in ("plan", "records", "study"):
        assert main([command, study, "--seeds", "9"]) == 2
        assert "seeds = '9' is refused: study studied has 0, 1." in capsys.readouterr().err
