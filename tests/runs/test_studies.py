"""Studies: one validated file says what to run."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdlib.base import paths
from kdlib.base.config import RunType
from kdlib.base.errors import InputError
from kdlib.runs import studies
from kdlib.runs.plans import plan
from kdlib.runs.recipes import recipe_of
from kdlib.study.jobs import jobs_of

TEXT = """
title: Small
about: For tests.
parameters: {dataset: "digits:tiny", seed: [0, 1], epochs: 2}
reports: [teachers]
teachers:
  plain: {kind: deterministic, architecture: cnn4}
students:
  floor: {teacher: one_hot}
  distilled: {teacher: [plain, exact_bcp], temperature: [1, 4]}
measures:
  again: {parent: plain, eval_samples: 10}
"""


def written(folder: Path, text: str) -> str:
    path = folder / "small.yaml"
    path.write_text(text)
    return str(path)


def test_a_file_that_is_written_anew_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it is not it is one study, wherever its path is typed; as who edits it in JupyterLab expects."""
    file = tmp_path / "small.yaml"
    file.write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    first = studies.load("small.yaml")
    assert studies.load(str(file)) is first
    file.write_text(TEXT.replace("title: Small", "title: Other"))
    assert [studies.load(name).title for name in ("small.yaml", str(file))] == ["Other", "Other"]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"study = 'small\.yaml' is refused"):
        studies.load("small.yaml")


@pytest.mark.parametrize("label", ["010", "0003", "1_000", "yes", "no", "on", "2026-11-27", "1e3", "0x1F", "0o7"])
def test_a_label_is_the_text_that_was_typed(label: str, tmp_path: Path) -> None:
    """YAML 1.1 would read numbers, dates and truths."""
    text = f"title: t\nteachers: {{{label}: {{dataset: 'digits:tiny'}}}}\nstudents: {{s: {{teacher: {label}}}}}\n"
    study = studies.load(written(tmp_path, text.replace("{teacher", "{dataset: 'digits:tiny', teacher")))
    assert list(study.teaching) == [label]
    assert str(study.entries[1].configs()[0].model_dump()["teacher"]).rpartition("/")[2] == label


@pytest.mark.parametrize(
    ("value", "seed"), [("010", 10), ("0003", 3), ("7", 7), ("-0", 0), ("1:30", None), ("0x10", None), ("yes", None)]
)
def test_a_number_is_the_one_that_was_typed(value: str, seed: int | None, tmp_path: Path) -> None:
    text = f"title: t\nteachers: {{a: {{dataset: 'digits:tiny', seed: {value}}}}}\n"
    if seed is None:
        with pytest.raises(InputError, match=f"small.yaml: a: seed = '{value}' is refused"):
            studies.load(written(tmp_path, text))
    else:
        assert studies.load(written(tmp_path, text)).entries[0].configs()[0].seed == seed


@pytest.mark.parametrize(("key", "read"), [("1.5", "1.5"), ("true", "True"), ("~", "None"), ("12", "12")])
def test_a_key_that_is_no_text_is_refused(key: str, read: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        studies.load(written(tmp_path, f"title: t\nteachers: {{{key}: {{}}}}\n"))
    said = f"small.yaml: the key {read} in teachers is refused, for it is no text: write it in quotes."
    assert str(refused.value) == said


def test_a_study_is_what_its_file_says(tmp_path: Path) -> None:
    study = studies.load(written(tmp_path, TEXT))
    assert (study.name, study.title, study.about, study.reports) == ("small", "Small", "For tests.", ("teachers",))
    sizes = {entry.label: len(entry.configs()) for entry in study.entries}
    assert sizes == {"plain": 2, "floor": 2, "distilled": 8, "again": 2}
    assert {c.dataset for entry in study.entries for c in entry.configs()} == {"digits:tiny"}
    assert [c.seed for c in study.entries[0].configs()] == [0, 1]


def test_a_study_says_on_which_pages_it_decides(tmp_path: Path) -> None:
    assert studies.load(written(tmp_path, TEXT)).role == {}
    assert studies.load(written(tmp_path, TEXT + "role: {teachers: main}\n")).role == {"teachers": "main"}
    deciding = [page for name in studies.names() for page in studies.load(name).role]
    assert len(set(deciding)) == len(deciding), "one study decides on a page"


def test_a_student_has_the_teacher_of_its_seed(tmp_path: Path) -> None:
    study = studies.load(written(tmp_path, TEXT))
    distilled = next(entry for entry in study.entries if entry.label == "distilled").configs()
    references = {c.model_dump()["teacher"] for c in distilled}
    assert references == {f"{tmp_path}/small.yaml/plain", "exact_bcp"}
    for config in distilled:
        assert recipe_of(config).teacher_seed(config) == config.seed
        assert study.teacher("plain", config.seed).seed == config.seed
    other = distilled[0].model_copy(update={"teacher_seed": 1})
    assert recipe_of(other).teacher_seed(other) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("title: [", "no YAML"),
        ("title: t\nreports: [bcp]\nrole: {cost: main}", "role.cost is refused: allowed are its reports bcp."),
        ("title: t\nreports: [bcp]\nrole: {bcp: other}", "role.bcp is refused: input should be 'main'."),
        ("about: no title", "title"),
        (TEXT + "extra: 1", "extra"),
        (TEXT.replace("epochs: 2", "epohcs: 2"), "parameters.epohcs"),
        (TEXT.replace("epochs: 2", "epochs: -2"), "epochs = -2"),
        (TEXT.replace("temperature: [1, 4]", "temprature: 1"), "did you mean temperature"),
        (TEXT.replace("[plain, exact_bcp]", "plian"), "allowed in study small are plain, one_hot, exact_bcp"),
        (TEXT.replace("temperature: [1, 4]", "teacher_seed: 5"), "seed 5: study small has 0 teachers"),
        (TEXT.replace("kind: deterministic,", "kind: deterministic, epochs: [1, 2],"), "has 2 teachers"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError) as refused:
        studies.load(written(tmp_path, text))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unknown_study_is_refused() -> None:
    with pytest.raises(InputError, match="study = 'nowhere' is refused: allowed are "):
        studies.load("nowhere")


@pytest.mark.parametrize("name", studies.names())
def test_every_study_of_the_project_is_valid(name: str) -> None:
    study = studies.load(name)
    assert study.title
    assert {entry.run_type for entry in study.entries} <= set(RunType)
    assert (paths.STUDIES / f"{name}.yaml").is_file()


def test_quick_is_a_sample_of_digits() -> None:
    """What `make book` runs can be set beside the record, run by run."""
    mine, theirs = ({plan(c).name for e in studies.load(n).entries for c in e.configs()} for n in ("quick", "digits"))
    assert mine <= theirs
    assert len(jobs_of(studies.load("quick"), 16)) <= 8


@pytest.mark.parametrize("parents", [{"a": "a"}, {"a": "b", "b": "a"}, {"a": "b", "b": "c", "c": "b"}])
def test_a_circle_of_parents_is_refused(tmp_path: Path, parents: dict[str, str]) -> None:
    lines = "".join(f"  {label}: {{kind: mcmi, parent: {parent}}}\n" for label, parent in parents.items())
    (tmp_path / "round.yaml").write_text(f"title: Round\nteachers:\n{lines}")
    with pytest.raises(InputError, match=r"round.yaml: .*is refused: .* of .* is a circle\."):
        studies.load(str(tmp_path / "round.yaml"))
