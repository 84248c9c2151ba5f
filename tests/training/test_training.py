"""The training loop: what a step does, and that stopping and going on changes no bit."""

from __future__ import annotations

import math
import os
import random
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
import torch
from torch import Tensor
from torch.nn import functional as F

from kdlib.base.errors import KdlibError, NotFinite
from kdlib.data.dataset import Dataset, Split
from kdlib.data.options import Augmentation
from kdlib.data.views import view
from kdlib.models.network import Network
from kdlib.teachers.kind import TeacherConfig
from kdlib.training import loop as training
from kdlib.training.hardware import seed_everything
from kdlib.training.loop import Batch, History
from kdlib.training.schedule import plan_steps

PER_EPOCH = 2  # 200 images, 128 a step


def train(folder: Path, config: TeacherConfig, stop: tuple[int, int] | None = None, noisy: bool = False,
          seen: list[Batch] | None = None) -> tuple[Network, History]:  # fmt: skip
    """Train a small network; `stop` is a step and the signal that the process gets within it."""
    network, settings = small.network(config.seed), small.settings(threads=1)

    def objective(batch: Batch) -> Tensor:
        if stop is not None and round(batch.progress * PER_EPOCH) == stop[0] - 1:
            os.kill(os.getpid(), stop[1])
        if seen is not None:
            seen.append(batch)
        images = batch.images
        if noisy:  # an objective may draw from any generator
            images = images + torch.randn(images.shape) * (random.random() + np.random.rand() + random.gauss(0, 1))
        return F.cross_entropy(network(images), batch.labels)

    return network, training.fit(network, objective, config, small.DATASET, settings, folder, "me")


def same(a: tuple[Network, History], b: tuple[Network, History]) -> bool:
    states = a[0].state_dict(), b[0].state_dict()
    histories = [(h.train_loss, h.validation, *(h.best[name] for name in states[0])) for _, h in (a, b)]
    return (
        all(torch.equal(states[0][name], states[1][name]) for name in states[0])
        and all(torch.equal(x, y) for x, y in zip(*histories, strict=True))
        and a[1].best_epoch == b[1].best_epoch
        and a[1].learning_rates == b[1].learning_rates
    )


def test_the_same_seed_gives_the_same_bits(tmp_path: Path) -> None:
    one, two, other = (train(tmp_path / n, small.teacher(seed=s)) for n, s in (("a", 0), ("b", 0), ("c", 1)))
    assert same(one, two)
    assert not same(one, other)


@pytest.mark.parametrize(
    "given",
    [
        {"optimizer": "adam"},
        {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 1e-3, "schedule": "steps", "lr_decay_epochs": "1+2"},
        {"optimizer": "sgd", "momentum": 0.0, "fraction": 0.3, "batch_size": 40},
    ],
)
def test_stopped_at_any_step_it_ends_bit_identical(tmp_path: Path, given: dict[str, Any]) -> None:
    config = small.teacher(**given)
    straight = train(tmp_path / "straight", config, noisy=True)
    for step, number in ((1, signal.SIGTERM), (2, signal.SIGINT), (4, signal.SIGTERM)):
        with pytest.raises((SystemExit, KeyboardInterrupt)):
            train(tmp_path / "stopped", config, (step, number), noisy=True)
    assert same(train(tmp_path / "stopped", config, noisy=True), straight)


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_leaves_a_checkpoint_of_its_very_step(tmp_path: Path, number: int, error: type[BaseException]) -> None:
    with pytest.raises(error) as stopped:
        train(tmp_path, small.teacher(), (3, number))
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000003.safetensors"]
    if number == signal.SIGTERM:
        assert stopped.value.code == 143  # type: ignore[attr-defined]


@pytest.mark.parametrize("harm", ["cut", "flip"])
def test_a_torn_checkpoint_costs_no_bit(tmp_path: Path, harm: str) -> None:
    straight = train(tmp_path / "straight", small.teacher())
    for step in (2, 5):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "torn", small.teacher(), (step, signal.SIGINT))
    newest = tmp_path / "torn" / "step-000000005.safetensors"
    whole = newest.read_bytes()
    middle = len(whole) // 2
    newest.write_bytes(whole[:middle] + (bytes([whole[middle] ^ 4]) + whole[middle + 1 :] if harm == "flip" else b""))
    seen: list[Batch] = []
    with pytest.warns(UserWarning, match="step-000000005"):
        again = train(tmp_path / "torn", small.teacher(), seen=seen)
    assert same(again, straight)
    assert round(seen[0].progress * PER_EPOCH) == 2  # it went on from the one before
    assert (tmp_path / "torn" / "step-000000005.safetensors.corrupt").read_bytes() != whole


def test_checkpoints_come_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path / "seldom", small.teacher())
    assert not (tmp_path / "seldom").exists()
    monkeypatch.setattr(training, "SAVE_EVERY", 0.0)
    train(tmp_path / "often", small.teacher())
    assert list((tmp_path / "often").iterdir())


def test_a_loss_that_is_not_finite_stops_with_a_sentence(tmp_path: Path) -> None:
    network, config = small.network(), small.teacher()

    def objective(batch: Batch) -> Tensor:
        loss = F.cross_entropy(network(batch.images), batch.labels)
        return loss * math.inf if batch.progress >= 1.5 else loss

    with pytest.raises(NotFinite) as stopped:
        training.fit(network, objective, config, small.DATASET, small.settings(), tmp_path, "me")
    assert "is inf at step 4 (epoch 2): a smaller learning_rate than 0.001 may help." in str(stopped.value)


def test_no_checkpoint_is_poisoned(tmp_path: Path) -> None:
    network = small.network()

    def objective(batch: Batch) -> Tensor:
        os.kill(os.getpid(), signal.SIGINT)
        return network(batch.images).sum() * math.nan

    with pytest.raises(NotFinite, match=r"is nan at step 1 \(epoch 1\): no learning rate has acted yet"):
        training.fit(network, objective, small.teacher(), small.DATASET, small.settings(), tmp_path, "me")
    assert not list(tmp_path.iterdir())


def test_a_rate_is_blamed_from_the_step_on_at_which_it_has_acted(tmp_path: Path) -> None:
    """A warm-up begins at 0, so the second loss is still that of the first weights."""
    config = small.teacher(warmup_epochs=1)
    for bad, says in ((1, "no learning rate has acted yet"), (2, "a smaller learning_rate than 0.0005 may help")):
        network = small.network()

        def objective(batch: Batch, network: Network = network, bad: int = bad) -> Tensor:
            loss = F.cross_entropy(network(batch.images), batch.labels)
            return loss * math.nan if round(batch.progress * PER_EPOCH) == bad else loss

        with pytest.raises(NotFinite, match=f"is nan at step {bad + 1} .*{says}"):
            training.fit(network, objective, config, small.DATASET, small.settings(), tmp_path / str(bad), "me")


def test_memory_that_runs_out_names_batch_size(tmp_path: Path) -> None:
    network = small.network()
    with pytest.raises(KdlibError, match="batch_size = 100 needs more memory than there is"):
        training.fit(
            network, lambda batch: torch.empty(1 << 50).sum(), small.teacher(batch_size=100), small.DATASET,
            small.settings(), tmp_path, "me",
        )  # fmt: skip


def test_a_step_of_sgd_is_the_rate_times_the_gradient(tmp_path: Path) -> None:
    config = small.teacher(optimizer="sgd", momentum=0, weight_decay=0.01, learning_rate=0.5, epochs=1, batch_size=200,
                           schedule="constant")  # fmt: skip
    before = small.network()
    loss = F.cross_entropy(before.train()(small.DATASET.train.images), small.DATASET.train.labels)
    (gradient,) = torch.autograd.grad(loss, [before.head.weight])
    expected = before.head.weight - 0.5 * (gradient + 0.01 * before.head.weight)
    after, history = train(tmp_path, config)
    assert torch.allclose(after.head.weight, expected, atol=1e-6)
    assert float(history.train_loss[0]) == pytest.approx(loss.item(), rel=1e-5)


def test_every_image_is_seen_once_a_pass_with_its_label(tmp_path: Path) -> None:
    seen: list[Batch] = []
    train(tmp_path, small.teacher(batch_size=64, epochs=2), seen=seen)
    assert [batch.epoch for batch in seen] == [0] * 4 + [1] * 4
    assert [batch.progress for batch in seen] == [s / 4 for s in range(8)]
    for number in (0, 1):
        rows = torch.cat([batch.index for batch in seen if batch.epoch == number])
        assert torch.equal(rows.sort().values, torch.arange(200))
    for batch in seen:
        assert torch.equal(batch.images, small.DATASET.train.take(batch.index))
        assert torch.equal(batch.labels, small.DATASET.train.labels[batch.index])


def pictures(n: int = 70) -> Dataset:
    """Return `n` uint8 images with which a crop makes a difference."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (n, 1, 8, 8), dtype=torch.uint8, generator=generator)
    split = Split(pixels, torch.randint(0, 10, (n,), generator=generator))
    return replace(small.DATASET, train=split, val=split, test=split)


def weights(folder: Path, config: TeacherConfig, stop: int | None = None) -> dict[str, Tensor]:
    """Return the weights of a network trained on `pictures`; `stop` is a step in which the process is asked to."""
    network, settings = small.network(), small.settings()

    def objective(batch: Batch) -> Tensor:
        if stop is not None and round(batch.progress * 5) == stop - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return F.cross_entropy(network(batch.images), batch.labels)

    training.fit(network, objective, config, pictures(), settings, folder, "me")
    return network.state_dict()


VIEWED: dict[str, Any] = {
    "augmentation": "reflect_crop_flip",
    "batch_size": 16,
    "optimizer": "sgd",
    "schedule": "constant",
    "epochs": 2,
}


def test_fit_is_a_plain_loop(tmp_path: Path) -> None:
    config, network, train = small.teacher(**VIEWED, learning_rate=0.1), small.network(), pictures().train
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=float(config.weight_decay or 0),
                                fused=True)  # fmt: skip
    network.train()
    for number in (0, 1):
        for rows in plan_steps(config, pictures()).order(number).split(16):
            images = view(train.pixels[rows], Augmentation.REFLECT_CROP_FLIP, 0, number, rows).float().div_(255)
            images = images.contiguous(memory_format=torch.channels_last)
            optimizer.zero_grad()
            torch.autograd.backward(F.cross_entropy(network(images), train.labels[rows]))
            optimizer.step()
    found = weights(tmp_path, config)
    assert all(torch.equal(found[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize("ahead", [2, 3, 64])
@pytest.mark.parametrize("resident", [0, 2**32])
def test_views_made_ahead_are_those_made_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: int, resident: int
) -> None:
    config = small.teacher(**VIEWED, fraction=0.7)
    expected = weights(tmp_path / "in time", config)
    monkeypatch.setattr(training, "AHEAD", {"cpu": ahead})
    monkeypatch.setattr(training, "RESIDENT", resident)
    for step in (2, 3, 6):  # in the midst of what was made ahead
        with pytest.raises(SystemExit):
            weights(tmp_path / "ahead", config, step)
    found = weights(tmp_path / "ahead", config)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_subset_keeps_its_steps_and_repeats_its_passes(tmp_path: Path) -> None:
    seen: list[Batch] = []
    _, history = train(tmp_path, small.teacher(batch_size=64, epochs=2, fraction=0.25), seen=seen)
    assert len(history.train_loss) == len(seen) == 8
    assert [batch.epoch for batch in seen] == [0, 1, 2, 3, 4, 5, 6, 7]  # 50 images: one step a pass
    assert len({int(i) for batch in seen for i in batch.index}) == len(seen[0].index) <= 53


def test_validation_is_that_of_the_network_in_eval_mode(tmp_path: Path) -> None:
    network, history = train(tmp_path, small.teacher(schedule="constant"))
    assert not network.training
    with torch.no_grad():
        logits = network(small.DATASET.val.images)
    nll = F.cross_entropy(logits, small.DATASET.val.labels)
    accuracy = (logits.argmax(1) == small.DATASET.val.labels).float().mean()
    assert torch.allclose(history.validation[-1], torch.stack([nll, accuracy]).double(), atol=1e-5)


def test_the_best_epoch_is_kept(tmp_path: Path) -> None:
    config = small.teacher(epochs=12, learning_rate=0.1)
    network, history = train(tmp_path, config)
    best = int(history.validation[:, 0].argmin())
    assert history.best_epoch == best + 1
    network.load_state_dict(history.best)
    settings = small.settings()
    nll = F.cross_entropy(training.predict(network.eval(), small.DATASET.val, settings), small.DATASET.val.labels)
    assert float(nll) == pytest.approx(float(history.validation[best, 0]), rel=1e-6)


def test_history_has_a_row_a_step_and_validation_at_each_epoch_s_end(tmp_path: Path) -> None:
    _, history = train(tmp_path, small.teacher(schedule="cosine"))
    columns = history.columns()
    assert columns["step"] == [1, 2, 3, 4, 5, 6]
    assert columns["epoch"] == [0.5, 1, 1.5, 2, 2.5, 3]
    assert [math.isnan(value) for value in columns["val_nll"]] == [True, False] * 3
    assert columns["val_accuracy"][1::2] == history.validation[:, 1].float().tolist()
    assert columns["learning_rate"] == pytest.approx([0.5e-3 * (1 + math.cos(math.pi * s / 6)) for s in range(6)])


def test_epochs_are_announced_before_their_first_step(tmp_path: Path) -> None:
    network, announced = small.network(), []
    seed_everything(0)
    training.fit(
        network, lambda batch: network(batch.images).square().mean(), small.teacher(), small.DATASET, small.settings(),
        tmp_path, "me", start_epoch=announced.append,
    )  # fmt: skip
    assert announced == [0, 1, 2]
