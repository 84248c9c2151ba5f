"""What a teacher reaches on validation and test images: metrics, predictions and what they cost."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kdlib.base.hashing import stream
from kdlib.data.dataset import Dataset, Split
from kdlib.measures.metrics import measure
from kdlib.teachers.contract import PARTS, Teacher, combined_log, outputs_on


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
