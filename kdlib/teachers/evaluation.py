"""What a teacher reaches: metrics, predictions and what they cost, and how far it is from the exact probabilities."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kdlib.base.hashing import stream
from kdlib.data.dataset import Dataset, Split
from kdlib.measures.metrics import divergence, measure
from kdlib.teachers.contract import PARTS, Teacher, combined_log, outputs_on

TEMPERATURES = (1, 2, 4, 8)
"""The grid of the studies' students, at which the distances are taken."""


def log_probs(
    teacher: Teacher, split: Split, samples: int, rates: list[float] | None = None, keys: Sequence[int] = ()
) -> Tensor:
    """Return a teacher's log-probabilities `(n, classes)`, float32, on a whole split.

    To `rates` is added, a batch each, how many seconds an image took; `keys` name the draws of a stochastic teacher.
    """
    values = []
    began = time.perf_counter()
    for outputs in outputs_on(teacher, split, samples, keys):
        if rates is not None:
            rates.append((time.perf_counter() - began) / outputs.shape[1])
        values.append(combined_log(outputs))
        began = time.perf_counter()
    return torch.cat(values)


def evaluate(
    teacher: Teacher, dataset: Dataset, samples: int | None = None, seed: int = 0
) -> tuple[dict[str, float], dict[str, Tensor], dict[str, Any]]:
    """Measure a teacher on validation and test images: metrics by name, float16 log-probabilities, and notes.

    The notes are for the provenance: the samples of each answer, and the wall time of a test image in seconds, from
    the stored pixels to the outputs: the median over batches of 500.
    """
    samples = samples or teacher.own_samples
    metrics: dict[str, float] = {}
    predictions: dict[str, Tensor] = {}
    torch.manual_seed(stream(seed, samples))  # a stochastic teacher's draws are its own, however it came here
    for part, split in (("val", dataset.val), ("test", dataset.test)):
        rates: list[float] = []
        values = log_probs(teacher, split, samples, rates, (seed, PARTS.index(part)))
        predictions[part] = values.half()
        metrics |= {f"{part}_{name}": v for name, v in measure(values, split.labels, split.bcp).items()}
    notes = {"eval_samples": samples, "prediction_seconds_per_image": statistics.median(rates)}
    return metrics, predictions, notes


def distances(teacher: Teacher, dataset: Dataset, samples: int, seed: int) -> dict[str, float]:
    """Return the mean KL(BCP ‖ teacher at T) in nats on splits whose Bayes class probabilities are known.

    On test images, and on the training images, which are what students see: a teacher that has learnt those by heart
    answers there with the labels, whatever it says of new images.

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
