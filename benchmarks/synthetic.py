"""Time the synthetic experiment: 10 seeds × 4 supervisions × 45,000 steps, beside a plain loop over single points.

The plain loop is a PyTorch network and optimiser a trajectory, one point a step, as anyone would write it. It takes
a few hundred steps of one trajectory; both are timed in turns, and what it would take for all of them is that ratio.
The two must agree: the loop starts from the same weights, sees the same points and targets, and ends, to floating-point
tolerance, where the batched computation ends. Measuring the gradients' variance is timed apart.
"""

from __future__ import annotations

import statistics
import time

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdlib.experiments.synthetic import experiment
from kdlib.experiments.synthetic.config import SyntheticConfig
from kdlib.experiments.synthetic.experiment import Experiment
from kdlib.runs.recipes import resolve
from kdlib.training import hardware

STEPS = 250
"""Steps of a turn of either."""
TURNS = 5
GOAL = 60.0
"""Seconds for all steps and validations, on two idle cores."""
TOLERANCE = 1e-4
"""Of a weight, in float32 after the first turn."""


def plain(whole: Experiment, trajectory: int, start: Tensor) -> tuple[float, Tensor]:
    """Return the seconds that a plain loop takes for the first steps of one trajectory, and its final numbers."""
    parts: list[nn.Module] = []
    for layer in whole.paths.shape.views(start[trajectory][None]):
        linear = nn.Linear(layer.shape[1] - 1, layer.shape[2])
        linear.weight.data, linear.bias.data = layer[0, :-1].T.clone(), layer[0, -1].clone()
        parts += [linear, nn.ReLU()]
    network = nn.Sequential(*parts[:-1])
    config, seed = whole.config, trajectory % len(whole.seeds)
    optimizer = torch.optim.SGD(network.parameters(), lr=config.learning_rate, momentum=config.momentum)
    rows = whole._order(0)[:STEPS, seed]
    points, targets = whole.train.points[seed][rows], whole.targets[trajectory][rows]
    started = time.perf_counter()
    for point, target in zip(points, targets, strict=True):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(point[None]), target[None])
        torch.autograd.backward(loss)
        optimizer.step()
    seconds = time.perf_counter() - started
    linears = [part for part in network if isinstance(part, nn.Linear)]
    return seconds, torch.cat([torch.cat([x.weight.T, x.bias[None]]).flatten() for x in linears]).detach()


def beside(config: SyntheticConfig, settings: hardware.Hardware) -> float:
    """Print both loops' time for a step of a trajectory and their agreement; return how many times as fast ours is."""
    whole = Experiment(config, settings)
    start, count = whole.paths.numbers.clone(), len(whole.targets)
    ours, theirs, gaps = [], [], []
    for turn in range(TURNS):
        started = time.perf_counter()
        whole.train_on(STEPS)
        ours.append((time.perf_counter() - started) / STEPS / count)
        trajectory = turn * count // TURNS
        seconds, numbers = plain(whole, trajectory, start)
        theirs.append(seconds / STEPS)
        if turn == 0:
            first = whole.paths.numbers.clone()
        gaps.append(float((numbers - first[trajectory]).abs().max()))
    whole.paths.close()
    ratio = statistics.median(t / o for t, o in zip(theirs, ours, strict=True))
    print(
        f"a step of one trajectory: plain loop {1e6 * statistics.median(theirs):.0f} µs, "
        f"batched {1e6 * statistics.median(ours):.1f} µs: {ratio:.1f} times as fast (median of {TURNS} turns)"
    )
    print(f"after {STEPS} steps their weights differ by at most {max(gaps):.1e} (allowed: {TOLERANCE:.0e})")
    if max(gaps) > TOLERANCE:
        raise SystemExit("the two computations disagree")
    return ratio


def main() -> None:
    """Time the shortened comparison and the whole experiment."""
    made = resolve("synthetic", {"threads": min(2, torch.get_num_threads())})
    assert isinstance(made, SyntheticConfig)
    settings = hardware.resolve(made, (1, 1, 1))
    print(f"{settings.name}, threads: {settings.threads}")
    with settings.computing():
        ratio = beside(made, settings)
        started, cpu = time.perf_counter(), time.process_time()
        whole = Experiment(made, settings)
        drawing = time.perf_counter() - started
        whole.look()
        while whole.step < made.steps:
            whole.train_on(min(experiment.BLOCK, made.validate_every - whole.step % made.validate_every))
            if whole.step % made.validate_every == 0:
                whole.look()
        total, used = time.perf_counter() - started, time.process_time() - cpu
        whole.paths.close()
    spent, validations = whole.seconds, made.steps // made.validate_every + 1
    print(f"{len(whole.targets)} trajectories × {made.steps:,} steps: {spent['training']:.1f} s")
    print(f"{validations} validations on {made.validation_points:,} points: {spent['validation']:.1f} s")
    print(
        f"{validations} × the variance of the gradient on {made.gradient_points:,} points: {spent['gradients']:.1f} s"
    )
    print(f"drawing the problems: {drawing:.1f} s; all together {total:.1f} s, {used:.1f} s of CPU time")
    print(f"the plain loop would take {spent['training'] * ratio / 60:.0f} minutes for the same steps")
    needed = spent["training"] + spent["validation"] + drawing
    print(
        f"goal: {GOAL:.0f} s without the variance measurements; {needed:.1f} s: {'met' if needed < GOAL else 'missed'}"
    )


if __name__ == "__main__":
    main()
