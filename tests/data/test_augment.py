"""A view is a function of (seed, epoch, image), and is the crop and flip that torchvision would make."""

from __future__ import annotations

import pytest
import torch
import torchvision.transforms.functional as F
from torch import Tensor

from kdlib.base.errors import InputError
from kdlib.base.hashing import splitmix64
from kdlib.data import family_of
from kdlib.data.family import PAD
from kdlib.data.options import Augmentation
from kdlib.data.views import offsets, view

RANDOM = [Augmentation.REFLECT_CROP_FLIP, Augmentation.ZERO_CROP_FLIP]


def sample(n: int = 64, channels: int = 3, height: int = 32, width: int = 32) -> Tensor:
    return torch.rand(n, channels, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("augmentation", RANDOM)
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 8, 8), (3, 24, 40)])
def test_view_is_what_torchvision_makes(augmentation: Augmentation, shape: tuple[int, int, int]) -> None:
    images, index = sample(40, *shape), torch.arange(100, 140)
    views = view(images, augmentation, seed=3, epoch=7, index=index)
    mode = "reflect" if augmentation is Augmentation.REFLECT_CROP_FLIP else "constant"
    for image, got, down, across, flip in zip(images, views, *offsets(3, 7, index), strict=True):
        expected = F.crop(F.pad(image, [PAD], padding_mode=mode), int(down), int(across), *shape[1:])
        assert torch.equal(got, F.hflip(expected) if flip else expected)


@pytest.mark.parametrize("augmentation", RANDOM)
def test_view_depends_on_seed_epoch_and_image_alone(augmentation: Augmentation) -> None:
    images, index = sample(), torch.arange(64)
    views = view(images, augmentation, 1, 2, index)
    assert torch.equal(views, view(images, augmentation, 1, 2, index))
    assert not torch.equal(views, view(images, augmentation, 2, 2, index))
    assert not torch.equal(views, view(images, augmentation, 1, 3, index))
    assert not torch.equal(views, view(images, augmentation, 1, 2, index + 64))
    assert not torch.equal(view(images, augmentation, 2, 1, index), views)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    assert torch.equal(view(images[order], augmentation, 1, 2, index[order]), views[order])
    assert torch.equal(view(images[5:6], augmentation, 1, 2, index[5:6]), views[5:6])


def test_none_is_the_image_itself() -> None:
    images = sample(4)
    assert view(images, Augmentation.NONE, 0, 0, torch.arange(4)) is images


@pytest.mark.parametrize("augmentation", RANDOM)
def test_views_keep_dtype_and_memory_format(augmentation: Augmentation) -> None:
    images, index = sample(16), torch.arange(16)
    views = view(images, augmentation, 0, 0, index)
    last = view(images.contiguous(memory_format=torch.channels_last), augmentation, 0, 0, index)
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert views.is_contiguous()
    assert torch.equal(views, last)
    pixels = (images * 255).byte()
    small = view(pixels, augmentation, 0, 0, index)
    assert small.dtype == torch.uint8
    assert torch.equal(small.float(), view(pixels.float(), augmentation, 0, 0, index))


def chi_square(counts: Tensor) -> float:
    expected = counts.sum() / counts.numel()
    return float(((counts - expected).square() / expected).sum())


def test_offsets_and_flips_are_uniform_and_independent() -> None:
    index = torch.arange(18_000)
    down, across, flip = offsets(5, 11, index)
    joint = ((down * 9 + across) * 2 + flip).bincount(minlength=162).double()
    assert len(joint) == 162
    assert chi_square(joint) < 225  # 161 degrees of freedom, p = 0.0006
    next_down, _, next_flip = offsets(5, 12, index)
    assert chi_square((down * 9 + next_down).bincount(minlength=81).double()) < 125  # 80 degrees, p = 0.001
    assert chi_square((flip * 2 + next_flip.long()).bincount(minlength=4).double()) < 16.3  # 3 degrees
    other_across = offsets(6, 11, index)[1]
    assert chi_square((across * 9 + other_across).bincount(minlength=81).double()) < 125


def test_an_epoch_apart_is_not_an_image_apart() -> None:
    # Streams of neighbouring seeds and epochs do not overlap, shifted or swapped.
    index = torch.arange(2_000)
    seen = [torch.stack(offsets(seed, epoch, index)) for seed in range(3) for epoch in range(3)]
    for i, a in enumerate(seen):
        for b in seen[:i]:
            for shift in range(-3, 4):
                same = (a == b.roll(shift, 1)).all(0).double().mean()
                assert same < 0.03  # 1/162 by chance


def test_hash_is_splitmix64() -> None:
    # The first three outputs of the published generator started at 1234567.
    golden = 0x9E3779B97F4A7C15
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert int(splitmix64(torch.tensor(0))) % 2**64 == 0xE220A8397B1DCDAF
    inverse = pow(golden, -1, 2**64)  # our counter is multiplied by the golden step, theirs is added to
    counters = [(1234567 * inverse + i) % 2**64 for i in range(3)]
    signed = torch.tensor([counter - 2**64 if counter >= 2**63 else counter for counter in counters])
    assert [bits % 2**64 for bits in splitmix64(signed).tolist()] == published


def test_small_images_are_refused_or_padded() -> None:
    tiny, index = torch.ones(50, 1, 3, 3), torch.arange(50)
    with pytest.raises(InputError, match="3×3"):
        view(tiny, Augmentation.REFLECT_CROP_FLIP, 0, 0, index)
    down, across, _ = offsets(0, 0, index)
    kept = (3 - (down - PAD).abs()).clamp_min(0) * (3 - (across - PAD).abs()).clamp_min(0)
    assert torch.equal(view(tiny, Augmentation.ZERO_CROP_FLIP, 0, 0, index).sum((1, 2, 3)), kept.float())


def test_crops_of_reduced_photographs_move_as_large_a_share() -> None:
    assert [family_of("cifar10").pad(side) for side in (32, 16, 8)] == [4, 2, 1]
    assert family_of("folder:/images").pad(16) == 4
    index = torch.arange(2000)
    for pad in (1, 2):
        down, across, _ = offsets(0, 0, index, pad)
        assert sorted(set(down.tolist())) == sorted(set(across.tolist())) == list(range(2 * pad + 1))
    images = torch.arange(2000.0)[:, None, None, None] + torch.zeros(2000, 1, 16, 16)
    moved = view(images + 1, Augmentation.ZERO_CROP_FLIP, 0, 0, index, 2)
    assert int((moved == 0).any(-1).sum(-1).max()) == 16  # columns of zeros reach over all rows
    assert int((moved == 0).all(-1).sum(-1).max()) == 2  # at most two rows of them
