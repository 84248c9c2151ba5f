"""The one training loop: teachers and students of every kind, killed and resumed at any step.

Batch order and views are pure functions of (seed, pass, image), so a checkpoint needs only the step, the trained
tensors, the optimiser's and the random states, and a resumed run ends bit-identical to one never interrupted.
A pass is one walk over the training indices; an epoch, in schedules and histories, is as many steps as a pass over
all the data takes. The two differ only for a subset trained with `match = steps`.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdlib import data
from kdlib.base import paths, progress
from kdlib.base.errors import NotFinite
from kdlib.data.dataset import Dataset, Split
from kdlib.data.options import Augmentation
from kdlib.data.views import view
from kdlib.training import checkpoints
from kdlib.training.config import TrainingConfig
from kdlib.training.guards import interruptible, memory_sentence
from kdlib.training.hardware import Hardware
from kdlib.training.schedule import Steps, learning_rate, optimizer_of, plan_steps

SAVE_EVERY = paths.number("KDLIB_SAVE_EVERY", 10)
"""Seconds between checkpoints, at least; a slow disk stretches it to 50 times a save. `$KDLIB_SAVE_EVERY` sets it."""
AHEAD = {"cuda": 64}
"""Steps whose views are made at once, elsewhere one: a GPU waits for each small kernel to be launched."""
RESIDENT = 2**32
"""Bytes of training pixels that the device keeps; of more, each batch is gathered from the machine's memory."""


@dataclass(frozen=True)
class Batch:
    """What a step sees: `index` `(n,)` rows of the training split, images as viewed, labels `(n,)`."""

    index: Tensor
    epoch: int
    """The pass, which together with the image and the augmentation seed fixes the view."""
    images: Tensor
    labels: Tensor
    progress: float
    """Full-data epochs done before this step."""


Objective = Callable[[Batch], Tensor]


@dataclass
class History:
    """What a training left behind."""

    train_loss: Tensor
    """`(steps,)`"""
    validation: Tensor
    """`(epochs, 2)`: NLL in nats and accuracy"""
    learning_rates: list[float]
    per_epoch: int
    best_epoch: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0
    """Time in the loop, over all sessions that led to the result."""

    def columns(self) -> dict[str, Any]:
        """Return one row a step, for a table; validation stands on the rows that end an epoch."""
        steps = len(self.train_loss)
        empty = torch.full((steps, 2), math.nan)
        empty[self.per_epoch - 1 :: self.per_epoch] = self.validation
        return {
            "step": list(range(1, steps + 1)),
            "epoch": [(s + 1) / self.per_epoch for s in range(steps)],
            "train_loss": self.train_loss.tolist(),
            "val_nll": empty[:, 0].tolist(),
            "val_accuracy": empty[:, 1].tolist(),
            "learning_rate": self.learning_rates,
        }


@torch.no_grad()
def predict(forward: Callable[[Tensor], Tensor], split: Split, hardware: Hardware) -> Tensor:
    """Return the outputs `(n, classes)`, float32, of a function of images on a whole split, 500 at a time."""
    parts = torch.split(torch.arange(len(split)), 500)
    with hardware.autocast():
        return torch.cat([forward(hardware.images(split.pixels[rows])).float().cpu() for rows in parts])


class _Batches:
    """The batches of a training split by step: gathered where its pixels lie, viewed where the network computes."""

    def __init__(self, split: Split, steps: Steps, config: TrainingConfig, hardware: Hardware) -> None:
        self.steps, self.hardware = steps, hardware
        self.split = split.to(hardware.torch_device) if split.pixels.nbytes <= RESIDENT else split
        self.augmentation = config.augmentation or Augmentation.NONE
        self.seed = config.seed if config.augmentation_seed is None else config.augmentation_seed
        self.pad = data.family_of(config.dataset).pad(split.pixels.shape[-1])
        self.ahead = AHEAD.get(hardware.torch_device.type, 1)
        self.order, self.number, self.block = steps.rows, -1, -1

    def at(self, step: int) -> Batch:
        """Return the batch of a step."""
        number, position = divmod(step, self.steps.per_pass)
        block, within = divmod(position, self.ahead)
        if number != self.number:
            self.order = self.steps.order(number).to(self.split.labels.device)
        if (number, block) != (self.number, self.block):
            self.number, self.block = number, block
            self._make(self.order[block * self.ahead * self.steps.batch_size :])
        part = slice(within * self.steps.batch_size, (within + 1) * self.steps.batch_size)
        images = self.hardware.images(self.views[part])
        return Batch(self.index[part], number, images, self.labels[part], step / self.steps.per_epoch)

    def _make(self, order: Tensor) -> None:
        """Gather and view the first images of an order, those of `ahead` steps."""
        device, index = self.hardware.torch_device, order[: self.ahead * self.steps.batch_size]
        pixels, self.labels = self.split.pixels[index].to(device), self.split.labels[index].to(device)
        self.index = index.to(device)
        self.views = view(pixels, self.augmentation, self.seed, self.number, self.index, self.pad)


class _Loop:
    """The state of one training, which `save` and `restore` move to and from disk."""

    def __init__(self, trained: nn.Module, steps: Steps, config: TrainingConfig, hardware: Hardware) -> None:
        self.trained, self.steps, self.step = trained, steps, 0
        self.optimizer = optimizer_of(config, trained.parameters())
        device = hardware.torch_device
        epochs = steps.total // steps.per_epoch
        rates = [learning_rate(config, s / steps.per_epoch) for s in range(steps.total)]
        self.history = History(
            torch.zeros(steps.total, device=device), torch.zeros(epochs, 2, dtype=torch.float64), rates, steps.per_epoch
        )
        self.checked = 0
        self.started = time.perf_counter()

    def check(self) -> None:
        """Stop where a loss was not finite."""
        bad = (~torch.isfinite(self.history.train_loss[self.checked : self.step])).nonzero()
        if len(bad):
            step = self.checked + int(bad[0])
            epoch, highest = step // self.steps.per_epoch + 1, max(self.history.learning_rates[:step], default=0.0)
            advice = f"a smaller learning_rate than {highest:g} may help"
            if highest == 0:  # none has moved the weights
                advice = "no learning rate has acted yet, so look at the images, the targets and the first weights"
            raise NotFinite(
                f"The training loss is {float(self.history.train_loss[step])} at step {step + 1} (epoch {epoch}): "
                f"{advice}."
            )
        self.checked = self.step

    def save(self, folder: Path, identity: str) -> None:
        self.check()  # a checkpoint is never poisoned
        tensors = {f"trained/{k}": v for k, v in self.trained.state_dict().items()}
        tensors |= {f"best/{k}": v for k, v in self.history.best.items()}
        tensors |= {"loss": self.history.train_loss[: self.step], "validation": self.history.validation}
        optimizer = checkpoints.optimizer_state(self.optimizer, tensors)
        state = {"identity": identity, "optimizer": optimizer, "random": checkpoints.random_state(tensors)}
        state |= {"best_epoch": self.history.best_epoch, "seconds": time.perf_counter() - self.started}
        checkpoints.save_step(folder, self.step, tensors, state)

    def restore(self, folder: Path, identity: str) -> None:
        found = checkpoints.newest(folder, identity)
        if found is None:
            return
        tensors, state = found

        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        self.trained.load_state_dict(part("trained/"))
        checkpoints.load_optimizer(self.optimizer, tensors, state["optimizer"])
        checkpoints.load_random_state(tensors, state["random"])
        self.step = self.checked = int(state["step"])
        self.started -= float(state["seconds"])
        self.history.train_loss[: self.step] = tensors["loss"].to(self.history.train_loss.device)
        self.history.validation, self.history.best_epoch = tensors["validation"].double(), int(state["best_epoch"])
        self.history.best = part("best/")


def fit(
    trained: nn.Module,
    objective: Objective,
    config: TrainingConfig,
    dataset: Dataset,
    hardware: Hardware,
    folder: Path,
    identity: str,
    forward: Callable[[Tensor], Tensor] | None = None,
    start_epoch: Callable[[int], None] | None = None,
) -> History:
    """Train a module's parameters by steps on `objective(batch)`, from the newest checkpoint if there is one.

    Args:
        trained: whose parameters are trained and whose state is kept: the network, with any auxiliary modules.
        objective: the scalar loss of a batch; it is called with `trained` in train mode, under autocast.
        folder: where checkpoints go; `identity` marks them as this config's.
        forward: images to logits for validation, called with `trained` in eval mode; `trained` itself by default.
        start_epoch: called with the number of each full-data epoch before its first step.

    Raises:
        NotFinite: a loss was not finite; the sentence says where.
        KeyboardInterrupt: the process was asked to stop; a checkpoint of the last step was written first.
    """
    steps = plan_steps(config, dataset)
    loop = _Loop(trained, steps, config, hardware)
    loop.restore(folder, identity)
    history, batches = loop.history, _Batches(dataset.train, steps, config, hardware)
    saved, wait = time.perf_counter(), SAVE_EVERY
    trained.train()
    bar = progress.bar(steps.total, loop.step, identity)
    with memory_sentence(steps.batch_size), interruptible() as asked:
        while loop.step < steps.total:
            if loop.step % steps.per_epoch == 0 and start_epoch is not None:
                start_epoch(loop.step // steps.per_epoch)
            batch = batches.at(loop.step)
            loop.optimizer.param_groups[0]["lr"] = history.learning_rates[loop.step]
            with hardware.autocast():
                loss = objective(batch)
            loop.optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            loop.optimizer.step()
            history.train_loss[loop.step] = loss.detach()
            loop.step += 1
            bar.update()
            if loop.step % steps.per_epoch == 0:
                loop.check()
                validate(loop, forward or trained, dataset, hardware)
            now = time.perf_counter()
            if asked() or now - saved > wait:
                loop.save(folder, identity)
                saved = time.perf_counter()
                wait = max(SAVE_EVERY, 50 * (saved - now))
            if asked():
                bar.close()
                raise SystemExit(143) if asked() == signal.SIGTERM else KeyboardInterrupt
    bar.close()
    history.train_loss, history.seconds = history.train_loss.cpu(), time.perf_counter() - loop.started
    trained.eval()
    return history


def validate(loop: _Loop, forward: Callable[[Tensor], Tensor], dataset: Dataset, hardware: Hardware) -> None:
    """Measure NLL and accuracy on the validation images and remember the weights of the best finite epoch.

    In float64, so that rounding does not choose between epochs.
    """
    loop.trained.eval()
    logits, labels = predict(forward, dataset.val, hardware).double(), dataset.val.labels
    loop.trained.train()
    epoch = loop.step // loop.steps.per_epoch
    nll, accuracy = F.cross_entropy(logits, labels), (logits.argmax(1) == labels).double().mean()
    past = loop.history.validation[: epoch - 1, 0].nan_to_num(nan=math.inf)
    loop.history.validation[epoch - 1] = torch.stack([nll, accuracy])
    if bool(nll.isfinite()) and (not len(past) or nll < past.min()):
        loop.history.best_epoch = epoch
        loop.history.best = {k: v.detach().clone() for k, v in loop.trained.state_dict().items()}
