"""Parameters: what is filled in, what is refused, what has no effect."""

from __future__ import annotations

from typing import Any

import pytest

from kdlib.base.config import RunType, effective, kind_of
from kdlib.base.errors import InputError
from kdlib.runs.recipes import RECIPES, fields, resolve
from kdlib.training.config import PRESETS, Preset, TrainingConfig

TEACHER, STUDENT, MEASURE = RunType.TEACHER, RunType.STUDENT, RunType.MEASURE

SAME: list[tuple[RunType, dict[str, Any], dict[str, Any]]] = [
    (TEACHER, {"optimizer": "adam"}, {"momentum": 0.5}),
    (TEACHER, {"schedule": "cosine"}, {"lr_decay_epochs": "3", "lr_decay_rate": 0.5}),
    (TEACHER, {"schedule": "constant"}, {"lr_decay_rate": 0.5}),
    (TEACHER, {"schedule": "steps", "lr_decay_epochs": ""}, {"lr_decay_rate": 0.5}),
    (TEACHER, {"schedule": "steps", "lr_decay_epochs": "5+3"}, {"lr_decay_epochs": " 3 + 5+5"}),
    (TEACHER, {}, {"match": "epochs"}),
    (TEACHER, {"augmentation": "none"}, {"augmentation_seed": 7}),
    (TEACHER, {"dataset": "cifar10", "seed": 7}, {"augmentation_seed": 7}),
    (TEACHER, {"dataset": "cifar10"}, {"image_size": 32}),
    (STUDENT, {"teacher": "one_hot"}, {"temperature": 4, "student_temperature": 2, "kd_weight": 0.5, "samples": 9}),
    (STUDENT, {"teacher": "one_hot"}, {"teacher_seed": 3}),
    (STUDENT, {"teacher": "exact_bcp"}, {"teacher_seed": 3, "samples": 9}),
    (STUDENT, {"teacher": "deterministic", "kd_weight": 0}, {"temperature": 4, "samples": 9}),
    (STUDENT, {"teacher": "deterministic", "seed": 4}, {"teacher_seed": 4}),
    (STUDENT, {"teacher": "deterministic"}, {"teacher_architecture": "cnn4"}),
    (MEASURE, {"parent": "some-run"}, {"architecture": "cnn4"}),
]

DIFFERENT: list[tuple[RunType, dict[str, Any], dict[str, Any]]] = [
    (TEACHER, {"optimizer": "sgd"}, {"momentum": 0.5}),
    (TEACHER, {"schedule": "steps", "lr_decay_epochs": "3"}, {"lr_decay_rate": 0.5}),
    (TEACHER, {"fraction": 0.5}, {"match": "epochs"}),
    (TEACHER, {"omit_classes": "3"}, {"match": "epochs"}),
    (TEACHER, {"dataset": "cifar10"}, {"augmentation_seed": 7}),
    (TEACHER, {"dataset": "folder:/images"}, {"image_size": 64}),
    (TEACHER, {"dataset": "cifar10"}, {"image_size": 16}),
    (STUDENT, {"teacher": "exact_bcp"}, {"temperature": 2}),
    (STUDENT, {"teacher": "exact_bcp"}, {"student_temperature": 2}),
    (STUDENT, {"teacher": "deterministic"}, {"teacher_seed": 4}),
    (STUDENT, {"teacher": "one_hot"}, {"seed": 4}),
    (MEASURE, {"parent": "some-run"}, {"eval_samples": 4}),
]


@pytest.mark.parametrize(("run_type", "given", "idle"), SAME)
def test_parameters_without_effect_change_nothing(
    run_type: RunType, given: dict[str, Any], idle: dict[str, Any]
) -> None:
    assert resolve(run_type, {**given, **idle}) == resolve(run_type, given)


@pytest.mark.parametrize(("run_type", "given", "more"), DIFFERENT)
def test_parameters_with_effect_do(run_type: RunType, given: dict[str, Any], more: dict[str, Any]) -> None:
    assert resolve(run_type, {**given, **more}) != resolve(run_type, given)


@pytest.mark.parametrize(("run_type", "given", "more"), SAME + DIFFERENT)
def test_a_resolved_config_resolves_to_itself(run_type: RunType, given: dict[str, Any], more: dict[str, Any]) -> None:
    config = resolve(run_type, {**given, **more})
    assert resolve(run_type, config.model_dump(mode="json")) == config
    assert resolve(run_type, config.model_dump()) == config


@pytest.mark.parametrize("dataset", ["digits", "cifar10", "cifar100", "cifar10h", "folder:/images"])
@pytest.mark.parametrize("run_type", [TEACHER, STUDENT])
def test_nothing_that_training_needs_is_left_open(run_type: RunType, dataset: str) -> None:
    config = resolve(run_type, {"dataset": dataset}).model_dump()
    needed = ["architecture", "augmentation", "epochs", "batch_size", "optimizer", "learning_rate", "schedule"]
    needed += ["kd_weight", "temperature", "student_temperature"] if run_type is STUDENT else []
    assert not [name for name in needed if config[name] is None]


@pytest.mark.parametrize("preset", Preset)
def test_a_preset_means_its_values(preset: Preset) -> None:
    by_name = resolve(STUDENT, {"dataset": "cifar100", "preset": preset})
    by_value = resolve(STUDENT, {"dataset": "cifar100", **PRESETS[preset]})
    assert effective(by_name) == effective(by_value)
    assert by_name.model_copy(update={"preset": None}) == by_value


def test_given_wins_over_preset_wins_over_dataset() -> None:
    config = resolve(STUDENT, {"preset": "mcmi", "epochs": 5}).model_dump()
    assert (config["epochs"], config["optimizer"], config["architecture"]) == (5, "sgd", "cnn8")
    assert config["augmentation"] == "none"  # no view of a digit has known class probabilities
    small = {"architecture": "mobilenetv2", "dataset": "cifar100"}
    assert resolve(STUDENT, small).model_dump()["learning_rate"] == 0.01
    assert resolve(STUDENT, {**small, "learning_rate": 0.3}).model_dump()["learning_rate"] == 0.3


def test_none_is_not_given() -> None:
    assert resolve(STUDENT, {"epochs": None, "teacher": None}) == resolve(STUDENT, {})


def test_what_computes_is_no_part_of_what_is_computed() -> None:
    how = {"device": "cpu", "precision": "bfloat16", "threads": 3, "retrain": True, "data_root": "/x", "compile": True}
    for run_type in (TEACHER, STUDENT):
        assert effective(resolve(run_type, how)) == effective(resolve(run_type, {}))


@pytest.mark.parametrize("run_type", RunType)
def test_every_parameter_says_what_it_means(run_type: RunType) -> None:
    for field in fields(run_type).values():
        assert field.description
        assert kind_of(field) in ("value", "set", "path")
    assert set(RECIPES) == set(RunType)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"epochs": -1}, ["epochs = -1", "greater than or equal to 1"]),
        ({"epochs": 1.5}, ["epochs = 1.5", "integer"]),
        ({"fraction": 0}, ["fraction = 0", "greater than 0"]),
        ({"fraction": 1.5}, ["fraction = 1.5", "less than or equal to 1"]),
        ({"learning_rate": float("nan")}, ["learning_rate = nan"]),
        ({"temperature": float("inf")}, ["temperature = inf"]),
        ({"seed": -1}, ["seed = -1"]),
        ({"seed": 2**31}, ["seed = 2147483648"]),
        ({"seed": True}, ["seed = True", "true and false"]),
        ({"batch_size": 1}, ["batch_size = 1"]),
        ({"optimizer": "lion"}, ["optimizer = 'lion'", "'adam' or 'sgd'"]),
        ({"preset": "hinton"}, ["preset = 'hinton'", "bayesian_kd", "mcmi"]),
        ({"lr_decay_epochs": "3,5"}, ["lr_decay_epochs = '3,5'", '"3+5"']),
        ({"lr_decay_epochs": "often"}, ["lr_decay_epochs = 'often'", "150+180"]),
        ({"omit_classes": "3, 5"}, ["omit_classes = '3, 5'", '"3+5"']),
        ({"temprature": 4}, ["temprature is no parameter of student", "did you mean temperature?"]),
        ({"zzz": 4}, ["zzz is no parameter of student", "allowed are architecture"]),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(given: dict[str, Any], says: list[str]) -> None:
    with pytest.raises(InputError) as refused:
        resolve(STUDENT, given)
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert not [part for part in says if part not in sentence], sentence


@pytest.mark.parametrize("preset", [None, *Preset])
def test_one_temperature_is_both_unless_both_are_given(preset: Preset | None) -> None:
    given = {"teacher": "exact_bcp", "preset": preset, "temperature": 3}
    assert resolve(STUDENT, given) == resolve(STUDENT, {**given, "student_temperature": 3})
    assert resolve(STUDENT, {**given, "student_temperature": 1}) != resolve(STUDENT, given)


def test_classes_to_omit_stay_as_typed_until_their_names_are_known() -> None:
    """`C++` is no set of `C`: only the dataset says what a class is called."""
    for text in ("C++", "b+a", "5 +3+ 3"):
        config = resolve(TEACHER, {"dataset": "folder:/images", "omit_classes": text})
        assert isinstance(config, TrainingConfig) and config.omit_classes == text
