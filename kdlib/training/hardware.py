"""What the device is fast at, asked of the hardware and never of a clock.

bfloat16 is several times faster than float32 on CPUs with AMX or AVX-512 BF16 and up to 200 times slower on CPUs
with AVX2 only, so the CPU's own flags decide. What was decided is written to a run's provenance and used again
when it resumes, since the same steps give other bits in another precision or with another number of threads.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import random
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import distributions, version

import numpy as np
import torch
from torch import Tensor, nn

from kdlib.base.config import Config, Precision
from kdlib.base.errors import InputError
from kdlib.data.dataset import to_float
from kdlib.training.settings import Settings

SMALL = 16 * 16
"""Images of fewer pixels are bound by overhead, which autocast only adds to: they stay in float32."""


class Hardware(Settings):
    """Where and how a run computes: settings, and what they mean to torch."""

    @property
    def torch_device(self) -> torch.device:
        """Return the device as torch has it."""
        return torch.device(self.device)

    @property
    def replays(self) -> bool:
        """Say whether passes are replayed as CUDA graphs: what `compile` means on a GPU."""
        return self.compile and self.torch_device.type == "cuda"

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Use these threads, and deterministic kernels, inside."""
        threads, benchmark = torch.get_num_threads(), torch.backends.cudnn.benchmark
        torch.set_num_threads(self.threads)
        torch.backends.cudnn.benchmark = False
        try:
            # to ask for deterministic kernels imports torch's compiler, two seconds that a CPU does without
            with _deterministic() if self.device.startswith("cuda") else nullcontext(keep_memory()):
                yield
        finally:
            torch.set_num_threads(threads)
            torch.backends.cudnn.benchmark = benchmark

    def autocast(self) -> torch.autocast:
        """Return the context in which networks are run."""
        enabled = self.precision == Precision.BFLOAT16
        return torch.autocast(self.torch_device.type, dtype=torch.bfloat16, enabled=enabled)

    def place(self, network: nn.Module) -> nn.Module:
        """Move a network to the device in the memory format that suits it."""
        memory = torch.channels_last if self.channels_last else torch.contiguous_format
        network.to(self.torch_device)
        return network.to(memory_format=memory)  # type: ignore[call-overload,no-any-return]

    def layout(self, images: Tensor) -> Tensor:
        """Put a batch of images `(n, channels, height, width)` into the networks' memory format."""
        return images.contiguous(memory_format=torch.channels_last) if self.channels_last else images

    def images(self, pixels: Tensor) -> Tensor:
        """Return stored pixels `(n, channels, height, width)` as float images where and as networks compute."""
        return self.layout(to_float(pixels.to(self.torch_device)))  # as stored: uint8 travels at a quarter


@contextmanager
def _deterministic() -> Iterator[None]:
    """Use deterministic kernels inside, and give a GPU's settings back."""
    from torch.utils import deterministic

    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    filled = deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    # cuBLAS reads it at its first call; without it, deterministic products are refused
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # else every new tensor is written once more; nothing here reads one before it is written
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]


def without_autocast(device: str) -> AbstractContextManager[object]:
    """Return a context in which tensors on a device of this type keep their own precision."""
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()


@functools.cache
def keep_memory() -> bool:
    """Let the process keep what it frees, up to 2 GB, and say whether the C library does so.

    glibc returns each large block to the system, which hands it back page by page, zeroed: a tenth of a student's
    step, and almost half of a float32 forward pass of 500 images. It changes no number. Elsewhere nothing happens.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    trim_threshold, mmap_threshold = -1, -3  # malloc.h
    return bool(set_option(mmap_threshold, 2**30) and set_option(trim_threshold, 2**31 - 1))


def fast_bfloat16(device: torch.device) -> bool:
    """Say whether the device multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    flags = [getattr(torch.cpu, f, None) for f in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")]
    return device.type == "cpu" and any(flag is not None and flag() for flag in flags)


def device_of(name: str | None) -> torch.device:
    """Return the device of that name, or the best there is.

    Raises:
        InputError: there is no such device here.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device: torch.device | None
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        offered = ", ".join(["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))])
        raise InputError(f"device = {name!r} is refused: this machine offers {offered}.")
    return device


def resolve(config: Config, shape: tuple[int, ...]) -> Hardware:
    """Decide device, precision, memory format and threads for images of `shape` `(channels, height, width)`."""
    device = device_of(config.device)
    small = shape[-1] * shape[-2] < SMALL
    fast = fast_bfloat16(device) and not small
    precision = config.precision or (Precision.BFLOAT16 if fast else Precision.FLOAT32)
    return Hardware(
        device=str(device),
        precision=str(precision),
        channels_last=True,
        threads=config.threads or torch.get_num_threads(),
        compile=bool(getattr(config, "compile", False)),
        name=processor(device),
    )


def processor(device: torch.device) -> str:
    """Name the processor that computes, with what matters for its speed."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    flags = "bf16" if fast_bfloat16(device) else torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} CPU, {os.cpu_count()} cores, {flags}"


def seed_everything(seed: int) -> None:
    """Seed every source of random numbers."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def versions() -> dict[str, str]:
    """Return the versions of what makes the numbers, as far as it is installed."""
    packages = ("torch", "torchvision", "numpy", "scipy", "laplace-torch", "scikit-learn", "torchdistill", "grad-cam")
    there = {name: version(name) for name in packages if any(distributions(name=name))}
    return {"python": sys.version.split()[0], **there}
