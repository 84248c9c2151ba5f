"""Architectures: published sizes, stages, normalisation, and what may be done to a network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.utils import parametrize

from kdlib.base.errors import InputError
from kdlib.models import NAMES, build
from kdlib.models.network import Network, flops

# Parameters in millions with 100 classes: the tables of RepDistiller (Tian et al. 2020) and torchvision's
# counts with a CIFAR stem and 100 classes.
PUBLISHED = {
    "resnet8": 0.08,
    "resnet14": 0.18,
    "resnet20": 0.28,
    "resnet32": 0.47,
    "resnet44": 0.67,
    "resnet56": 0.86,
    "resnet110": 1.74,
    "resnet8x4": 1.23,
    "resnet32x4": 7.43,
    "wrn_16_1": 0.18,
    "wrn_16_2": 0.70,
    "wrn_40_1": 0.57,
    "wrn_40_2": 2.26,
    "vgg8": 3.97,
    "vgg13": 9.46,
    "vgg13_bn": 9.46,
    "mobilenetv2": 0.81,
    "shufflenetv1": 0.95,
    "shufflenetv2": 1.36,
    "resnet18": 11.22,
    "resnet34": 21.33,
    "resnet50": 23.71,
}

# Sides of the stages for images of 32 pixels.
IMAGENET_RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
SIDES = {
    "imagenet": [32, 32, 16, 8, 4],
    "res": [32, 32, 16, 8],
    "cnn": [32, 16, 8],
    "wrn": [32, 32, 16, 8],
    "vgg": [32, 16, 8, 4, 4],
    "vgg_c8": [32, 32, 16, 8],
    "vgg_c13": [32, 32, 16, 8, 4],
    "mob": [16, 16, 8, 4, 2],
    "shu": [32, 16, 8, 4],
}

ONE_OF_EACH = ["cnn4", "resnet8", "wrn_16_1", "vgg8", "vgg11", "vgg_c8", "resnet18", "mobilenetv2"]
ONE_OF_EACH += ["shufflenetv1", "shufflenetv2"]


def small(name: str, classes: int = 5, channels: int = 3, seed: int = 0) -> tuple[Network, Tensor]:
    """Return a network in eval mode with batch norms that do something, and four images for it."""
    torch.manual_seed(seed)
    side = 16
    network = build(name, classes, channels, side).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.8, 1.2)
    return network, torch.rand(4, channels, side, side)


def on_meta(name: str, classes: int = 100, channels: int = 3, image_size: int = 32) -> Network:
    with torch.device("meta"):
        return build(name, classes, channels, image_size)


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_number_of_parameters_is_the_published_one(name: str) -> None:
    assert round(parameters(on_meta(name)) / 1e6, 2) == PUBLISHED[name]


def test_vgg8_is_the_published_one_with_batch_norm() -> None:
    def convolutions(widths: list[int]) -> int:
        return sum(9 * a * b + b for a, b in zip([3, *widths], widths, strict=False))

    widths = [64, 128, 256, 512, 512]
    without = convolutions(widths) + 512 * 100 + 100
    assert without == 3_962_084
    assert parameters(on_meta("vgg8")) == parameters(on_meta("vgg8_bn")) == without + 2 * sum(widths)


@pytest.mark.parametrize(("name", "millions"), [("wrn_40_2", 655), ("wrn_40_1", 167)])
def test_operations_are_the_known_ones(name: str, millions: int) -> None:
    assert round(flops(on_meta(name), (3, 32, 32)) / 1e6) == millions


def test_operations_by_hand_and_without_a_trace() -> None:
    network, _ = small("cnn4", classes=10, channels=1)
    network.train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    convolutions = 64 * 9 * 1 * 4 + 16 * 9 * 4 * 8 + 4 * 9 * 8 * 8
    assert flops(network, (1, 8, 8)) == 2 * (convolutions + 8 * 10)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_shapes(name: str) -> None:
    network = on_meta(name, classes=7)
    x = torch.empty(2, 3, 32, 32, device="meta")
    outputs = network.stages(x)
    family = "imagenet" if name in IMAGENET_RESNETS else name if name in SIDES else name[:3]
    assert [tuple(o.shape[2:]) for o in outputs] == [(side, side) for side in SIDES[family]]
    assert outputs[-1].shape[1] == network.head.in_features
    assert network(x).shape == (2, 7)
    assert (network.name, network.classes, network.channels) == (name, 7, 3)


@pytest.mark.parametrize("name", NAMES)
def test_one_channel_and_the_smallest_image(name: str) -> None:
    side = 16 if name == "mobilenetv2" else 8
    network = on_meta(name, classes=10, channels=1, image_size=side)
    assert network(torch.empty(2, 1, side, side, device="meta")).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "sides"),
    [
        ("resnet18", [32, 32, 16, 8, 4]),
        ("mobilenetv2", [64, 32, 16, 8, 4]),
        ("shufflenetv1", [32, 16, 8, 4]),
        ("shufflenetv2", [32, 16, 8, 4]),
        ("vgg11", [128, 64, 32, 16, 8]),
    ],
)
def test_large_images_keep_the_imagenet_stem(name: str, sides: list[int]) -> None:
    network = on_meta(name, image_size=128)
    outputs = network.stages(torch.empty(2, 3, 128, 128, device="meta"))
    assert [o.shape[-1] for o in outputs] == sides


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_logits_are_the_head_of_the_mean_of_the_last_stage(name: str) -> None:
    network, x = small(name)
    last = network.stages(x)[-1]
    torch.testing.assert_close(network.embed(x), last.mean((2, 3)))
    torch.testing.assert_close(network(x), last.mean((2, 3)) @ network.head.weight.T + network.head.bias)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_stage_outputs_are_not_overwritten(name: str) -> None:
    network, x = small(name)
    image = x.clone()
    outputs = network.stages(x)
    z = network.normalise(image)
    for block, output in zip(network.blocks, outputs, strict=True):
        z = block(z).clone()
        assert torch.equal(output, z)
    assert torch.equal(x, image)
    assert not any(getattr(layer, "inplace", False) for layer in network.modules())


@pytest.mark.parametrize("name", ["cnn4", "wrn_16_1", "mobilenetv2"])
def test_normalisation_equals_normalised_images(name: str) -> None:
    network, x = small(name)
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
    expected = network((x - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None])
    plain = network(x)
    network.set_normalisation(mean, std)
    torch.testing.assert_close(network(x), expected)
    network.set_normalisation(torch.zeros(3), torch.ones(3))
    assert torch.equal(network(x), plain)


@pytest.mark.parametrize(
    ("mean", "std", "told"),
    [
        ((0.5,), (0.2, 0.2, 0.2), "3 channels"),
        ((0.5, 0.5, 0.5), (0.2, 0.0, 0.2), "greater than zero"),
        ((0.5, float("nan"), 0.5), (0.2, 0.2, 0.2), "finite"),
    ],
)
def test_bad_normalisation_is_refused(mean: tuple[float, ...], std: tuple[float, ...], told: str) -> None:
    network, _ = small("cnn4")
    with pytest.raises(InputError, match=told):
        network.set_normalisation(mean, std)
    assert torch.equal(network.mean, torch.zeros(3)) and torch.equal(network.std, torch.ones(3))


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_saved_weights_load_strictly(name: str, tmp_path: Path) -> None:
    network, x = small(name)
    network.set_normalisation((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    other, _ = small(name, seed=1)
    assert not torch.equal(other(x), network(x))
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"), strict=True)
    assert torch.equal(other(x), network(x))


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_weights_depend_on_the_seed_alone(name: str) -> None:
    first, again, other = (small(name, seed=seed)[0].state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    assert not torch.equal(first["head.weight"], other["head.weight"])


@pytest.mark.parametrize("name", ["resnet18", "wrn_16_2", "shufflenetv1", "vgg8"])
def test_convolutions_start_as_he_normal(name: str) -> None:
    torch.manual_seed(0)
    for layer in build(name, 10, 3).modules():
        if isinstance(layer, nn.Conv2d):
            fan_out = layer.out_channels * layer.kernel_size[0] * layer.kernel_size[1]
            if layer.weight.numel() > 5000:
                assert layer.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)
            assert layer.bias is None or not layer.bias.any()
        elif isinstance(layer, nn.BatchNorm2d):
            assert (layer.weight == 1).all() and (layer.bias == 0).all()


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_networks_vectorise_over_weights(name: str) -> None:
    networks = [small(name, seed=seed)[0] for seed in (0, 1)]
    x = small(name)[1]
    values, buffers = stack_module_state(networks)
    twin = on_meta(name, classes=5, image_size=16).eval()

    def logits(values: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
        return functional_call(twin, (values, buffers), (x,))

    with torch.no_grad():
        together = vmap(logits)(values, buffers)
        apart = torch.stack([network(x) for network in networks])
    torch.testing.assert_close(together, apart, rtol=1e-3, atol=1e-4)


class Double(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


@pytest.mark.parametrize("name", ["cnn4", "vgg_c8", "resnet18", "shufflenetv2"])
def test_weights_take_parametrisations(name: str) -> None:
    network, x = small(name)
    plain = network(x)
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    for layer in convolutions:
        parametrize.register_parametrization(layer, "weight", Double())
    with torch.no_grad():
        for layer in convolutions:
            layer.parametrizations["weight"].original.mul_(0.5)
    torch.testing.assert_close(network(x), plain)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_training_reaches_every_weight_in_bf16_and_channels_last(name: str) -> None:
    network, x = small(name)
    network = network.train().to(memory_format=torch.channels_last)
    labels = torch.tensor([0, 1, 2, 3])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = nn.functional.cross_entropy(network(x.to(memory_format=torch.channels_last)), labels)
    loss.backward()
    assert torch.isfinite(loss)
    for key, value in network.named_parameters():
        assert value.grad is not None and torch.isfinite(value.grad).all(), key


@pytest.mark.parametrize("name", ["cnn4", "wrn_16_1", "shufflenetv1"])
def test_compiles_as_one_graph(name: str) -> None:
    network, x = small(name)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), network(x))


def test_unknown_architecture_is_refused() -> None:
    with pytest.raises(InputError, match=r"'resnet21'.*resnet20.*wrn_40_2"):
        build("resnet21", 10, 3)


@pytest.mark.parametrize(
    ("name", "classes", "channels", "image_size", "told"),
    [
        ("vgg13", 10, 3, 4, "image_size 4 .* vgg13.*8 pixels"),
        ("mobilenetv2", 10, 1, 8, "image_size 8 .* mobilenetv2.*16 pixels"),
        ("cnn16", 10, 1, 2, "image_size 2 .* cnn16.*4 pixels"),
        ("resnet20", 1, 3, 32, "classes 1 "),
        ("resnet20", 10, 0, 32, "channels 0 "),
    ],
)
def test_what_cannot_be_built_is_refused(name: str, classes: int, channels: int, image_size: int, told: str) -> None:
    with pytest.raises(InputError, match=told):
        build(name, classes, channels, image_size)
