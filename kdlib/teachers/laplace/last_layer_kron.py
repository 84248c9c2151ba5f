"""The last layer's Kronecker-factored posterior in closed form, without Jacobians.

With features φ and logits f = Wφ + b, the generalised Gauss-Newton factors of the head are A = ΦᵀΦ / N over
features and B = Σ_n (diag p_n − p_n p_nᵀ) over classes: precision B ⊗ A + δI of the weights and B + δI of the
bias, a block of its own. In their eigenbases A = Q_A diag(a) Q_Aᵀ and B = Q_B diag(b) Q_Bᵀ, and with
ψ = Q_Aᵀφ, the logits of an image are N(f, Q_B diag(s) Q_Bᵀ) with

    s_i = Σ_j ψ_j² / (b_i a_j + δ) + 1 / (b_i + δ).

Every link follows from two products of the batch, φ Q_A and ψ² times a matrix that is computed once.
Source: Ritter et al. 2018, "A scalable Laplace approximation for neural networks"; Daxberger et al. 2021.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from kdlib.base.errors import InputError
from kdlib.models.network import Network
from kdlib.teachers.laplace import links
from kdlib.teachers.laplace.options import Link, Options
from kdlib.teachers.laplace.posterior import Posterior, check_parent, check_tensors, full_precision

CHUNK = 16
"""Draws of the link `mc` held at a time."""


class LastLayerKron(Posterior):
    """Predict with the last layer's Kronecker-factored posterior.

    `state` holds the eigenbases in float64: `feature_values` `(d,)`, `feature_vectors` `(d, d)`, `class_values`
    `(classes,)`, `class_vectors` `(classes, classes)`; the head's `weight` and `bias` (when it has one); and the
    numbers `log_likelihood` (nats, of the training labels) and `prior_precision`.
    """

    def __init__(self, network: Network, options: Options, state: Mapping[str, Tensor]) -> None:
        head = network.head
        classes, width = head.weight.shape
        shapes: dict[str, tuple[int, ...]] = {
            "feature_values": (width,),
            "feature_vectors": (width, width),
            "class_values": (classes,),
            "class_vectors": (classes, classes),
            "log_likelihood": (),
            "prior_precision": (),
            **{name: tuple(p.shape) for name, p in head.named_parameters()},
        }
        check_tensors(state, shapes)
        for name, parameter in head.named_parameters():
            check_parent(state[name], parameter.detach())
        self.network, self.options = network, options
        device, dtype = head.weight.device, head.weight.dtype
        self._state = {name: tensor.detach().to(device).contiguous() for name, tensor in state.items()}
        vectors = self._state["class_vectors"].double()
        # Q_B ∘ Q_B gives the diagonal of Q_B diag(s) Q_Bᵀ, Q_B diag(1ᵀQ_B) its row sums
        self._to_variance = vectors.square().T
        self._to_row_sums = (vectors * vectors.sum(0)).T
        self._rotation = self._state["feature_vectors"].to(dtype)
        self._class_vectors = vectors.to(dtype)
        self.prior_precision = float(state["prior_precision"])

    @property
    def prior_precision(self) -> float:
        return self._precision

    @prior_precision.setter
    def prior_precision(self, precision: float) -> None:
        state, dtype = self._state, self._rotation.dtype
        values = state["class_values"].double()
        self._precision = float(precision)
        # (d, classes) and (classes,): s = ψ² @ spread + spread_bias
        self._spread = 1 / (state["feature_values"].double()[:, None] * values + self._precision)
        biased = self.network.head.bias is not None
        self._spread_bias = 1 / (values + self._precision) if biased else torch.zeros_like(values)
        # the probit link's two factors, folded into one matrix
        self._variance = (self._spread @ self._to_variance).to(dtype)
        self._variance_bias = (self._spread_bias @ self._to_variance).to(dtype)

    def prepare(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.project(self.network.embed(x))

    def project(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean logits `(n, classes)` and ψ² `(n, d)` of features `(n, d)`."""
        with full_precision(features):
            features = features.to(self._rotation.dtype)
            logits: Tensor = self.network.head(features)
            return logits, (features @ self._rotation).square_()

    def predict(self, prepared: tuple[Tensor, ...], seed: int = 0) -> Tensor:
        logits, squares = prepared
        with full_precision(logits), torch.no_grad():
            return self._link(logits, squares, seed)

    def _link(self, logits: Tensor, squares: Tensor, seed: int) -> Tensor:
        if self.options.link is Link.PROBIT:
            return links.probit(logits, torch.addmm(self._variance_bias, squares, self._variance))
        if self.options.link is Link.BRIDGE:
            spread = torch.addmm(self._spread_bias, squares.double(), self._spread)
            out = links.bridge(logits.double(), spread @ self._to_variance, spread @ self._to_row_sums)
            return out.to(logits.dtype)
        return links.monte_carlo(self.draws(logits, squares, self.options.samples, seed))

    def draws(self, logits: Tensor, squares: Tensor, samples: int, seed: int = 0) -> Iterator[Tensor]:
        """Draw logits `(≤ 16, n, classes)` from their exact posterior until there are `samples` of them.

        The noise is shared by the images, so an image's answer does not depend on the batch around it.
        """
        dtype, classes = logits.dtype, logits.shape[-1]
        spread = torch.addmm(self._spread_bias.to(dtype), squares, self._spread.to(dtype)).sqrt_()
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(samples, 1, classes, generator=generator, dtype=torch.float64).to(spread)
        for part in torch.split(noise, CHUNK):
            yield logits + (part * spread) @ self._class_vectors.T

    def eigenvalues(self) -> Tensor:
        values = self._state["class_values"].double()
        weights = torch.outer(values, self._state["feature_values"].double()).flatten()
        return torch.cat([weights, values]) if self.network.head.bias is not None else weights

    def squared_norm(self) -> float:
        return sum(float(p.detach().double().square().sum()) for p in self.network.head.parameters())

    def log_likelihood(self) -> float:
        return float(self._state["log_likelihood"])

    def state(self) -> dict[str, Tensor]:
        precision = torch.tensor(self.prior_precision, dtype=torch.float64)
        return {**{name: tensor.clone() for name, tensor in self._state.items()}, "prior_precision": precision}


def factors(features: Iterable[tuple[Tensor, Tensor]], head: torch.nn.Linear) -> tuple[Tensor, Tensor, Tensor]:
    """Return A = ΦᵀΦ / N `(d, d)`, B = Σ_n (diag p_n − p_n p_nᵀ) `(classes, classes)` and Σ_n ln p_n(label).

    `features` are batches `(b, d)` with labels `(b,)`. ΦᵀΦ of a batch is in the features' precision, all else in
    float64.

    Raises:
        InputError: there is no batch.
    """
    count = 0
    a, b, likelihood = None, None, torch.zeros((), dtype=torch.float64)
    for phi, labels in features:
        logits = head(phi).double()  # p (1 - p) of a confident p has no digits left in float32
        p = logits.softmax(-1)
        inputs, outputs = (phi.T @ phi).double(), p.sum(0).diag() - p.T @ p
        a, b = (inputs, outputs) if a is None or b is None else (a + inputs, b + outputs)
        likelihood = likelihood.to(phi.device) - F.cross_entropy(logits, labels, reduction="sum")
        count += len(phi)
    if a is None or b is None:
        raise InputError("the batches to fit the Laplace posterior on are empty: at least one image is needed.")
    return a / count, b, likelihood


def fit_last_layer(features: Iterable[tuple[Tensor, Tensor]], network: Network, options: Options) -> LastLayerKron:
    """Return the posterior with the prior precision 1, from batches of features `(b, d)` and labels `(b,)`."""
    a, b, likelihood = factors(features, network.head)
    feature_values, feature_vectors = torch.linalg.eigh(a)
    class_values, class_vectors = torch.linalg.eigh(b)
    state = {
        "feature_values": feature_values.clamp_min(0),  # both are positive semidefinite, up to rounding
        "feature_vectors": feature_vectors,
        "class_values": class_values.clamp_min(0),
        "class_vectors": class_vectors,
        "log_likelihood": likelihood,
        "prior_precision": torch.ones((), dtype=torch.float64),
        **{name: parameter.detach().clone() for name, parameter in network.head.named_parameters()},
    }
    return LastLayerKron(network, options, state)
