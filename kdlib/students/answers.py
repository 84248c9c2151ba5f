"""A teacher's answers are data: computed once for each view, kept beside the teacher, read by every student.

One file holds the float16 logits `(n, classes)` of one sample (or member) on all training rows of one pass, in index
order. Its key is (dataset, training rows, augmentation and its seed, pass, sample); temperature and any number of
samples are applied on reading. A file is written atomically with a digest, so two processes may fill at once and a
corrupt file is computed again. Filling uses fixed batches and the hardware settings of the teacher's first filling: the
bits do not depend on who asks. A teacher whose draws serve blocks of rows draws for each (seed of the views, pass,
sample, block) anew.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from kdlib.base import paths
from kdlib.base.errors import InputError
from kdlib.base.files import write_json
from kdlib.base.hashing import stream
from kdlib.base.tensors import read_tensors, write_tensors
from kdlib.data.dataset import Split, to_float
from kdlib.data.family import PAD
from kdlib.data.options import Augmentation
from kdlib.data.views import view
from kdlib.teachers.contract import Teacher, combine, in_batches
from kdlib.training.hardware import Hardware
from kdlib.training.loop import Batch

LARGEST = float(torch.finfo(torch.float16).max)
ABANDONED = 3600.0
"""Seconds after which nobody is writing a temporary file any more."""
LIMIT = 20.0
"""Gigabytes of answers kept a teacher, unless `$KDLIB_ANSWERS_GB` says otherwise; what is over is not kept."""


@dataclass
class Answers:
    """What one teacher answers to the training rows that one student sees.

    Args:
        folder: where answers are kept, `None` to keep them in memory only.
        rows: `(n,)` sorted rows of `split` that the student trains on.
        fingerprint: that of the dataset, which need not be the teacher's.
    """

    teacher: Teacher
    split: Split
    rows: Tensor
    fingerprint: str
    augmentation: Augmentation
    seed: int
    folder: Path | None
    samples: int = 1
    pad: int = PAD

    def __post_init__(self) -> None:
        self.device = self.teacher.hardware.torch_device
        position = torch.full((len(self.split),), -1, dtype=torch.long)
        position[self.rows] = torch.arange(len(self.rows))
        self.position = position.to(self.device)
        if self.augmentation is Augmentation.NONE:
            self.seed = 0
        self.samples = self.samples if self.teacher.stochastic else 1
        text = hashlib.sha256(self.rows.numpy().tobytes()).hexdigest()[:12]
        self.key = f"{self.fingerprint}-{text}-{self.augmentation}-{self.seed}"
        self._pass, self._kept = -1, torch.empty(0)

    def probs(self, batch: Batch, temperature: float) -> Tensor:
        """Return the teacher's probabilities `(n, classes)` on a batch, tempered by T."""
        # without augmentation a deterministic teacher says the same in every pass
        number = 0 if self.augmentation is Augmentation.NONE and not self.teacher.stochastic else batch.epoch
        # the student's autocast stays out: on a CPU it refuses float16, and the bits are the teacher's own affair
        with torch.autocast(self.device.type, enabled=False):
            if number != self._pass:
                files = [self._of(number, sample) for sample in range(self.samples)]
                self._kept, self._pass = torch.cat(files).to(self.device), number
            return combine(self._kept[:, self.position[batch.index]], temperature)

    def _of(self, number: int, sample: int) -> Tensor:
        """Return one file's answers `(members, n, classes)`, computed if they are not kept."""
        if self.folder is None:
            return self._compute(number, sample, self.teacher.hardware)
        path = self.folder / self.key / f"pass-{number:05d}-sample-{sample:03d}.safetensors"
        with suppress(InputError, KeyError):
            outputs = read_tensors(path, sealed=True)[0]["outputs"]
            if outputs.dtype == torch.float16 and outputs.ndim == 3 and outputs.shape[1] == len(self.rows):
                return outputs
        path.unlink(missing_ok=True)  # answers can always be asked for again
        outputs = self._compute(number, sample, self._settings())
        size = sum(file.stat().st_size for file in self.folder.glob("*/*.safetensors"))
        if size + outputs.nbytes <= paths.number("KDLIB_ANSWERS_GB", LIMIT) * 1e9:
            for scrap in path.parent.glob(".*"):  # of a killed process; others may be writing theirs now
                with suppress(FileNotFoundError):
                    if time.time() - scrap.stat().st_mtime > ABANDONED:
                        scrap.unlink()
            write_tensors(path, {"outputs": outputs})
        return outputs

    def _settings(self) -> Hardware:
        """Return the hardware settings of the first filling, written by whoever fills first."""
        assert self.folder is not None
        path = self.folder / "settings.json"
        own = self.teacher.hardware
        with suppress(OSError, ValueError, TypeError):  # none, or torn: then those of now
            kept = Hardware(**{**json.loads(path.read_bytes()), "device": own.device})
            if kept.name == own.name:
                return kept
        write_json(path, own.as_dict())
        return own

    def _compute(self, number: int, sample: int, hardware: Hardware) -> Tensor:
        own, self.teacher.hardware = self.teacher.hardware, hardware
        devices = [hardware.torch_device] if hardware.device.startswith("cuda") else []
        out = []
        try:
            with hardware.computing(), torch.random.fork_rng(devices):
                torch.manual_seed(stream(self.seed, number, sample))
                for drawn, rows in in_batches(self.teacher, self.rows, self.seed, number, sample):
                    pixels = self.split.pixels[rows].to(hardware.torch_device)
                    seen = view(pixels, self.augmentation, self.seed, number, rows.to(pixels.device), self.pad)
                    out.append(halved(drawn.outputs(to_float(seen), 1)).cpu())
        finally:
            self.teacher.hardware = own
        return torch.cat(out, 1)


def halved(outputs: Tensor) -> Tensor:
    """Return logits as float16; what is beyond its range is moved below zero, which no probability notices.

    A teacher whose training exploded may give logits beyond 65504, which would be infinite and the student NaN.
    """
    if float(outputs.abs().amax()) > LARGEST:
        outputs = (outputs - outputs.amax(-1, keepdim=True)).clamp(min=-LARGEST)
    return outputs.half()
