"""Batch norms with the statistics of each weight draw: as re-estimated by hand, and a function of the draw alone."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import small
import torch
from torch import Tensor, nn

from kdlib import data, models, teachers
from kdlib.base.config import RunType
from kdlib.base.errors import InputError
from kdlib.base.tensors import digest, read_tensors, write_tensors
from kdlib.data.options import Augmentation
from kdlib.runs.execute import execute
from kdlib.runs.plans import name_of, plan
from kdlib.runs.recipes import resolve
from kdlib.store import runs
from kdlib.store.runs import Run
from kdlib.students.answers import Answers
from kdlib.teachers.contract import PARTS, in_batches, outputs_on
from kdlib.teachers.evaluation import evaluate
from kdlib.teachers.kind import TeacherConfig
from kdlib.teachers.kinds import KINDS
from kdlib.teachers.variational import NormStatistics, calibration, norms
from kdlib.teachers.variational import teacher as variational_teacher
from kdlib.teachers.variational.bayesianize import layers
from kdlib.teachers.variational.sampling import pinned, sample_forward
from kdlib.teachers.variational.teacher import Drawn
from kdlib.training.loop import Batch

GIVEN = {"kind": "variational", "learning_rate": 0.02, "initial_sd": 0.3, "prior_scale": 2.0}
IMAGES = small.DATASET.test.images


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Make one teacher, in a store of this file's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDLIB_RUNS", str(tmp_path_factory.mktemp("norms")))
        yield execute(small.teacher(**GIVEN))


@pytest.fixture
def teacher(run: Run) -> Drawn:
    loaded = teachers.load(run)
    assert isinstance(loaded, Drawn)
    return loaded


def by_hand(teacher: Drawn, weights: list[Tensor]) -> nn.Module:
    """Return a plain network with these weights, its batch norms re-estimated on the calibration images by torch."""
    network = models.build("cnn4", 10, 1, 8)
    plain = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    kept = {name: value for name, value in teacher.network.state_dict().items() if "posterior" not in name}
    network.load_state_dict(kept, strict=False)
    for module, layer, matrix in zip(plain, layers(teacher.network), weights, strict=True):
        weight, bias = layer.split(matrix)
        module.weight.data.copy_(weight)
        if bias is not None:
            module.bias.data.copy_(bias)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the mean over all batches, of which there is one
    network.train()
    with torch.no_grad():
        assert teacher.images is not None
        network(teacher.images)
    return network.eval()


def test_a_draw_is_the_network_re_estimated_by_hand(teacher: Drawn) -> None:
    outputs = teacher.outputs(IMAGES, 3)
    for sample in range(3):
        weights, statistics = teacher.numbered(sample)
        network = by_hand(teacher, weights)
        with torch.no_grad():
            torch.testing.assert_close(outputs[sample], network(IMAGES), atol=1e-4, rtol=1e-4)
        normed = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm, (mean, variance) in zip(normed, statistics, strict=True):
            torch.testing.assert_close(mean, norm.running_mean)
            torch.testing.assert_close(variance, norm.running_var)  # the unbiased one
    assert not torch.allclose(outputs[0], outputs[1], atol=1e-2)


def test_the_centre_too(teacher: Drawn) -> None:
    network = by_hand(teacher, [layer.posterior.centre() for layer in layers(teacher.network)])
    with torch.no_grad():
        torch.testing.assert_close(teacher.network(IMAGES), network(IMAGES), atol=1e-4, rtol=1e-4)
    running = copy.deepcopy(teacher.network)
    for norm in norms.norms(running):
        norm.given = None
    assert not torch.allclose(running(IMAGES), teacher.network(IMAGES), atol=1e-2)


def test_training_is_validated_at_the_centre_with_its_norms(run: Run, teacher: Drawn) -> None:
    nll = nn.functional.cross_entropy(teacher.network(small.DATASET.val.images), small.DATASET.val.labels)
    assert run.history()["val_nll"].iloc[-1] == pytest.approx(float(nll), rel=1e-6)


def test_running_buffers_are_those_that_training_left(run: Run, teacher: Drawn) -> None:
    before = digest(run.weights(), "")
    teacher.probs(IMAGES, 2.0, 4)
    list(outputs_on(teacher, small.DATASET.val, 2, (0, 1)))
    list(KINDS["variational"].networks(teacher, 2, 0))
    assert digest(teacher.network.state_dict(), "") == before
    assert not any(norm.estimating for norm in norms.norms(teacher.network))


def test_loop_and_vectorised_pass_have_the_same_draws(teacher: Drawn) -> None:
    ways = [sample_forward(teacher.network, IMAGES, 5, vectorised=way, numbered=teacher.numbered) for way in (0, 1)]
    torch.testing.assert_close(*ways, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ways[0], teacher.outputs(IMAGES, 5), atol=1e-4, rtol=1e-4)


def test_statistics_depend_on_the_draw_alone(run: Run, teacher: Drawn) -> None:
    """Whoever asks for whatever: the bits of a draw's statistics are the same."""
    expected = [teachers.load(run).numbered(sample)[1] for sample in range(3)]  # type: ignore[attr-defined]
    asks: list[Callable[[Drawn], object]] = [
        lambda asked: asked.outputs(IMAGES, 3),
        lambda asked: asked.outputs(IMAGES[7:8], 3),
        lambda asked: [asked.outputs(one, 3) for one in IMAGES[:5].flip(0).split(1)],
        lambda asked: sample_forward(asked.network, IMAGES, 3, vectorised=True, numbered=asked.numbered),
        lambda asked: asked.outputs(IMAGES, 7),
    ]
    for ask in asks:
        asked = teachers.load(run)
        assert isinstance(asked, Drawn)
        torch.manual_seed(len(asked.known))
        ask(asked)
        for sample, statistics in enumerate(expected):
            assert all(torch.equal(*pair) for pair in zip(asked.known[sample][1], statistics, strict=True))


def test_draws_that_are_not_kept_are_the_same(teacher: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = teacher.outputs(IMAGES, 3)
    assert all(weights for weights, _ in teacher.known.values())
    monkeypatch.setattr(variational_teacher, "DRAWS_AT_ONCE", 1)
    teacher.known.clear()
    for _ in range(2):
        assert torch.equal(teacher.outputs(IMAGES, 3), expected)
    assert not any(weights for weights, _ in teacher.known.values())


def test_answers_depend_on_no_other_image_and_no_other_sample(teacher: Drawn) -> None:
    state = torch.get_rng_state()
    together = teacher.outputs(IMAGES, 4)
    alone = torch.cat([teacher.outputs(one, 4) for one in IMAGES[:20].split(1)], 1)
    torch.testing.assert_close(alone, together[:, :20], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(teacher.outputs(IMAGES.flip(0), 4).flip(1), together, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(teacher.outputs(IMAGES, 2), together[:2], atol=1e-5, rtol=1e-5)
    assert torch.equal(torch.get_rng_state(), state), "the global random state is left alone"


def test_a_draw_serves_a_block_of_rows(teacher: Drawn) -> None:
    teacher.block = 40
    split = small.DATASET.val
    outputs = torch.cat(list(outputs_on(teacher, split, 2, (5, PARTS.index("val")))), 1)
    for block, rows in enumerate(torch.arange(len(split)).split(40)):
        asked = teacher.drawing(5, PARTS.index("val"), block).outputs(split.take(rows), 2)
        torch.testing.assert_close(outputs[:, rows], asked, atol=1e-5, rtol=1e-5)
    first, second = (teacher.drawing(5, 1, block).outputs(IMAGES, 1) for block in (0, 1))
    assert not torch.allclose(first, second, atol=1e-2)
    for other in ((5, 2), (6, 1), ()):
        assert not torch.allclose(torch.cat(list(outputs_on(teacher, split, 2, other)), 1), outputs, atol=1e-2)
    few = torch.tensor([3, 39, 40, 99])
    parts = [(asked.keys[-1], rows.tolist()) for asked, rows in in_batches(teacher, few, 5)]
    assert parts == [(0, [3, 39]), (1, [40]), (2, [99])]


def test_blocks_are_2500_images(teacher: Drawn) -> None:
    assert [len(rows) for _, rows in in_batches(teacher, torch.arange(5600))] == [500] * 11 + [100]
    assert len({asked.keys for asked, _ in in_batches(teacher, torch.arange(5600))}) == 3


def answers(teacher: Drawn, rows: Tensor) -> Answers:
    return Answers(teacher, small.DATASET.train, rows, "f", Augmentation.NONE, 0, None, samples=2)


def test_kept_answers_draw_for_each_pass_sample_and_block(teacher: Drawn) -> None:
    teacher.block = 50
    train, few = small.DATASET.train, torch.tensor([0, 49, 50, 120, 199])

    def ask(rows: Tensor, number: int) -> Tensor:
        batch = Batch(few, number, train.take(few), train.labels[few], 0.0)
        return answers(teacher, rows).probs(batch, 1.0)

    whole = ask(torch.arange(200), 3)
    torch.testing.assert_close(ask(few, 3), whole, atol=2e-3, rtol=0)  # a subset's answers are those of its rows
    assert not torch.allclose(ask(few, 4), whole, atol=1e-2)
    live = [teacher.drawing(0, 3, sample, 2).outputs(train.take(few[3:4]), 1) for sample in (0, 1)]
    torch.testing.assert_close(whole[3], torch.cat(live).softmax(-1).mean(0)[0], atol=2e-3, rtol=0)


def test_eigen_cam_looks_at_networks_with_the_norms_of_their_draw(teacher: Drawn) -> None:
    given = []
    for network in KINDS["variational"].networks(teacher, 2, 3):
        assert torch.equal(network(IMAGES), network(IMAGES))
        weights = [layer.pinned for layer in layers(network)]
        given.append([norm.given for norm in norms.norms(network)])
        with torch.no_grad():
            expected = by_hand(teacher, weights)(IMAGES)
            torch.testing.assert_close(network(IMAGES), expected, atol=1e-4, rtol=1e-4)
    assert not torch.equal(given[0][0], given[1][0])


def test_a_loaded_teacher_answers_with_the_same_bits(run: Run, teacher: Drawn) -> None:
    _, predictions, _ = evaluate(teacher, small.DATASET, seed=0)
    assert all(torch.equal(predictions[part], run.predictions()[part]) for part in ("val", "test"))


def test_pinned_weights_alone_keep_the_norms_that_are_there(teacher: Drawn) -> None:
    before = [norm.given for norm in norms.norms(teacher.network)]
    weights, statistics = teacher.numbered(0)
    with pinned(teacher.network, weights, statistics):
        assert all(norm.given is value for norm, value in zip(norms.norms(teacher.network), statistics, strict=True))
    with pinned(teacher.network, weights):
        assert all(norm.given is value for norm, value in zip(norms.norms(teacher.network), before, strict=True))
    assert all(norm.given is value for norm, value in zip(norms.norms(teacher.network), before, strict=True))


# --- calibration images -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{}, {"fraction": 0.5}, {"omit_classes": "0+7"}, {"seed": 3}])
def test_calibration_images_are_a_stratified_part_of_those_trained_on(given: dict[str, object]) -> None:
    dataset = data.load("digits")
    config = small.teacher(**GIVEN, **{"dataset": "digits", **given})
    rows, trained = calibration.rows_of(config, dataset), calibration.plan_steps(config, dataset).rows
    assert len(rows) == 256 and (rows.diff() > 0).all() and torch.isin(rows, trained).all()
    counts, whole = (dataset.train.labels[part].bincount(minlength=10) for part in (rows, trained))
    assert ((counts - 256 * whole / len(trained)).abs() < 1).all()
    assert torch.equal(rows, calibration.rows_of(config, dataset))
    other = config.model_copy(update={"seed": config.seed + 1})
    assert not torch.equal(rows, calibration.rows_of(other, dataset))


def test_where_there_are_fewer_images_all_of_them_are_taken(run: Run) -> None:
    tensors, _ = read_tensors(run.path / calibration.FILE)
    assert torch.equal(tensors["rows"], torch.arange(200))
    assert torch.equal(tensors["pixels"], small.DATASET.train.pixels)


@pytest.fixture
def tensors(run: Run) -> Iterator[dict[str, Tensor]]:
    """Give the calibration file's tensors, and put the file back after the test."""
    file = run.path / calibration.FILE
    content = file.read_bytes()
    yield read_tensors(file)[0]
    file.write_bytes(content)


def nan(pixels: Tensor) -> Tensor:
    return torch.where(torch.arange(pixels.numel()).view_as(pixels) == 70, float("nan"), pixels)


HARMS: list[tuple[Callable[[dict[str, Tensor]], dict[str, Tensor]], str]] = [
    (lambda t: {**t, "more": t["rows"]}, "it holds fingerprint, more, pixels, rows"),
    (lambda t: {"pixels": t["pixels"]}, "it holds pixels"),
    (lambda t: {**t, "rows": t["rows"].flip(0)}, "different rows in rising order"),
    (lambda t: {**t, "rows": t["rows"] - 1}, "different rows in rising order"),
    (lambda t: {**t, "rows": t["rows"].float()}, "different rows in rising order"),
    (lambda t: {**t, "rows": t["rows"][:0]}, "different rows in rising order"),
    (lambda t: {**t, "rows": torch.arange(257)}, "different rows in rising order"),
    (lambda t: {**t, "fingerprint": t["fingerprint"] + 1}, "it is not of the images with the fingerprint"),
    (lambda t: {**t, "pixels": t["pixels"].double()}, "its pixels are torch.float64 of shape"),
    (lambda t: {**t, "pixels": t["pixels"][1:]}, r"its pixels are torch.float32 of shape \(199, 1, 8, 8\)"),
    (lambda t: {**t, "pixels": t["pixels"][..., 1:]}, r"of shape \(200, 1, 8, 7\)"),
    (lambda t: {**t, "pixels": nan(t["pixels"])}, "its pixels are not all finite"),
]


@pytest.mark.parametrize(("harm", "says"), HARMS)
def test_other_content_is_refused(
    run: Run, tensors: dict[str, Tensor], harm: Callable[[dict[str, Tensor]], dict[str, Tensor]], says: str
) -> None:
    write_tensors(run.path / calibration.FILE, harm(tensors))
    with pytest.raises(InputError, match=f"^calibration.safetensors of {run.name} is refused: .*{says}") as refused:
        teachers.load(run)
    assert str(refused.value).endswith(".") and "\n" not in str(refused.value)


def test_a_torn_or_absent_file_is_refused(run: Run, tensors: dict[str, Tensor]) -> None:
    file = run.path / calibration.FILE
    content = file.read_bytes()
    for harmed, says in ((content[:-9], "cannot be read"), (content[:-9] + b"123456789", "is corrupt"), (b"", "read")):
        file.write_bytes(harmed)
        with pytest.raises(InputError, match=rf"calibration\.safetensors .*{says}"):
            teachers.load(run)
    file.unlink()
    with pytest.raises(InputError, match=r"calibration\.safetensors cannot be read"):
        teachers.load(run)


# --- names --------------------------------------------------------------------------------------------------------

BEFORE = [
    ("teacher-digits-variational-cnn16-s0-7bc699de60",
     {"architecture": "cnn16", "epochs": 90, "optimizer": "adam", "learning_rate": 1e-3, "weight_decay": 0,
      "schedule": "constant", "kl_weight": 0.03, "prior_scale": 2.0, "initial_sd": 0.15}),
    ("teacher-cifar100-variational-wrn_40_2-s0-793ebeb334", {"dataset": "cifar100", "preset": "bayesian_kd"}),
    ("teacher-cifar10-variational-resnet56-s0-6908d9987f",
     {"dataset": "cifar10", "preset": "mcmi", "family": "mean_field"}),
]  # fmt: skip
"""Names of teachers from before there was the parameter."""


@pytest.mark.parametrize(("name", "given"), BEFORE)
def test_running_statistics_keep_the_names_of_before(name: str, given: dict[str, Any]) -> None:
    def named(**more: str) -> str:
        config = resolve(RunType.TEACHER, {"kind": "variational", **given, **more})
        return name_of(config, "0123456789abcdef", {}, "variational")

    assert named(norm_statistics="running") == name
    assert named() == named(norm_statistics="draw") != name


def test_without_batch_norm_there_is_nothing_to_choose(store: object) -> None:
    def planned(architecture: str, **given: str) -> tuple[str, object]:
        given = {"kind": "variational", "dataset": "cifar10", "architecture": architecture, **given}
        found = plan(resolve(RunType.TEACHER, given))
        assert isinstance(found.config, TeacherConfig)
        return found.name, found.config.norm_statistics

    assert planned("vgg11") == planned("vgg11", norm_statistics="running")
    assert planned("vgg11")[1] is NormStatistics.RUNNING
    assert planned("vgg8")[0] != planned("vgg8", norm_statistics="running")[0]


def test_a_run_that_is_older_than_the_parameter_keeps_its_meaning(store: object) -> None:
    run = execute(small.teacher(**GIVEN, norm_statistics="running", epochs=1))
    assert not (run.path / calibration.FILE).exists()
    record = run.record
    del record["config"]["norm_statistics"]
    (run.path / "config.json").write_text(json.dumps(record))
    loaded = teachers.load(runs.Run(run.name))
    assert isinstance(loaded, Drawn) and loaded.images is None
    metrics, _, _ = evaluate(loaded, small.DATASET)
    assert metrics.items() <= run.metrics.items()
    parent = plan(small.student(teacher=run.name)).parents["teacher"]
    assert isinstance(parent.config, TeacherConfig) and parent.config.norm_statistics is NormStatistics.RUNNING
