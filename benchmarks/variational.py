"""Time variational teachers against plain passes of their deterministic twin, side by side in one run.

One thread and its CPU time, which a busy machine disturbs least.

Prints ratios: ten samples against ten plain forward passes (at most 1.15 at wrn_40_2 size), ten samples against
one at `digits` size (at most 5 at batch 8, at most 10 at batch 128), training steps against a plain one, and a block
of images with the batch norms of each draw against one with the running ones (at most 1.2).
"""

from __future__ import annotations

import copy
import itertools
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlib.data.dataset import Split
from kdlib.models import build
from kdlib.runs.recipes import resolve
from kdlib.teachers.contract import outputs_on
from kdlib.teachers.variational import PUBLISHED, Family, VariationalConfig, norms
from kdlib.teachers.variational.bayesianize import bayesianize, kl
from kdlib.teachers.variational.sampling import sample_forward
from kdlib.teachers.variational.teacher import BLOCK, Drawn
from kdlib.training.hardware import resolve as resolve_hardware

SAMPLES = 10


def interleaved(tasks: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median seconds of each task, timed in turn so that a slow moment meets all of them."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            start = time.process_time()
            task()
            times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def twins(name: str, classes: int, channels: int, size: int) -> dict[str, nn.Module]:
    """Return the plain network and its Bayesian twins, all of one initialisation."""
    torch.manual_seed(0)
    plain = build(name, classes, channels, size).to(memory_format=torch.channels_last)
    configs = {str(family): VariationalConfig(**{**PUBLISHED, "family": family}) for family in Family}
    return {"plain": plain, **{name: bayesianize(copy.deepcopy(plain), config) for name, config in configs.items()}}


def separate(network: nn.Module, x: Tensor) -> Callable[[], None]:
    """Return a task: SAMPLES separate predictions with one weight draw."""

    def task() -> None:
        for _ in range(SAMPLES):
            sample_forward(network, x, 1)

    return task


def images(n: int, channels: int, size: int) -> Tensor:
    """Return random images, channels last."""
    return torch.rand(n, channels, size, size).contiguous(memory_format=torch.channels_last)


def passes(network: nn.Module, x: Tensor) -> Callable[[], None]:
    """Return a task: SAMPLES separate passes of a plain network."""

    def task() -> None:
        with torch.no_grad():
            for _ in range(SAMPLES):
                network.eval()(x)

    return task


def sampling(network: nn.Module, x: Tensor, samples: int, vectorised: bool | None = None) -> Callable[[], Tensor]:
    """Return a task: one prediction with `samples` weight draws."""
    return lambda: sample_forward(network, x, samples, vectorised=vectorised)


def step(network: nn.Module, x: Tensor) -> Callable[[], None]:
    """Return a task: one training step, with its KL where the network is Bayesian."""
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    labels = torch.zeros(len(x), dtype=torch.int64)
    bayesian = any("posterior" in name for name, _ in network.named_parameters())

    def task() -> None:
        network.train()
        optimiser.zero_grad()
        loss = F.cross_entropy(network(x), labels)
        if bayesian:
            loss = loss + kl(network) / 45_000
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return task


def block(name: str, channels: int, size: int, samples: int, repeats: int) -> dict[str, float]:
    """Return the seconds that the answers on a block of images take, with either statistics of the batch norms."""
    settings = resolve_hardware(resolve("teacher", {"threads": 1}), (channels, size, size))
    pixels = (255 * torch.rand(BLOCK, channels, size, size)).to(torch.uint8)
    split = Split(pixels, torch.zeros(BLOCK, dtype=torch.int64))
    network = twins(name, 10, channels, size)["inducing"]
    drawn = Drawn(copy.deepcopy(network), settings, "draw", 0, pixels[:256])
    running = Drawn(network, settings, "running")
    found = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm, own in zip(found, norms.norms(drawn.network), strict=True):
        assert own.given is not None and norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.copy_(own.given[0])  # of like size: the time of a max-pool depends on its values
        norm.running_var.copy_(own.given[1])
    turn = itertools.count()
    tasks = {t.name: lambda t=t: list(outputs_on(t, split, samples, (next(turn),))) for t in (drawn, running)}
    return interleaved(tasks, repeats)


def main() -> None:
    """Print every comparison."""
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} thread, CPU time; medians of interleaved repeats")

    networks = twins("wrn_40_2", 100, 3, 32)
    x = images(100, 3, 32)
    tasks: dict[str, Callable[[], object]] = {"plain": passes(networks["plain"], x)}
    tasks |= {str(family): sampling(networks[family], x, SAMPLES) for family in Family}
    times = interleaved(tasks, 2)
    print(f"\nwrn_40_2, batch 100: ten plain passes {times['plain']:.2f} s")
    for family in Family:
        print(f"  {family:10}  ten samples / ten plain passes  {times[family] / times['plain']:.3f}  (at most 1.15)")
    times = interleaved({name: step(network, x) for name, network in networks.items()}, 2)
    print(f"wrn_40_2, batch 100: plain training step {times['plain']:.2f} s")
    for family in Family:
        print(f"  {family:10}  training step / plain step      {times[family] / times['plain']:.3f}")

    networks = twins("cnn16", 10, 1, 8)
    for n, most in ((8, 5), (128, 10), (512, 10)):
        x = images(n, 1, 8)
        print(f"\ncnn16, 8 x 8 pixels, batch {n}")
        for family in Family:
            network = networks[family]
            tasks = {
                "one": sampling(network, x, 1),
                "ten": sampling(network, x, SAMPLES),
                "loop": separate(network, x),
                "plain": passes(networks["plain"], x),
            }
            times = interleaved(tasks, 60)
            print(
                f"  {family:10}  one sample {1000 * times['one']:.2f} ms; ten / one {times['ten'] / times['one']:.2f}"
                f"  (at most {most}); ten / ten separate calls {times['ten'] / times['loop']:.2f}"
                f"; ten / ten plain passes {times['ten'] / times['plain']:.2f}"
            )
    x = images(128, 1, 8)
    times = interleaved({name: step(network, x) for name, network in networks.items()}, 60)
    print(f"cnn16, batch 128: plain training step {1000 * times['plain']:.2f} ms")
    for family in Family:
        print(f"  {family:10}  training step / plain step      {times[family] / times['plain']:.3f}")

    print(f"\na block of {BLOCK} images, batch norms of each draw / running ones (at most 1.2)")
    for name, channels, size, samples, repeats in (("cnn16", 1, 8, 10, 20), ("resnet20", 3, 16, 1, 5)):
        times = block(name, channels, size, samples, repeats)
        print(f"  {name:10}  {samples} samples  {times['draw'] / times['running']:.3f}")


if __name__ == "__main__":
    main()
