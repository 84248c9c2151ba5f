"""Time a grid of students beside as many one-hot students: a grid costs its students, not its teachers.

Twelve wrn_40_1 students of a variational wrn_40_2 with ten samples, at twelve settings of kd_weight, T and S, against
twelve one-hot students, on random 32×32 images. The teacher's answers are computed first, timed apart, and kept; every
student then reads them through `distill.supervision`, as it does in a study. Students of both sorts take turns, so a
slow moment meets both. A student's time is all of its training: reading and tempering answers, views, steps.

The runs are short, one pass of a few small batches. A long training only repeats that, since a stochastic teacher has
answers of its own for every pass; in a short pass the opening of its ten files weighs more, not less. Validation is
left out, and so is what a run writes at its end. Weights are random; no time depends on them.
"""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch

from kdlib import models
from kdlib.base.config import RunType
from kdlib.data.dataset import Dataset, Split
from kdlib.data.options import BCPSource
from kdlib.runs.recipes import resolve
from kdlib.store.runs import Run
from kdlib.students import distill
from kdlib.students.config import StudentConfig
from kdlib.teachers.contract import Teacher
from kdlib.teachers.variational import PUBLISHED, VariationalConfig
from kdlib.teachers.variational.bayesianize import bayesianize
from kdlib.teachers.variational.teacher import Drawn
from kdlib.training import hardware
from kdlib.training import loop as training
from kdlib.training.hardware import Hardware

TEACHER, STUDENT, CLASSES, SAMPLES = "wrn_40_2", "wrn_40_1", 100, 10
BATCH, STEPS = 32, 12
SETTINGS = tuple(itertools.product((0.5, 1.0), (1.0, 2.0, 4.0), (1.0, 4.0)))
"""kd_weight, T and S of the twelve students."""
GOAL = 1.3
"""The students of the grid take at most so many times as long as one-hot students."""
MEAN, STD = (0.507, 0.487, 0.441), (0.267, 0.256, 0.276)


def random_images() -> Dataset:
    """Return a dataset of random images, enough for one pass."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (BATCH * STEPS, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, CLASSES, (len(pixels),), generator=generator)
    rest, names = Split(pixels[:2], labels[:2]), tuple(map(str, range(CLASSES)))
    return Dataset("cifar100", Split(pixels, labels), rest, rest, names, BCPSource.NONE, "0" * 16, MEAN, STD)


def config_of(teacher: str, threads: int, setting: tuple[float, float, float] = SETTINGS[0]) -> StudentConfig:
    """Return a student's config."""
    weight, t, s = setting
    given = {"dataset": "cifar100", "architecture": STUDENT, "epochs": 1, "batch_size": BATCH, "teacher": teacher,
             "samples": SAMPLES, "kd_weight": weight, "temperature": t, "student_temperature": s,
             "device": str(hardware.device_of(None)), "threads": threads}  # fmt: skip
    config = resolve(RunType.STUDENT, given)
    assert isinstance(config, StudentConfig)
    return config


def student(config: StudentConfig, images: Dataset, teacher: Teacher, settings: Hardware) -> tuple[float, float]:
    """Train one student; return the seconds that passed and those of CPU time."""
    torch.manual_seed(0)
    network = models.build(STUDENT, CLASSES, 3)
    settings.place(network)
    wall, cpu = time.perf_counter(), time.process_time()
    teach = distill.supervision(config, images, teacher, settings, Run(teacher.name))
    objective = distill.objective(network, config, teach)
    with tempfile.TemporaryDirectory() as folder, settings.computing():
        training.fit(network, objective, config, images, settings, Path(folder), identity="student")
    if settings.device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - cpu


def report() -> None:
    """Measure and print."""
    busy = os.getloadavg()[0] > 0.25 * (os.cpu_count() or 1) and "OMP_NUM_THREADS" not in os.environ
    threads = 1 if busy else torch.get_num_threads()  # two threads on a busy machine wait for each other
    images, plain = random_images(), config_of("one_hot", threads)
    settings = hardware.resolve(plain, images.shape)
    network = settings.place(bayesianize(models.build(TEACHER, CLASSES, 3), VariationalConfig(**PUBLISHED)))
    teacher = Drawn(network, settings, "teacher")
    grid = [config_of("variational", threads, setting) for setting in SETTINGS]

    student(plain, images, teacher, settings)  # warms up
    asked, answers = distill.supervision(grid[0], images, teacher, settings, Run(teacher.name)), time.perf_counter()
    assert asked is not None
    rows = torch.arange(len(images.train), device=settings.torch_device)
    labels = images.train.labels.to(settings.torch_device)
    asked(training.Batch(rows, 0, images.train.images.to(settings.torch_device), labels, 0.0))
    filling = time.perf_counter() - answers
    kept = sorted((Run(teacher.name).path / "answers").glob("*/pass-*"))
    assert len(kept) == SAMPLES, "one pass of answers is kept, a file a sample"

    times: dict[str, list[tuple[float, float]]] = {"one-hot": [], "grid": []}
    for number, config in enumerate(grid):
        turn = [("one-hot", plain), ("grid", config)]
        for name, one in turn if number % 2 else reversed(turn):
            times[name].append(student(one, images, teacher, settings))
    assert sorted((Run(teacher.name).path / "answers").glob("*/pass-*")) == kept, "no student asked the teacher again"

    print(f"{len(SETTINGS)} students, {TEACHER} (variational, {SAMPLES} samples) -> {STUDENT}, batch {BATCH}, {STEPS} "
          f"steps each: {settings.name}, {settings.precision}, {settings.threads} threads")  # fmt: skip
    wall, cpu = ({name: sum(one[k] for one in spent) for name, spent in times.items()} for k in (0, 1))
    each = [a[0] / b[0] for a, b in zip(times["grid"], times["one-hot"], strict=True)]
    print(f"one-hot students {wall['one-hot']:.1f} s; students of the grid, answers kept {wall['grid']:.1f} s: "
          f"{wall['grid'] / wall['one-hot']:.2f} times (goal: at most {GOAL}); CPU time "
          f"{cpu['grid'] / cpu['one-hot']:.2f} times; pair by pair median {statistics.median(each):.2f}, "
          f"{min(each):.2f} to {max(each):.2f}")  # fmt: skip
    once, often = (wall["grid"] + fillings * filling for fillings in (1, len(SETTINGS)))
    print(f"filling the answers {filling:.1f} s: the grid with one filling takes {once / wall['one-hot']:.2f} times as "
          f"long as one-hot students, with a filling for each student {often / wall['one-hot']:.1f} times")  # fmt: skip


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as store:
        os.environ["KDLIB_RUNS"] = store
        report()
