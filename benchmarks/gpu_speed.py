"""Images per second of training steps on a GPU: the library's beside a plain loop that does the same work.

    python benchmarks/gpu_speed.py [--teacher resnet56] [--student resnet20] [--out rates.jsonl]

The plain loop is written for speed alone: pixels on the device, bfloat16, channels-last, and the whole step (forward,
backward, optimiser) one CUDA graph. The library's step is that of `training.fit`, with deterministic kernels,
launched one by one (`library`) or replayed (`graphs`, which is `compile: true`). A student's targets are read from a
table, as kept answers are. Last, several such trainings share the card, each a process: what matters is the sum.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import queue
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kdlib import models
from kdlib.base.config import RunType
from kdlib.data.dataset import Dataset, Split
from kdlib.data.options import BCPSource
from kdlib.runs.recipes import resolve
from kdlib.store.runs import Run
from kdlib.students import distill
from kdlib.students.config import StudentConfig
from kdlib.teachers.contract import Teacher
from kdlib.teachers.making import Making
from kdlib.training import hardware
from kdlib.training.config import TrainingConfig
from kdlib.training.loop import Batch

CLASSES, BATCH, IMAGES, SIDE = 100, 64, 64 * 700, 32
MEAN, STD = (0.507, 0.487, 0.441), (0.267, 0.256, 0.276)
SECONDS, WARM = 4.0, 30
"""Of a measurement, after so many steps that are not counted."""
TOGETHER = (1, 2, 4)


class Done(Exception):
    """End a training that has been measured."""


class Clock:
    """Count steps from the end of the warm-up on, for some seconds."""

    def __init__(self, device: torch.device, seconds: float, warm: int, ready: Callable[[], Any]) -> None:
        self.device, self.seconds, self.warm, self.ready = device, seconds, warm, ready
        self.steps, self.started, self.rate = -warm, 0.0, 0.0

    def now(self) -> float:
        """Return the time at which the device has done all it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def tick(self) -> None:
        """Note that a step begins; raise `Done` once there are enough."""
        if self.steps == 0:
            self.ready()
            self.started = self.now()
        if self.steps > 0 and time.perf_counter() - self.started > self.seconds:
            self.rate = self.steps * BATCH / (self.now() - self.started)
            raise Done
        self.steps += 1


def random_images() -> Dataset:
    """Return images, labels and class probabilities without meaning."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (IMAGES, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, CLASSES, (IMAGES,), generator=generator)
    bcp = torch.rand(IMAGES, CLASSES, generator=generator).pow(8)
    rest = Split(pixels[:500], labels[:500])
    names = tuple(map(str, range(CLASSES)))
    train = Split(pixels, labels, bcp / bcp.sum(1, keepdim=True))
    return Dataset("cifar100", train, rest, rest, names, BCPSource.NONE, "0" * 16, MEAN, STD)


def config_of(architecture: str, taught: bool, device: str, graphs: bool) -> TrainingConfig:
    """Return the config of a training at the papers' settings."""
    given = {"dataset": "cifar100", "preset": "mcmi", "architecture": architecture, "device": device, "compile": graphs}
    config = resolve(RunType.STUDENT if taught else RunType.TEACHER, given)
    assert isinstance(config, TrainingConfig)
    return config


def library(clock: Clock, images: Dataset, architecture: str, taught: bool, graphs: bool) -> float:
    """Return the images a second of the library's own loop."""
    config = config_of(architecture, taught, str(clock.device), graphs)
    settings = hardware.resolve(config, images.shape)
    with tempfile.TemporaryDirectory() as store, settings.computing():
        os.environ["KDLIB_RUNS"] = store
        making = Making(config, settings, "speed", images.classes, images.shape, dataset=images, run=Run("speed"))
        network = making.placed(making.network())
        inner = lambda batch: F.cross_entropy(network(batch.images).float(), batch.labels)  # noqa: E731
        if isinstance(config, StudentConfig):
            assert images.train.bcp is not None
            table = images.train.bcp.to(clock.device)
            inner = distill.objective(network, config, lambda batch: table[batch.index])

        def objective(batch: Batch) -> Tensor:
            clock.tick()
            return inner(batch)

        try:
            making.train(network, objective)
        except Done:
            return clock.rate
    raise SystemExit("The training ended before it was measured.")


def plain(clock: Clock, images: Dataset, architecture: str, taught: bool) -> float:
    """Return the images a second of a loop with nothing but speed in mind."""
    device, cuda = clock.device, clock.device.type == "cuda"
    if cuda:  # whatever kernels are fastest
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark = True
    network = models.build(architecture, CLASSES, 3).to(device, memory_format=torch.channels_last)  # type: ignore
    network.train().set_normalisation(MEAN, STD)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, fused=True)
    assert images.train.bcp is not None
    data = (images.train.pixels.to(device), images.train.labels.to(device), images.train.bcp.to(device))
    x = torch.zeros(BATCH, 3, SIDE, SIDE, device=device).to(memory_format=torch.channels_last)
    y, q = data[1][:BATCH].clone(), data[2][:BATCH].clone()
    side, every = torch.arange(SIDE, device=device), torch.arange(BATCH, device=device)[:, None, None]

    def load(rows: Tensor) -> None:
        down, across = torch.randint(0, 9, (2, BATCH, 1), device=device)
        flip = torch.rand(BATCH, 1, device=device) < 0.5
        padded = F.pad(data[0][rows], (4, 4, 4, 4)).permute(0, 2, 3, 1)
        columns = torch.where(flip, SIDE - 1 - side, side) + across
        seen = padded[every, (side + down)[:, :, None], columns[:, None, :]]
        x.copy_(seen.permute(0, 3, 1, 2)).div_(255)
        y.copy_(data[1][rows])
        q.copy_(data[2][rows])

    def compute() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=cuda):
            logits = network(x)
        loss = F.cross_entropy(logits.float(), y)
        if taught:
            soft = F.kl_div(F.log_softmax(logits.float() / 4, 1), q, reduction="batchmean")
            loss = 0.1 * loss + 0.9 * 16 * soft
        torch.autograd.backward(loss)
        optimizer.step()

    step = compute
    if cuda:
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(3):
                compute()
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            compute()
        step = graph.replay
    try:
        while True:
            for rows in torch.randperm(IMAGES, device=device).split(BATCH):
                clock.tick()
                load(rows)
                step()
    except Done:
        return clock.rate


def answers(images: Dataset, architecture: str, device: torch.device, seconds: float) -> float:
    """Return the images a second that a teacher answers, as when a student's first pass asks it."""
    settings = hardware.resolve(config_of(architecture, False, str(device), False), images.shape)
    teacher = Teacher(settings.place(models.build(architecture, CLASSES, 3)), settings, "speed")
    done, started = 0, time.perf_counter()
    with settings.computing():
        while done < 2 or time.perf_counter() - started < seconds:
            teacher.outputs(images.train.take(torch.arange(500))).cpu()
            done += 1
            started = time.perf_counter() if done == 1 else started  # the first warms up
    return 500 * (done - 1) / (time.perf_counter() - started)


def one_of_several(number: int, barrier: Any, results: Any, architecture: str, taught: bool, graphs: bool) -> None:
    """Train beside others and send the rate."""
    clock = Clock(torch.device("cuda"), SECONDS, WARM, lambda: barrier.wait(120))
    results.put(library(clock, random_images(), architecture, taught, graphs))


def several(count: int, architecture: str, taught: bool, graphs: bool) -> float:
    """Return the images a second of that many trainings together, each in a process of its own."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(count), context.Queue()
    processes = [
        context.Process(target=one_of_several, args=(i, barrier, results, architecture, taught, graphs), daemon=True)
        for i in range(count)
    ]
    for process in processes:
        process.start()
    rates: list[float] = []
    try:
        while len(rates) < count:
            try:
                rates.append(results.get(timeout=1))
            except queue.Empty:
                if any(process.exitcode for process in processes):
                    raise RuntimeError("one of the trainings failed") from None
        return sum(rates)
    finally:
        for process in processes:
            process.join(10)
            process.kill()


def main() -> int:
    """Measure all, one line of JSON each as it is known, and return the exit status."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--teacher", default="resnet56")
    options.add_argument("--student", default="resnet20")
    options.add_argument("--out", type=Path, help="a file that gets the lines too")
    given = options.parse_args()
    if not torch.cuda.is_available():
        print("There is no GPU here, so its speed is not measured.")
        return 0
    device, images = torch.device("cuda"), random_images()

    def say(what: str, how: str, processes: int, measure: Callable[[], float]) -> float:
        row: dict[str, Any] = {"what": what, "how": how, "processes": processes}
        try:
            row["images_per_second"] = round(measure(), 1)
        except Exception as error:  # what cannot be measured must not hide the rest
            row["error"] = f"{type(error).__name__}: {error}"[:300]
        line = json.dumps(row)
        print(line, flush=True)
        if given.out:
            with given.out.open("a") as file:
                file.write(line + "\n")
        return float(row.get("images_per_second", 0.0))

    best: dict[str, bool] = {}
    for what, architecture in (("teacher", given.teacher), ("student", given.student)):
        taught, rates = what == "student", {}
        for how in ("plain", "library", "graphs"):

            def measure(how: str = how, architecture: str = architecture, taught: bool = taught) -> float:
                clock = Clock(device, SECONDS, WARM, lambda: None)
                if how == "plain":
                    return plain(clock, images, architecture, taught)
                return library(clock, images, architecture, taught, how == "graphs")

            rates[how] = say(what, how, 1, measure)
        best[what] = rates["graphs"] > rates["library"]
    say("answers", "library", 1, lambda: answers(images, given.teacher, device, SECONDS))
    for count in TOGETHER:
        for what, architecture in (("teacher", given.teacher), ("student", given.student)):
            together = lambda c=count, a=architecture, w=what: several(c, a, w == "student", best[w])  # noqa: E731
            say(what, "together", count, together)
    return 0


if __name__ == "__main__":
    sys.exit(main())
