"""Eigen-CAM: the sign is fixed, the map is the first principal component, and the numbers are what they say."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small import DATASET, GIVEN, network, settings
from torch import Tensor, nn

from kdlib.base import paths
from kdlib.base.errors import InputError
from kdlib.base.tensors import digest
from kdlib.data.digits.mixture import bcp, class_pixels, draw, mixture
from kdlib.experiments.eigencam import cam
from kdlib.experiments.eigencam import run as eigencam
from kdlib.models.network import Network
from kdlib.report import cam as pages
from kdlib.report.claims import c10
from kdlib.runs.execute import check, execute
from kdlib.runs.recipes import resolve
from kdlib.store import runs
from kdlib.study import records
from kdlib.study.keeping import record_of
from kdlib.study.rows import arrays_of, table
from kdlib.teachers.contract import Teacher
from kdlib.teachers.ensemble import average
from kdlib.teachers.kinds import KINDS
from kdlib.teachers.variational import PUBLISHED, VariationalConfig
from kdlib.teachers.variational.bayesianize import bayesianize
from kdlib.teachers.variational.teacher import Drawn

IMAGES = DATASET.test.images[:40]


class Given(nn.Module):
    """A stage that puts out fixed activations."""

    def __init__(self, activations: Tensor) -> None:
        super().__init__()
        self.register_buffer("activations", activations)

    def forward(self, x: Tensor) -> Tensor:
        return self.activations[: len(x)]


def fixed(activations: Tensor) -> Network:
    """Return a network whose only stage has these activations `(n, channels, h, w)`."""
    return Network("fixed", [Given(activations)], activations.shape[1], 3, 1).eval()


def by_svd(activations: np.ndarray) -> np.ndarray:
    """Return the signed projection on the first right singular vector, written out, `(n, h, w)`."""
    out = []
    for a in activations.astype(np.float64):
        flat = a.reshape(len(a), -1).T
        flat = flat - flat.mean(0)
        projected = flat @ np.linalg.svd(flat, full_matrices=False)[2][0]
        mean = a.mean(0).ravel()
        correlation = projected @ (mean - mean.mean())
        out.append((projected if correlation >= 0 else -projected).reshape(a.shape[1:]))
    return np.stack(out)


def test_maps_agree_with_a_direct_svd() -> None:
    torch.manual_seed(0)
    activations = torch.rand(12, 5, 8, 8)
    found = cam.eigen_cam(fixed(activations), torch.zeros(12, 1, 8, 8))
    wanted = np.maximum(by_svd(activations.numpy()), 0)
    wanted /= wanted.max((1, 2), keepdims=True)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5)
    assert found.dtype == torch.float32 and found.shape == (12, 8, 8)


def test_the_sign_does_not_depend_on_that_of_the_singular_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = network()
    before = cam.eigen_cam(plain, IMAGES)
    original, flips = np.linalg.svd, [0]

    def flipped(matrix: np.ndarray, **options: object) -> tuple[np.ndarray, ...]:
        u, s, vt = original(matrix, **options)  # type: ignore[call-overload]
        flips[0] += 1
        return u * -1, s, vt * -1

    monkeypatch.setattr(np.linalg, "svd", flipped)
    after = cam.eigen_cam(plain, IMAGES)
    assert flips[0] == len(IMAGES)
    torch.testing.assert_close(after, before, atol=0, rtol=0)


def test_every_map_rises_with_the_mean_activation() -> None:
    plain = network()
    with torch.no_grad():
        activations = plain.eval().stages(IMAGES)[0].numpy()
    projected = by_svd(activations)
    flip = np.where(np.arange(len(IMAGES)) % 2, -1, 1).astype(np.float32)  # as an SVD might have it
    given = (projected * flip[:, None, None]).astype(np.float32)
    signs = cam.signs(given, activations)
    np.testing.assert_array_equal(signs, flip)
    centred = activations.mean(1) - activations.mean((1, 2, 3))[:, None, None]
    assert ((given * signs[:, None, None] * centred).sum((1, 2)) > 0).all()


def test_where_the_mean_says_nothing_the_largest_value_is_positive() -> None:
    pattern = np.array([[[3.0, -1.0], [-1.0, -1.0]]], np.float32)
    activations = np.stack([pattern, -pattern], 1).reshape(1, 2, 2, 2)  # the mean over channels is zero
    for sign in (1, -1):
        assert cam.signs(sign * pattern, activations) == [sign]


def test_a_rank_one_activation_gives_its_own_map() -> None:
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    place = torch.exp(-((rows - 2) ** 2 + (columns - 5) ** 2) / 4)
    # a bright spot in every channel, of different strengths; and its negative, of which the rest is bright
    spot = torch.tensor([1.0, 2.0, 0.5])[:, None, None] * place
    found = cam.eigen_cam(fixed(torch.stack([spot, -spot])), torch.zeros(2, 1, 8, 8))
    centred = place - place.mean()
    torch.testing.assert_close(found[0], centred.clamp_min(0) / centred.max(), atol=1e-5, rtol=0)
    torch.testing.assert_close(found[1], (-centred).clamp_min(0) / (-centred).max(), atol=1e-5, rtol=0)


def test_maps_are_enlarged_to_the_image_and_even_activations_give_none() -> None:
    found = cam.eigen_cam(fixed(torch.ones(2, 4, 2, 2)), torch.zeros(2, 1, 16, 16))
    assert found.shape == (2, 16, 16) and (found == 0).all()
    plain = network()
    for stage in (1, 2, 3):
        maps = cam.eigen_cam(plain, IMAGES, stage)
        assert maps.shape == (len(IMAGES), 8, 8)
        assert maps.min() == 0 and (maps.amax((1, 2)) > 0.99).all()


def test_numbers_of_hand_made_maps() -> None:
    one = torch.zeros(4, 4)
    one[1, 2] = 0.3
    half = torch.zeros(4, 4)
    half[:2] = 1
    steps = torch.tensor([1.0, 0.5, 0.49, 0.0]).repeat(4, 1)
    maps = torch.stack([one, half, torch.ones(4, 4), torch.zeros(4, 4), steps])
    torch.testing.assert_close(cam.area(maps), torch.tensor([1 / 16, 1 / 2, 1, 1, 1 / 2]).double())
    sizes = [1, 8, 16, 16]
    torch.testing.assert_close(cam.entropy(maps)[:4], torch.tensor([math.log(n) for n in sizes]).double())
    p = np.array([1, 0.5, 0.49]) / 1.99 / 4
    assert float(cam.entropy(maps)[4]) == pytest.approx(-4 * (p * np.log(p)).sum())
    # scaling a map changes none of them
    for measured in (cam.area, cam.entropy):
        torch.testing.assert_close(measured(maps * 0.1), measured(maps))


def test_variation_within_a_class() -> None:
    left, right = torch.zeros(2, 2), torch.zeros(2, 2)
    left[:, 0], right[:, 1] = 1, 1
    same = cam.variation(torch.stack([left, left, right, right]), torch.tensor([4, 4, 9, 9]))
    assert (same == 0).all()
    apart = cam.variation(torch.stack([left, right, left]), torch.tensor([4, 4, 9]))
    torch.testing.assert_close(apart, torch.tensor([0.5, 0.5, 0.0]).double())


def test_overlap_and_chance() -> None:
    torch.manual_seed(1)
    a, b = torch.rand(6, 4, 4), torch.rand(6, 4, 4)
    torch.testing.assert_close(cam.overlap(a, 3 * a), torch.ones(6).double())
    torch.testing.assert_close(cam.overlap(a, b), 1 - (cam.shares(a) - cam.shares(b)).abs().sum(1) / 2)
    apart = torch.zeros(2, 1, 4)
    apart[0, 0, :2], apart[1, 0, 2:] = 1, 1
    assert float(cam.overlap(apart[:1], apart[1:])) == 0
    # chance is the mean over rearrangements: of 2 pixels among 4, half is shared
    assert float(cam.overlap_by_chance(apart[:1], apart[1:])) == pytest.approx(0.5)
    shuffled = [cam.overlap(a.flatten(1)[:, torch.randperm(16)].view_as(a), b) for _ in range(3000)]
    torch.testing.assert_close(torch.stack(shuffled).mean(0), cam.overlap_by_chance(a, b), atol=3e-3, rtol=0)


def test_class_pixels_are_those_of_the_mixture() -> None:
    pixels = class_pixels(0.4)
    images, labels = draw(60_000, 0.4, 5, "t", "t")
    x = images[:, 0].double()
    means = torch.stack([x[labels == c].mean(0) for c in range(10)])
    parts = mixture()
    expected = (parts.weights[..., None] * parts.means).sum(1)
    torch.testing.assert_close(means.flatten(1), expected, atol=0.03, rtol=0)
    variances = torch.stack([x[labels == c].var(0) for c in range(10)])
    drawn = (means[:, None] - means).square() / (variances[:, None] + variances)
    torch.testing.assert_close(pixels, drawn.sum(1) / 9, atol=0.03, rtol=0.05)
    assert (class_pixels(1.0) <= pixels).all(), "noise hides the class"
    assert parts.means.shape[-1] == pixels[0].numel()
    # pixels that carry the class do: without them the BCP of the label falls more than without as many others
    truth = bcp(images[:2000], 0.4).gather(1, labels[:2000, None])
    order = pixels[labels[:2000]].flatten(1).argsort(1, descending=True)
    centre = expected.mean(0).float()
    losses = []
    for hidden in (order[:, :12], order[:, -12:]):
        flat = images[:2000].flatten(1).clone()
        flat.scatter_(1, hidden, centre[hidden])
        losses.append(float((truth - bcp(flat, 0.4).gather(1, labels[:2000, None])).mean()))
    assert losses[0] > 2 * losses[1]


def test_the_teacher_is_unchanged() -> None:
    plain = network().train()
    teacher = Teacher(plain, settings(), "t")
    before, outputs = digest(plain.state_dict(), ""), teacher.outputs(IMAGES)
    for found in KINDS["deterministic"].networks(teacher, 1, 0):
        cam.eigen_cam(found, IMAGES)
    assert digest(plain.state_dict(), "") == before
    assert torch.equal(teacher.outputs(IMAGES), outputs)
    assert not [m for m in plain.modules() if m._forward_hooks], "no hook is left"
    assert not any(p.requires_grad or p.grad is not None for p in plain.parameters())


def bayesian() -> Drawn:
    torch.manual_seed(3)
    made = bayesianize(network(), VariationalConfig(**{**PUBLISHED, "initial_sd": 0.5, "max_sd": 1.0}))
    return Drawn(made, settings(), "bayes")


def test_weight_samples_are_the_same_for_all_images_and_extend() -> None:
    teacher = bayesian()
    state = torch.get_rng_state()
    few = [cam.eigen_cam(found, IMAGES) for found in KINDS["variational"].networks(teacher, 2, 7)]
    more = [cam.eigen_cam(found, IMAGES[:10]) for found in KINDS["variational"].networks(teacher, 3, 7)]
    assert torch.equal(torch.get_rng_state(), state), "the global random state is left alone"
    assert len(few) == 2 and len(more) == 3
    for a, b in zip(few, more, strict=False):
        torch.testing.assert_close(a[:10], b, atol=1e-4, rtol=0)
    assert not torch.allclose(few[0], few[1], atol=1e-2)
    other = next(iter(cam.eigen_cam(found, IMAGES) for found in KINDS["variational"].networks(teacher, 1, 8)))
    assert not torch.allclose(other, few[0], atol=1e-2)


def test_an_ensemble_has_a_map_for_each_member() -> None:
    members = [Teacher(network(seed), settings(), str(seed)) for seed in (0, 1)]
    maps = [cam.eigen_cam(found, IMAGES) for found in KINDS["ensemble"].networks(average(members, "e"), 5, 0)]
    alone = [cam.eigen_cam(member.network, IMAGES) for member in members]
    assert len(maps) == 2 and all(torch.equal(a, b) for a, b in zip(maps, alone, strict=True))


def test_mean_and_spread_over_networks() -> None:
    torch.manual_seed(2)
    maps = torch.rand(5, 3, 4, 4)
    gathered = eigencam.Maps()
    for one in maps:
        gathered.add(one)
    torch.testing.assert_close(gathered.mean, maps.double().mean(0))
    torch.testing.assert_close(gathered.spread, maps.double().std(0))
    torch.testing.assert_close(gathered.entropy, torch.stack([cam.entropy(one) for one in maps]).mean(0))


def test_images_are_chosen_evenly() -> None:
    labels = torch.tensor([2, 0, 0, 1, 2, 0, 0, 2])
    assert eigencam.chosen(labels, 7).tolist() == [1, 3, 0, 2, 4, 5, 7]
    assert eigencam.chosen(labels, 3).tolist() == [1, 3, 0]
    assert sorted(eigencam.chosen(labels, 100).tolist()) == list(range(8))
    assert len(eigencam.chosen(DATASET.test.labels, 50)) == 50


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with runs of a deterministic and a variational teacher, and of their maps."""
    store = tmp_path_factory.mktemp("store")
    before = os.environ.get("KDLIB_RUNS")
    os.environ["KDLIB_RUNS"] = str(store)
    for kind in ("deterministic", "variational"):
        parent = execute(resolve("teacher", {**GIVEN, "epochs": 2, "kind": kind}))
        given = {"dataset": "digits:tiny", "parent": parent.name, "images": 30, "eval_samples": 3, "threads": 1}
        execute(resolve("eigencam", given))
    os.environ.pop("KDLIB_RUNS")
    if before is not None:
        os.environ["KDLIB_RUNS"] = before
    return store


def test_a_run_holds_maps_and_numbers(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDLIB_RUNS", str(made))
    frame = table()
    frame = frame[frame["run_type"] == "eigencam"].set_index("teacher")
    assert set(frame.index) == {"deterministic", "variational"} and set(frame["architecture"]) == {"cnn4"}
    for kind, row in frame.iterrows():
        run = runs.Run(str(row["run"]))
        files = {path.name for path in run.path.iterdir()}
        assert files == {"config.json", "provenance.json", "metrics.json", "arrays.safetensors"}
        arrays = run.arrays()
        shapes = {name: tuple(value.shape) for name, value in arrays.items()}
        wanted = {"maps": (30, 8, 8), "index": (30,), "labels": (30,), "pictures": (20, 1, 8, 8), "pixels": (20, 8, 8)}
        assert shapes == wanted | ({"spread": (30, 8, 8)} if kind == "variational" else {})
        assert arrays["maps"].dtype == torch.float16
        assert torch.equal(DATASET.test.labels[arrays["index"]], arrays["labels"])
        maps = arrays["maps"].float()
        assert run.metrics["cam_entropy"] == pytest.approx(float(cam.entropy(maps).mean()), abs=2e-3)
        assert ("cam_spread" in run.metrics) == (kind == "variational")
        assert run.metrics["cam_overlap"] == pytest.approx(
            float(cam.overlap(maps, class_pixels(0.4)[arrays["labels"]]).mean()), abs=2e-3
        )


def test_records_keep_the_maps_that_pages_show(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDLIB_RUNS", str(made))
    monkeypatch.setattr(paths, "RECORDS", tmp_path)
    frame = table()
    frame = frame[frame["run_type"] == "eigencam"].assign(teacher_label=lambda rows: rows["teacher"])
    kept_rows = [{**record_of(runs.Run(name)), "label": "maps", "teacher_label": "t"} for name in frame["run"]]
    records.write(records.file_of("some", 0), kept_rows)
    for name in frame["run"]:
        stored, kept = arrays_of(name), records.arrays(name)
        assert stored and set(stored) == set(kept)
        for array in kept:
            np.testing.assert_array_equal(kept[array], stored[array][:20])
    assert record_of(runs.Run(frame["run"].iloc[0]), first_seed=False)["arrays"] is None
    assert arrays_of("nobody") == {}
    shown: list[str] = []
    monkeypatch.setattr("IPython.display.display", lambda one: shown.append(str(one.data)))
    pages.grid(frame, "k", list("0123456789"))
    assert "image/png" in shown[0] and "A spread is" in shown[0] and "Class pixels" in shown[0]
    pages.shown([runs.Run(name) for name in frame["run"]])
    pages.grid(frame.assign(run="nobody"), "k")
    assert len(shown) == 2, "where no maps were kept there is nothing to show"


def test_the_claim_is_paired_over_seeds() -> None:
    rows = pd.DataFrame(
        [
            {"run": f"{kind}-{seed}", "run_type": "eigencam", "architecture": "cnn4", "stage": 1, "images": 50,
             "teacher": kind, "teacher_label": kind, "seed": seed, "cam_entropy": 3 + seed + gain * (1 + 0.01 * seed)}
            for kind, gain in (("deterministic", 0.0), ("mcmi", 0.2)) for seed in range(6)
        ]
    )  # fmt: skip
    found = c10.effects(rows)["mcmi"]
    assert found is not None and found.n == 6 and found.mean == pytest.approx(0.205)
    assert found.high - found.low < 0.01
    assert c10.effects(rows[rows["teacher"] == "mcmi"]) == {"mcmi": None}


def test_what_is_refused_before_any_work(store: Path) -> None:
    for given, says in (
        ({"stage": 4}, "stage = 4 is refused: cnn32 has 3 stages."),
        ({"stage": 0}, "stage = 0 is refused"),
        ({"images": 0}, "images = 0 is refused"),
        ({"parent": "nobody"}, "parent = 'nobody' is refused"),
        ({"samples": 3}, "samples is no parameter of eigencam"),
    ):
        with pytest.raises(InputError) as refused:
            check([resolve("eigencam", {"dataset": "digits:tiny", **given})])
        assert says in str(refused.value) and "\n" not in str(refused.value)
    assert not list(store.glob("*/metrics.json"))


def test_the_library_is_imported_when_it_is_needed() -> None:
    code = "import sys, kdlib.runs.execute, kdlib.experiments.eigencam.run; print('pytorch_grad_cam' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_single_network_stands_beside_the_mean_of_several() -> None:
    rows = pd.DataFrame(
        [{"teacher_label": kind, "seed": seed, "cam_entropy": 3 + seed + more,
          "cam_network_entropy": 3 + seed + 0.1 if kind == "variational" else None}
         for kind, more in (("deterministic", 0.0), ("variational", 0.4)) for seed in range(2)]
    )  # fmt: skip
    found = pages.broader(rows).groupby("teacher_label")["cam_entropy"].mean()
    assert dict(found) == pytest.approx({"variational": 0.4, "variational one network": 0.1})
    assert list(pages.broader(rows.drop(columns="cam_network_entropy"))["teacher_label"]) == ["variational"] * 2
