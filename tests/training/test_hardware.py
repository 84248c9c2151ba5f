"""What the device is fast at, and that it is decided once."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import small
import torch
from torch import nn

from kdlib.base import paths
from kdlib.base.config import Precision
from kdlib.base.errors import InputError
from kdlib.training import hardware
from kdlib.training.hardware import Hardware, device_of, fast_bfloat16, resolve, seed_everything

CPU = torch.device("cpu")
LARGE, SMALL = (3, 32, 32), (1, 8, 8)


def flags(monkeypatch: pytest.MonkeyPatch, amx: bool, avx512_bf16: bool) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16, raising=False)


@pytest.mark.parametrize(
    ("amx", "avx512", "shape", "given", "precision"),
    [
        (False, False, LARGE, None, "float32"),
        (True, False, LARGE, None, "bfloat16"),
        (False, True, LARGE, None, "bfloat16"),
        (True, True, SMALL, None, "float32"),  # small images are bound by overhead
        (True, True, LARGE, "float32", "float32"),
        (False, False, SMALL, "bfloat16", "bfloat16"),
    ],
)
def test_precision_follows_the_flags(
    monkeypatch: pytest.MonkeyPatch,
    amx: bool,
    avx512: bool,
    shape: tuple[int, ...],
    given: str | None,
    precision: str,
) -> None:
    flags(monkeypatch, amx, avx512)
    assert resolve(small.teacher(precision=given, device="cpu"), shape).precision == precision


def test_a_torch_without_the_flags_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported", raising=False)
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    assert not fast_bfloat16(CPU)


def test_threads_are_those_given_else_torch_s() -> None:
    assert resolve(small.teacher(threads=3), SMALL).threads == 3
    assert resolve(small.teacher(threads=None), SMALL).threads == torch.get_num_threads()


@pytest.mark.parametrize("name", ["cuda:77", "meta", "tpu", "", "cpu:-1"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"device = '{name}' is refused: this machine offers cpu"):
        device_of(name)


def test_devices_that_are_there() -> None:
    assert device_of("cpu") == CPU
    assert device_of(None).type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_settings_go_through_a_file_unchanged() -> None:
    settings = small.settings()
    assert Hardware(**settings.as_dict()) == settings


def test_computing_sets_threads_and_sets_them_back() -> None:
    before = torch.get_num_threads()
    settings = small.settings(threads=before + 1)
    with settings.computing():
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with pytest.raises(ZeroDivisionError), settings.computing():
        raise ZeroDivisionError
    assert torch.get_num_threads() == before


def test_computing_gives_torch_s_settings_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    with small.settings().computing():
        assert not torch.backends.cudnn.benchmark
    assert torch.backends.cudnn.benchmark
    before = torch.are_deterministic_algorithms_enabled()
    with pytest.raises(KeyError), hardware._deterministic():
        assert torch.are_deterministic_algorithms_enabled()
        raise KeyError
    assert torch.are_deterministic_algorithms_enabled() is before
    assert torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]


def test_a_run_on_a_cpu_imports_no_compiler(store: Path) -> None:
    """Seconds of every process, for kernels that a CPU has anyway; where there is none its end seeks no garbage."""
    code = (
        "import atexit, gc, sys\n"
        "atexit.register(lambda: print('kept', gc.get_freeze_count() > 0))\n"  # after all that are registered later
        "import small; from kdlib.runs.execute import execute\n"
        "print(execute(small.teacher()).finished)\n"
        "assert not {'torch._inductor', 'torch._dynamo', 'triton'} & set(sys.modules)"
    )
    own = {**os.environ, "PYTHONPATH": os.pathsep.join([str(paths.ROOT), str(paths.ROOT / "tests")])}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60, env=own, stdout=-1)
    assert done.stdout.decode().split() == ["True", "kept", "True"]


def test_kept_memory_is_not_asked_for_again() -> None:
    if not hardware.keep_memory():
        pytest.skip("this C library always returns large blocks to the system")
    torch.ones(48 * 2**18)  # 48 MB, more than glibc keeps by itself: 40 MB fit where they were
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(40 * 2**18)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert faults < 40 * 2**20 / resource.getpagesize() / 10


def test_autocast_is_on_for_bfloat16_alone() -> None:
    layer, x = nn.Linear(8, 8), torch.randn(4, 8)
    for precision, dtype in ((Precision.FLOAT32, torch.float32), (Precision.BFLOAT16, torch.bfloat16)):
        with small.settings(precision=precision, device="cpu").autocast():
            assert layer(x).dtype == dtype


def test_place_and_layout_agree_and_change_no_number() -> None:
    settings, conv, x = small.settings(device="cpu"), nn.Conv2d(3, 4, 3), torch.randn(2, 3, 8, 8)
    expected = conv(x)
    settings.place(conv)
    assert conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert settings.layout(x).is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(conv(settings.layout(x)), expected, atol=1e-5)


def test_one_seed_one_network() -> None:
    a, b, c = small.network(0), small.network(0), small.network(1)
    assert torch.equal(a.head.weight, b.head.weight)
    assert not torch.equal(a.head.weight, c.head.weight)
    seed_everything(2**31 - 1)


def test_versions_and_processor_are_known() -> None:
    assert hardware.versions()["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert "CPU" in hardware.processor(CPU)
