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

from kdlib.base.errors import InputError
from kdlib.teachers.mcmi import Centroids
from kdlib.training.loop import Batch

DECAY = 0.9999
"""What `running` centroids keep of themselves at a step."""


def conditional_mutual_information(log_probs: Tensor, labels: Tensor, centroids: Tensor) -> Tensor:
    """Return the mean over images of KL(p(·|x) ‖ Q_y), in nats.

    Args:
        log_probs: `(n, classes)`, normalised; −inf stands for a probability of zero.
        labels: `(n,)` int64.
        centroids: Q `(classes, classes)`, a row for each label; no gradient flows into it.
    """
    limits = torch.finfo(log_probs.dtype)
    finite = log_probs.clamp_min(limits.min)  # so that p ln p is 0 at p = 0, and not nan
    return _mean_divergence(finite, labels, centroids.detach().to(log_probs.dtype))


def _mean_divergence(log_probs: Tensor, labels: Tensor, centroids: Tensor) -> Tensor:
    """Return the mean KL(p(·|x) ‖ Q_y) of finite log-probabilities."""
    targets = centroids.clamp_min(torch.finfo(centroids.dtype).tiny).log_()[labels]
    return F.kl_div(targets, log_probs, reduction="batchmean", log_target=True)


def centroids(probs: Iterable[Tensor], labels: Tensor, classes: int) -> Tensor:
    """Return the mean probabilities of each class's images `(classes, classes)`, float32.

    Args:
        probs: batches `(b, classes)` that together have a row for each of `labels`, in the same order.
        labels: `(n,)` int64.
        classes: how many there are; a class without an image gets the uniform distribution.

    Raises:
        InputError: there are more or less rows than labels.
    """
    sums = torch.zeros(classes, classes, dtype=torch.float64, device=labels.device)
    done = 0
    for p in probs:
        part = labels[done : done + len(p)]
        done += len(p)
        if len(part) < len(p):
            break
        sums.index_add_(0, part, p.detach().to(sums))
    if done != len(labels):
        raise InputError(
            f"probs of {done} rows or more do not fit {len(labels)} labels: there must be one row a label."
        )
    counts = torch.bincount(labels, minlength=classes)[:, None]
    return torch.where(counts > 0, sums / counts.clamp_min(1), 1 / classes).float()


class MCMIObjective(nn.Module):
    """Give the loss CE − λ·CMI of a batch; its state holds the network and the centroids.

    Train the objective itself (`training.fit(objective, objective, …)`), so that checkpoints keep both, with
    `start_epoch` as the hook of that name and the network as `forward`.
    """

    centroids: Tensor

    def __init__(
        self,
        network: nn.Module,
        weight: float,
        batches: Iterable[tuple[Tensor, Tensor]],
        classes: int,
        mode: Centroids = Centroids.EPOCH,
        decay: float = DECAY,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Take the network to fine-tune.

        Args:
            network: images to logits `(n, classes)`.
            weight: λ, 0 to 1; the published ones are 0.1 to 0.25.
            batches: the clean training images and labels, in the network's layout, walked once a refresh.
            classes: how many there are.
            mode: where the centroids come from.
            decay: of the running centroids, 0 up to but not including 1.
            autocast: the context in which the network is run for the centroids.

        Raises:
            InputError: the weight, the mode or the decay is not allowed.
        """
        super().__init__()
        if not (math.isfinite(weight) and 0 <= weight <= 1):
            raise InputError(f"cmi_weight = {weight} is refused: allowed is 0 to 1.")
        if not 0 <= decay < 1:
            raise InputError(f"decay = {decay} is refused: allowed is 0 up to but not including 1.")
        if mode not in tuple(Centroids):
            raise InputError(f"centroids = {mode!r} is refused: allowed are {', '.join(Centroids)}.")
        self.network, self.weight, self.mode, self.decay = network, weight, Centroids(mode), decay
        self.batches, self.autocast = batches, autocast
        device = next(network.parameters()).device
        # not a number until the first epoch starts, so that forgetting the hook stops the training
        self.register_buffer("centroids", torch.full((classes, classes), math.nan, device=device))

    def start_epoch(self, epoch: int) -> None:
        """Compute the centroids where the mode asks for it: every epoch, or only before the first."""
        if self.mode is Centroids.EPOCH or not bool(torch.isfinite(self.centroids).all()):
            self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """Set the centroids to the exact class means of the network, in eval mode, on the clean images."""
        modes = [(module, module.training) for module in self.network.modules()]
        self.network.eval()
        classes, labels = len(self.centroids), []

        def probs() -> Iterator[Tensor]:
            for images, batch_labels in self.batches:
                labels.append(batch_labels.to(self.centroids.device))
                with self.autocast():
                    logits = self.network(images.to(self.centroids.device))
                yield logits.float().softmax(-1)

        try:
            rows = list(probs())
        finally:
            for module, training in modes:
                module.training = training
        self.centroids.copy_(centroids(rows, torch.cat(labels), classes))

    def forward(self, batch: Batch) -> Tensor:
        """Return the scalar loss CE − λ·CMI of a batch, in nats; running centroids move on, in train mode."""
        log_probs = self.network(batch.images).float().log_softmax(-1)
        cmi = _mean_divergence(log_probs, batch.labels, self.centroids)
        if self.mode is Centroids.RUNNING and self.training:
            self._follow(log_probs.detach().exp(), batch.labels)
        return torch.sub(F.nll_loss(log_probs, batch.labels), cmi, alpha=self.weight)

    @torch.no_grad()
    def _follow(self, probs: Tensor, labels: Tensor) -> None:
        """Move the centroids of the classes in a batch towards their means there."""
        counts = torch.bincount(labels, minlength=len(self.centroids))[:, None].clamp_min_(1)
        apart = torch.zeros_like(self.centroids).index_add_(0, labels, probs - self.centroids[labels])
        self.centroids.addcdiv_(apart, counts, value=1 - self.decay)
