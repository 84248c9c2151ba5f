"""The synthetic experiment: batched paths are the plain ones, BCPs and optimum exact, a killed run ends the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor, nn
from torch.nn import functional as F

from kdlib.base import paths
from kdlib.base.config import effective
from kdlib.base.errors import InputError, NotFinite
from kdlib.experiments.synthetic import experiment, problem
from kdlib.experiments.synthetic.config import Supervision, SyntheticConfig
from kdlib.experiments.synthetic.experiment import Experiment
from kdlib.experiments.synthetic.measures import (
    Points,
    calibration_errors,
    centred,
    constants,
    curvature,
    distance,
    spread,
)
from kdlib.experiments.synthetic.problem import Level, dirichlet, draw
from kdlib.experiments.synthetic.trajectories import Shape, Trajectories, forward
from kdlib.measures.calibration import calibration_error
from kdlib.report import page
from kdlib.report.claims import c01, c02
from kdlib.report.claims import synthetic as report
from kdlib.report.draw import synthetic as figures
from kdlib.runs import plans, studies
from kdlib.runs.execute import check, execute
from kdlib.runs.recipes import resolve
from kdlib.study import rows as tables
from kdlib.study.keeping import keep
from kdlib.training import hardware

SMALL: dict[str, Any] = {
    "seeds": "0+3", "supervisions": "one_hot+exact_bcp+noisy_bcp+mixture", "points": 400, "width": 8, "steps": 60,
    "validate_every": 20, "validation_points": 100, "gradient_points": 50, "learning_rate": 0.01, "threads": 1,
}  # fmt: skip


def config(**given: Any) -> SyntheticConfig:
    made = resolve("synthetic", {**SMALL, **given})
    assert isinstance(made, SyntheticConfig)
    return made


def made(**given: Any) -> Experiment:
    chosen = config(**given)
    return Experiment(chosen, hardware.resolve(chosen, (1, 1, 1)))


def network(shape: Shape, numbers: Tensor) -> nn.Sequential:
    """Return a plain PyTorch network of these numbers."""
    parts: list[nn.Module] = []
    for layer in shape.views(numbers[None]):
        linear = nn.Linear(layer.shape[1] - 1, layer.shape[2], dtype=numbers.dtype)
        linear.weight.data, linear.bias.data = layer[0, :-1].T.clone(), layer[0, -1].clone()
        parts += [linear, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def flat(plain: nn.Sequential) -> Tensor:
    linears = [part for part in plain if isinstance(part, nn.Linear)]
    return torch.cat([torch.cat([x.weight.T, x.bias[None]]).flatten() for x in linears]).detach()


@pytest.mark.parametrize("widths", [(6, 3), (6, 8, 3), (6, 8, 7, 3)])
@pytest.mark.parametrize("threads", [1, 2])
def test_batched_paths_are_those_of_a_plain_loop(widths: tuple[int, ...], threads: int) -> None:
    random, shape = torch.Generator().manual_seed(0), Shape(widths)
    points = torch.randn(2, 30, 6, generator=random, dtype=torch.float64)
    targets = torch.softmax(torch.randn(4, 30, 3, generator=random, dtype=torch.float64), 2)
    rows = torch.randint(30, (120, 2), generator=random)
    initial = torch.stack([shape.initial(seed) for seed in (0, 1)]).double().repeat(2, 1)
    together = Trajectories(shape, initial, 0.02, 0.9, threads)
    for block in (rows[:50], rows[50:]):  # blocks leave no trace
        together.advance(points, targets, block)
    together.close()
    for t in range(4):
        plain = network(shape, initial[t])
        optimizer = torch.optim.SGD(plain.parameters(), lr=0.02, momentum=0.9)
        for row in rows[:, t % 2]:
            optimizer.zero_grad()
            loss = F.cross_entropy(plain(points[t % 2, row]), targets[t, row])
            torch.autograd.backward(loss)
            optimizer.step()
        torch.testing.assert_close(together.numbers[t], flat(plain), rtol=1e-10, atol=1e-12)


def test_a_whole_experiment_is_that_of_plain_loops() -> None:
    """In float32, with the order of the points, targets and initial weights that a run draws."""
    whole = made()
    start = whole.paths.numbers.clone()
    whole.train_on(60)
    assert whole.config.steps == 60 and len(whole.paths.numbers) == 2 * 5  # two concentrations
    order = [problem.generator(seed, problem.Stream.ORDER, 0).permutation(whole.rows) for seed in (0, 3)]
    for t in (0, 3, 5, 9):
        plain = network(whole.paths.shape, start[t])
        optimizer = torch.optim.SGD(plain.parameters(), lr=0.01, momentum=0.9)
        for row in order[t % 2][:60]:
            optimizer.zero_grad()
            loss = F.cross_entropy(plain(whole.train.points[t % 2, row]), whole.targets[t, row])
            torch.autograd.backward(loss)
            optimizer.step()
        torch.testing.assert_close(whole.paths.numbers[t], flat(plain), rtol=1e-4, atol=1e-5)


def test_every_pass_sees_every_point_once() -> None:
    whole = made(points=100, steps=100, validate_every=20, validation_points=20, gradient_points=20)
    assert whole.rows == 45
    first = whole.next_rows(30)
    whole.step = 30
    seen = torch.cat([first, whole.next_rows(60)])
    for seed in (0, 1):
        assert sorted(seen[:45, seed].tolist()) == sorted(seen[45:90, seed].tolist()) == list(range(45))
    assert (seen[:45] != seen[45:90]).any() and (seen[:, 0] != seen[:, 1]).any()


def test_bcps_are_those_of_bayes_rule() -> None:
    random = np.random.default_rng(0)
    means, points = random.integers(4, 7, (5, 6)).astype(float), random.normal(5, 2, (50, 6))
    densities = np.stack([multivariate_normal(mean, 2.5 * np.eye(6)).pdf(points) for mean in means], 1)
    expected = densities / densities.sum(1, keepdims=True)
    np.testing.assert_allclose(problem.bayes(points, means, 2.5), expected, rtol=1e-10)


def test_a_mixture_is_what_it_says() -> None:
    mixture = draw(1, 4, 6, [4, 5, 6], 2.5, 20_000)
    np.testing.assert_allclose(mixture.points[:9000].mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(mixture.points[:9000].std(0), 1, atol=1e-12)
    np.testing.assert_allclose(mixture.bcp.sum(1), 1)
    # of the points that the BCPs give to a class with probability about p, a share of p has that label
    for low in (0.1, 0.4, 0.7):
        rows = (mixture.bcp[:, 0] > low) & (mixture.bcp[:, 0] < low + 0.2)
        share, expected = (mixture.labels[rows] == 0).mean(), mixture.bcp[rows, 0].mean()
        assert abs(share - expected) < 4 * np.sqrt(0.25 / rows.sum())
    again, other = draw(1, 4, 6, [4, 5, 6], 2.5, 20_000), draw(2, 4, 6, [4, 5, 6], 2.5, 20_000)
    assert (again.points == mixture.points).all() and not (other.points == mixture.points).any()


def test_the_optimum_is_the_bcp_and_single_gradients_vanish_there() -> None:
    mixture = draw(0, 5, 10, [4, 5, 6], 2.5, 500)
    points, bcp = torch.from_numpy(mixture.points), torch.from_numpy(mixture.bcp)
    plain = network(Shape((10, 5)), torch.from_numpy(mixture.optimum).flatten())
    torch.testing.assert_close(torch.softmax(plain(points), 1), bcp, rtol=1e-10, atol=1e-12)
    for point, told, label in zip(points[:50], bcp[:50], torch.from_numpy(mixture.labels[:50]), strict=True):
        for target, vanishes in ((told, True), (label, False)):
            plain.zero_grad()
            torch.autograd.backward(F.cross_entropy(plain(point), target))
            size = max(float(p.grad.abs().max()) for p in plain.parameters() if p.grad is not None)
            assert (size < 1e-12) is vanishes


@pytest.mark.parametrize("concentration", [0.5, 5.0])
def test_dirichlet_noise_has_the_mean_and_covariance_it_should(concentration: float) -> None:
    p = np.array([0.6, 0.3, 0.1, 0.0])
    drawn = dirichlet(np.tile(p, (200_000, 1)), concentration, seed=0)
    np.testing.assert_allclose(drawn.sum(1), 1)
    np.testing.assert_allclose(drawn.mean(0), p, atol=0.004)
    share = Level(Supervision.NOISY_BCP, concentration).noise_share
    np.testing.assert_allclose(np.cov(drawn.T), share * (np.diag(p) - np.outer(p, p)), atol=0.003)
    assert (drawn[:5] != dirichlet(np.tile(p, (5, 1)), concentration, seed=1)).any()


def test_targets_have_the_bcp_as_mean_and_the_noise_share_of_their_level() -> None:
    mixture = draw(0, 3, 2, [4, 5, 6], 2.5, 100_000)
    told = problem.levels("one_hot+exact_bcp+noisy_bcp+mixture", "0.5+5", "0.3")
    names = ["one_hot", "exact_bcp", "noisy_bcp_0.5", "noisy_bcp_5", "mixture_0.3"]
    assert [level.name for level in told] == names
    full = (1 - (mixture.bcp**2).sum(1)).mean()
    for level in told:
        gap = level.targets(mixture, slice(None), 0) - mixture.bcp
        np.testing.assert_allclose(gap.mean(0), 0, atol=0.01)
        assert (gap**2).sum(1).mean() == pytest.approx(level.noise_share * full, rel=0.03, abs=1e-12)


@pytest.mark.parametrize("widths", [(6, 3), (6, 8, 7, 3)])
def test_the_spread_of_gradients_is_that_of_autograd(widths: tuple[int, ...]) -> None:
    random, shape = torch.Generator().manual_seed(0), Shape(widths)
    numbers = torch.stack([shape.initial(seed) for seed in (0, 1)]).double()
    points = torch.randn(2, 20, 6, generator=random, dtype=torch.float64)
    targets = torch.softmax(torch.randn(2, 20, 3, generator=random, dtype=torch.float64), 2)
    layers = shape.views(numbers)
    *activations, logits = forward(layers, points)
    variance, middle = spread(layers, activations, torch.softmax(logits, 2) - targets)
    for t in range(2):
        plain, rows = network(shape, numbers[t]), []
        torch.testing.assert_close(plain(points[t]), logits[t])
        for point, target in zip(points[t], targets[t], strict=True):
            plain.zero_grad()
            torch.autograd.backward(F.cross_entropy(plain(point), target))
            rows.append(torch.cat([p.grad.flatten() for p in plain.parameters() if p.grad is not None]))
        gradients = torch.stack(rows)
        torch.testing.assert_close(variance[t], torch.cov(gradients.T).diagonal().sum())
        torch.testing.assert_close(middle[t], gradients.mean(0).square().sum())


def test_noise_adds_to_the_variance_in_proportion_at_the_same_weights() -> None:
    mixture = draw(0, 4, 6, [4, 5, 6], 2.5, 100_000)
    shape, points = Shape((6, 8, 4)), torch.from_numpy(mixture.points)[None]
    layers = shape.views(shape.initial(0).double()[None])
    *activations, logits = forward(layers, points)

    def variance(level: Level) -> float:
        targets = torch.from_numpy(level.targets(mixture, slice(None), 0))
        return float(spread(layers, activations, torch.softmax(logits, 2) - targets)[0])

    told = problem.levels("one_hot+exact_bcp+noisy_bcp+mixture", "0.5+5", "0.5")
    found = {level: variance(level) for level in told}
    plain = found[told[1]]
    full = found[told[0]] - plain
    for level in told:
        assert found[level] - plain == pytest.approx(level.noise_share * full, rel=0.05, abs=1e-9)


def test_calibration_errors_are_those_of_the_other_networks() -> None:
    random = np.random.default_rng(0)
    confidence, correct = random.uniform(0.2, 1, (3, 500)), random.random((3, 500)) < 0.7
    confidence[0, :3] = 1.0
    found = calibration_errors(torch.from_numpy(confidence), torch.from_numpy(correct))
    expected = [calibration_error(*row) for row in zip(confidence, correct, strict=True)]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_distance_and_curvature() -> None:
    mixture = draw(0, 4, 5, [4, 5, 6], 2.5, 300)
    points, optimum = torch.from_numpy(mixture.points)[None], torch.from_numpy(mixture.optimum)[None]
    move = torch.randn(1, 6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    # the same number for every class changes no probability
    assert float(distance(optimum + 7.5, optimum)) < 1e-20
    assert distance(optimum + move + 1, optimum).item() == pytest.approx(centred(move).square().sum().item())
    # close to the optimum: the Hessian along the way, E[(Jd)ᵀ(diag p − p pᵀ)(Jd)] / |d|²
    change = points[0] @ move[0, :-1] + move[0, -1]
    bcp = torch.from_numpy(mixture.bcp)
    hessian = ((bcp * change**2).sum(1) - (bcp * change).sum(1) ** 2).mean() / centred(move).square().sum()
    assert curvature(optimum + 1e-4 * move, optimum, points).item() == pytest.approx(hessian.item(), rel=1e-3)
    # σ² is the mean squared norm of labels' gradients, for exact BCPs zero
    labels = torch.from_numpy(mixture.labels)[None]
    hard, seen = F.one_hot(labels, 4).double(), Points(points, labels, bcp[None])
    lengths = (points[0] ** 2).sum(1) + 1
    expected = (lengths * (hard[0] - bcp).square().sum(1)).mean()
    assert constants(seen, hard)["noise"].item() == pytest.approx(expected.item())
    assert constants(seen, bcp[None])["noise"].item() == 0


def test_softmax_regression_settles_where_theory_says() -> None:
    whole = made(
        layers=0, dimensions=4, momentum=0, learning_rate=0.02, points=50_000, steps=20_000, validate_every=250,
        supervisions="one_hot+exact_bcp", seeds="0+1+2+3", validation_points=500,
    )  # fmt: skip
    whole.look()
    while whole.step < 20_000:
        whole.train_on(250)
        whole.look()
    metrics, arrays = whole.results()
    hard, exact = arrays["distance"][..., 40:].mean((1, 2)).tolist()
    assert hard == pytest.approx(0.02 * 4 * 5 / 2, rel=0.2)
    assert exact < 1e-3 * hard
    # the bound holds at every validation, in the mean over seeds
    low, step = float(arrays["curvature"].min()), arrays["step"].numpy()
    assert low > 0 and 2 * float(arrays["smoothness"].max()) * 0.02 <= 1
    for place in (0, 1):
        start, noise = float(arrays["distance"][place, :, 0].mean()), float(arrays["noise"][place].mean())
        limit = report.bound(step, start, 0.02, low, noise)
        assert (arrays["distance"][place].mean(0).numpy() <= limit * (1 + 1e-6)).all()
    assert metrics["distance_exact_bcp"] < metrics["distance_one_hot"]


def content(name: str) -> tuple[Any, ...]:
    kept = report.arrays(name)
    return {key: value.tobytes() for key, value in kept.items()}, (paths.runs() / name / "metrics.json").read_text()


def test_a_killed_run_ends_as_one_that_was_not(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = config()
    whole = execute(chosen)
    before = content(whole.name)
    assert not list(whole.path.glob("checkpoints")) and not (whole.path / "weights.safetensors").exists()
    monkeypatch.setattr(experiment, "SAVE_EVERY", 0.0)
    monkeypatch.setattr(experiment, "BLOCK", 7)
    train_on, started = Experiment.train_on, list[int]()

    def killed(self: Experiment, steps: int) -> None:
        if self.step >= 33:
            raise KeyboardInterrupt
        train_on(self, steps)

    def watched(self: Experiment, steps: int) -> None:
        started.append(self.step)
        train_on(self, steps)

    monkeypatch.setattr(Experiment, "train_on", killed)
    with pytest.raises(KeyboardInterrupt):
        execute(chosen.model_copy(update={"retrain": True}))
    (checkpoint, *_) = sorted(whole.path.glob("checkpoints/step-*"), reverse=True)
    assert not whole.finished
    monkeypatch.setattr(Experiment, "train_on", watched)
    execute(chosen)
    assert started[0] == int(checkpoint.stem.removeprefix("step-")) > 0, "it goes on from the checkpoint"
    assert content(whole.name) == before
    assert len(whole.provenance["sessions"]) == 2


def test_a_run_that_diverges_says_so(store: Path) -> None:
    with pytest.raises(NotFinite, match="a smaller learning_rate than 90 may help"):
        execute(config(learning_rate=90, momentum=0.99, layers=5))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"seeds": "0+a"}, "seeds = '0+a' is refused"),
        ({"seeds": ""}, "seeds = '' is refused"),
        ({"seeds": "0,1"}, 'joined by +, as in "0+1"'),
        ({"supervisions": "one_hot+two_hot"}, "allowed are one_hot, exact_bcp, noisy_bcp, mixture"),
        ({"concentrations": "0"}, "concentrations = '0' is refused"),
        ({"kd_weights": "0.5+1"}, "kd_weights = '0.5+1' is refused"),
        ({"mean_values": "4"}, "two numbers or more"),
        ({"noise_variance": 1e-300}, "noise_variance = 1e-300 is refused"),
        ({"points": 10_000_000, "dimensions": 10_000}, "points = 10000000, dimensions = 10000, classes = "),
        ({"width": 10_000, "layers": 10}, "allowed are 8 GiB"),
        ({"steps": 100_000_000, "validate_every": 1}, "steps = 100000000, validate_every = 1 are refused"),
        ({"validate_every": 7}, "allowed is what divides steps = 60"),
        ({"validation_points": 200}, "of points = 400 there are 180"),
        ({"dataset": "digits"}, "dataset is no parameter of synthetic"),
        ({"seed": 1}, "did you mean seeds"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        config(**given)
    assert sentence in str(refused.value)


def test_what_has_no_effect_renames_nothing() -> None:
    plain = config(seeds="3+0+3", supervisions="exact_bcp+one_hot", layers=0)
    assert plain == config(supervisions="one_hot+exact_bcp", layers=0, width=9, concentrations="7", kd_weights="0.1")
    assert plans.plan(plain).name == plans.plan(config(**{**plain.model_dump(), "threads": 2})).name
    assert plans.plan(plain).name != plans.plan(config(supervisions="one_hot")).name
    assert effective(resolve("synthetic", {})) == {}
    check([plain])


def test_no_number_depends_on_which_others_are_trained_beside_it() -> None:
    few = made(seeds="3", supervisions="noisy_bcp", concentrations="5")
    many = made()
    for whole in (few, many):
        whole.train_on(60)
        whole.step = 60
        whole.look()
    assert (few.targets[0] == many.targets[7]).all()
    torch.testing.assert_close(few.paths.numbers[0], many.paths.numbers[7], rtol=1e-4, atol=1e-5)
    for name, values in few.recorded.items():
        torch.testing.assert_close(values[0, -1], many.recorded[name][7, -1], rtol=1e-3, atol=1e-4)


STUDY = {
    "title": "Points", "reports": ["synthetic"],
    "synthetics": {
        "networks": {**SMALL, "seeds": "0+1+2+3+4", "concentrations": "0.5+5+50", "learning_rate": [0.002, 0.01]},
        "regressions": {**SMALL, "seeds": "0+1", "layers": 0, "dimensions": 4, "momentum": 0},
    },
}  # fmt: skip


def test_a_study_its_records_and_its_page(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "points.yaml"
    file.write_text(json.dumps(STUDY))
    study = studies.load(str(file))
    for entry in study.entries:
        for chosen in entry.configs():
            execute(chosen)
    frame = tables.table(str(file))
    assert list(frame["label"]) == ["networks", "networks", "regressions"]
    assert set(frame["dataset"]) == {"gaussian_mixture"} and frame["run_type"].eq("synthetic").all()
    networks, regressions = (part for _, part in frame.groupby("label", sort=False))
    outcomes = report.outcomes(networks)
    assert len(outcomes) == 2 * 6 * 5 and not outcomes.isna().any().any()
    assert set(report.at_published_rate(outcomes)["learning_rate"]) == {0.002}
    assert report.noisiest(outcomes) == "noisy_bcp_0.5"
    (less,), (more,) = c01.effects(frame).values(), c02.effects(frame).values()
    assert less is not None and more is not None and less.mean < 0 < more.mean
    assert report.slope(report.at_published_rate(outcomes)).n == 5  # type: ignore[union-attr]
    assert "exact BCP" in set(page.means(report.outcomes(report.shown(networks)), figures.OUTCOMES, "supervision")[""])
    walked = figures.thinned(report.paths(networks.head(1)), 2)
    assert set(walked["step"]) == {20, 40, 60} and len(figures.path(walked, figures.QUALITY).axes) == 4
    assert len(figures.scaling(outcomes).axes) == len(figures.path(walked, figures.VARIANCE).axes) == 2
    assert figures.path(walked, figures.VARIANCE).axes[0].get_yscale() == "log"
    assert len(figures.path(report.paths(regressions), figures.DISTANCE[:1]).axes) == 1
    # records say the same without the store
    monkeypatch.setattr(paths, "RECORDS", tmp_path / "records")
    keep(str(file))
    monkeypatch.setenv("KDLIB_RUNS", str(tmp_path / "empty"))
    kept = tables.table(str(file))
    assert set(kept["source"]) == {"record"}
    pd.testing.assert_frame_equal(report.outcomes(kept[kept["label"] == "networks"]), outcomes)
    with pytest.raises(InputError, match="neither the store nor a record"):
        report.arrays("synthetic-none")


def test_the_bound_is_drawn_where_it_holds() -> None:
    """Not with momentum, nor at a rate above half of one by the smoothness."""
    one = {"run": list("abc"), "supervision": "one_hot", "noise_share": 1.0, "seed": 0, "curvature": 0.5}
    walked = pd.DataFrame({**one, "step": 10, "learning_rate": [0.1, 0.1, 0.3], "distance": 1.0})
    ends = pd.DataFrame({**one, "start": 1.0, "noise": 2.0, "smoothness": 4.0, "momentum": [0, 0.9, 0]})
    found = figures.bounded(walked, ends)["distance_bound"]
    assert found[0] == pytest.approx(0.95**10 + 2 * 0.1 * 2.0 / 0.5) and found[1:].isna().all()
    assert len(figures.distances(walked[:1], ends[:1]).axes) == 2
