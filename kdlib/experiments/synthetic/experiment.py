"""The run of a synthetic experiment: all networks trained together, measured on the way, killed and resumed anywhere.

Points, targets, initial weights and the order of the points are pure functions of the seed, so a checkpoint needs
only the step, the networks' numbers and velocities, and what was measured.
"""

from __future__ import annotations

import functools
import itertools
import signal
import time
from collections.abc import Sequence
from contextlib import closing

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdlib.base import progress
from kdlib.base.errors import NotFinite
from kdlib.experiments.synthetic import measures
from kdlib.experiments.synthetic.config import EXACT, GRADIENTS, QUALITY, SyntheticConfig
from kdlib.experiments.synthetic.measures import Points
from kdlib.experiments.synthetic.problem import TRAIN, VALIDATION, Stream, draw, generator, levels
from kdlib.experiments.synthetic.trajectories import Part, Shape, Trajectories, forward
from kdlib.store import runs
from kdlib.store.runs import Run
from kdlib.training import checkpoints
from kdlib.training.guards import interruptible
from kdlib.training.hardware import Hardware
from kdlib.training.loop import SAVE_EVERY

BLOCK = 250
"""Steps between two looks at whether to stop."""


def stacked(arrays: Sequence[NDArray[np.generic]], device: torch.device) -> Tensor:
    """Return the seeds' arrays as one tensor `(seeds, …)`; numbers become float32."""
    tensor = torch.from_numpy(np.stack(arrays))
    return (tensor.float() if tensor.is_floating_point() else tensor).to(device)


class Experiment:
    """Hold the problems, the networks and what was measured.

    Trajectory t has supervision t div seeds and seed t mod seeds.
    `recorded` has an array `(supervisions, seeds, validations)` a measure; the first validation is of the start.
    """

    def __init__(self, config: SyntheticConfig, hardware: Hardware) -> None:
        self.config, device = config, hardware.torch_device
        self.seeds = [int(seed) for seed in config.seeds.split("+")]
        self.levels = levels(config.supervisions, config.concentrations, config.kd_weights)
        values = [float(value) for value in config.mean_values.split("+")]
        mixtures = [
            draw(seed, config.classes, config.dimensions, values, config.noise_variance, config.points)
            for seed in self.seeds
        ]
        self.rows = round(TRAIN * config.points)
        ends = (0, self.rows, self.rows + round(VALIDATION * config.points), config.points)
        self.train, validation, self.test = (
            Points(
                stacked([m.points[low:high] for m in mixtures], device),
                stacked([m.labels[low:high] for m in mixtures], device),
                stacked([m.bcp[low:high] for m in mixtures], device),
            )
            for low, high in itertools.pairwise(ends)
        )
        self.validation = validation.of(torch.arange(len(self.seeds), device=device), config.validation_points)
        told = [
            level.targets(mixture, slice(self.rows), seed)
            for level in self.levels
            for mixture, seed in zip(mixtures, self.seeds, strict=True)
        ]
        self.targets = stacked(told, device)
        self.optimum = stacked([m.optimum for m in mixtures], device)
        shape = Shape((config.dimensions, *[config.width] * config.layers, config.classes))
        initial = torch.stack([shape.initial(seed) for seed in self.seeds]).repeat(len(self.levels), 1).to(device)
        self.paths = Trajectories(shape, initial, config.learning_rate, config.momentum, hardware.threads)
        names = (*QUALITY, *GRADIENTS, *(EXACT if config.layers == 0 else ()))
        validations = config.steps // config.validate_every + 1
        self.recorded = {name: torch.zeros(len(initial), validations, device=device) for name in names}
        self.step = 0
        self.seconds = {"training": 0.0, "validation": 0.0, "gradients": 0.0}
        self._order = functools.lru_cache(2)(self._pass)

    def _pass(self, number: int) -> Tensor:
        """Return the order of a pass, `(training points, seeds)`."""
        orders = [generator(seed, Stream.ORDER, number).permutation(self.rows) for seed in self.seeds]
        return torch.from_numpy(np.stack(orders, 1)).to(self.targets.device)

    def next_rows(self, steps: int) -> Tensor:
        """Return the rows that the next steps see, `(steps, seeds)`."""
        parts, step = [], self.step
        while step < self.step + steps:
            number, position = divmod(step, self.rows)
            part = self._order(number)[position : position + self.step + steps - step]
            parts.append(part)
            step += len(part)
        return torch.cat(parts)

    def train_on(self, steps: int) -> None:
        """Take steps with every network."""
        started = time.perf_counter()
        self.paths.advance(self.train.points, self.targets, self.next_rows(steps))
        self.step += steps
        self.seconds["training"] += time.perf_counter() - started

    def look(self) -> None:
        """Measure all networks at this step.

        Raises:
            NotFinite: a network's numbers are no longer finite.
        """
        if not torch.isfinite(self.paths.numbers).all():
            raise NotFinite(
                f"A network's weights are not finite after step {self.step}: a smaller learning_rate than "
                f"{self.config.learning_rate:g} may help."
            )
        place = self.step // self.config.validate_every
        for what, work in (("validation", self._quality), ("gradients", self._gradients)):
            started = time.perf_counter()
            for name, values in self.paths.map(work).items():
                self.recorded[name][:, place] = values
            self.seconds[what] += time.perf_counter() - started

    def _quality(self, part: Part, points: Points | None = None) -> dict[str, Tensor]:
        seeds = part.rows % len(self.seeds)
        seen = (points or self.validation).of(seeds)
        found = measures.quality(forward(part.layers, seen.points)[-1], seen)
        return found | measures.exact(part.layers, seen, self.optimum[seeds])

    def _gradients(self, part: Part) -> dict[str, Tensor]:
        most = self.config.gradient_points
        seen = self.train.of(part.rows % len(self.seeds), most)
        return measures.gradients(part.layers, seen, self.targets[part.rows, :most])

    def results(self) -> tuple[dict[str, float], dict[str, Tensor]]:
        """Return the point values, means over seeds, and the arrays that the run keeps."""
        measured = dict(self.recorded)
        tested = self.paths.map(functools.partial(self._quality, points=self.test))
        measured |= {f"test_{name}": tested[name] for name in QUALITY}
        if self.config.layers == 0:
            seeds = torch.arange(len(self.targets), device=self.targets.device) % len(self.seeds)
            measured |= measures.constants(self.train.of(seeds), self.targets)
        # (T, …) as (supervisions, seeds, …)
        arrays = {name: values.unflatten(0, (len(self.levels), -1)) for name, values in measured.items()}
        arrays["step"] = torch.arange(arrays["nll"].shape[2]) * self.config.validate_every
        for prefix, seen in (("", self.validation), ("test_", self.test)):
            best = measures.quality(seen.bcp.clamp_min(torch.finfo().tiny).log(), seen)
            arrays |= {f"bayes_{prefix}{name}": best[name] for name in ("accuracy", "nll")}
        late = arrays["step"] > self.config.steps / 2
        metrics = {"bayes_accuracy": float(arrays["bayes_test_accuracy"].mean())}
        for k, level in enumerate(self.levels):
            for name in QUALITY:
                metrics[f"test_{name}_{level.name}"] = float(arrays[f"test_{name}"][k].mean())
            metrics[f"gradient_variance_{level.name}"] = float(arrays["gradient_variance"][k][:, late].mean())
            if self.config.layers == 0:
                metrics[f"distance_{level.name}"] = float(arrays["distance"][k][:, late].mean())
        return metrics, arrays

    def _state(self) -> dict[str, Tensor]:
        recorded = {f"recorded/{name}": values for name, values in self.recorded.items()}
        return {"numbers": self.paths.numbers, "velocity": self.paths.velocity, **recorded}

    def save(self, run: Run) -> None:
        """Write a checkpoint."""
        about = {"identity": run.name, "seconds": self.seconds}
        checkpoints.save_step(run.checkpoints, self.step, self._state(), about)

    def restore(self, run: Run) -> bool:
        """Go back to the newest checkpoint, and say whether there was one."""
        found = checkpoints.newest(run.checkpoints, run.name)
        if found is None:
            return False
        tensors, about = found
        for name, values in self._state().items():
            values.copy_(tensors[name])
        self.step, self.seconds = int(about["step"]), dict(about["seconds"])
        return True


def fit(config: SyntheticConfig, run: Run, hardware: Hardware) -> None:
    """Make the run of a config: train, measure, and keep the arrays.

    Raises:
        NotFinite: a network diverged.
        KeyboardInterrupt: the process was asked to stop; a checkpoint was written first.
    """
    started = time.perf_counter()
    experiment = Experiment(config, hardware)
    if not experiment.restore(run):
        experiment.look()
    saved, wait = time.perf_counter(), SAVE_EVERY
    with closing(experiment.paths), progress.bar(config.steps, experiment.step, "synthetic") as bar:
        with interruptible() as asked:
            while experiment.step < config.steps:
                before = experiment.step
                experiment.train_on(min(BLOCK, config.validate_every - before % config.validate_every))
                if experiment.step % config.validate_every == 0:
                    experiment.look()
                bar.update(experiment.step - before)
                now = time.perf_counter()
                if asked() or now - saved > wait:
                    experiment.save(run)
                    saved = time.perf_counter()
                    wait = max(SAVE_EVERY, 50 * (saved - now))
                if asked():
                    raise SystemExit(143) if asked() == signal.SIGTERM else KeyboardInterrupt
        metrics, arrays = experiment.results()
    notes = {f"{what}_seconds": round(seconds, 3) for what, seconds in experiment.seconds.items()}
    runs.finish(run, metrics, arrays=arrays, notes=notes, started=started)
