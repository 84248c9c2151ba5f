"""Maximum conditional mutual information: cross-entropy minus λ times the CMI of image and prediction.

For images X, labels Y and the predicted class Ŷ, whose distribution given an image is the network's p(·|x),

    I(X; Ŷ | Y) = mean over images of KL(p(·|x) ‖ Q_y),   Q_y = mean of p(·|x) over the images of class y.

A network of low CMI gives the same answer to every image of a class; a teacher of higher CMI tells them apart.
Source: Ye et al. 2024, "Bayes conditional distribution estimation for knowledge distillation based on conditional
mutual information", equations 5 to 10.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdlib.teachers.contract import evaluating
from kdlib.teachers.mcmi import Centroids
from kdlib.training.loop import Batch

DECAY = 0.9999
"""What `running` centroids keep of themselves at a step."""


def conditional_mutual_information(log_probs: Tensor, labels: Tensor, centroids: Tensor) -> Tensor:
    """Return the mean over images of KL(p(·|x) ‖ Q_y), in nats.

    Args:
        log_probs: `(n, classes)`, normalised and finite.
        labels: `(n,)` int64.
        centroids: Q `(classes, classes)`, a row for each label; no gradient flows into it.
    """
    targets = centroids.detach().to(log_probs.dtype).clamp_min(torch.finfo(log_probs.dtype).tiny).log_()[labels]
    return F.kl_div(targets, log_probs, reduction="batchmean", log_target=True)


def centroids(batches: Iterable[tuple[Tensor, Tensor]], classes: int) -> Tensor:
    """Return the mean probabilities of each class's images `(classes, classes)`, float32.

    Of batches of probabilities `(b, classes)` and labels `(b,)`; a class without an image gets the uniform
    distribution.
    """
    probs, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    sums = torch.zeros(classes, classes, dtype=torch.float64, device=labels.device)
    sums.index_add_(0, labels, probs.detach().double())
    counts = torch.bincount(labels, minlength=classes)[:, None]
    return torch.where(counts > 0, sums / counts.clamp_min(1), 1 / classes).float()


class MCMIObjective(nn.Module):
    """Give the loss CE − λ·CMI of a batch; its state holds the network and the centroids.

    Train the objective itself (`training.fit(objective, objective, …)`), so that checkpoints keep both, with
    `start_epoch` as the hook of that name and the network as `forward`.

    Args:
        network: images to logits `(n, classes)`, to be fine-tuned.
        weight: λ, 0 to 1; the published ones are 0.1 to 0.25.
        batches: the clean training images and labels as and where the network computes, walked once a refresh.
        classes: how many there are.
        mode: where the centroids come from.
        autocast: the context in which the network is run for the centroids.
    """

    centroids: Tensor

    def __init__(
        self,
        network: nn.Module,
        weight: float,
        batches: Iterable[tuple[Tensor, Tensor]],
        classes: int,
        mode: Centroids = Centroids.EPOCH,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        super().__init__()
        self.network, self.weight, self.mode = network, weight, mode
        self.batches, self.autocast = batches, autocast
        device = next(network.parameters()).device
        # not a number until the first epoch starts, so that forgetting the hook stops the training
        self.register_buffer("centroids", torch.full((classes, classes), math.nan, device=device))

    def start_epoch(self, epoch: int) -> None:
        """Compute the centroids where the mode asks for it: every epoch, or only before the first."""
        if self.mode is Centroids.EPOCH or not bool(torch.isfinite(self.centroids).all()):
            self.refresh()

    def refresh(self) -> None:
        """Set the centroids to the exact class means of the network, in eval mode, on the clean images."""

        def answers() -> Iterator[tuple[Tensor, Tensor]]:
            for images, labels in self.batches:
                with self.autocast():
                    logits = self.network(images)
                yield logits.float().softmax(-1), labels

        with evaluating(self.network):
            self.centroids.copy_(centroids(answers(), len(self.centroids)))

    def forward(self, batch: Batch) -> Tensor:
        """Return the scalar loss CE − λ·CMI of a batch, in nats; running centroids move on, in train mode."""
        log_probs = self.network(batch.images).float().log_softmax(-1)
        cmi = conditional_mutual_information(log_probs, batch.labels, self.centroids)
        if self.mode is Centroids.RUNNING and self.training:
            self._follow(log_probs.detach().exp(), batch.labels)
        return torch.sub(F.nll_loss(log_probs, batch.labels), cmi, alpha=self.weight)

    @torch.no_grad()
    def _follow(self, probs: Tensor, labels: Tensor) -> None:
        """Move the centroids of the classes in a batch towards their means there."""
        counts = torch.bincount(labels, minlength=len(self.centroids))[:, None].clamp_min_(1)
        apart = torch.zeros_like(self.centroids).index_add_(0, labels, probs - self.centroids[labels])
        self.centroids.addcdiv_(apart, counts, value=1 - DECAY)
