"""Teachers in the store: what is loaded is what was made, to the bit, or it is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import small
import torch

from kdlib import teachers
from kdlib.base.config import RunType
from kdlib.base.errors import InputError
from kdlib.base.tensors import digest, write_tensors
from kdlib.experiments.measure import MeasureConfig
from kdlib.measures.metrics import measure
from kdlib.runs.execute import execute
from kdlib.runs.recipes import resolve
from kdlib.teachers.evaluation import log_probs
from kdlib.teachers.loading import load_weights

IMAGES = small.DATASET.test.images

ASK = """
from kdlib import data, teachers
from kdlib.base.tensors import digest
probs = teachers.load({name!r}).probs(data.load("digits:tiny").test.images, 2.0)
print(digest({{"probs": probs}}, ""))
"""


def test_a_teacher_is_the_same_in_a_new_process(store: Path) -> None:
    run = execute(small.teacher())
    here = digest({"probs": teachers.load(run.name).probs(IMAGES, 2.0)}, "")
    done = subprocess.run(
        [sys.executable, "-c", ASK.format(name=run.name[:-2])], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == here


def test_a_run_s_numbers_are_those_of_its_weights(store: Path) -> None:
    run = execute(small.teacher())
    loaded = teachers.load(run)
    values = log_probs(loaded, small.DATASET.test, 1)
    assert torch.equal(run.predictions()["test"], values.half())
    expected = measure(values, small.DATASET.test.labels, small.DATASET.test.bcp)
    assert {name: run.metrics[f"test_{name}"] for name in expected} == expected
    assert torch.allclose(loaded.probs(IMAGES), values.exp(), atol=1e-6)
    assert loaded.network.mean.tolist() == pytest.approx(small.DATASET.mean)


def test_rows_of_predictions_sum_to_one(store: Path) -> None:
    predictions = execute(small.teacher()).predictions()
    for part, split in (("val", small.DATASET.val), ("test", small.DATASET.test)):
        assert predictions[part].shape == (len(split), 10)
        assert predictions[part].dtype == torch.float16
        assert torch.allclose(predictions[part].float().exp().sum(1), torch.ones(len(split)), atol=5e-3)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("missing", "lacks head.bias"),
        ("extra", "has the unknown head.scale"),
        ("shape", "has another shape of head.bias"),
    ],
)
def test_weights_that_do_not_fit_are_refused(store: Path, harm: str, says: str) -> None:
    run = execute(small.teacher())
    tensors = run.weights()
    bias = tensors.pop("head.bias")
    if harm == "extra":
        tensors |= {"head.bias": bias, "head.scale": bias}
    elif harm == "shape":
        tensors["head.bias"] = bias[:1]
    write_tensors(run.path / "weights.safetensors", tensors)
    with pytest.raises(InputError, match=f"{run.name} does not fit cnn4: it {says}"):
        teachers.load(run)


def test_corrupt_weights_are_refused(store: Path) -> None:
    run = execute(small.teacher())
    path = run.path / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(InputError, match=r"weights\.safetensors is corrupt"):
        teachers.load(run)


def test_what_is_no_finished_teacher_is_refused(store: Path) -> None:
    student = execute(small.student())
    with pytest.raises(InputError, match="is a student, not a teacher"):
        teachers.load(student)
    (student.path / "metrics.json").unlink()
    for run in (student, student.name):
        with pytest.raises(InputError, match="is not finished"):
            teachers.load(run)
    with pytest.raises(InputError, match="is no run in the store"):
        teachers.load("nobody")


def test_a_teacher_of_a_file_is_the_teacher(store: Path, tmp_path: Path) -> None:
    run = execute(small.teacher())
    path = run.path / "weights.safetensors"
    loaded = load_weights(str(path), small.teacher(), small.DATASET, small.settings())
    assert torch.equal(loaded.probs(IMAGES), teachers.load(run).probs(IMAGES))
    by_file = execute(small.student(teacher=f"weights:{path}", teacher_architecture="cnn4"))
    by_name = execute(small.student(teacher=run.name))
    assert small.content(by_file) == small.content(by_name)


def test_measuring_again_finds_the_same(store: Path) -> None:
    run = execute(small.teacher())
    config = resolve(RunType.MEASURE, {"dataset": "digits:tiny", "parent": run.name, "eval_samples": 3, "threads": 1})
    assert isinstance(config, MeasureConfig)
    again = execute(config)
    assert again.metrics == run.metrics
    assert torch.equal(again.predictions()["test"], run.predictions()["test"])
    assert not (again.path / "weights.safetensors").exists()
