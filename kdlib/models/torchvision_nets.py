"""torchvision's residual networks, cut into stages, with a CIFAR stem for small images."""

from __future__ import annotations

from functools import partial

from torch import nn

from kdlib.models.network import LARGEST_CIFAR_IMAGE, Architecture, out_of_place


def stages(channels: int, image_size: int, name: str) -> list[nn.Module]:
    """Return the stem and layer1 to layer4 of torchvision's `name`.

    Up to 64 pixels the stem is a 3×3 convolution of stride 1 without max-pooling, above that torchvision's
    7×7 of stride 2 with it. Source: He et al. 2016 (arXiv:1512.03385), table 1.
    """
    import torchvision  # here: it takes seconds to import, and most runs need none of it

    source = torchvision.models.get_model(name, weights=None)
    out_of_place(source)
    if image_size <= LARGEST_CIFAR_IMAGE:
        stem = nn.Sequential(nn.Conv2d(channels, 64, 3, 1, 1, bias=False), source.bn1, source.relu)
    else:
        conv = source.conv1 if channels == 3 else nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
        stem = nn.Sequential(conv, source.bn1, source.relu, source.maxpool)
    return [stem, source.layer1, source.layer2, source.layer3, source.layer4]


ARCHITECTURES = {
    name: Architecture(partial(stages, name=name), width, smallest=8)
    for name, width in {
        "resnet18": 512,
        "resnet34": 512,
        "resnet50": 2048,
        "resnet101": 2048,
        "resnet152": 2048,
    }.items()
}
