"""The Eigen-CAM run: one teacher's maps of the same test images as every other teacher, and their numbers.

`arrays.safetensors` holds `maps` `(n, height, width)`, float16 (the mean map of a teacher of several networks),
`spread`, the standard deviation over its networks where there are several, `index` and `labels` `(n,)`, the images'
rows in the test set and their classes, and `pictures`, the first images themselves, as stored (`digits`: float16). On
`digits` it also holds `pixels`, for the first images: the pixels that tell an image's class, the largest value being 1.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor

from kdlib.data import family_of
from kdlib.data.dataset import Dataset
from kdlib.experiments.eigencam import EigencamConfig, cam
from kdlib.store import runs
from kdlib.store.runs import Run
from kdlib.teachers.contract import Teacher
from kdlib.teachers.kind import Kind

PICTURES = 20
"""How many images a run keeps, to be shown beside their maps."""


def chosen(labels: Tensor, images: int) -> Tensor:
    """Return `images` row numbers, as many of each class, int64: the first of each class, then each second, and so on.

    A class that has too few gives all of its images; there are fewer rows then.
    """
    classes = torch.unique(labels)
    most = -(-images // len(classes))
    rows = [torch.nonzero(labels == label)[:most, 0] for label in classes]
    turns = [[int(row[turn]) for row in rows if turn < len(row)] for turn in range(most)]
    return torch.tensor([row for turn in turns for row in turn][:images])


class Maps:
    """Gather the maps of a teacher's networks, one after the other: their mean, spread and mean entropy."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.squares = self.entropy = torch.zeros(())  # squares: Σ (map − mean)² so far

    def add(self, maps: Tensor) -> None:
        """Take in one network's maps `(n, h, w)`."""
        self.count += 1
        step = maps.double() - self.mean
        self.mean = self.mean + step / self.count
        self.squares = self.squares + step * (maps.double() - self.mean)
        self.entropy = self.entropy + (cam.entropy(maps) - self.entropy) / self.count

    @property
    def spread(self) -> Tensor:
        """Return the standard deviation over networks `(n, h, w)`, of at least two."""
        return (self.squares / (self.count - 1)).sqrt()


def measure(gathered: Maps, labels: Tensor, pixels: Tensor | None) -> dict[str, float]:
    """Return the numbers beside the pictures, each a mean over images.

    `cam_entropy` (nats), `cam_area` and `cam_variation` are those of the mean map. Of several networks also
    `cam_network_entropy`, the mean entropy of each one's own map, and `cam_spread`, the standard deviation of a pixel
    over networks. With `pixels` also `cam_overlap`, with the pixels that tell an image's class from the others, and
    `cam_overlap_chance`, what maps of the same values at random places would have.

    Args:
        gathered: all maps.
        labels: `(n,)`.
        pixels: `(classes, h, w)`, which pixels tell a class from the others, where that is known.
    """
    maps = gathered.mean
    values = {
        "entropy": cam.entropy(maps),
        "area": cam.area(maps),
        "variation": cam.variation(maps, labels),
    }
    if gathered.count > 1:
        values |= {"network_entropy": gathered.entropy, "spread": gathered.spread}
    if pixels is not None:
        values["overlap"] = cam.overlap(maps, pixels[labels])
        values["overlap_chance"] = cam.overlap_by_chance(maps, pixels[labels])
    return {f"cam_{name}": float(value.mean()) for name, value in values.items()}


def fit(config: EigencamConfig, teacher: Teacher, kind: Kind, dataset: Dataset, run: Run) -> None:
    """Map a teacher's stage on test images and write the run."""
    started = time.perf_counter()
    rows = chosen(dataset.test.labels, config.images)
    labels = dataset.test.labels[rows]
    hardware = teacher.hardware
    samples = (config.eval_samples or teacher.own_samples) if teacher.stochastic else 1
    gathered = Maps()
    images = hardware.layout(dataset.test.take(rows).to(hardware.torch_device))
    for network in kind.networks(teacher, samples, config.seed):
        gathered.add(cam.eigen_cam(network, images, config.stage))
    pixels = family_of(dataset.name).class_pixels(dataset.name)
    metrics = measure(gathered, labels, pixels)
    pictures = dataset.test.pixels[rows[:PICTURES]]
    arrays = {
        "maps": gathered.mean.half(),
        "index": rows,
        "labels": labels,
        "pictures": pictures if pictures.dtype == torch.uint8 else pictures.half(),
    }
    if pixels is not None:
        own = pixels[labels[:PICTURES]]
        arrays["pixels"] = (own / own.amax((1, 2), keepdim=True)).half()
    if gathered.count > 1:
        arrays["spread"] = gathered.spread.half()
    runs.finish(run, metrics, notes={"networks": gathered.count}, started=started, arrays=arrays)
