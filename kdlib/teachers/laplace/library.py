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
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from kdlib.base.errors import InputError, NotFinite
from kdlib.models.network import Network
from kdlib.teachers.laplace import links
from kdlib.teachers.laplace.diagonal import diagonal_backend
from kdlib.teachers.laplace.options import HessianStructure, Link, Options, Predictive, SubsetOfWeights, is_batch_norm
from kdlib.teachers.laplace.posterior import Batches, Posterior, check_parent, check_tensors, full_precision

JACOBIAN_BYTES = 2**28
"""Bytes of a Jacobian `(n, classes, weights)`: batches are cut to fit."""
JACOBIAN_ROWS = 64
"""Most images times classes of a Jacobian of all the weights: time and memory grow with the square of it, since its
convolutions become one with a group for each (a resnet8 with 100 classes took 12 GB and two minutes for 8 images)."""


class _Loader:
    """Batches with the number of images where laplace-torch looks for it."""

    def __init__(self, batches: Batches, count: int) -> None:
        self.batches, self.dataset = batches, range(count)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(self.batches)


def _approximation(network: Network, options: Options, backend: type | None = None) -> Any:
    """Return laplace-torch's object, not fitted, around a copy of what is uncertain."""
    from laplace import Laplace

    extra: dict[str, Any] = {}
    if options.subset is SubsetOfWeights.LAST_LAYER:
        layers: dict[str, nn.Module] = {"features": nn.Identity(), "head": copy.deepcopy(network.head)}
        model: nn.Module = nn.Sequential(OrderedDict(layers))
        extra["last_layer_name"] = "head"  # without it the saved state would hold a training batch
    else:
        # its flattened vector of weights cannot be taken of a channels-last network
        model = copy.deepcopy(network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    model.eval().requires_grad_(True)
    if options.structure is HessianStructure.KRON:  # a batch norm's weights have no Kronecker factors
        for module in filter(is_batch_norm, model.modules()):
            module.requires_grad_(False)
    return Laplace(model, "classification", str(options.subset), str(options.structure), backend=backend, **extra)


@contextmanager
def _quiet_and_seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Seed torch's global random state inside, which laplace-torch draws from, and hide its advice."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        yield


class LibraryPosterior(Posterior):
    """Predict by laplace-torch.

    `state` holds the weights `mean`, the Hessian (`hessian` `(weights,)` or `(weights, weights)`, or for `kron`
    `hessian.<layer>.<factor>`) and the numbers `loss` (nats, summed over the training labels), `count` (images) and
    `prior_precision`.
    """

    def __init__(self, network: Network, options: Options, state: Mapping[str, Tensor]) -> None:
        self.network, self.options = network, options
        self._la = la = _approximation(network, options)
        kron = options.structure is HessianStructure.KRON
        zeros = _factors(la.H.kfacs) if kron else {"hessian": la.H}
        shapes = {name: tuple(tensor.shape) for name, tensor in zeros.items()}
        check_tensors(state, {"mean": (la.n_params,), **shapes, "loss": (), "count": (), "prior_precision": ()})
        parameters = la.model.last_layer.parameters() if self._on_features else la.params
        check_parent(state["mean"], nn.utils.parameters_to_vector(parameters).detach())
        device = network.head.weight.device
        self._state = state = {name: tensor.detach().to(device).contiguous() for name, tensor in state.items()}
        hessian: Any = state["hessian"] if not kron else None
        if kron:
            hessian = [[state[f"hessian.{i}.{j}"] for j in range(len(f))] for i, f in enumerate(la.H.kfacs)]
        saved = {
            "mean": state["mean"],
            "H": hessian,
            "loss": float(state["loss"]),
            "prior_mean": la.prior_mean,
            "prior_precision": state["prior_precision"].to(la.mean.dtype),
            "sigma_noise": la.sigma_noise,
            "n_data": int(state["count"]),
            "n_outputs": network.classes,
            "likelihood": la.likelihood,
            "temperature": la.temperature,
            "enable_backprop": la.enable_backprop,
            "cls_name": type(la).__name__,
            "data": None,
            "_last_layer_name": "head",
        }
        la.load_state_dict(saved)
        self._precision = float(state["prior_precision"])

    @property
    def _on_features(self) -> bool:
        return self.options.subset is SubsetOfWeights.LAST_LAYER

    @property
    def prior_precision(self) -> float:
        return self._precision

    @prior_precision.setter
    def prior_precision(self, precision: float) -> None:
        self._precision = float(precision)
        self._la.prior_precision = self._precision

    def prepare(self, x: Tensor) -> tuple[Tensor, ...]:
        return (self.network.embed(x).to(self.network.head.weight.dtype) if self._on_features else x,)

    def predict(self, prepared: tuple[Tensor, ...], seed: int = 0) -> Tensor:
        (inputs,) = prepared
        options, la = self.options, self._la
        linear = options.predictive is Predictive.GLM
        if linear and self._on_features and options.structure is HessianStructure.DIAG:
            with full_precision(inputs), torch.no_grad():
                mean, variance = la.functional_variance_fast(inputs)
                return _independent(mean, variance, options, seed)
        rows = max(1, len(inputs))
        if linear:
            rows = max(1, JACOBIAN_BYTES // (4 * la.n_params * self.network.classes))
            rows = rows if self._on_features else max(1, min(rows, JACOBIAN_ROWS // self.network.classes))
        out = []
        for part in torch.split(inputs, rows):
            with full_precision(part), _quiet_and_seeded(part.device, seed), torch.no_grad():
                p = la(part, pred_type=options.predictive, link_approx=options.link, n_samples=options.samples)
            out.append(p.clamp_min(torch.finfo(p.dtype).tiny).log())
        log_probs = torch.cat(out)
        if not torch.isfinite(log_probs).all():
            raise NotFinite(
                f"The Laplace predictive is not finite at prior precision {self.prior_precision:g}: sampled weights "
                "this uncertain overflow the network; choose prior gridsearch, predictive glm or subset last_layer."
            )
        return log_probs

    def eigenvalues(self) -> Tensor:
        structure, state = self.options.structure, self._state
        if structure is HessianStructure.DIAG:
            return state["hessian"].clamp_min(0)
        if structure is HessianStructure.FULL:
            values: Tensor = torch.linalg.eigvalsh(state["hessian"])
            return values.clamp_min(0)
        blocks = self._la.H.eigenvalues
        return torch.cat([block[0] if len(block) == 1 else torch.outer(*block).flatten() for block in blocks])

    def log_likelihood(self) -> float:
        return -float(self._state["loss"])

    def squared_norm(self) -> float:
        return float(self._state["mean"].double().square().sum())

    def state(self) -> dict[str, Tensor]:
        precision = torch.tensor(self.prior_precision, dtype=torch.float64)
        return {**{name: tensor.clone() for name, tensor in self._state.items()}, "prior_precision": precision}


def _factors(kfacs: list[list[Tensor]]) -> dict[str, Tensor]:
    """Name the Kronecker factors of each layer."""
    return {f"hessian.{i}.{j}": factor for i, block in enumerate(kfacs) for j, factor in enumerate(block)}


def _independent(mean: Tensor, variance: Tensor, options: Options, seed: int) -> Tensor:
    """Link logits with a diagonal covariance `(n, classes)`, which needs no Jacobian."""
    if options.link is Link.PROBIT:
        return links.probit(mean, variance)
    if options.link is Link.BRIDGE:
        return links.bridge(mean.double(), variance.double(), variance.double()).to(mean.dtype)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(options.samples, 1, mean.shape[-1], generator=generator, dtype=torch.float64).to(mean)
    return links.monte_carlo(mean + part * variance.sqrt() for part in torch.split(noise, 16))


def fit_library(batches: Batches, network: Network, options: Options) -> LibraryPosterior:
    """Return laplace-torch's posterior with the prior precision 1, from batches of images, or of features.

    Raises:
        InputError: there is no batch.
    """
    count = sum(len(labels) for _, labels in batches)
    if count == 0:
        raise InputError("the batches to fit the Laplace posterior on are empty: at least one image is needed.")
    la = _approximation(network, options, diagonal_backend() if options.structure is HessianStructure.DIAG else None)
    head = network.head.weight
    with _quiet_and_seeded(head.device, 0), full_precision(head), torch.enable_grad():
        la.fit(_Loader(batches, count))
    hessian = _factors(la.H_facs.kfacs) if options.structure is HessianStructure.KRON else {"hessian": la.H}
    state = {
        "mean": la.mean.clone(),
        **{name: tensor.detach() for name, tensor in hessian.items()},
        "loss": torch.as_tensor(la.loss, dtype=torch.float64),
        "count": torch.tensor(count),
        "prior_precision": torch.ones((), dtype=torch.float64),
    }
    return LibraryPosterior(network, options, state)
