"""Conditional mutual information against its definition, and what the objective does to it."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdlib.measures.metrics import measure
from kdlib.teachers.mcmi import Centroids
from kdlib.teachers.mcmi import objective as module
from kdlib.teachers.mcmi.objective import MCMIObjective, centroids, conditional_mutual_information
from kdlib.training.loop import Batch

CLASSES = 3


def batch(images: Tensor, labels: Tensor) -> Batch:
    return Batch(index=torch.arange(len(labels)), epoch=0, images=images, labels=labels, progress=0.0)


def blobs(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Three overlapping Gaussian blobs in eight dimensions."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % CLASSES
    means = torch.randn(CLASSES, 8, generator=torch.Generator().manual_seed(0))
    return means[labels] + 1.2 * torch.randn(n, 8, generator=generator), labels


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, CLASSES))


def measured(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The network's CMI with its own class means."""
    network.eval()
    with torch.no_grad():
        log_p = network(images).log_softmax(1)
    return float(conditional_mutual_information(log_p, labels, centroids([(log_p.exp(), labels)], CLASSES)))


def test_cmi_by_hand() -> None:
    p = torch.tensor([[0.5, 0.5], [0.9, 0.1]], dtype=torch.float64)
    q = torch.tensor([[0.7, 0.3], [0.2, 0.8]], dtype=torch.float64)
    first = 0.5 * math.log(0.5 / 0.7) + 0.5 * math.log(0.5 / 0.3)
    second = 0.9 * math.log(0.9 / 0.2) + 0.1 * math.log(0.1 / 0.8)
    value = conditional_mutual_information(p.log(), torch.tensor([0, 1]), q)
    assert float(value) == pytest.approx((first + second) / 2, rel=1e-12)


def test_cmi_is_the_information_between_image_and_prediction_given_the_label() -> None:
    """I(X; Ŷ | Y) = H(Ŷ | Y) − H(Ŷ | X, Y), from the joint table of a discrete problem."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2])  # nine images, equally likely
    p = torch.rand(9, CLASSES, generator=generator).double().softmax(1)
    joint = torch.zeros(9, CLASSES, CLASSES).double()  # of image, label and prediction
    joint[torch.arange(9), labels] = p / 9

    def entropy(table: Tensor) -> float:
        return float(-torch.special.xlogy(table, table).sum())

    of_prediction_given_label = entropy(joint.sum(0)) - entropy(joint.sum((0, 2)))
    of_prediction_given_both = entropy(joint) - entropy(joint.sum(2))
    value = conditional_mutual_information(p.log(), labels, centroids([(p, labels)], CLASSES).double())
    assert float(value) == pytest.approx(of_prediction_given_label - of_prediction_given_both, abs=1e-6)


def test_cmi_is_the_metric_of_that_name() -> None:
    p, labels = (
        torch.rand(40, CLASSES, generator=torch.Generator().manual_seed(5)).softmax(1),
        torch.arange(40) % CLASSES,
    )
    value = conditional_mutual_information(p.log(), labels, centroids([(p, labels)], CLASSES))
    assert measure(p.log(), labels)["cmi"] == pytest.approx(float(value), rel=1e-4)


def test_cmi_of_certain_and_of_constant_predictions() -> None:
    labels = torch.tensor([0, 0, 1])
    certain = torch.eye(3)
    almost = certain.clamp_min(torch.finfo(certain.dtype).tiny)
    value = conditional_mutual_information(almost.log(), labels, centroids([(certain, labels)], CLASSES))
    assert float(value) == pytest.approx(2 / 3 * math.log(2), rel=1e-6)
    constant = torch.full((3, CLASSES), 1 / 3)
    assert float(conditional_mutual_information(constant.log(), labels, constant)) == pytest.approx(0, abs=1e-7)


def test_cmi_is_largest_at_no_other_centroids() -> None:
    """The class means minimise the average KL: every other Q gives more."""
    generator = torch.Generator().manual_seed(1)
    p, labels = torch.rand(30, CLASSES, generator=generator).softmax(1), torch.arange(30) % CLASSES
    q = centroids([(p, labels)], CLASSES)
    least = conditional_mutual_information(p.log(), labels, q)
    for _ in range(20):
        other = (q.log() + 0.1 * torch.randn(q.shape, generator=generator)).softmax(1)
        assert conditional_mutual_information(p.log(), labels, other) > least


def test_centroids_are_class_means_whatever_the_batches() -> None:
    p, labels = torch.rand(10, 4).softmax(1), torch.tensor([0, 1, 1, 0, 2, 2, 2, 0, 1, 0])
    q = centroids(zip(p.split(3), labels.split(3), strict=True), 4)
    for c in range(3):
        torch.testing.assert_close(q[c], p[labels == c].mean(0))
    torch.testing.assert_close(q[3], torch.full((4,), 0.25))  # no image of class 3


@pytest.mark.parametrize("mode", list(Centroids))
def test_loss_is_cross_entropy_minus_weighted_cmi(mode: Centroids) -> None:
    images, labels = blobs(60, 1)
    objective = MCMIObjective(mlp(), 0.2, [(images, labels)], CLASSES, mode)
    objective.start_epoch(0)
    objective.eval()
    log_p = objective.network(images).log_softmax(1)
    cmi = conditional_mutual_information(log_p, labels, objective.centroids)
    expected = F.cross_entropy(objective.network(images), labels) - 0.2 * cmi
    torch.testing.assert_close(objective(batch(images, labels)), expected)
    assert float(cmi.detach()) == pytest.approx(measured(objective.network, images, labels), rel=1e-5)


@pytest.mark.parametrize("mode", list(Centroids))
def test_without_weight_loss_and_gradient_are_those_of_cross_entropy(mode: Centroids) -> None:
    """Bit for bit, also where the logits are so far apart that probabilities and centroids underflow."""
    images, labels = blobs(60, 1)
    network = mlp()
    objective = MCMIObjective(network, 0.0, [(images, labels)], CLASSES, mode)
    for scale in (1.0, 1e4):
        seen = scale * images
        objective.refresh()
        objective.train()
        gradients = []
        for loss in (objective(batch(seen, labels)), F.cross_entropy(network(seen), labels)):
            gradients.append([float(loss.detach()), *torch.autograd.grad(loss, list(network.parameters()))])
        assert gradients[0][0] == gradients[1][0]
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(gradients[0][1:], gradients[1][1:], strict=True))


def test_training_raises_cmi_on_held_out_data() -> None:
    """From one parent, the same steps end with more CMI at λ = 0.25 than at λ = 0, and with less at −0.25."""
    images, labels = blobs(300, 1)
    held_out = blobs(600, 2)
    parent = mlp()
    optimizer = torch.optim.Adam(parent.parameters(), lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        F.cross_entropy(parent(images), labels).backward()
        optimizer.step()
    after = {}
    for weight in (-0.25, 0.0, 0.25):
        network = copy.deepcopy(parent)
        objective = MCMIObjective(network, abs(weight), [(images, labels)], CLASSES)
        objective.weight = weight
        optimizer = torch.optim.SGD(network.parameters(), lr=0.2)
        for epoch in range(20):
            objective.start_epoch(epoch)
            objective.train()
            for rows in torch.arange(300).split(50):
                optimizer.zero_grad()
                objective(batch(images[rows], labels[rows])).backward()
                optimizer.step()
        after[weight] = measured(network, *held_out)
    assert after[-0.25] + 0.005 < after[0.0] < after[0.25] - 0.005
    assert after[0.25] > measured(parent, *held_out)


def test_where_each_mode_takes_its_centroids_from() -> None:
    images, labels = blobs(90, 1)
    parent = mlp()
    seen: dict[Centroids, list[Tensor]] = {}
    for mode in Centroids:
        network = copy.deepcopy(parent)
        objective = MCMIObjective(network, 0.2, [(images[:50], labels[:50]), (images[50:], labels[50:])], CLASSES, mode)
        assert torch.isnan(objective.centroids).all()  # forgetting the hook stops the training
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        seen[mode] = []
        for epoch in range(2):
            objective.train()
            objective.start_epoch(epoch)
            assert all(m.training for m in network.modules())
            with torch.no_grad():
                network.eval()
                exact = centroids([(network(images).softmax(1), labels)], CLASSES)
                network.train()
            if mode is Centroids.EPOCH or epoch == 0:
                torch.testing.assert_close(objective.centroids, exact)
            seen[mode].append(objective.centroids.clone())
            before = objective.centroids.clone()
            optimizer.zero_grad()
            objective(batch(images, labels)).backward()
            optimizer.step()
            assert torch.equal(before, objective.centroids) == (mode is not Centroids.RUNNING)
    assert torch.equal(*seen[Centroids.FIXED])
    assert not torch.equal(*seen[Centroids.EPOCH])
    assert not torch.equal(*seen[Centroids.RUNNING])


def test_running_centroids_decay_towards_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = blobs(30, 1)
    kept = labels != 2  # a batch without class 2
    monkeypatch.setattr(module, "DECAY", 0.9)
    objective = MCMIObjective(mlp(), 0.2, [(images, labels)], CLASSES, Centroids.RUNNING)
    objective.start_epoch(0)
    before = objective.centroids.clone()
    objective.train()
    with torch.no_grad():
        p = copy.deepcopy(objective.network)(images[kept]).softmax(1)
    objective(batch(images[kept], labels[kept]))
    for c in (0, 1):
        torch.testing.assert_close(objective.centroids[c], 0.9 * before[c] + 0.1 * p[labels[kept] == c].mean(0))
    assert torch.equal(objective.centroids[2], before[2])
    torch.testing.assert_close(objective.centroids.sum(1), torch.ones(CLASSES))
    moved = objective.centroids.clone()
    objective.eval()
    objective(batch(images, labels))
    assert torch.equal(objective.centroids, moved)  # only training moves them


def test_refresh_leaves_the_network_as_it_was() -> None:
    images, labels = blobs(60, 1)
    objective = MCMIObjective(mlp(), 0.2, [(images, labels)], CLASSES)
    objective.train()
    objective.network[1].eval()  # type: ignore[index]
    modes = [m.training for m in objective.modules()]
    before = {k: v.clone() for k, v in objective.network.state_dict().items()}
    objective.start_epoch(0)
    assert [m.training for m in objective.modules()] == modes
    assert all(torch.equal(v, before[k]) for k, v in objective.network.state_dict().items())
    assert not objective.centroids.requires_grad


def test_state_holds_network_and_centroids() -> None:
    images, labels = blobs(60, 1)
    objective = MCMIObjective(mlp(), 0.2, [(images, labels)], CLASSES, Centroids.FIXED)
    objective.start_epoch(0)
    state = objective.state_dict()
    assert "centroids" in state and "network.0.weight" in state
    torch.manual_seed(9)
    other = nn.Sequential(nn.Linear(8, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, CLASSES))
    resumed = MCMIObjective(other, 0.2, [(images, labels)], CLASSES, Centroids.FIXED)
    resumed.load_state_dict(state)
    resumed.start_epoch(3)  # fixed centroids are not computed again
    assert torch.equal(resumed.centroids, objective.centroids)
    resumed.eval(), objective.eval()
    assert torch.equal(resumed(batch(images, labels)), objective(batch(images, labels)))
