"""Teachers trained on the labels alone, by a loss of their logits: maximum likelihood."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from kdlib import training
from kdlib.config import TeacherConfig, TeacherKind
from kdlib.data import Dataset
from kdlib.hardware import Hardware
from kdlib.runs import Run


def loss_of(config: TeacherConfig) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss `(logits (n, classes), labels (n,)) -> scalar` of a kind."""
    losses: dict[TeacherKind, Callable[[Tensor, Tensor], Tensor]] = {TeacherKind.DETERMINISTIC: F.cross_entropy}
    return losses[config.kind]


def train(
    network: nn.Module, config: TeacherConfig, dataset: Dataset, hardware: Hardware, run: Run
) -> training.History:
    """Train a network on the labels, from the run's newest checkpoint if there is one."""
    loss = loss_of(config)
    return training.fit(
        network,
        lambda batch: loss(network(batch.images), batch.labels),
        config,
        dataset,
        hardware,
        run.checkpoints,
        identity=run.name,
        label=run.name,
    )
