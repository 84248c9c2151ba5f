"""Time student distillation beside a plain PyTorch loop, in one run: wrn_40_2 teaches wrn_40_1, batch 100, 32×32.

The plain loop transforms each image with torchvision in two DataLoader workers, runs the teacher live and computes in
float32; it has a process of its own, whose memory settings the library does not touch. The library's loop is
`fit` with the supervision and objective of `kdlib.students.distill`: a teacher's first student pays for its answers, a
later one reads what was kept. All take turns, so a slow moment meets all; validation is left out of all.

On a machine that others use, all loops compute with one thread: two would wait for each other at every barrier, which
costs either loop up to fifteen times, and hides what is compared. `OMP_NUM_THREADS` decides otherwise.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

from kdlib import models
from kdlib.base.config import Precision, RunType
from kdlib.data.dataset import Dataset, Split
from kdlib.data.options import BCPSource
from kdlib.models.network import flops as flops_of
from kdlib.runs.recipes import resolve
from kdlib.store.runs import Run
from kdlib.students import distill
from kdlib.students.config import StudentConfig
from kdlib.teachers.contract import Teacher
from kdlib.training import hardware
from kdlib.training import loop as training
from kdlib.training.hardware import Hardware

TEACHER, STUDENT, CLASSES, BATCH = "wrn_40_2", "wrn_40_1", 100, 100
STEPS = 5
"""Steps of a turn: 500 images, which is one batch of the teacher's answers."""
MOST, SECONDS = 9, 90.0
"""Rounds of turns at most; after so long no new one begins."""
MEAN, STD = (0.507, 0.487, 0.441), (0.267, 0.256, 0.276)
PARTS = ("data", "teacher", "student", "optimiser")
GOALS = {"bfloat16": (3.0, 4.0), "float32": (1.25, 2.3)}
"""Times the plain loop: for a teacher's first student, and for one that reads what was kept."""


class Clock:
    """Share out the time among the parts of a step."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.part = device, "rest"
        self.spent: dict[str, float] = defaultdict(float)
        self.since = time.perf_counter()

    def switch(self, part: str) -> None:
        """Charge the time since the last switch to the part that ends, once the device has done its work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        self.spent[self.part] += now - self.since
        self.part, self.since = part, now


def random_images(n: int) -> tuple[Tensor, Tensor]:
    """Return images `(n, 3, 32, 32)`, uint8, and labels `(n,)`."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return images, torch.randint(0, CLASSES, (n,), generator=generator)


class PlainImages(TorchDataset[tuple[Tensor, int]]):
    """Images as torchvision's CIFAR100 gives them, with the usual transforms."""

    def __init__(self, n: int) -> None:
        images, labels = random_images(n)
        self.images, self.labels = images.permute(0, 2, 3, 1).contiguous().numpy(), labels.tolist()
        self.transform = transforms.Compose([
            transforms.Pad(4, padding_mode="reflect"), transforms.RandomCrop(32), transforms.RandomHorizontalFlip(),
            transforms.ToTensor(), transforms.Normalize(MEAN, STD),
        ])  # fmt: skip

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[row])), self.labels[row]


def plain(connection: Connection, device: torch.device, threads: int) -> None:
    """Take `STEPS` steps whenever asked, as a user would write them; send the seconds of each part."""
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    teacher = models.build(TEACHER, CLASSES, 3).to(device).eval()
    student = models.build(STUDENT, CLASSES, 3).to(device).train()
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-3)
    # one loader for all turns: its queue is full when a turn begins and when it ends
    images_in_all = BATCH * (STEPS * (MOST + 1) + 8)
    batches = iter(DataLoader(PlainImages(images_in_all), BATCH, shuffle=True, num_workers=2))
    while connection.recv():
        clock = Clock(device)
        for _ in range(STEPS):
            clock.switch("data")
            images, labels = next(batches)
            images, labels = images.to(device), labels.to(device)
            clock.switch("teacher")
            with torch.no_grad():
                probs = torch.softmax(teacher(images), 1)
            clock.switch("student")
            loss = F.kl_div(F.log_softmax(student(images), 1), probs, reduction="batchmean")
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            clock.switch("optimiser")
            optimizer.step()
        clock.switch("rest")
        connection.send(dict(clock.spent))


def library(config: StudentConfig, images: Dataset, teacher: Teacher, settings: Hardware) -> dict[str, float]:
    """Take `STEPS` steps as `distill.fit` does; return the seconds of each part.

    The teacher's answers are read where its run keeps them, else computed and kept.
    """
    network = models.build(STUDENT, CLASSES, 3)
    network.set_normalisation(MEAN, STD)
    settings.place(network)
    if settings.compile:
        network.compile()
    clock, taken = Clock(settings.torch_device), []
    teach = distill.supervision(config, images, teacher, settings, Run(teacher.name))
    assert teach is not None

    def taught(batch: training.Batch) -> Tensor:
        clock.switch("teacher")
        probs = teach(batch)
        clock.switch("student")
        return probs

    inner = distill.objective(network, config, taught)

    def objective(batch: training.Batch) -> Tensor:
        clock.switch("student")
        return inner(batch)

    def stepped(*_: Any) -> None:
        taken.append(1)
        clock.switch("data" if len(taken) < STEPS else "rest")

    hooks = [
        register_optimizer_step_pre_hook(lambda *_: clock.switch("optimiser")),
        register_optimizer_step_post_hook(stepped),
    ]
    with tempfile.TemporaryDirectory() as folder, settings.computing():
        clock.switch("data")
        training.fit(network, objective, config, images, settings, Path(folder), identity="student")
    for hook in hooks:
        hook.remove()
    return dict(clock.spent)


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return the operations a second of a square matrix product, of a size that takes some hundredths of a second."""
    size, seconds = 128, 0.0
    while seconds < 0.02 and size < 16384:
        size *= 2
        a = torch.ones(size, size, device=device, dtype=dtype)
        seconds = min(_seconds(device, a) for _ in range(3))
    return 2 * size**3 / seconds


def _seconds(device: torch.device, a: Tensor) -> float:
    clock = Clock(device)
    clock.switch("product")
    a @ a
    clock.switch("rest")
    return clock.spent["product"]


def threads() -> int:
    """Return how many threads every loop computes with: torch's own number, or one on a machine that others use."""
    busy = os.getloadavg()[0] > 0.25 * (os.cpu_count() or 1) and "OMP_NUM_THREADS" not in os.environ
    return 1 if busy else torch.get_num_threads()


def measure(device: torch.device) -> tuple[Hardware, dict[str, list[dict[str, float]]], dict[str, list[float]]]:
    """Return the settings the library chooses, the turns of every loop and the matmul rates of every round."""
    given = {"dataset": "cifar100", "epochs": 1, "device": str(device), "threads": threads()}
    config = resolve(RunType.STUDENT, given)
    assert isinstance(config, StudentConfig)
    pixels, labels = random_images(BATCH * STEPS)
    rest = Split(pixels[:2], labels[:2])
    names = tuple(map(str, range(CLASSES)))
    images = Dataset("cifar100", Split(pixels, labels), rest, rest, names, BCPSource.NONE, "0" * 16, MEAN, STD)
    chosen = hardware.resolve(config, images.shape)
    teachers = {}
    for precision in {chosen.precision: None, str(Precision.FLOAT32): None}:
        settings = replace(chosen, precision=precision)
        network = settings.place(models.build(TEACHER, CLASSES, 3))
        teachers[precision] = Teacher(network, settings, f"teacher-{precision}")

    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=plain, args=(theirs, device, chosen.threads))
    process.start()
    theirs.close()  # so that `plain` ends when this process does
    turns: dict[str, list[dict[str, float]]] = defaultdict(list)
    rates: dict[str, list[float]] = defaultdict(list)
    started = time.perf_counter()
    with ours:
        for number in range(MOST + 1):
            if number > 1 and time.perf_counter() - started > SECONDS:
                break
            ours.send(True)
            taken = {"plain": ours.recv()}
            for precision, teacher in teachers.items():
                shutil.rmtree(Run(teacher.name).path, ignore_errors=True)
                for which in ("first", "kept"):
                    taken[f"{precision} {which}"] = library(config, images, teacher, teacher.hardware)
            if number:  # the first round warms up
                for name, spent in taken.items():
                    turns[name].append(spent)
            with chosen.computing():
                for dtype in (torch.float32, torch.bfloat16):
                    rates[str(dtype).removeprefix("torch.")].append(matmul_rate(device, dtype))
        ours.send(False)
        process.join()
    return chosen, turns, rates


def total(spent: dict[str, float]) -> float:
    """Return the seconds of a turn."""
    return sum(spent[part] for part in PARTS)


def report(device: torch.device) -> None:
    """Measure and print the table."""
    chosen, turns, rates = measure(device)
    rate = {dtype: statistics.median(values) for dtype, values in rates.items()}
    best = max(rate.values())
    flops = {name: BATCH * flops_of(models.build(name, CLASSES, 3), (3, 32, 32)) for name in (TEACHER, STUDENT)}
    print(f"{TEACHER} -> {STUDENT}, {CLASSES} classes, batch {BATCH}: {chosen.name}, {chosen.threads} threads")
    print(f"matrix products: {', '.join(f'{d} {r / 1e9:,.0f} GFLOP/s' for d, r in rate.items())}; the library chooses "
          f"{chosen.precision}; medians of {len(turns['plain'])} rounds")  # fmt: skip
    print(f"{'':<17}{'images/s':>9}{'best':>7}{'x plain':>9}{'goal':>6}  " + "".join(f"{p:>10}" for p in PARTS)
          + f"{'GFLOP/step':>12}{'of best rate':>13}")  # fmt: skip
    for name, spents in turns.items():
        precision, _, which = name.partition(" ")
        seconds = [total(spent) for spent in spents]
        ratio = statistics.median(total(a) / b for a, b in zip(turns["plain"], seconds, strict=True))
        goal = GOALS[precision][which == "kept"] if which else None
        shares = (statistics.median(spent[part] / total(spent) for spent in spents) for part in PARTS)
        step = 3 * flops[STUDENT] + (flops[TEACHER] if which != "kept" else 0)
        reached = step / (statistics.median(seconds) / STEPS) / best
        print(f"{name:<17}{BATCH * STEPS / statistics.median(seconds):9.0f}{BATCH * STEPS / min(seconds):7.0f}"
              f"{ratio:9.2f}{goal or '':>6}  " + "".join(f"{share:10.1%}" for share in shares)
              + f"{step / 1e9:12.1f}{reached:13.0%}")  # fmt: skip
    print("A student's backward pass counts as two forward passes. 'student' is its forward and backward pass, 'data' "
          "whatever the loop does besides; 'best' is the fastest round.")  # fmt: skip


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as store:
        os.environ["KDLIB_RUNS"] = store
        report(hardware.device_of(None))
