"""From a config to a finished run: parents first, nothing before everything is known to be right."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import small
import torch

from kdlib.base import paths
from kdlib.base.errors import InputError
from kdlib.base.files import write_json
from kdlib.base.tensors import write_tensors
from kdlib.runs.execute import execute
from kdlib.runs.plans import plan
from kdlib.runs.student import networks_of


def test_a_student_makes_its_teacher_first(store: Path) -> None:
    teacher = execute(small.teacher())
    run = execute(small.student(teacher=teacher.name))
    assert run.finished
    assert run.record["parents"] == {"teacher": teacher.name}
    assert run.record["role"] == "from-deterministic"
    assert run.record["classes"] == list("0123456789")
    assert (teacher.path / "answers").is_dir()
    files = {"config.json", "history.parquet", "metrics.json", "predictions.safetensors", "provenance.json",
             "weights.safetensors"}  # fmt: skip
    assert {path.name for path in run.path.iterdir()} == files
    student, its_teacher = networks_of(plan(small.student(teacher=teacher.name)))
    assert torch.allclose(student.probs(small.DATASET.test.images).log().half(), run.predictions()["test"], atol=2e-3)
    assert its_teacher is not None


def test_the_teacher_s_run_is_untouched_by_its_students(store: Path) -> None:
    teacher = execute(small.teacher())
    before = small.content(teacher)
    execute(small.student(teacher=teacher.name, temperature=4))
    assert small.content(teacher) == before


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"architecture": "resnet7"}, "architecture = 'resnet7' is refused"),
        ({"architecture": "mobilenetv2"}, "too small for architecture mobilenetv2"),
        ({"dataset": "mnist"}, "'mnist'"),
        ({"teacher": "somebody"}, "teacher = 'somebody' is refused"),
        ({"teacher": "nowhere/plain"}, "study = 'nowhere' is refused"),
        ({"teacher": "weights:/nowhere.safetensors"}, "is refused"),
        ({"epochs": -3}, "epochs = -3 is refused"),
        ({"fraction": 0}, "fraction = 0 is refused"),
        ({"fraction": 1.5}, "fraction = 1.5 is refused"),
        ({"omit_classes": "3+17"}, "omit_classes names '17'"),
        ({"omit_classes": "0+1+2+3+4+5+6+7+8+9"}, "leaves none of the 10 classes"),
        ({"augmentation": "reflect_crop_flip"}, "augmentation = 'reflect_crop_flip' is refused"),
        ({"teacher": "exact_bcp", "dataset": "cifar10"}, "teacher = 'exact_bcp' is refused for cifar10"),
        ({"device": "cuda:77"}, "device = 'cuda:77' is refused"),
        ({"temprature": 4}, "did you mean temperature?"),
    ],
)
def test_bad_input_stops_before_any_work(store: Path, given: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as refused:
        execute(small.student(**{"teacher": "deterministic", **given}))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not store.exists() or not list(store.iterdir())


def test_a_teacher_that_does_not_fit_is_refused_before_any_work(store: Path, tmp_path: Path) -> None:
    teacher = execute(small.teacher())
    record = teacher.record
    for what, value, says in (
        ("classes", ["cat", "dog"], "trained on digits:small, whose classes are not those of digits:tiny"),
        ("shape", [3, 32, 32], r"trained on images of shape \(3, 32, 32\), and these have shape \(1, 8, 8\)"),
    ):
        other = {**record, what: value, "config": {**record["config"], "dataset": "digits:small"}}
        write_json(teacher.path / "config.json", other)
        with pytest.raises(InputError, match=says):
            execute(small.student(teacher=teacher.name))
    write_tensors(tmp_path / "w.safetensors", {"head.bias": torch.zeros(10)})
    with pytest.raises(InputError, match="does not fit cnn4: it lacks"):
        execute(small.student(teacher=f"weights:{tmp_path}/w.safetensors", teacher_architecture="cnn4"))
    assert [path.name for path in store.iterdir() if path.name != ".locks"] == [teacher.name]


def test_an_unfinished_teacher_is_refused(store: Path) -> None:
    teacher = execute(small.teacher())
    (teacher.path / "metrics.json").unlink()
    with pytest.raises(InputError, match="is not finished"):
        execute(small.student(teacher=teacher.name))
    assert [path.name for path in store.iterdir() if path.name != ".locks"] == [teacher.name]


def test_no_tensor_waits_for_a_search_for_garbage(store: Path) -> None:
    """The library lets Python search seldom, so what is large must go with its last reference."""
    execute(small.teacher())
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for kind in ("variational", "laplace", "mcmi", "ensemble", "early_stopped", "temperature_scaled"):
            execute(small.teacher(kind=kind))
        for framework in ("kd", "crd", "vid", "hsakd"):
            execute(small.student(teacher="deterministic", framework=framework, epochs=1))
        gc.collect()
        left = sum(one.nbytes for one in gc.garbage if isinstance(one, torch.Tensor))
    finally:
        gc.set_debug(0)
        gc.enable()
        gc.garbage.clear()
    assert left < 1_000  # the least network here has 4 kB


def test_a_run_whose_results_were_half_written_is_written_again(store: Path) -> None:
    run = execute(small.teacher())
    before = small.content(run)
    for lost in (["metrics.json"], ["metrics.json", "weights.safetensors"], ["metrics.json", "history.parquet"]):
        for name in lost:
            (run.path / name).unlink()
        assert not run.finished
        assert small.content(execute(small.teacher())) == before


def test_killed_runs_end_bit_identical() -> None:
    script = paths.ROOT / "benchmarks" / "kill.py"
    done = subprocess.run([sys.executable, str(script), "--runs", "3", "--epochs", "5"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 runs are bit-identical" in done.stdout
