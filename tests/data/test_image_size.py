"""CIFAR at fewer pixels a side: block means, rows and splits of the full size, names, crops, maps of 8×8 positions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import small
import torch

from kdlib import data, models
from kdlib.base.errors import InputError
from kdlib.data import cache
from kdlib.data.cifar import CIFAR100
from kdlib.data.cifar import images as cifar
from kdlib.report import cam
from kdlib.runs import execute
from kdlib.runs.plans import plan
from kdlib.runs.recipes import resolve
from kdlib.study.rows import table

COUNTS = (100, 20, 20)


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Put random images in the place of the cached `cifar100` and return them, uint8 `(140, 3, 32, 32)`."""
    monkeypatch.setenv("KDLIB_DATASETS", str(tmp_path / "datasets"))
    execute._loaded.cache_clear()
    pixels = np.random.default_rng(0).integers(0, 256, (sum(COUNTS), 3, 32, 32), dtype=np.uint8)

    def build(folder: Path) -> cache.Meta:
        cache.write(folder, [pixels], np.arange(len(pixels)) % 100, COUNTS[0])
        return cache.Meta(CIFAR100.published, CIFAR100.labels, cifar.SHAPE, COUNTS, CIFAR100.mean, CIFAR100.std)

    cache.load("cifar100", CIFAR100.published, pixels.nbytes, build)
    return pixels


@pytest.mark.parametrize("side", [16, 8])
def test_a_reduced_pixel_is_the_mean_of_its_block_half_rounded_up(side: int) -> None:
    full = np.random.default_rng(0).integers(0, 256, (7, 3, 32, 32), dtype=np.uint8)
    block = 32 // side
    means = full.reshape(7, 3, side, block, side, block).astype(np.float64).mean((3, 5))
    assert np.array_equal(cifar.reduced(full, side), np.floor(means + 0.5).astype(np.uint8))
    flat = np.full((1, 3, 32, 32), 255, np.uint8)
    assert (cifar.reduced(flat, side) == 255).all()


def test_a_size_is_part_of_what_images_are_but_the_full_size_is_none() -> None:
    for name in ("cifar10", "cifar100", "cifar10h"):
        marks = {size: data.fingerprint(name, image_size=size) for size in (None, 32, 16, 8)}
        assert marks[None] == marks[32]
        assert len(set(marks.values())) == 3
        for size in (64, 20, 4, 31):
            with pytest.raises(InputError, match=rf"image_size is {size}, but .* 32 or 16 or 8 pixels a side"):
                data.fingerprint(name, image_size=size)


def test_the_full_size_names_the_same_run(store: Path) -> None:
    given = {"dataset": "cifar100", "architecture": "resnet8", **small.USUAL}
    none, full, half = (plan(small.teacher(**given, image_size=size)).name for size in (None, 32, 16))
    assert none == full != half


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "cifar10h"])
def test_reduced_images_keep_rows_labels_and_people(data_root: Path, name: str) -> None:
    full, half = data.load(name, data_root), data.load(name, data_root, image_size=16)
    assert half.shape == (3, 16, 16) and half.fingerprint == data.fingerprint(name, data_root, 16)
    for ours, theirs in ((half.train, full.train), (half.val, full.val), (half.test, full.test)):
        assert torch.equal(ours.labels, theirs.labels)
        rows = torch.arange(0, len(theirs), 97)
        assert np.array_equal(ours.pixels[rows].numpy(), cifar.reduced(theirs.pixels[rows].numpy(), 16))
        assert (ours.bcp is None) == (theirs.bcp is None)
        assert ours.bcp is None or torch.equal(ours.bcp, theirs.bcp)  # type: ignore[arg-type]
    if name != "cifar10h":  # whose mean and sd are those of CIFAR-10
        images = half.train.images.double()
        assert images.mean((0, 2, 3)).tolist() == pytest.approx(list(half.mean), abs=1e-6)
        assert images.std((0, 2, 3), correction=0).tolist() == pytest.approx(list(half.std), abs=1e-6)


@pytest.mark.parametrize("side", [16, 8])
def test_reduced_once_then_read_from_the_cache(photographs: np.ndarray, tmp_path: Path, side: int) -> None:
    first = data.load("cifar100", tmp_path, image_size=side)
    assert first.shape == (3, side, side)
    assert [len(split) for split in (first.train, first.val, first.test)] == list(COUNTS)
    pixels = torch.cat([split.pixels for split in (first.train, first.val, first.test)])
    assert np.array_equal(pixels.numpy(), cifar.reduced(photographs, side))
    assert first.test.labels.tolist() == list(range(20, 40))
    seen = first.train.images.double()
    assert seen.mean((0, 2, 3)).tolist() == pytest.approx(list(first.mean), abs=1e-6)
    assert seen.std((0, 2, 3), correction=0).tolist() == pytest.approx(list(first.std), abs=1e-6)
    (tmp_path / "datasets" / f"cifar100-{data.fingerprint('cifar100')}" / cache.META).unlink()
    again = data.load("cifar100", tmp_path, image_size=side)  # nothing is left to reduce it from
    assert torch.equal(again.train.pixels, first.train.pixels) and again.fingerprint == first.fingerprint


def test_halves_are_rounded_up_and_colours_stay_apart() -> None:
    pixels = np.zeros((1, 3, 32, 32), np.uint8)
    pixels[0, 0, :2, :2] = [[0, 0], [0, 1]]  # 1/4
    pixels[0, 1, :2, :2] = [[0, 1], [1, 0]]  # 1/2
    pixels[0, 2, :2, :2] = [[255, 254], [255, 254]]  # 254 1/2
    assert cifar.reduced(pixels, 16)[0, :, 0, 0].tolist() == [0, 1, 255]
    assert cifar.reduced(pixels, 16)[0, :, 1:].sum() == cifar.reduced(pixels, 16)[0, :, 0, 1:].sum() == 0


def test_a_name_shows_a_reduced_size(store: Path) -> None:
    names = {
        size: plan(small.teacher(dataset="cifar10", architecture="resnet8", image_size=size)).name
        for size in (None, 16, 8)
    }
    assert names[None].startswith("teacher-cifar10-deterministic-")
    assert [names[size].split("-")[:4] for size in (16, 8)] == [
        ["teacher", "cifar10", size, "deterministic"] for size in ("16", "8")
    ]


@pytest.mark.parametrize("name", ["resnet8", "resnet20"])
def test_the_stage_before_the_last_has_8_by_8_positions_at_16_pixels(name: str) -> None:
    network = models.build(name, 10, 3, 16).eval()
    x, sides = torch.zeros(1, 3, 16, 16), []
    for block in network.blocks:
        x = block(x)
        sides.append(x.shape[-1])
    assert sides[-3:] == [16, 8, 4]


def test_teachers_maps_and_pages_at_16_pixels(
    photographs: np.ndarray, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"dataset": "cifar100", "data_root": str(tmp_path), "image_size": 16, "threads": 1}
    trained = {**given, "architecture": "resnet8", "epochs": 1, "batch_size": 50, "augmentation": "zero_crop_flip"}
    teacher = execute.execute(resolve("teacher", trained))
    run = execute.execute(resolve("eigencam", {**given, "parent": teacher.name, "images": 20, "stage": 2}))
    arrays = run.arrays()
    assert arrays["maps"].shape == (20, 16, 16) and arrays["pictures"].shape == (20, 3, 16, 16)
    assert arrays["pictures"].dtype == torch.uint8 and "pixels" not in arrays
    assert torch.equal(arrays["pictures"], data.load("cifar100", tmp_path, 16).test.pixels[arrays["index"]])
    assert float(arrays["maps"].amax((1, 2)).min()) > 0.9
    frame = table()
    rows = frame[frame["run_type"] == "eigencam"].assign(teacher_label="deterministic")
    shown: list[str] = []
    monkeypatch.setattr("IPython.display.display", lambda one: shown.append(one.data))
    cam.grid(rows, "k")
    assert "image/png" in "".join(shown)
    # what saw 16×16 pixels is no teacher of 32×32, by whatever name it is called
    made = sorted(path.name for path in store.iterdir())
    for other in ({"image_size": 8}, {"image_size": None}):
        for config in (
            resolve("student", {**trained, **other, "teacher": teacher.name}),
            resolve("eigencam", {**given, **other, "parent": teacher.name}),
            resolve("measure", {**given, **other, "parent": teacher.name}),
        ):
            with pytest.raises(InputError, match=r"is refused: it was trained on images of shape \(3, 16, 16\), and"):
                execute.execute(config)
    assert sorted(path.name for path in store.iterdir()) == made
