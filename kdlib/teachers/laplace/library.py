"""Every other posterior, by laplace-torch, kept away from what goes wrong in it.

Its grid search, whose default loss is wrong, and its 100 steps on the marginal likelihood, which depend on where they
start, are not used (`prior` has both); batches are cut so that a Jacobian stays small; draws are seeded, since it
ignores the generator it is given; and the network it works on, which sampling writes to, is a copy.
"""

from __future__ import annotations

import copy
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kdlib.base.errors import NotFinite
from kdlib.models.network import Network
from kdlib.teachers.laplace import HessianStructure, LaplaceConfig, Link, Predictive, SubsetOfWeights, links
from kdlib.teachers.laplace.diagonal import diagonal_backend
from kdlib.teachers.laplace.posterior import Batches, Posterior, check_state
from kdlib.training.hardware import without_autocast

JACOBIAN_BYTES = 2**28
"""Bytes of a Jacobian `(n, classes, weights)`: batches are cut to fit."""
JACOBIAN_ROWS = 64
"""Most images times classes of a Jacobian of all the weights: time and memory grow with the square of it, since its
convolutions become one with a group for each (a resnet8 with 100 classes took 12 GB and two minutes for 8 images)."""


class _Loader:
    """Batches with the number of images where laplace-torch looks for it."""

    def __init__(self, batches: Batches) -> None:
        self.batches, self.dataset = batches, range(sum(len(labels) for _, labels in batches))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(self.batches)


def _approximation(network: Network, config: LaplaceConfig) -> Any:
    """Return laplace-torch's object, not fitted, around a copy of what is uncertain."""
    from laplace import Laplace

    extra: dict[str, Any] = {}
    if config.subset_of_weights is SubsetOfWeights.LAST_LAYER:
        layers: dict[str, nn.Module] = {"features": nn.Identity(), "head": copy.deepcopy(network.head)}
        model: nn.Module = nn.Sequential(OrderedDict(layers))
        extra["last_layer_name"] = "head"
    else:
        # its flattened vector of weights cannot be taken of a channels-last network
        model = copy.deepcopy(network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    model.eval().requires_grad_(True)
    if config.hessian is HessianStructure.KRON:  # a batch norm's weights have no Kronecker factors
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(False)
    if config.hessian is HessianStructure.DIAG:
        extra["backend"] = diagonal_backend()
    return Laplace(model, "classification", str(config.subset_of_weights), str(config.hessian), **extra)


class LibraryPosterior(Posterior):
    """Predict by laplace-torch.

    `tensors` hold the weights `mean`, the Hessian (`hessian` `(weights,)` or `(weights, weights)`, or for `kron`
    `hessian.<layer>.<factor>`) and the numbers `loss` (nats, summed over the training labels), `count` (images) and
    `prior_precision`.
    """

    def __init__(self, network: Network, config: LaplaceConfig, tensors: Mapping[str, Tensor]) -> None:
        self.on_features = config.subset_of_weights is SubsetOfWeights.LAST_LAYER
        self._la = la = _approximation(network, config)
        hessian = _hessian(la.H)
        shapes = {name: tuple(tensor.shape) for name, tensor in hessian.items()}
        parameters = la.model.last_layer.parameters() if self.on_features else la.params
        la.mean = nn.utils.parameters_to_vector(parameters).detach()
        shapes |= {"mean": (la.n_params,), "loss": (), "count": (), "prior_precision": ()}
        check_state(tensors, shapes, {"mean": la.mean})
        for name, zeros in hessian.items():
            zeros.copy_(tensors[name])
        if config.hessian is HessianStructure.KRON:
            la.H_facs, la.H = la.H, la.H.decompose()
        super().__init__(network, config, tensors)

    def rescale(self) -> None:
        self._la.prior_precision = self.prior_precision

    def prepare(self, x: Tensor) -> tuple[Tensor, ...]:
        return (self.network.embed(x).to(self.network.head.weight.dtype) if self.on_features else x,)

    def predict(self, prepared: tuple[Tensor, ...]) -> Tensor:
        (inputs,), la = prepared, self._la
        linear = self.config.predictive is Predictive.GLM
        with without_autocast(inputs.device.type), torch.no_grad():
            if linear and self.on_features and self.config.hessian is HessianStructure.DIAG:
                return self._independent(*la.functional_variance_fast(inputs))
            rows = max(1, len(inputs))
            if linear:
                rows = max(1, JACOBIAN_BYTES // (4 * la.n_params * self.network.classes))
                rows = rows if self.on_features else max(1, min(rows, JACOBIAN_ROWS // self.network.classes))
            p = torch.cat([self._averaged(part) for part in torch.split(inputs, rows)])
            log_probs = p.clamp_min(torch.finfo(p.dtype).tiny).log()
        if not torch.isfinite(log_probs).all():
            raise NotFinite(
                f"The Laplace predictive is not finite at prior precision {self.prior_precision:g}: sampled weights "
                "this uncertain overflow the network; choose prior gridsearch, predictive glm or subset last_layer."
            )
        return log_probs

    def _averaged(self, inputs: Tensor) -> Tensor:
        """Return laplace-torch's probabilities `(n, classes)`; it draws from torch's global random state."""
        config = self.config
        with torch.random.fork_rng([inputs.device] if inputs.is_cuda else []), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            p: Tensor = self._la(
                inputs, pred_type=config.predictive, link_approx=config.link, n_samples=config.link_samples
            )
            return p

    def _independent(self, mean: Tensor, variance: Tensor) -> Tensor:
        """Return the log-probabilities of independent logits `(n, classes)`, which need no Jacobian."""
        if self.config.link is Link.PROBIT:
            return links.probit(mean, variance)
        if self.config.link is Link.BRIDGE:
            return links.bridge(mean.double(), variance.double(), variance.double()).to(mean.dtype)
        sd = variance.sqrt()
        return links.monte_carlo(mean + part * sd for part in links.noise(self.config.link_samples, mean))

    def eigenvalues(self) -> Tensor:
        if self.config.hessian is HessianStructure.KRON:
            blocks = self._la.H.eigenvalues
            return torch.cat([block[0] if len(block) == 1 else torch.outer(*block).flatten() for block in blocks])
        hessian = self.tensors["hessian"]
        values: Tensor = hessian if self.config.hessian is HessianStructure.DIAG else torch.linalg.eigvalsh(hessian)
        return values.clamp_min(0)

    def squared_norm(self) -> float:
        return float(self.tensors["mean"].double().square().sum())


def _hessian(hessian: Any) -> dict[str, Tensor]:
    """Return the tensors of laplace-torch's Hessian, of `kron` the factors of each layer, by name."""
    if isinstance(hessian, Tensor):
        return {"hessian": hessian}
    return {f"hessian.{i}.{j}": factor for i, block in enumerate(hessian.kfacs) for j, factor in enumerate(block)}


def fit_library(batches: Batches, network: Network, config: LaplaceConfig) -> LibraryPosterior:
    """Return laplace-torch's posterior with the prior precision 1, from batches of images, or of features."""
    la, loader = _approximation(network, config), _Loader(batches)
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")
        la.fit(loader)
    tensors = {
        "mean": la.mean.clone(),
        **{name: tensor.detach() for name, tensor in _hessian(getattr(la, "H_facs", la.H)).items()},
        "loss": torch.as_tensor(la.loss, dtype=torch.float64),
        "count": torch.tensor(len(loader.dataset)),
        "prior_precision": torch.ones((), dtype=torch.float64),
    }
    return LibraryPosterior(network, config, tensors)
