"""Every kind of teacher keeps one contract: made, killed, loaded, asked and learnt from alike, or refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
import torch
from PIL import Image
from torch import Tensor

from kdlib import data, teachers
from kdlib.base.config import Precision, RunType
from kdlib.base.errors import InputError
from kdlib.base.files import write_json
from kdlib.base.hashing import stream
from kdlib.base.tensors import digest, read_tensors
from kdlib.data.options import Augmentation
from kdlib.runs.execute import dataset, execute
from kdlib.runs.plans import plan
from kdlib.runs.recipes import resolve
from kdlib.store import runs
from kdlib.store.runs import Run
from kdlib.students.answers import Answers
from kdlib.teachers.contract import Teacher, combine
from kdlib.teachers.evaluation import evaluate
from kdlib.teachers.kind import TeacherConfig
from kdlib.teachers.kinds import KINDS
from kdlib.teachers.loading import restored
from kdlib.training import loop as training
from kdlib.training.hardware import fast_bfloat16
from kdlib.training.loop import Batch

LEARN = {"learning_rate": 0.02}
INDUCING = {
    "family": "inducing",
    "inducing_rows": 4,
    "inducing_columns": 6,
    "initial_sd": 0.08,
    "ml_epochs": 1,
    "annealing_epochs": 1,
}
TRAINED: dict[str, dict[str, Any]] = {
    "deterministic": {},
    "label_smoothing": {"kind": "label_smoothing"},
    "mse": {"kind": "mse"},
    "mse_logits": {"kind": "mse", "mse_on": "logits"},
    "variational": {"kind": "variational", **INDUCING},
    "mean_field": {
        "kind": "variational",
        "family": "mean_field",
        "norm_statistics": "running",
        "initial_sd": 0.3,
        "ml_epochs": 1,
        "annealing_epochs": 0,
    },
    "fine_tuned": {"kind": "fine_tuned", "parent": "deterministic"},
    "mcmi": {"kind": "mcmi", "parent": "deterministic", "cmi_weight": 0.2},
    "mcmi_fixed": {"kind": "mcmi", "parent": "deterministic", "cmi_weight": 0.2, "centroids": "fixed"},
    "mcmi_running": {"kind": "mcmi", "parent": "deterministic", "cmi_weight": 0.2, "centroids": "running"},
}
"""Cases that train a network; `parent` is the label of another case."""
CASES: dict[str, dict[str, Any]] = {
    **TRAINED,
    "laplace": {"kind": "laplace"},
    "laplace_mc": {"kind": "laplace", "link": "mc", "prior_precision": "gridsearch"},
    "laplace_diag": {"kind": "laplace", "hessian": "diag", "link": "bridge"},
    "laplace_all": {"kind": "laplace", "subset_of_weights": "all"},
    "temperature_scaled": {"kind": "temperature_scaled"},
    "scaled_laplace": {"kind": "temperature_scaled", "parent": "laplace"},
    "ensemble": {"kind": "ensemble", "ensemble_size": 3},
    "scaled_ensemble": {"kind": "temperature_scaled", "parent": "ensemble"},
    "early_stopped": {"kind": "early_stopped"},
    "augmentation_averaged": {"kind": "augmentation_averaged", "views": 3},
}
AVERAGING = ("laplace", "laplace_mc", "laplace_diag", "laplace_all", "scaled_laplace")
"""Cases that average before they are tempered."""
STOCHASTIC = ("variational", "mean_field")
SAMPLES = 3


def photographs(root: Path) -> dict[str, Any]:
    """Write coloured noise as a folder of images, like CIFAR's but smaller; return what names it and a network."""
    generator = np.random.default_rng(0)
    for number, label in enumerate("abc"):
        (root / label).mkdir(parents=True)
        for i in range(24):
            pixels = generator.integers(0, 160, (16, 16, 3))
            pixels[4 * number : 4 * number + 6, :8] += 90  # a bright patch, lower from class to class
            Image.fromarray(pixels.astype(np.uint8)).save(root / label / f"{i}.png")
    return {"dataset": f"folder:{root}", "image_size": 16, "architecture": "resnet8", "batch_size": 16, "epochs": 6}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    """Make every case once, in a store that the tests of this file only read."""
    place = tmp_path_factory.mktemp("kinds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDLIB_RUNS", str(place / "runs"))
        patch.setenv("KDLIB_DATASETS", str(place / "datasets"))
        done: dict[str, Run] = {}
        for label, given in CASES.items():
            own = photographs(place / "images") if label == "augmentation_averaged" else {}
            parent = {"parent": done[given["parent"]].name} if "parent" in given else {}
            done[label] = execute(small.teacher(**LEARN, **{**given, **own, **parent}))
        yield done


def config_of(run: Run) -> TeacherConfig:
    config = resolve(RunType.TEACHER, run.record["config"])
    assert isinstance(config, TeacherConfig)
    return config


def images_of(run: Run) -> Tensor:
    return dataset(config_of(run)).test.images[:100]


def content(run: Run) -> tuple[Any, ...]:
    history = repr(run.history().to_dict("list")) if (run.path / "history.parquet").exists() else ""
    more = [digest(read_tensors(file)[0], "") for file in sorted(run.path.glob("c*.safetensors"))]  # calibration
    return digest(run.weights(), ""), digest(run.predictions(), ""), history, run.metrics, more


def listing(store: Path) -> list[str]:
    return sorted(path.name for path in store.iterdir()) if store.exists() else []


def everything(teacher: Teacher) -> dict[str, Tensor]:
    """Return copies of all tensors of a teacher and of its parents."""
    found = {f"network/{name}": value.clone() for name, value in teacher.network.state_dict().items()}
    if hasattr(teacher, "posterior"):
        found |= {f"posterior/{name}": value.clone() for name, value in teacher.posterior.state().items()}
    for i, parent in enumerate(getattr(teacher, "members", ()) or filter(None, [getattr(teacher, "parent", None)])):
        found |= {f"{i}/{name}": value for name, value in everything(parent).items()}
    return found


def test_the_cases_are_all_kinds(made: dict[str, Run]) -> None:
    assert {config_of(run).kind for run in made.values()} == set(KINDS)
    assert len({run.name for run in made.values()}) == len(CASES)
    for label, run in made.items():
        assert run.finished, label
        assert {"test_nll", "test_cmi", "val_accuracy"} <= run.metrics.keys(), label
        assert not run.checkpoints.exists(), label


# --- loaded, asked ------------------------------------------------------------------------------------------------

ASK = """
import sys, torch
from kdlib import teachers
from kdlib.base.tensors import digest
from kdlib.runs.recipes import resolve
from kdlib.runs.execute import dataset
from kdlib.store.runs import Run
for name in sys.argv[1:]:
    loaded = teachers.load(name)
    images = dataset(resolve("teacher", Run(name).record["config"])).test.images[:100]
    torch.manual_seed(5)
    print(digest({"probs": loaded.probs(images, 2.0, 3)}, ""))
"""


def test_all_are_the_same_in_a_new_process(made: dict[str, Run]) -> None:
    here = []
    for run in made.values():
        teacher = teachers.load(run)
        torch.manual_seed(5)
        here.append(digest({"probs": teacher.probs(images_of(run), 2.0, 3)}, ""))
    command = [sys.executable, "-W", "ignore", "-c", ASK, *(run.name for run in made.values())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert dict(zip(made, done.stdout.split(), strict=True)) == dict(zip(made, here, strict=True))


@pytest.mark.parametrize("label", CASES)
def test_numbers_are_those_of_what_is_loaded(made: dict[str, Run], label: str) -> None:
    run = made[label]
    metrics, predictions, *_ = evaluate(teachers.load(run), dataset(config_of(run)), seed=config_of(run).seed)
    if label == "laplace_all":  # laplace-torch's products of Jacobians differ in their last bits from call to call
        assert metrics == pytest.approx({name: run.metrics[name] for name in metrics}, rel=1e-6)
        return
    assert metrics.items() <= run.metrics.items()
    assert torch.equal(predictions["test"], run.predictions()["test"])


@pytest.mark.parametrize("label", CASES)
def test_asking_changes_nothing_and_rows_sum_to_one(made: dict[str, Run], label: str) -> None:
    teacher, images = teachers.load(made[label]), images_of(made[label])
    before = everything(teacher)
    for temperature in (0.5, 1.0, 4.0):
        for samples in (1, SAMPLES):
            probs = teacher.probs(images, temperature, samples)
            assert torch.allclose(probs.sum(1), torch.ones(len(images)), atol=1e-5)
            assert (probs >= 0).all() and not probs.requires_grad
    after = everything(teacher)
    assert before.keys() == after.keys()
    assert not [name for name, value in before.items() if not torch.equal(after[name], value)]
    assert not any(module.training for module in teacher.network.modules())
    for given in ((0.0, 1), (-1.0, 1), (1.0, 0)):
        with pytest.raises(InputError, match="is refused: it must be"):
            teacher.probs(images, *given)


@pytest.mark.parametrize("label", CASES)
def test_the_order_of_tempering_and_averaging(made: dict[str, Run], label: str) -> None:
    """Weight samples, members and views are tempered, then averaged; Laplace averages, then it is tempered."""
    teacher, images = teachers.load(made[label]), images_of(made[label])

    def seeded(temperature: float) -> Tensor:
        torch.manual_seed(1)
        return teacher.probs(images, temperature, SAMPLES)

    torch.manual_seed(1)
    outputs = teacher.outputs(images, SAMPLES)
    several = {"ensemble": 3, "scaled_ensemble": 3, "augmentation_averaged": 3}
    assert len(outputs) == (SAMPLES if label in STOCHASTIC else several.get(label, 1))
    for temperature in (0.2, 3.0):
        assert torch.allclose(seeded(temperature), (outputs / temperature).softmax(-1).mean(0), atol=1e-6)
    apart = (seeded(0.2) - (seeded(1.0).log() / 0.2).softmax(-1)).abs().max()
    assert apart < 1e-5 if len(outputs) == 1 else apart > 1e-4
    if label in AVERAGING[:-1]:  # its one output is normalised: the average is taken already
        assert torch.allclose(outputs.exp().sum(-1), torch.ones(1, len(images)), atol=1e-5)


@pytest.mark.parametrize("label", [label for label in CASES if label not in STOCHASTIC])
def test_samples_of_what_is_not_stochastic_are_one(made: dict[str, Run], label: str) -> None:
    teacher, images = teachers.load(made[label]), images_of(made[label])
    assert torch.equal(teacher.outputs(images, 7), teacher.outputs(images, 1))
    assert torch.equal(teacher.probs(images, 2.0, 7), teacher.probs(images, 2.0, 1))
    named = [plan(small.student(teacher=made[label].name, samples=samples, **own_data(made[label]))).name
             for samples in (1, 7)]  # fmt: skip
    assert named[0] == named[1]


def own_data(run: Run) -> dict[str, Any]:
    """Return what a student of a run is given so that it has the same images, and sees them as they are."""
    config = config_of(run)
    given = {name: getattr(config, name) for name in ("dataset", "image_size", "architecture", "batch_size")}
    return {**given, "augmentation": "none", "epochs": 1}


@pytest.mark.skipif(not fast_bfloat16(torch.device("cpu")), reason="this CPU does not multiply bfloat16 in hardware")
@pytest.mark.parametrize("label", CASES)
def test_bfloat16_stays_near_float32(made: dict[str, Run], label: str) -> None:
    """A probability moves by 0.05 at most and by 0.01 on average: bfloat16 has 8 digits, a network multiplies them."""
    run = made[label]
    settings = teachers.load(run).hardware
    answers = []
    for precision in ("float32", "bfloat16"):
        teacher = teachers.load(run, replace(settings, precision=precision))
        torch.manual_seed(2)
        answers.append(teacher.probs(images_of(run), 1.0, SAMPLES))
    assert answers[1].dtype == torch.float32
    apart = (answers[0] - answers[1]).abs()
    assert float(apart.max()) < 0.05 and float(apart.mean()) < 0.01


# --- interrupted --------------------------------------------------------------------------------------------------


def carried(made: dict[str, Run], store: Path, label: str) -> TeacherConfig:
    """Return the config of a case, its parents copied into an empty store."""
    for parent in made[label].record["parents"].values():
        (store / parent).mkdir(parents=True)
        for file in (Path(made[label].path).parent / parent).iterdir():
            if file.is_file():
                (store / parent / file.name).write_bytes(file.read_bytes())
    return config_of(made[label])


@pytest.mark.parametrize("label", TRAINED)
def test_an_interrupted_fit_ends_bit_identical(
    made: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, label: str
) -> None:
    straight, store = content(made[label]), tmp_path / "runs"
    config = carried(made, store, label)
    monkeypatch.setenv("KDLIB_RUNS", str(store))
    looked = training.view
    seen = []

    def interrupting(*given: Any) -> Tensor:
        seen.append(len(seen))
        if len(seen) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return looked(*given)

    monkeypatch.setattr(training, "view", interrupting)
    with pytest.raises(KeyboardInterrupt):
        execute(config)
    run = plan(config).run
    assert not run.finished
    assert [path.name for path in run.checkpoints.iterdir()] == ["step-000000003.safetensors"]
    assert content(execute(config)) == straight
    assert len(seen) == 6  # three steps each: none was done twice


KILLED = """
import os, signal, sys
os.environ["KDLIB_SAVE_EVERY"] = "0"
from kdlib.runs.recipes import resolve
from kdlib.runs.execute import execute
from kdlib.store.runs import Run
from kdlib.training import loop as training
looked, training.SAVE_EVERY = training.view, 0.0
configs = [resolve("teacher", __import__("json").loads(text)) for text in sys.argv[1:]]
for config in configs:
    child = os.fork()
    if child == 0:
        seen = []
        def killing(*given):
            seen.append(1)
            if len(seen) == 5:
                os.kill(os.getpid(), signal.SIGKILL)
            return looked(*given)
        training.view = killing
        execute(config)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_killed_fit_ends_bit_identical(made: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = ("variational", "mcmi_running")
    straight, store = [content(made[label]) for label in labels], tmp_path / "runs"
    configs = [carried(made, store, label) for label in labels]
    monkeypatch.setenv("KDLIB_RUNS", str(store))
    command = [sys.executable, "-W", "ignore", "-c", KILLED, *(config.model_dump_json() for config in configs)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.stdout.split() == ["-9", "-9"], done.stderr
    for config, expected in zip(configs, straight, strict=True):
        run = plan(config).run
        assert not run.finished and list(run.checkpoints.glob("step-*"))
        assert content(execute(config)) == expected


@pytest.mark.skipif(not fast_bfloat16(torch.device("cpu")), reason="this CPU does not multiply bfloat16 in hardware")
@pytest.mark.parametrize("label", TRAINED)
def test_training_in_bfloat16_ends_near_float32(
    made: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, label: str
) -> None:
    """After a few steps the validation NLL agrees to 0.1 nats."""
    name, expected = made[label].name, made[label].metrics["val_nll"]
    config = carried(made, tmp_path / "runs", label)
    monkeypatch.setenv("KDLIB_RUNS", str(tmp_path / "runs"))
    run = execute(config.model_copy(update={"precision": Precision.BFLOAT16}))
    assert run.name == name
    assert run.provenance["hardware"]["precision"] == "bfloat16"
    assert run.metrics["val_nll"] == pytest.approx(expected, abs=0.1)


# --- learnt from --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", CASES)
def test_students_learn_from_kept_answers_that_are_live_ones(made: dict[str, Run], label: str) -> None:
    """Answers are kept as float16 logits: probabilities agree to 2e-3 at T = 1 and at T = 4."""
    run = made[label]
    samples = 2 if label in STOCHASTIC else 1
    before = content(run)
    given = {**own_data(run), "teacher": run.name, "temperature": 4, "samples": samples}
    student = execute(small.student(**given))
    assert student.finished and "test_agreement" in student.metrics
    assert student.record["parents"] == {"teacher": run.name}
    assert content(run) == before
    chosen = dataset(config_of(run))
    kept = sorted((run.path / "answers").glob("*/*.safetensors"))
    assert len(kept) == samples
    teacher, rows = teachers.load(run), torch.arange(len(chosen.train))
    answers = Answers(teacher, chosen.train, rows, chosen.fingerprint, Augmentation.NONE, 0, run.path / "answers",
                      samples=samples)  # fmt: skip
    images = chosen.train.images
    live = []
    for sample in range(samples):
        torch.manual_seed(stream(0, 0, sample))
        live.append(teacher.drawing(0, 0, sample, 0).outputs(images, 1))
    for temperature in (1.0, 4.0):
        read = answers.probs(Batch(rows, 0, images, chosen.train.labels, 0.0), temperature)
        assert torch.allclose(read, combine(torch.cat(live), temperature), atol=2e-3)
    assert sorted((run.path / "answers").glob("*/*.safetensors")) == kept  # nothing was asked again
    assert read_tensors(kept[0])[0]["outputs"].dtype == torch.float16


@pytest.mark.parametrize("centroids", ["epoch", "fixed", "running"])
def test_mcmi_without_weight_is_fine_tuning(made: dict[str, Run], centroids: str) -> None:
    """At λ = 0 the parent is trained on by cross-entropy, step for step; with λ it is not."""
    given = {"parent": made["deterministic"].name, "epochs": 4, "learning_rate": 5e-3}
    plain = execute(small.teacher(kind="fine_tuned", **given))
    none, some = (
        execute(small.teacher(kind="mcmi", centroids=centroids, cmi_weight=weight, **given)) for weight in (0.0, 0.2)
    )
    assert small.content(none)[:2] == small.content(plain)[:2]
    assert small.content(some)[0] != small.content(plain)[0]


@pytest.mark.parametrize("precision", list(Precision))
def test_so_it_is_with_views_and_batch_norms(made: dict[str, Run], precision: Precision) -> None:
    """The centroids' pass moves no running statistic and no view, in either precision."""
    parent = made["augmentation_averaged"].record["parents"]["parent"]
    photos = config_of(Run(parent))
    given = {"parent": parent, "dataset": photos.dataset, "image_size": photos.image_size, "architecture": None}
    given |= {"batch_size": 16, "epochs": 2, "precision": precision}
    plain = execute(small.teacher(kind="fine_tuned", **given))
    none, some = (execute(small.teacher(kind="mcmi", cmi_weight=weight, **given)) for weight in (0.0, 0.2))
    assert config_of(plain).augmentation is not Augmentation.NONE
    assert small.content(none)[:2] == small.content(plain)[:2]
    assert small.content(some)[0] != small.content(plain)[0]


def test_fine_tuning_raises_cmi(made: dict[str, Run]) -> None:
    """On validation images, above its parent's and above that of as many steps on cross-entropy alone."""
    parent = made["deterministic"]
    given = {"parent": parent.name, "epochs": 30, "learning_rate": 5e-3}
    plain = execute(small.teacher(kind="fine_tuned", **given)).metrics["val_cmi"]
    tuned = execute(small.teacher(kind="mcmi", cmi_weight=0.5, **given)).metrics["val_cmi"]
    assert tuned > 1.05 * plain
    assert tuned > 1.2 * parent.metrics["val_cmi"]


# --- parents ------------------------------------------------------------------------------------------------------


def test_the_default_parent_is_the_deterministic_run_of_the_same_settings(store: Path) -> None:
    given = {"seed": 3, "learning_rate": 0.004, "fraction": 0.5}
    plain = plan(small.teacher(**given))
    for kind in ("laplace", "temperature_scaled", "early_stopped"):
        derived = plan(small.teacher(kind=kind, **given))
        assert {role: parent.name for role, parent in derived.parents.items()} == {"parent": plain.name}
    ensemble = plan(small.teacher(kind="ensemble", ensemble_size=2, **given))
    other = plan(small.teacher(**{**given, "seed": 1003}))
    assert [parent.name for parent in ensemble.parents.values()] == [plain.name, other.name]
    # one that is fine-tuned has a training of its own; its parent has the usual one, on the same images
    tuned = plan(small.teacher(kind="mcmi", **given)).parents["parent"]
    assert tuned.name == plan(small.teacher(**small.USUAL, seed=3, fraction=0.5)).name


def test_default_parents_of_images_with_views(store: Path) -> None:
    given = {"dataset": "cifar10", "architecture": "resnet8", "preset": "mcmi"}
    plain = plan(small.teacher(**given)).name
    for kind in ("augmentation_averaged", "laplace", "early_stopped"):
        assert plan(small.teacher(kind=kind, **given)).parents["parent"].name == plain
    tuned = plan(small.teacher(kind="mcmi", **given)).parents["parent"]
    assert tuned.name == plan(small.teacher(**small.USUAL, **given)).name


@pytest.mark.parametrize("kind", ["laplace", "temperature_scaled", "early_stopped"])
def test_a_parent_is_the_same_however_it_is_named(made: dict[str, Run], tmp_path: Path, kind: str) -> None:
    study = tmp_path / "s.yaml"
    study.write_text(
        "title: s\nparameters: {dataset: 'digits:tiny', architecture: cnn4, epochs: 3, threads: 1,\n"
        "  optimizer: adam, weight_decay: 0, schedule: constant}\n"
        "teachers: {plain: {learning_rate: 0.02}}\n"
    )
    run = made["deterministic"].name
    named = {plan(small.teacher(kind=kind, parent=text)).name for text in (run, run[:-3], f"{study}/plain")}
    assert named == {made[kind].name}
    # how its parent trained is said by the parent's name alone
    assert plan(small.teacher(kind=kind, parent=run, epochs=77, batch_size=9, seed=5)).name == made[kind].name


# --- names --------------------------------------------------------------------------------------------------------

OTHER: dict[str, Any] = {
    "smoothing": 0.3, "mse_on": "logits", "cmi_weight": 0.07, "centroids": "running", "ensemble_size": 3, "views": 5,
    "family": "mean_field", "kl_weight": 0.5, "ml_epochs": 2, "annealing_epochs": 2, "prior_scale": 3.0,
    "initial_sd": 0.02, "norm_statistics": "running", "max_sd": 0.9, "inducing_rows": 5, "inducing_columns": 7,
    "whitened": False, "lambda_initial": 2e-3,
    "lambda_max": 0.9, "subset_of_weights": "all", "hessian": "diag", "prior_precision": "gridsearch",
    "predictive": "nn", "link": "bridge", "link_samples": 50, "fit_augmented": True,
}  # fmt: skip
"""Another value of every parameter that means something for some kinds only."""
SHARED = {"family", "kl_weight", "ml_epochs", "annealing_epochs", "prior_scale", "norm_statistics"}
POINTS = SHARED | {
    "inducing_rows",
    "inducing_columns",
    "whitened",
    "lambda_initial",
    "lambda_max",
}
LAPLACE = {"subset_of_weights", "hessian", "prior_precision", "link"}
CIFAR = {"dataset": "cifar10", "architecture": "resnet8"}
MATTERS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, set()),
    ({"kind": "label_smoothing"}, {"smoothing"}),
    ({"kind": "mse"}, {"mse_on"}),
    ({"kind": "variational", "family": "inducing"}, POINTS | {"initial_sd", "max_sd"}),
    ({"kind": "variational", "family": "mean_field"}, SHARED - {"family"} | {"initial_sd"}),
    ({"kind": "laplace"}, LAPLACE),
    ({"kind": "laplace", "link": "mc"}, LAPLACE | {"predictive", "link_samples"}),
    ({"kind": "laplace", **CIFAR}, LAPLACE | {"fit_augmented"}),
    ({"kind": "mcmi"}, {"cmi_weight", "centroids"}),
    ({"kind": "fine_tuned"}, set()),
    ({"kind": "temperature_scaled"}, set()),
    ({"kind": "ensemble"}, {"ensemble_size"}),
    ({"kind": "early_stopped"}, set()),
    ({"kind": "augmentation_averaged", **CIFAR}, {"views"}),
]


def test_every_parameter_of_some_kinds_is_tried() -> None:
    assert OTHER.keys() == {name for kind in KINDS.values() for name in kind.own()}


@pytest.mark.parametrize(("given", "matters"), MATTERS)
def test_what_has_no_effect_does_not_rename(store: Path, given: dict[str, Any], matters: set[str]) -> None:
    name = plan(small.teacher(**given)).name
    refused = {"predictive"} if given.get("kind") == "laplace" and "link" not in given else set()
    tried = {other: value for other, value in OTHER.items() if given.get(other) != value and other not in refused}
    renamed = {other for other, value in tried.items() if plan(small.teacher(**{**given, other: value})).name != name}
    assert renamed == matters


# --- refused ------------------------------------------------------------------------------------------------------


def refusal(config: dict[str, Any]) -> str:
    """Return the sentence that a teacher is refused with, before any work."""
    before = listing(Path(runs.Run("x").path).parent)
    with pytest.raises(InputError) as refused:
        execute(small.teacher(**config))
    assert listing(Path(runs.Run("x").path).parent) == before
    sentence = str(refused.value)
    assert "\n" not in sentence and sentence.endswith(".")
    return sentence


WITH_PARENT = [{"kind": kind.name} for kind in KINDS.values() if kind.starts_with == "parent"]


@pytest.mark.parametrize("given", WITH_PARENT)
def test_parents_that_do_not_fit_are_refused(made: dict[str, Run], given: dict[str, Any]) -> None:
    assert "parent = 'nobody' is refused: it is no run" in refusal({**given, "parent": "nobody"})
    assert "study = 'nowhere' is refused" in refusal({**given, "parent": "nowhere/plain"})
    wrong = {"laplace": "variational", "fine_tuned": "laplace", "mcmi": "temperature_scaled",
             "temperature_scaled": "variational", "early_stopped": "mse",
             "augmentation_averaged": "ensemble"}[given["kind"]]  # fmt: skip
    said = refusal({**given, "parent": made[wrong].name})
    assert f"a teacher of kind {given['kind']} starts from one of kind " in said
    name = made["deterministic"].name
    for architecture in ("cnn8", "resnet20"):
        said = refusal({**given, "parent": name, "architecture": architecture})
        assert f"its architecture is cnn4, not {architecture}" in said
    for other in ("digits:small", "digits:tiny@0.7", "digits"):
        said = refusal({**given, "parent": name, "dataset": other})
        assert f"its dataset is digits:tiny, not {data.canonical(other)}" in said


@pytest.mark.parametrize("given", WITH_PARENT)
def test_unfinished_parents_and_students_are_refused(store: Path, given: dict[str, Any]) -> None:
    for planned in (plan(small.teacher()), plan(small.student())):
        planned.run.path.mkdir(parents=True)
        write_json(planned.run.path / "config.json", planned.record)
        assert "is not finished" in refusal({**given, "parent": planned.name})
    small.pretend(planned)
    assert "is a student, not a teacher" in refusal({**given, "parent": planned.name})


def test_another_image_size_is_another_dataset(made: dict[str, Run]) -> None:
    run = made["augmentation_averaged"].record["parents"]["parent"]
    given = {"dataset": config_of(Run(run)).dataset, "architecture": "resnet8", "parent": run}
    assert "other images or another image_size" in refusal({**given, "kind": "laplace", "image_size": 24})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kind": "variational", "family": "inducing", "lambda_initial": 0.6}, "is 0.6 and lambda_max 0.6"),
        ({"kind": "variational", "family": "inducing", "lambda_initial": 0.7}, "lambda_initial is 0.7"),
        ({"kind": "variational", "lambda_initial": 0}, "lambda_initial = 0 is refused"),
        ({"kind": "variational", "lambda_max": 1.5}, "lambda_max = 1.5 is refused"),
        ({"kind": "variational", "family": "inducing", "initial_sd": 1}, "max_sd is 1.0; it must be above initial_sd"),
        ({"kind": "variational", "initial_sd": -1}, "initial_sd = -1 is refused"),
        ({"kind": "variational", "max_sd": 0}, "max_sd = 0 is refused"),
        ({"kind": "variational", "prior_scale": float("nan")}, "prior_scale = nan is refused"),
        ({"kind": "variational", "posterior_members": 5}, "posterior_members is no parameter of teacher"),
        ({"kind": "variational", "kl_weight": 2}, "kl_weight = 2 is refused"),
        ({"kind": "variational", "eval_samples": 0}, "eval_samples = 0 is refused"),
        ({"kind": "variational", "parent": "deterministic"}, "parent = 'deterministic' is refused: kind variational"),
        ({"kind": "mcmi", "cmi_weight": 1.5}, "cmi_weight = 1.5 is refused"),
        ({"kind": "mcmi", "cmi_weight": -0.1}, "cmi_weight = -0.1 is refused"),
        ({"kind": "mcmi", "centroids": "moving"}, "centroids = 'moving' is refused"),
        ({"kind": "laplace", "predictive": "nn"}, "link = 'probit' is refused with predictive = 'nn'"),
        ({"kind": "laplace", "predictive": "nn", "link": "bridge"}, "allowed is mc"),
        ({"kind": "laplace", "link_samples": 0}, "link_samples = 0 is refused"),
        ({"kind": "laplace", "prior_precision": "cv"}, "prior_precision = 'cv' is refused"),
        ({"kind": "variational", "family": "dropout"}, "family = 'dropout' is refused"),
        ({"kind": "variational", "inducing_rows": 0}, "inducing_rows = 0 is refused"),
        ({"kind": "laplace", "subset_of_weights": "all", "hessian": "full", "architecture": "cnn16"},
         "hessian = 'full' with subset_of_weights = 'all' is refused for 14,"),
        ({"kind": "laplace", "subset_of_weights": "all", "hessian": "dense"}, "hessian = 'dense' is refused"),
        ({"kind": "label_smoothing", "smoothing": 1}, "smoothing = 1 is refused"),
        ({"kind": "ensemble", "ensemble_size": 1}, "ensemble_size = 1 is refused"),
        ({"kind": "ensemble", "members": "nobody+nothing"}, "members = 'nobody' is refused"),
        ({"kind": "augmentation_averaged", "views": 1}, "views = 1 is refused"),
        ({"kind": "augmentation_averaged"}, "was trained without augmentation, so there are no views to average"),
        ({"kind": "augmentation_averaged", "augmentation": "reflect_crop_flip"}, "is refused for digits:tiny"),
        ({"kind": "bayesian"}, "kind = 'bayesian' is refused"),
    ],
)  # fmt: skip
def test_values_that_cannot_be_are_refused(store: Path, given: dict[str, Any], says: str) -> None:
    assert says in refusal(given)
    assert not listing(store)


@pytest.mark.parametrize("given", [{"temperature": 0}, {"temperature": -2}, {"temperature": float("nan")},
                                   {"student_temperature": 0}, {"samples": 0}, {"samples": 1001}])  # fmt: skip
def test_temperatures_and_samples_of_students_out_of_range_are_refused(store: Path, given: dict[str, Any]) -> None:
    (name,) = given
    with pytest.raises(InputError, match=f"{name} = .* is refused"):
        execute(small.student(teacher="variational", **given))
    assert not listing(store)


@pytest.mark.parametrize("label", CASES)
def test_tensors_that_do_not_fit_are_refused(made: dict[str, Run], label: str) -> None:
    run = made[label]
    tensors = run.weights()
    harmed = [{**tensors, "unknown": torch.zeros(1)}]
    if tensors:
        first = sorted(tensors)[0]
        harmed.append({name: value for name, value in tensors.items() if name != first})
        harmed.append({**tensors, first: torch.zeros(2, 3, 5, 7, 1)})
    else:
        assert label in ("ensemble", "augmentation_averaged")
    for wrong in harmed:
        with pytest.raises(InputError) as refused:
            restored(config_of(run), run.record, wrong, None, run.name)
        assert "\n" not in str(refused.value) and str(refused.value).endswith(".")


def test_a_finished_run_that_holds_a_dropped_parameter_loads_at_its_constant_only(made: dict[str, Run]) -> None:
    """Records outlive parameters: of posteriors over inducing weights the diagonal one stayed."""
    file = made["variational"].path / "config.json"
    before, images = file.read_text(), images_of(made["variational"])
    expected = teachers.load(made["variational"]).probs(images)
    record = json.loads(before)
    try:
        record["config"] |= {"inducing_posterior": "diagonal", "posterior_members": 5}
        file.write_text(json.dumps(record))
        assert torch.equal(teachers.load(made["variational"]).probs(images), expected)
        assert plan(small.teacher(kind="laplace", parent=made["deterministic"].name)).name == made["laplace"].name
        record["config"]["inducing_posterior"] = "matrix"
        file.write_text(json.dumps(record))
        with pytest.raises(InputError, match=r"inducing_posterior = 'matrix' is refused: .* has 'diagonal' only"):
            teachers.load(made["variational"])
    finally:
        file.write_text(before)
