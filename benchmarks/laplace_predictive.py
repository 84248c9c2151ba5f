"""Time the closed-form Laplace predictive beside the plain forward pass and laplace-torch's own, in one run.

A resnet18 with CIFAR stem and 100 classes: the closed form costs at most 1.1 times the plain pass at batch 100, in
memory that does not grow. laplace-torch needs seconds and gigabytes, so it is met at a smaller batch. (The file is not
called `laplace.py`: a script's folder comes first on the import path, and would hide the library.)
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from kdlib.models import build
from kdlib.teachers.laplace import LaplaceConfig, Link
from kdlib.teachers.laplace.fit import fit, posterior_of

CLASSES = 100
BATCH = 100
LIBRARY_BATCH = 10
"""laplace-torch takes 20 s and 8.7 GB at batch 100."""


def interleaved(tasks: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Return the seconds of each task, timed in turn so that a slow moment meets all of them."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for repeat in range(repeats + 1):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            if repeat:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    return times


def peak(task: Callable[[], object]) -> float:
    """Return the most megabytes that tensors made by a task take at once, from the profiler's allocations."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        task()
    held = most = 0
    for event in profile.profiler.kineto_results.events():  # in the order of time
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most / 2**20


def report(tasks: dict[str, Callable[[], object]], repeats: int, base: str) -> None:
    """Print each task's median time, the median over rounds of its ratio to `base`, and its peak memory."""
    times = interleaved(tasks, repeats)
    for name, values in times.items():
        ratio = statistics.median(a / b for a, b in zip(values, times[base], strict=True))
        milliseconds = 1e3 * statistics.median(values)
        print(f"  {name:<22} {milliseconds:8.1f} ms  {ratio:7.3f} x {base}  peak {peak(tasks[name]):8.1f} MB")


def main() -> None:
    """Fit on random images, time, and print seconds, ratios, memory and the largest difference."""
    from laplace import Laplace

    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler reports its own starts and stops otherwise
    torch.manual_seed(0)
    network = build("resnet18", CLASSES, 3).eval().to(memory_format=torch.channels_last)
    images, labels = torch.rand(BATCH, 3, 32, 32), torch.arange(BATCH) % CLASSES
    x = images.contiguous(memory_format=torch.channels_last)
    posterior = fit(LaplaceConfig(), network, [(x, labels)], [])
    links = {link: posterior_of(LaplaceConfig(link=link), network, posterior.state()) for link in Link}

    @torch.no_grad()
    def plain(batch: Tensor) -> Tensor:
        return network(batch).log_softmax(1)

    tasks: dict[str, Callable[[], object]] = {"plain pass": lambda: plain(x)}
    for link, one in links.items():
        tasks[f"closed form, {link}"] = lambda one=one: one.outputs(x)  # type: ignore[misc]
    print(f"resnet18, CIFAR stem, {CLASSES} classes, batch {BATCH}, {torch.get_num_threads()} threads")
    report(tasks, 7, "plain pass")

    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # laplace-torch needs it
    la = Laplace(network, "classification", "last_layer", "kron", last_layer_name="head")
    la.fit(DataLoader(TensorDataset(x, labels), batch_size=BATCH))
    la.prior_precision = posterior.prior_precision
    few = x[:LIBRARY_BATCH]
    tasks = {
        "plain pass": lambda: plain(few),
        "closed form, probit": lambda: posterior.outputs(few),
        "laplace-torch, probit": lambda: la(few, pred_type="glm", link_approx="probit"),
    }
    print(f"the same at batch {LIBRARY_BATCH}")
    report(tasks, 2, "closed form, probit")
    theirs = la(few, pred_type="glm", link_approx="probit")
    print(f"  largest difference of a probability: {float((posterior.outputs(few).exp() - theirs).abs().max()):.1e}")


if __name__ == "__main__":
    main()
