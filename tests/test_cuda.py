"""What only a GPU can show: the same views, steps, answers and draws there, and passes that are replayed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import small
import torch
from torch import Tensor
from torch.nn import functional as F

from kdlib.base.tensors import digest
from kdlib.data.options import Augmentation
from kdlib.data.views import view
from kdlib.models import build
from kdlib.models.network import Network
from kdlib.runs.execute import execute
from kdlib.store.runs import Run
from kdlib.students.answers import Answers
from kdlib.teachers.contract import Teacher
from kdlib.teachers.laplace import LaplaceConfig
from kdlib.teachers.laplace.fit import fit
from kdlib.teachers.making import Making
from kdlib.teachers.variational import PUBLISHED, VariationalConfig
from kdlib.teachers.variational.bayesianize import bayesianize
from kdlib.teachers.variational.sampling import sample_forward
from kdlib.training.hardware import seed_everything
from kdlib.training.loop import Batch, History

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"),
]
RANDOM = (Augmentation.REFLECT_CROP_FLIP, Augmentation.ZERO_CROP_FLIP)
SGD: dict[str, Any] = {"optimizer": "sgd", "momentum": 0.9, "schedule": "cosine", "learning_rate": 0.05}


def train(name: str, stop: int | None = None, **given: Any) -> tuple[Network, History]:
    """Train a small network in batches of 128 and 72; `stop` is the step in which the process is asked to stop."""
    config = small.teacher(**{**SGD, "device": "cuda", **given})
    settings, seen = small.settings(**{**SGD, "device": "cuda", **given}), []
    with settings.computing():
        seed_everything(config.seed)
        making = Making(config, settings, name, small.DATASET.classes, small.DATASET.shape, dataset=small.DATASET,
                        run=Run(name))  # fmt: skip
        network = making.placed(making.network())

        def objective(batch: Batch) -> Tensor:
            seen.append(batch)
            if round(batch.progress * 2) + 1 == stop:
                os.kill(os.getpid(), signal.SIGTERM)
            return F.cross_entropy(network(batch.images).float(), batch.labels)

        return network, making.train(network, objective)


def state(network: Network) -> dict[str, Tensor]:
    return {name: value.cpu() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("augmentation", RANDOM)
def test_the_same_views(augmentation: Augmentation) -> None:
    images = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8)
    index = torch.arange(64)
    views = view(images, augmentation, 1, 2, index)
    assert torch.equal(view(images.cuda(), augmentation, 1, 2, index).cpu(), views)
    assert torch.equal(view(images.cuda(), augmentation, 1, 2, index.cuda()).cpu(), views)


def test_a_teacher_s_steps_are_those_of_the_cpu(store: Path) -> None:
    here, there = train("cpu", device="cpu", epochs=1), train("cuda", epochs=1)
    for name, value in state(here[0]).items():
        torch.testing.assert_close(state(there[0])[name], value, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(there[1].train_loss, here[1].train_loss, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("given", [{}, {"compile": True}, {"compile": True, "precision": "bfloat16"}])
def test_stopped_at_any_step_it_ends_bit_identical(store: Path, given: dict[str, Any]) -> None:
    network, history = train("straight", **given)
    for step in (1, 4):
        with pytest.raises(SystemExit):
            train("stopped", step, **given)
    again, resumed = train("stopped", **given)
    assert digest(again.state_dict(), "") == digest(network.state_dict(), "")
    assert torch.equal(resumed.train_loss, history.train_loss)
    assert torch.equal(resumed.validation, history.validation)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_replayed_passes_are_those_that_were_launched(store: Path, precision: str) -> None:
    launched, _ = train("launched", precision=precision)
    replayed, _ = train("replayed", precision=precision, compile=True)
    assert "forward" not in vars(replayed)
    for name, value in state(launched).items():
        torch.testing.assert_close(state(replayed)[name], value, rtol=1e-3, atol=1e-3)
    assert int(state(replayed)["blocks.0.1.num_batches_tracked"]) == 6  # recording leaves no trace


@pytest.mark.parametrize("teacher", ["one_hot", "exact_bcp", "deterministic", "mcmi"])
def test_a_student_is_made_from_start_to_end(store: Path, teacher: str) -> None:
    run = execute(small.student(teacher=teacher, device="cuda", compile=True, temperature=2, epochs=6))
    assert run.finished and run.provenance["hardware"]["device"].startswith("cuda")
    losses = run.history()["train_loss"]
    assert losses.iloc[-1] < losses.iloc[0] and run.metrics["test_nll"] < 4


def test_kept_answers_are_live_ones(tmp_path: Path) -> None:
    settings = small.settings(device="cuda")
    teacher = Teacher(settings.place(small.network()), settings, "teacher")
    split, rows = small.DATASET.train, torch.tensor([5, 199, 0, 17])
    batch = Batch(rows.cuda(), 3, split.take(rows).cuda(), split.labels[rows].cuda(), 3.0)

    def kept() -> Tensor:
        return Answers(teacher, split, torch.arange(200), "f", RANDOM[0], 3, tmp_path).probs(batch, 2.0)

    first = kept()
    live = teacher.probs(view(split.take(rows), RANDOM[0], 3, 3, rows), 2.0)
    torch.testing.assert_close(first, live, rtol=0, atol=1e-3)
    assert first.is_cuda and torch.equal(kept(), first)


def test_draws_depend_on_their_generator_alone() -> None:
    torch.manual_seed(0)
    network = bayesianize(
        build("cnn4", 10, 1, 8), VariationalConfig(**PUBLISHED, inducing_rows=4, inducing_columns=5)
    ).cuda()
    images = torch.rand(16, 1, 8, 8, device="cuda")

    def drawn(vectorised: bool, seed: int = 3) -> Tensor:
        generator = torch.Generator("cuda").manual_seed(seed)
        return sample_forward(network, images, 5, generator, vectorised)

    assert torch.equal(drawn(False), drawn(False))
    torch.testing.assert_close(drawn(True), drawn(False), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(drawn(False), drawn(False, seed=4), atol=1e-3)
    assert drawn(False).std(0).min() > 0


def test_the_closed_form_of_laplace_is_that_of_the_cpu() -> None:
    torch.manual_seed(0)
    network, images, labels = build("cnn4", 6, 1, 8).eval(), torch.rand(70, 1, 8, 8), torch.randint(6, (70,))
    here = fit(LaplaceConfig(), network, [(images, labels)], []).outputs(images)
    there = fit(LaplaceConfig(), network.cuda(), [(images.cuda(), labels.cuda())], []).outputs(images.cuda())
    torch.testing.assert_close(there.cpu(), here, rtol=1e-3, atol=1e-3)
