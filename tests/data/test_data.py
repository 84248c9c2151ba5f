"""Named datasets: real CIFAR, own folders, caches and subsets."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pytest
import torch
from PIL import Image
from pyarrow import parquet

from kdlib import data
from kdlib.base import paths
from kdlib.base.errors import InputError
from kdlib.data import cache, subsets
from kdlib.data.cifar import CIFAR100, answers
from kdlib.data.cifar import images as cifar
from kdlib.data.classes import resolve_classes
from kdlib.data.dataset import Split
from kdlib.data.options import BCPSource
from kdlib.runs.plans import plan
from kdlib.runs.recipes import resolve


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a folder of caches of its own."""
    monkeypatch.setenv("KDLIB_DATASETS", str(tmp_path / "datasets"))
    return tmp_path / "datasets"


def paint(path: Path, seed: int, size: tuple[int, int] = (40, 50)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder of 2 classes with 10 training images each."""
    for label in ("ant", "bee"):
        for i in range(10):
            paint(tmp_path / "images" / "train" / label / f"{i:02}.png", i + 100 * (label == "bee"))
    return tmp_path / "images"


# --- subsets ------------------------------------------------------------------------------------------------------


LABELS = torch.tensor([0] * 450 + [1] * 450 + [2] * 7)[torch.randperm(907, generator=torch.Generator().manual_seed(0))]
NAMES = ("ant", "bee", "cat")


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [(1.0, [450, 450, 7]), (0.35, [158, 158, 2]), (0.05, [23, 23, 1]), (0.5, [225, 225, 4]), (0.001, [1, 1, 1])],
)
def test_fraction_is_of_each_class_rounded_half_up(fraction: float, expected: list[int]) -> None:
    rows = subsets.subset(LABELS, NAMES, fraction)
    assert rows.dtype == torch.int64
    assert LABELS[rows].bincount().tolist() == expected
    assert torch.equal(rows, rows.unique())


def test_subsets_are_nested_and_repeat() -> None:
    small, large = (set(subsets.subset(LABELS, NAMES, share).tolist()) for share in (0.1, 0.25))
    assert small < large
    assert small == set(subsets.subset(LABELS, NAMES, 0.1).tolist())
    assert small != set(subsets.subset(LABELS, NAMES, 0.1, seed=6).tolist())
    # Omitting a class leaves the others' choice as it is.
    without = set(subsets.subset(LABELS, NAMES, 0.1, (1,)).tolist())
    assert without == {row for row in small if LABELS[row] != 1}


def test_classes_are_named_or_numbered() -> None:
    assert resolve_classes("", NAMES) == ()
    assert resolve_classes("2+0", NAMES) == (0, 2)
    assert resolve_classes("cat + ant", NAMES) == (0, 2)
    assert resolve_classes("3", tuple("9876543210")) == (6,)  # a name comes before a number


@pytest.mark.parametrize("spec", ["3", "dog", "-1", "0+1+2", "1.5", "0,1"])
def test_classes_that_do_not_exist_are_refused(spec: str) -> None:
    with pytest.raises(InputError, match="omit_classes"):
        resolve_classes(spec, NAMES)


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.01, float("nan")])
def test_fraction_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(InputError, match="fraction"):
        subsets.subset(LABELS, NAMES, fraction)


def test_omitting_every_class_is_refused() -> None:
    with pytest.raises(InputError, match="omit_classes"):
        subsets.subset(LABELS, NAMES, 1.0, (0, 1, 2))


def test_partition_is_stratified_and_whole() -> None:
    val, test, train = subsets.partition(LABELS, (0.1, 0.2))
    assert LABELS[val].bincount().tolist() == [45, 45, 1]
    assert LABELS[test].bincount().tolist() == [90, 90, 1]
    assert torch.equal(torch.cat([val, test, train]).sort().values, torch.arange(907))
    with pytest.raises(InputError, match="class number 0 has 2 images"):
        subsets.partition(torch.zeros(2, dtype=torch.int64), (0.1, 0.2))


# --- splits -------------------------------------------------------------------------------------------------------


def test_a_split_takes_rows_as_floats() -> None:
    pixels = torch.randint(0, 256, (6, 3, 4, 4), dtype=torch.uint8)
    split = Split(pixels, torch.arange(6))
    rows = torch.tensor([4, 1, 1])
    assert torch.equal(split.take(rows), split.images[rows])
    assert torch.equal(split.images, pixels.float() / 255)
    assert len(split.to("cpu")) == len(split) == 6


@pytest.mark.parametrize("name", ["imagenet", "", "cifar10:small", "folder:", "folder:/nowhere/at/all"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="dataset is"):
        data.load(name)
    with pytest.raises(InputError, match="dataset is"):
        data.fingerprint(name)


def test_image_size_is_for_folders() -> None:
    assert data.load("digits:tiny", image_size=8).shape == (1, 8, 8)
    with pytest.raises(InputError, match="image_size"):
        data.load("digits:tiny", image_size=32)


# --- own images ---------------------------------------------------------------------------------------------------


def test_folder_is_divided_decoded_and_cached(tree: Path, datasets: Path) -> None:
    name = f"folder:{tree}"
    dataset = data.load(name, image_size=16)
    assert dataset.classes == ("ant", "bee")
    assert dataset.shape == (3, 16, 16)
    assert [len(s) for s in (dataset.train, dataset.val, dataset.test)] == [14, 2, 4]
    assert dataset.train.labels.bincount().tolist() == [7, 7]
    assert dataset.test.labels.bincount().tolist() == [2, 2]
    assert dataset.fingerprint == data.fingerprint(name, image_size=16)
    assert np.allclose(dataset.mean, dataset.train.images.mean((0, 2, 3)), atol=1e-5)
    assert np.allclose(dataset.std, dataset.train.images.std((0, 2, 3), correction=0), atol=1e-5)
    assert [p.name for p in datasets.iterdir() if not p.name.endswith("fingerprints")] == [
        f"folder-{dataset.fingerprint}"
    ]
    again = data.load(name, image_size=16)
    for part in ("train", "val", "test"):
        assert torch.equal(getattr(again, part).pixels, getattr(dataset, part).pixels)
        assert torch.equal(getattr(again, part).labels, getattr(dataset, part).labels)
    assert data.load(name).shape == (3, 32, 32)


def test_folder_images_are_resized_and_cut_as_torchvision_does(tree: Path, datasets: Path) -> None:
    import torchvision.transforms.functional as F

    for part in ("val", "test"):
        for label, seed in (("ant", 1), ("bee", 2)):
            paint(tree / part / label / "x.png", seed, size=(61, 43))
    dataset = data.load(f"folder:{tree}", image_size=24)
    assert [len(s) for s in (dataset.train, dataset.val, dataset.test)] == [20, 2, 2]
    with Image.open(tree / "test" / "bee" / "x.png") as image:
        cut = F.center_crop(F.resize(image, 24), [24, 24])
    difference = dataset.test.pixels[1].int() - F.pil_to_tensor(cut).int()
    assert difference.abs().float().mean() < 0.01


def test_folder_of_class_folders_alone(tree: Path, datasets: Path) -> None:
    dataset = data.load(f"folder:{tree / 'train'}", image_size=8)
    assert [len(s) for s in (dataset.train, dataset.val, dataset.test)] == [14, 2, 4]


def test_folder_fingerprint_follows_the_content_not_the_place(tree: Path, datasets: Path, tmp_path: Path) -> None:
    mark = data.fingerprint(f"folder:{tree}", image_size=16)
    shutil.copytree(tree, tmp_path / "moved")
    assert data.fingerprint(f"folder:{tmp_path / 'moved'}", image_size=16) == mark
    assert data.fingerprint(f"folder:{tree}", image_size=8) != mark
    paint(tree / "train" / "ant" / "00.png", 999)
    assert data.fingerprint(f"folder:{tree}", image_size=16) != mark


@pytest.mark.parametrize("cut", [0, 20, 2_000])
def test_a_corrupt_image_is_named(tree: Path, datasets: Path, cut: int) -> None:
    bad = tree / "train" / "bee" / "03.png"
    bad.write_bytes(bad.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"bee/03\.png"):
        data.load(f"folder:{tree}")
    assert not datasets.exists()


def test_a_file_of_another_format_is_refused(tree: Path, datasets: Path) -> None:
    Image.new("RGB", (9, 9)).save(tree / "train" / "bee" / "03.png", format="PPM")
    with pytest.raises(InputError, match=r"bee/03\.png"):
        data.load(f"folder:{tree}")


def test_a_decompression_bomb_is_refused(tree: Path, datasets: Path) -> None:
    Image.new("1", (10_000, 8_100)).save(tree / "train" / "bee" / "03.png")
    with pytest.raises(InputError, match=r"bee/03\.png"):
        data.load(f"folder:{tree}")


def test_a_link_out_of_the_folder_is_refused(tree: Path, datasets: Path, tmp_path: Path) -> None:
    paint(tmp_path / "elsewhere.png", 1)
    (tree / "train" / "ant" / "link.png").symlink_to(tmp_path / "elsewhere.png")
    with pytest.raises(InputError, match=r"link\.png"):
        data.load(f"folder:{tree}")


def test_folders_without_classes_or_images_are_refused(tree: Path, datasets: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="at least two class folders"):
        data.load(f"folder:{tmp_path / 'empty'}")
    for label in ("a", "b"):
        (tmp_path / "bare" / "train" / label).mkdir(parents=True)
    with pytest.raises(InputError, match="no images"):
        data.load(f"folder:{tmp_path / 'bare'}")
    paint(tree / "val" / "wasp" / "x.png", 1)
    with pytest.raises(InputError, match="'wasp'"):
        data.load(f"folder:{tree}")
    with pytest.raises(InputError, match="image_size"):
        data.load(f"folder:{tree}", image_size=4)


# --- the cache ----------------------------------------------------------------------------------------------------


def test_a_disk_that_is_too_small_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs 1,000,000,000,000,000 bytes"):
        cache.require_space(tmp_path / "not" / "there", 10**15, "folder:x")


def test_a_place_that_cannot_be_written_is_one_sentence(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("KDLIB_DATASETS", str(tmp_path / "file"))
    with pytest.raises(InputError, match="cannot be written"):
        data.load(f"folder:{tree}")


@pytest.mark.parametrize(
    "damage", ["truncated pixels", "other pixels", "other labels", "torn meta", "no meta", "other fingerprint"]
)
def test_a_damaged_cache_is_built_again(tree: Path, datasets: Path, damage: str) -> None:
    name = f"folder:{tree}"
    good = data.load(name).train.pixels.clone()
    folder = datasets / f"folder-{data.fingerprint(name)}"
    if damage == "truncated pixels":
        (folder / cache.PIXELS).write_bytes((folder / cache.PIXELS).read_bytes()[:-1])
    elif damage == "other pixels":
        pixels = bytearray((folder / cache.PIXELS).read_bytes())
        pixels[len(pixels) // 2] ^= 1
        (folder / cache.PIXELS).write_bytes(pixels)
    elif damage == "other labels":
        labels = bytearray((folder / cache.LABELS).read_bytes())
        labels[-8] ^= 1
        (folder / cache.LABELS).write_bytes(labels)
    elif damage == "torn meta":
        (folder / cache.META).write_text((folder / cache.META).read_text()[:50])
    elif damage == "no meta":
        (folder / cache.META).unlink()
    else:
        text = (folder / cache.META).read_text()
        (folder / cache.META).write_text(text.replace(data.fingerprint(name), "0" * 16))
    assert torch.equal(data.load(name).train.pixels, good)
    assert (folder / cache.META).is_file()
    assert not list(datasets.glob(".building*"))


def test_processes_that_build_at_once_agree(tree: Path, datasets: Path) -> None:
    # Each says that it is ready, then waits for the word, so that imports do not pull them apart.
    program = (
        "import sys; from kdlib import data; print(flush=True); input(); "
        "print(int(data.load(sys.argv[1]).train.pixels.sum()))"
    )
    command = [sys.executable, "-c", program, f"folder:{tree}"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": paths.ROOT}
    workers = [subprocess.Popen(command, **pipes) for _ in range(2)]
    for worker in workers:
        worker.stdout.readline()
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    sums = {int(worker.communicate(timeout=60)[0]) for worker in workers}
    assert sums == {int(data.load(f"folder:{tree}").train.pixels.sum())}
    assert not list(datasets.glob(".building*"))


# --- real images --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_cifar_has_its_images_once(data_root: Path, name: str, classes: int) -> None:
    dataset = data.load(name, data_root)
    assert dataset.shape == (3, 32, 32)
    assert [len(s) for s in (dataset.train, dataset.val, dataset.test)] == [45_000, 5_000, 10_000]
    for split in (dataset.train, dataset.val, dataset.test):
        counts = split.labels.bincount(minlength=classes)
        assert counts.tolist() == [len(split) // classes] * classes
    assert len(dataset.classes) == classes
    assert dataset.fingerprint == data.fingerprint(name) == data.family_of(name).published
    pixels = torch.cat([dataset.train.pixels, dataset.val.pixels]).double() / 255
    assert np.allclose(pixels.mean((0, 2, 3)), dataset.mean, atol=1e-7)
    assert np.allclose(pixels.std((0, 2, 3), correction=0), dataset.std, atol=1e-6)
    assert (dataset.bcp_source is BCPSource.HUMAN) == (name == "cifar10" and answers.available(data_root))


def test_cifar_order_is_that_of_the_content(data_root: Path) -> None:
    train = data.load("cifar100", data_root).train
    images = train.pixels[:200].permute(0, 2, 3, 1).contiguous().numpy()
    assert cifar.by_content(images, train.labels[:200].numpy()).tolist() == list(range(200))


def test_another_source_with_another_order_gives_the_same_fingerprint(data_root: Path, tmp_path: Path) -> None:
    # What the cache holds, shuffled, is what another packaging of the same images would be.
    dataset = data.load("cifar100", data_root)
    order = torch.randperm(50_000, generator=torch.Generator().manual_seed(0))
    images = torch.cat([dataset.train.pixels, dataset.val.pixels])[order].permute(0, 2, 3, 1).contiguous().numpy()
    labels = torch.cat([dataset.train.labels, dataset.val.labels])[order].numpy()
    test = dataset.test.pixels.flip(0).permute(0, 2, 3, 1).contiguous().numpy()
    meta = cifar.write(CIFAR100, tmp_path, (images, labels), (test, dataset.test.labels.flip(0).numpy()))
    assert meta.fingerprint == dataset.fingerprint
    with pytest.raises(InputError, match="not the published ones"):
        cifar.write(CIFAR100, tmp_path, (images[:5_000], labels[:5_000]), (test[:10], labels[:10]))


def test_a_cached_cifar_loads_in_under_a_second(data_root: Path) -> None:
    data.load("cifar100", data_root)
    start = time.perf_counter()
    data.load("cifar100", data_root).train.take(torch.arange(0, 45_000, 450))
    assert time.perf_counter() - start < 1


def test_people_agree_with_the_labels_of_their_rows(data_root: Path) -> None:
    if not answers.available(data_root):
        pytest.skip(f"no CIFAR-10H in the data root {data_root}")
    dataset = data.load("cifar10", data_root)
    test = dataset.test
    assert test.bcp is not None
    assert torch.allclose(test.bcp.sum(1), torch.ones(10_000), atol=1e-6)
    assert (test.bcp.argmax(1) == test.labels).double().mean() > 0.99
    with pytest.raises(InputError, match="rows of CIFAR-10H"):
        cifar.answered(dataset, test.bcp.roll(1, 0).numpy())


def test_cifar10h_is_the_test_images_with_peoples_answers(data_root: Path) -> None:
    if not answers.available(data_root):
        pytest.skip(f"no CIFAR-10H in the data root {data_root}")
    dataset = data.load("cifar10h", data_root)
    source = data.load("cifar10", data_root)
    splits = (dataset.train, dataset.val, dataset.test)
    assert [len(s) for s in splits] == [7_000, 1_000, 2_000]
    assert dataset.bcp_source is BCPSource.HUMAN
    assert dataset.classes == source.classes
    assert dataset.fingerprint == data.fingerprint("cifar10h", data_root) != source.fingerprint
    for split in splits:
        assert split.labels.bincount().tolist() == [len(split) // 10] * 10
        assert split.bcp is not None
        assert (split.bcp.argmax(1) == split.labels).double().mean() > 0.98
    together = torch.cat([s.pixels for s in splits]).flatten(1).double().sum(1).sort().values
    assert torch.equal(together, source.test.pixels.flatten(1).double().sum(1).sort().values)


def test_counts_and_probs_of_people_are_the_same(data_root: Path, tmp_path: Path) -> None:
    place = data_root / "cifar10h"
    if not (place / answers.COUNTS_FILE).is_file() or not (place / answers.PROBS_FILE).is_file():
        pytest.skip(f"no CIFAR-10H in the data root {data_root}")
    found = []
    for name in (answers.COUNTS_FILE, answers.PROBS_FILE):
        root = tmp_path / name
        (root / "cifar10h").mkdir(parents=True)
        shutil.copy(place / name, root / "cifar10h")
        found.append(answers.shares(root))
    assert np.allclose(*found, atol=1e-7)


def test_no_images_and_no_network_is_one_sentence(
    tmp_path: Path, datasets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nothing listens there
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(InputError, match=f"data root {tmp_path}.*could not download"):
        data.load("cifar100", tmp_path)
    with pytest.raises(InputError, match="cifar10h needs"):
        data.load("cifar10h", tmp_path)
    assert not list(datasets.glob(".building*"))


def test_runs_on_cifar10h_are_known_where_its_files_are_not(tmp_path: Path) -> None:
    """A study that has them is shown from its records on every machine."""
    assert data.fingerprint("cifar10h", tmp_path) == answers.PUBLISHED


def test_the_published_counts_have_the_published_fingerprint(data_root: Path) -> None:
    assert data.fingerprint("cifar10h", data_root) == answers.PUBLISHED


@pytest.mark.parametrize("content", [b"", b"no parquet"])
def test_a_torn_data_file_is_named(tmp_path: Path, datasets: Path, content: bytes) -> None:
    (tmp_path / "cifar10").mkdir()
    for part in ("train", "test"):
        (tmp_path / "cifar10" / f"{part}-00000-of-00001.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"train-00000-of-00001\.parquet"):
        data.load("cifar10", tmp_path)


def test_the_data_root_is_only_read(data_root: Path) -> None:
    before = sorted(data_root.rglob("*"))
    data.load("cifar10", data_root)
    assert sorted(data_root.rglob("*")) == before
    assert not paths.datasets().is_relative_to(data_root)


@pytest.mark.parametrize("name", ["cifar10:", "digits:", "folder", "folder:", "cifar10:train"])
def test_a_name_is_whole(name: str) -> None:
    with pytest.raises(InputError, match=f"dataset is '{name}', but"):
        data.load(name)


def test_digits_have_one_size() -> None:
    with pytest.raises(InputError, match="image_size is 64, but the images of digits:tiny have 8 pixels a side"):
        data.load("digits:tiny", image_size=64)
    assert resolve("teacher", {"image_size": 8}) == resolve("teacher", {})
    with pytest.raises(InputError, match="image_size is 64"):
        plan(resolve("teacher", {"image_size": 64}))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00"])
def test_answers_that_are_no_array_are_one_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "cifar10h").mkdir()
    (tmp_path / "cifar10h" / answers.COUNTS_FILE).write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        answers.shares(tmp_path)


@pytest.mark.parametrize("images", [[], [b"no image"], [{"bytes": None}], [{"bytes": b"no image"}]])
def test_parquet_without_images_is_one_sentence(images: list[object], tmp_path: Path) -> None:
    (tmp_path / "cifar100").mkdir()
    for part in ("train", "test"):
        table = arrow.table({"img": images, "fine_label": [0] * len(images)})
        parquet.write_table(table, tmp_path / "cifar100" / f"{part}-0.parquet")
    with pytest.raises(InputError, match=r"cannot be read|hold no image"):
        cifar.read(CIFAR100, tmp_path)
