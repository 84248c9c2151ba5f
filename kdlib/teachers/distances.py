"""How far a teacher's answers lie from the Bayes class probabilities at each temperature that students are taught at.

On test images, and on the training images, which are what students see: a teacher that has learnt those by heart
answers there with the labels, whatever it says of new images.
"""

from __future__ import annotations

import torch

from kdlib.data.dataset import Dataset
from kdlib.measures.metrics import divergence
from kdlib.teachers.contract import PARTS, Teacher, combined_log, outputs_on

TEMPERATURES = (1, 2, 4, 8)
"""The grid of the studies' students, at which the distances are taken."""


def distances(teacher: Teacher, dataset: Dataset, samples: int, seed: int) -> dict[str, float]:
    """Return the mean KL(BCP ‖ teacher at T) in nats on splits whose Bayes class probabilities are known.

    Names are `test_kl_to_bcp_t<T>` and `train_kl_to_bcp_t<T>` for each T of `TEMPERATURES`; with the latter
    `train_accuracy`, the share of training labels that the teacher's most probable class repeats. Nothing for a split
    without them.

    Args:
        samples: those of a stochastic teacher's answer.
        seed: names its draws, as for its other metrics.
    """
    found = {}
    for part, split in (("train", dataset.train), ("test", dataset.test)):
        if split.bcp is None:
            continue
        answers = [[combined_log(outputs, t) for t in TEMPERATURES]
                   for outputs in outputs_on(teacher, split, samples, (seed, PARTS.index(part)))]  # fmt: skip
        for t, batches in zip(TEMPERATURES, zip(*answers, strict=True), strict=True):
            found[f"{part}_kl_to_bcp_t{t}"] = float(divergence(split.bcp, torch.cat(batches)).mean())
        if part == "train":
            guesses = torch.cat([logs.argmax(1) for logs, *_ in answers])
            found["train_accuracy"] = float((guesses == split.labels).double().mean())
    return found
