"""A folder of images means what a person sees in it: its splits, classes, or one sentence why not."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdlib import data
from kdlib.__main__ import main
from kdlib.base.errors import InputError
from kdlib.data.folder import tree

PARTS = ("train", "val", "test")


@pytest.fixture(autouse=True)
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a folder of caches of its own."""
    monkeypatch.setenv("KDLIB_DATASETS", str(tmp_path / "datasets"))
    return tmp_path / "datasets"


def paint(path: Path, seed: int = 0, shape: tuple[int, ...] = (12, 10, 3)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder of three splits of two classes with two images each."""
    for k, part in enumerate(PARTS):
        for label in ("ant", "bee"):
            for i in range(2):
                paint(tmp_path / "images" / part / label / f"{i}.png", 10 * k + 4 * (label == "bee") + i)
    return tmp_path / "images"


def refused(folder: Path) -> str:
    """Return the one sentence by which a folder is refused before any pixel is kept."""
    with pytest.raises(InputError) as caught:
        data.fingerprint(f"folder:{folder}", image_size=8)
    said = str(caught.value)
    assert said.endswith(".") and "\n" not in said
    said.encode()  # a terminal must be able to show it
    return said


def counts(folder: Path) -> list[int]:
    return [len(files) for files in tree.scan(f"folder:{folder}").files.values()]


# --- splits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        ("train", "valid", "test"),
        ("Training", "Validation", "Testing"),
        ("TRAIN", "dev", "eval"),
        ("train", "VAL", "Test"),
    ],
)
def test_splits_go_by_their_usual_names(images: Path, names: tuple[str, ...]) -> None:
    paint(images / "val" / "ant" / "more.png", 99)
    for part, name in zip(PARTS, names, strict=True):
        (images / part).rename(images / name)
    found = tree.scan(f"folder:{images}")
    assert found.classes == ("ant", "bee")
    assert {part: {path.parts[-3] for path, _ in files} for part, files in found.files.items()} == {
        part: {name} for part, name in zip(PARTS, names, strict=True)
    }
    assert counts(images) == [4, 5, 4]


def test_training_and_testing_alone_are_splits(images: Path) -> None:
    for k in range(8):
        paint(images / "train" / "ant" / f"m{k}.png", k)
        paint(images / "train" / "bee" / f"m{k}.png", k)
    shutil.rmtree(images / "val")
    (images / "train").rename(images / "Training")
    (images / "test").rename(images / "Testing")
    assert counts(images) == [18, 2, 4]


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ("valid/ant/0.png", ["'val'", "'valid'", "two folders of val images"]),
        ("Train/ant/0.png", ["'Train'", "'train'", "two folders of train images"]),
        ("extra/ant/0.png", ["'extra'", "beside"]),
        ("test_more/ant/0.png", ["'test_more'", "beside"]),
    ],
)
def test_splits_that_mix_are_refused_by_name(images: Path, made: str, says: list[str]) -> None:
    paint(images / made)
    assert all(part in refused(images) for part in says)


@pytest.mark.parametrize(
    "names",
    [("seg_train", "seg_test"), ("training_set", "test_set"), ("TrainImages", "ValImages"), ("train2017", "val2017")],
)
def test_folders_that_look_like_splits_are_no_classes(images: Path, names: tuple[str, str]) -> None:
    shutil.rmtree(images / "val")
    for part, name in zip(("train", "test"), names, strict=True):
        (images / part).rename(images / name)
    assert all(repr(name) in refused(images) for name in names)


def test_splits_inside_of_classes_are_refused(tmp_path: Path) -> None:
    for name in ("ant/train/0.png", "ant/test/1.png", "bee/train/0.png", "bee/test/1.png"):
        paint(tmp_path / "images" / name)
    assert "'test' inside of its class 'ant'" in refused(tmp_path / "images")


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for label in ("bullet_train", "plane", "test tube"):
        for i in range(3):
            paint(tmp_path / "images" / "train" / label / f"{i}.png")
    assert tree.scan(f"folder:{tmp_path / 'images'}").classes == ("bullet_train", "plane", "test tube")


# --- classes and files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", PARTS)
def test_an_empty_class_folder_is_named(images: Path, part: str) -> None:
    for path in (images / part / "bee").iterdir():
        path.unlink()
    assert f"{images / part / 'bee'}' has no images" in refused(images)


def test_a_flat_test_folder_is_refused(images: Path) -> None:
    shutil.rmtree(images / "test")
    paint(images / "test" / "0.png")
    assert "test/0.png' lies in no class folder" in refused(images)


@pytest.mark.parametrize("place", [".", "train", "val"])
def test_an_image_outside_the_classes_is_refused(images: Path, place: str) -> None:
    paint(images / place / "loose.png")
    assert "loose.png' lies in no class folder" in refused(images)


def test_what_systems_and_annotators_leave_is_ignored(images: Path) -> None:
    before = data.fingerprint(f"folder:{images}")
    for place in (images, images / "train", images / "train" / "ant"):
        for folder in ("__MACOSX", ".hidden", ".ipynb_checkpoints", "@eaDir"):
            paint(place / folder / "ant" / "0.png")
        for name in (".DS_Store", "Thumbs.db", "desktop.ini", "a.txt", "a.JSON", "a.csv", "a.xml", "._0.png"):
            (place / name).write_bytes(b"\0")
    (images / "LICENSE").write_text("free")
    assert data.fingerprint(f"folder:{images}") == before


def test_a_class_of_jfif_and_one_half_of_tif(images: Path) -> None:
    for i in range(2):
        (images / "train" / "ant" / f"{i}.png").unlink()
        paint(images / "train" / "ant" / f"{i}.jfif")
        paint(images / "train" / "bee" / f"{i}.tif")
        paint(images / "train" / "bee" / f"{i}.TIFF")
        paint(images / "train" / "bee" / f"{i}.jpe")
    dataset = data.load(f"folder:{images}", image_size=8)
    assert dataset.train.labels.bincount().tolist() == [2, 8]


@pytest.mark.parametrize("name", ["0.heic", "0.svg", "0.jpg.part", "0"])
def test_a_type_that_is_not_read_is_named(images: Path, name: str) -> None:
    (images / "val" / "bee" / name).write_bytes(b"something")
    assert f"bee/{name}' is of a type that is not read" in refused(images)


def test_links(images: Path, tmp_path: Path) -> None:
    """A file counts once, lies inside, and is there."""
    ant, link = images / "train" / "ant", images / "train" / "ant" / "9.png"

    def said(path: Path, target: Path | str) -> str:
        path.symlink_to(target)
        found = refused(images)
        path.unlink()
        return found

    assert f"{link}' is a link to nothing" in said(link, "nowhere.png")
    assert f"{link}' is a link to nothing" in said(link, link)
    assert "outside" in said(link, paint(tmp_path / "else.png"))
    assert "one file" in said(link, "0.png")
    assert "is a link to a folder" in said(ant / "loop", "..")
    assert "one file" in said(images / "train" / "ants", "ant")
    assert "is a link to nothing" in said(images / "train" / "cat", "nowhere")
    shutil.rmtree(images / "val")
    assert "one file" in said(images / "val", "test")
    # a store of files inside the folder, as some tools for data keep it
    (images / ".store").mkdir()
    (ant / "0.png").rename(images / ".store" / "x")
    (ant / "0.png").symlink_to("../../.store/x")
    shutil.copytree(images / "test", images / "val")
    assert counts(images) == [4, 4, 4]


def test_a_pipe_does_not_hang(images: Path) -> None:
    os.mkfifo(images / "train" / "ant" / "9.png")
    assert "9.png' is no regular file" in refused(images)


def test_a_tree_deeper_than_the_stack_is_read(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(images / "train" / "ant")
    for _ in range(1500):
        os.mkdir("d")  # noqa: PTH102
        os.chdir("d")
    found = counts(images)
    for _ in range(1500):  # what clears up after tests is recursive
        os.chdir("..")
        os.rmdir("d")  # noqa: PTH106
    assert found == [4, 4, 4]


def test_names_that_are_not_utf_8(images: Path) -> None:
    """A file's is read, a class's is refused: it would stand in tables."""
    ant = images / "train" / "ant"
    before = data.fingerprint(f"folder:{images}", image_size=8)
    coffee = (ant / "1.png").rename(ant / os.fsdecode(b"caf\xe9.png"))
    dataset = data.load(f"folder:{images}", image_size=8)
    assert dataset.fingerprint != before and len(dataset.train.labels) == 4
    coffee.write_bytes(b"torn")
    assert r"caf\udce9.png' is none of PNG" in refused(images)
    ant.rename(images / "train" / os.fsdecode(b"fourmi\xe9"))
    assert r"fourmi\udce9' has a name that is not printable" in refused(images)


def test_names_of_any_kind_are_read(images: Path) -> None:
    odd = images / "train" / "ant" / 'it\'s \n"0" $(x) ☃.png'
    (images / "train" / "ant" / "0.png").rename(odd)
    for part in PARTS:
        (images / part / "bee").rename(images / part / "東京　駅, a+b")
    assert data.load(f"folder:{images}", image_size=8).classes == ("ant", "東京　駅, a+b")
    odd.write_bytes(b"")
    assert "☃.png' is none of PNG, JPEG" in refused(images)


def test_the_command_line_says_one_sentence(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KDLIB_RUNS", str(tmp_path / "runs"))
    (tmp_path / "mine.yaml").write_text(
        f"title: Mine\nparameters: {{dataset: 'folder:{images}', image_size: 8, architecture: cnn4, epochs: 1}}\n"
        "students: {own: {teacher: one_hot}}\n"
    )
    (images / "val" / "ant" / "9.png").symlink_to("nowhere")
    assert main(["plan", str(tmp_path / "mine.yaml")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "val/ant/9.png' is a link to nothing" in said


# --- fingerprints -------------------------------------------------------------------------------------------------


def test_ordinary_folders_keep_their_fingerprint(tmp_path: Path) -> None:
    """The numbers are those of the version before other images were shown as viewers do."""
    for part in PARTS:
        for k, label in enumerate(("ant", "bee")):
            for i in range(2):
                pixels = (np.arange(20 * 24 * 3).reshape(24, 20, 3) * (7 + i + 2 * k) % 251).astype(np.uint8)
                path = tmp_path / "images" / part / label / f"{i}.bmp"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    dataset = data.load(f"folder:{tmp_path / 'images'}", image_size=16)
    assert dataset.fingerprint == "6f1234c772c38d4c"
    kept = b"".join(getattr(dataset, part).pixels.numpy().tobytes() for part in PARTS)
    assert hashlib.sha256(kept).hexdigest()[:16] == "78921ffb74789780"


def test_a_changed_picture_changes_the_fingerprint(tmp_path: Path) -> None:
    """Also one of the same size and time, as two that came out of one archive and change places."""
    for part in PARTS:
        for k, label in enumerate(("ant", "bee")):
            path = paint(tmp_path / "images" / part / label / "0.bmp", k)
            os.utime(path, (1_700_000_000, 1_700_000_000))
    name = f"folder:{tmp_path / 'images'}"
    before = data.fingerprint(name)
    assert data.fingerprint(name) == before
    ant, bee = (tmp_path / "images" / "train" / label / "0.bmp" for label in ("ant", "bee"))
    ant.rename(tmp_path / "kept")
    bee.rename(ant)
    (tmp_path / "kept").rename(bee)
    assert data.fingerprint(name) != before


def test_an_image_that_cannot_be_decoded_is_named_by_the_plan(images: Path) -> None:
    torn = paint(images / "test" / "bee" / "9.png", shape=(90, 90, 3))
    torn.write_bytes(torn.read_bytes()[:-4000])
    assert f"{torn}' cannot be read" in refused(images)
