"""Time a training step of CE − λ·CMI beside one of plain cross-entropy, and the refresh of the centroids.

A step costs at most 1.1 times a plain one; the refresh, one forward pass over the clean training images an epoch, is
printed beside it in plain steps.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdlib.models import build
from kdlib.teachers.mcmi.objective import Centroids, MCMIObjective
from kdlib.training.loop import Batch


def step(network: nn.Module, objective: Callable[[Batch], Tensor], batch: Batch) -> Callable[[], None]:
    """Return a task: one step of SGD."""
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, fused=True)

    def task() -> None:
        loss = objective(batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return task


def compare(name: str, classes: int, channels: int, size: int, n: int, repeats: int) -> None:
    """Print the median step of each objective, timed in turn, and the refresh of `n` images."""
    torch.manual_seed(0)
    plain = build(name, classes, channels, size).to(memory_format=torch.channels_last).train()
    images = torch.rand(n, channels, size, size).contiguous(memory_format=torch.channels_last)
    batch = Batch(index=torch.arange(n), epoch=0, images=images, labels=torch.arange(n) % classes, progress=0.0)
    tasks = {"cross-entropy": step(plain, lambda b: F.cross_entropy(plain(b.images), b.labels), batch)}
    objectives = {}
    for mode in (Centroids.EPOCH, Centroids.RUNNING):
        network = copy.deepcopy(plain)
        objectives[mode] = MCMIObjective(network, 0.2, [(images, batch.labels)], classes, mode)
        objectives[mode].start_epoch(0)
        objectives[mode].train()
        tasks[f"centroids {mode}"] = step(network, objectives[mode], batch)
    times: dict[str, list[float]] = {key: [] for key in [*tasks, "refresh"]}
    tasks["refresh"] = objectives[Centroids.EPOCH].refresh
    for repeat in range(repeats + 3):
        for key, task in tasks.items():
            start = time.perf_counter()
            task()
            if repeat > 2:
                times[key].append(time.perf_counter() - start)
    medians = {key: statistics.median(values) for key, values in times.items()}
    print(f"{name}, {classes} classes, batch {n}, {torch.get_num_threads()} threads")
    for key, value in medians.items():
        print(f"  {key:<18} {1e3 * value:8.2f} ms  {value / medians['cross-entropy']:5.3f} x a plain step")


if __name__ == "__main__":
    compare("cnn16", 10, 1, 8, 128, 200)
    compare("resnet20", 100, 3, 32, 64, 12)
