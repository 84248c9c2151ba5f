"""Names of runs: a function of what makes the numbers and of nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import small

from kdlib.base.config import RunType, parameter
from kdlib.base.errors import InputError
from kdlib.base.tensors import write_tensors
from kdlib.data.classes import named_once, resolve_classes
from kdlib.runs import studies
from kdlib.runs.plans import name_of, plan
from kdlib.runs.recipes import resolve
from kdlib.students.config import StudentConfig
from kdlib.teachers.kind import TeacherConfig
from kdlib.teachers.kinds import KINDS

TEACHER, STUDENT, MEASURE = RunType.TEACHER, RunType.STUDENT, RunType.MEASURE
FINGERPRINT = "0123456789abcdef"
PARENT = {"teacher": "teacher-digits-deterministic-cnn16-s0-0000000000"}

ADAM = {"optimizer": "adam", "learning_rate": 1e-3, "weight_decay": 0.0, "schedule": "constant"}
TEACHER_BEFORE: dict[str, Any] = {**ADAM, "architecture": "cnn16", "epochs": 90}
STUDENT_BEFORE: dict[str, Any] = {
    **ADAM, "architecture": "cnn16", "epochs": 40, "kd_weight": 1.0, "temperature": 1.0, "student_temperature": 1.0,
}  # fmt: skip
"""What the defaults of digits were when the first names were given."""

GOLDEN: list[tuple[str, RunType, dict[str, Any], dict[str, str], str]] = [
    ("teacher-digits-deterministic-cnn16-s0-a7c2667fdf",
     TEACHER, TEACHER_BEFORE, {}, "deterministic"),
    ("teacher-digits-tiny-deterministic-cnn4-s2-e8a5b2b5fe",
     TEACHER, {**ADAM, "dataset": "digits:tiny", "architecture": "cnn4", "epochs": 3, "seed": 2}, {}, "deterministic"),
    ("teacher-cifar10-deterministic-resnet56-s0-d97158474e",
     TEACHER, {"dataset": "cifar10", "preset": "mcmi"}, {}, "deterministic"),
    ("teacher-cifar100-deterministic-resnet50-s0-99c046c3f3",
     TEACHER, {"dataset": "cifar100", "preset": "bayesian_kd", "architecture": "resnet50"}, {}, "deterministic"),
    ("student-digits-one_hot-cnn16-s0-4d4f77067f",
     STUDENT, {**STUDENT_BEFORE, "teacher": "one_hot"}, {}, "one_hot"),
    ("student-digits-exact_bcp-cnn16-s0-5b49a16077",
     STUDENT, {**STUDENT_BEFORE, "teacher": "exact_bcp", "temperature": 4}, {}, "exact_bcp"),
    ("student-digits-from-deterministic-cnn16-s1-e01bdc746b",
     STUDENT, {**STUDENT_BEFORE, "kd_weight": 0.9, "temperature": 4, "student_temperature": 4, "seed": 1}, PARENT,
     "from-deterministic"),
    ("student-cifar100-from-deterministic-wrn_40_1-s0-929b8bc5e9",
     STUDENT, {"dataset": "cifar100", "preset": "mcmi", "fraction": 0.05, "match": "epochs"}, PARENT,
     "from-deterministic"),
    ("student-cifar10-from-deterministic-resnet20-s0-bda86bf734",
     STUDENT, {"dataset": "cifar10", "omit_classes": "3+5", "augmentation_seed": 7}, PARENT, "from-deterministic"),
    ("measure-digits-of-deterministic-s0-190581e0bf",
     MEASURE, {"parent": "some-run", "eval_samples": 30}, PARENT, "of-deterministic"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "run_type", "given", "parents", "role"), GOLDEN)
def test_golden_names(name: str, run_type: RunType, given: dict[str, Any], parents: dict[str, str], role: str) -> None:
    """A name that changes here loses every run in every store: raise `SEMANTICS` on purpose, or find the cause."""
    assert name_of(resolve(run_type, given), FINGERPRINT, parents, role) == name


def test_golden_names_are_ten() -> None:
    assert len({name for name, *_ in GOLDEN}) == 10


def name(run_type: RunType, **given: Any) -> str:
    return plan(resolve(run_type, {**small.GIVEN, **given})).name


def test_a_new_parameter_at_its_constant_renames_nothing() -> None:
    class Wider(StudentConfig):
        invented: float = parameter(0.0, "a parameter of a later version")

    given = small.student(teacher="exact_bcp", temperature=4).model_dump()
    before = name_of(StudentConfig(**given), FINGERPRINT, {}, "exact_bcp")
    assert name_of(Wider(**given), FINGERPRINT, {}, "exact_bcp") == before
    assert name_of(Wider(**given, invented=0.5), FINGERPRINT, {}, "exact_bcp") != before


def test_each_part_of_the_identity_counts() -> None:
    config = small.student(teacher="exact_bcp")
    other = small.student(teacher="exact_bcp", temperature=2)
    names = {
        name_of(config, FINGERPRINT, {}, "x"),
        name_of(other, FINGERPRINT, {}, "x"),
        name_of(config, FINGERPRINT[::-1], {}, "x"),
        name_of(config, FINGERPRINT, PARENT, "x"),
        name_of(small.teacher(), FINGERPRINT, {}, "x"),
    }
    assert len(names) == 5


@pytest.mark.parametrize(
    "idle",
    [
        {"momentum": 0.3},
        {"match": "epochs"},
        {"samples": 9},  # a deterministic teacher has one output
        {"teacher_seed": 0},
        {"teacher_architecture": "cnn8"},
        {"threads": 2},
        {"device": "cpu"},
        {"precision": "bfloat16"},
        {"retrain": True},
        {"data_root": "/nowhere"},
        {"compile": True},
        {"eval_samples": 7},
        {"lr_decay_rate": 0.5},
        {"augmentation_seed": 3},
    ],
)
def test_what_does_not_matter_is_not_in_the_name(store: Path, idle: dict[str, Any]) -> None:
    assert name(RunType.STUDENT, **idle) == name(RunType.STUDENT)


def test_samples_of_a_stochastic_teacher_are_in_the_name(store: Path) -> None:
    for kind in KINDS.values():
        if kind.starts_with is not None:
            continue
        names = {name(RunType.STUDENT, teacher=kind.name, samples=samples) for samples in (1, 4)}
        assert len(names) == 1 + kind.stochastic, kind.name


def test_a_dataset_has_one_name(store: Path) -> None:
    assert name(RunType.TEACHER, dataset="digits:medium@0.4") == name(RunType.TEACHER, dataset="digits")


def finished_teacher() -> str:
    """Pretend that the small teacher was trained; return its name."""
    return small.pretend(plan(small.teacher())).name


def test_a_teacher_is_the_same_however_it_is_named(store: Path, tmp_path: Path) -> None:
    run = finished_teacher()
    (tmp_path / "s.yaml").write_text(
        "title: s\nparameters: {dataset: 'digits:tiny', architecture: cnn4, epochs: 3, threads: 1,\n"
        "  optimizer: adam, learning_rate: 1.0e-3, weight_decay: 0, schedule: constant}\n"
        "teachers: {plain: {}}\nstudents: {one: {teacher: plain}}\n"
    )
    named = {name(RunType.STUDENT, teacher=text) for text in (run, run[:-3], f"{tmp_path}/s.yaml/plain")}
    assert len(named) == 1
    (entry,) = [entry for entry in studies.load(f"{tmp_path}/s.yaml").entries if entry.label == "one"]
    assert {plan(config).name for config in entry.configs()} == named
    assert {plan(config).parents["teacher"].name for config in entry.configs()} == {run}


def test_a_kind_stands_for_the_dataset_s_default_teacher(store: Path) -> None:
    student = plan(small.student(teacher="deterministic", seed=4, teacher_seed=2))
    teacher = student.parents["teacher"].config
    assert isinstance(teacher, TeacherConfig)
    assert (teacher.dataset, teacher.architecture, teacher.seed) == ("digits:tiny", "cnn32", 2)
    assert student.record["parents"] == {"teacher": student.parents["teacher"].name}


def test_computing_settings_reach_the_teacher(store: Path) -> None:
    for teacher in ("deterministic", "quick/deterministic"):
        given = {"teacher": teacher, "device": "cpu", "precision": "float32", "data_root": "/x"}
        parent = plan(small.student(**given)).parents["teacher"].config
        assert (parent.device, parent.precision, parent.threads, parent.data_root) == ("cpu", "float32", 1, "/x")


def test_weights_are_named_by_their_content(store: Path, tmp_path: Path) -> None:
    state = small.network().state_dict()
    for file in ("a", "b"):
        write_tensors(tmp_path / f"{file}.safetensors", state)
    given = {"teacher_architecture": "cnn4", "teacher": f"weights:{tmp_path}/a.safetensors"}
    parent = plan(small.student(**given)).parents["teacher"]
    assert parent.name.startswith("weights-cnn4-")
    for wrong in ({"teacher_architecture": None}, {"teacher": "weights:/nowhere.safetensors"}):
        with pytest.raises(InputError, match="refused"):
            plan(small.student(**{**given, **wrong}))


def test_measure_names_the_teacher(store: Path) -> None:
    run = finished_teacher()
    measures = [plan(resolve(RunType.MEASURE, {"dataset": "digits:tiny", "parent": run, "eval_samples": s}))
                for s in (1, 2)]  # fmt: skip
    assert measures[0].name == measures[1].name  # a deterministic teacher has one answer however often it is asked
    assert measures[0].parents["teacher"].name == run


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"architecture": "resnet7"}, "architecture = 'resnet7' is refused: allowed are "),
        ({"dataset": "mnist"}, "'mnist'"),
        ({"dataset": "digits:huge"}, "'digits:huge'"),
        ({"augmentation": "zero_crop_flip"}, "augmentation = 'zero_crop_flip' is refused for digits:tiny"),
        ({"teacher": "somebody"}, "teacher = 'somebody' is refused"),
        ({"teacher": "nowhere/plain"}, "study = 'nowhere' is refused"),
        ({"teacher": "exact_bcp", "dataset": "cifar100"}, "teacher = 'exact_bcp' is refused for cifar100"),
    ],
)
def test_what_does_not_exist_is_refused(store: Path, given: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as refused:
        name(RunType.STUDENT, **given)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not store.exists()


def test_an_unfinished_or_wrong_parent_is_refused(store: Path) -> None:
    run = finished_teacher()
    (store / run / "metrics.json").unlink()
    with pytest.raises(InputError, match="is not finished"):
        name(RunType.STUDENT, teacher=run)
    student = small.pretend(plan(small.student()))
    with pytest.raises(InputError, match="is a student, not a teacher"):
        name(RunType.STUDENT, teacher=student.name)
    with pytest.raises(InputError, match="parent = None is refused"):
        plan(resolve(RunType.MEASURE, {"dataset": "digits:tiny"}))
    with pytest.raises(InputError, match="members = 'a\\+b' is refused"):
        name(RunType.TEACHER, members="a+b")


def test_a_class_by_name_and_by_number_is_one_run(store: Path) -> None:
    given = {"dataset": "cifar10", "architecture": "resnet8", "preset": "mcmi", "epochs": None}
    names = {plan(small.teacher(**small.USUAL | given, omit_classes=text)).name for text in ("cat", "3", "03", "3+cat")}
    assert len(names) == 1
    assert plan(small.teacher(omit_classes="5+3")).config.omit_classes == "3+5"  # type: ignore[attr-defined]


def test_classes_that_are_called_by_numbers_keep_their_meaning() -> None:
    """Of classes 1, 2, 3 the number of one is the name of another: its name is what is written."""
    for classes in (["1", "2", "3"], ["0001", "0002", "0003"], ["C++", "a", "3"], ["b", "a", "c"]):
        for index, name in enumerate(classes):
            once = named_once(name if "+" not in name else str(index), classes)
            assert resolve_classes(once, classes) == (index,)
            assert named_once(once, classes) == once


def test_numbers_that_are_names_are_never_counts() -> None:
    """Classes 0001 to 0005: a 3 that was 0003 on the command line must not mean 0004."""
    classes = ["0001", "0002", "0003", "0004", "0005"]
    assert resolve_classes("0003+0001", classes) == (0, 2)
    with pytest.raises(InputError, match=r"omit_classes names '3', but the classes are called by numbers \(0001, 0002"):
        resolve_classes("3", classes)
    assert resolve_classes("3", ["0", "1", "2", "3"]) == (3,)  # digits are called by what counts them
    assert resolve_classes("C++", ["C", "C++", "Pepper,_bell"]) == (1,)
    assert resolve_classes("Pepper,_bell", ["C", "C++", "Pepper,_bell"]) == (2,)
    assert named_once("Pepper,_bell", ["C", "C++", "Pepper,_bell"]) == "2"
