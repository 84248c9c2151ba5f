"""What kinds trained on the labels alone share: one network and a loss. (No torch.)"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kdlib.teachers.kind import Kind

if TYPE_CHECKING:
    from torch import Tensor

    from kdlib.teachers.making import Made, Making

Loss = Callable[["Tensor", "Tensor"], "Tensor"]
"""Logits `(n, classes)` and labels `(n,)` to a scalar."""


class OnLabels(Kind):
    """Train a network on the labels, from its parent's weights or new ones."""

    def loss(self, config: Any) -> Loss:
        """Return the loss: cross-entropy, unless a kind has another."""
        from torch.nn import functional as F

        return F.cross_entropy

    def fit(self, making: Making) -> Made:
        """Train from the run's newest checkpoint, or from the start."""
        from kdlib.teachers.making import Made

        network, loss = making.start(), self.loss(making.config)
        history = making.train(network, lambda batch: loss(network(batch.images), batch.labels))
        files = {"best.safetensors": history.best} if self.keeps_best else {}
        return Made(making.plain(network), network.state_dict(), history, files=files)
