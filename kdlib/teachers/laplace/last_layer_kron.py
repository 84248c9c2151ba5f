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

from kdlib.models.network import Network
from kdlib.teachers.laplace import LaplaceConfig, Link, links
from kdlib.teachers.laplace.posterior import Posterior, check_state
from kdlib.training.hardware import without_autocast


class LastLayerKron(Posterior):
    """Predict with the last layer's Kronecker-factored posterior.

    `tensors` hold the eigenbases in float64: `feature_values` `(d,)`, `feature_vectors` `(d, d)`, `class_values`
    `(classes,)`, `class_vectors` `(classes, classes)`; the head's `weight` and `bias` (when it has one); and the
    numbers `log_likelihood` (nats, of the training labels) and `prior_precision`.
    """

    def __init__(self, network: Network, config: LaplaceConfig, tensors: Mapping[str, Tensor]) -> None:
        weights = {name: parameter.detach() for name, parameter in network.head.named_parameters()}
        classes, width = weights["weight"].shape
        shapes = {
            "feature_values": (width,),
            "feature_vectors": (width, width),
            "class_values": (classes,),
            "class_vectors": (classes, classes),
            "log_likelihood": (),
            "prior_precision": (),
            **{name: tuple(weight.shape) for name, weight in weights.items()},
        }
        check_state(tensors, shapes, weights)
        super().__init__(network, config, tensors)
        self._rotation = self.tensors["feature_vectors"].to(network.head.weight.dtype)

    def rescale(self) -> None:
        values, vectors = self.tensors["class_values"].double(), self.tensors["class_vectors"].double()
        # (d, classes) and (classes,): s = ψ² @ spread + spread_bias
        self._spread = 1 / (self.tensors["feature_values"].double()[:, None] * values + self.prior_precision)
        biased = self.network.head.bias is not None
        self._spread_bias = 1 / (values + self.prior_precision) if biased else torch.zeros_like(values)
        # Q_B ∘ Q_B gives the diagonal of Q_B diag(s) Q_Bᵀ, Q_B diag(1ᵀQ_B) its row sums
        self._to_variance, self._to_row_sums = vectors.square().T, (vectors * vectors.sum(0)).T
        # the probit link's two factors, folded into one matrix
        dtype = self.network.head.weight.dtype
        self._variance = (self._spread @ self._to_variance).to(dtype)
        self._variance_bias = (self._spread_bias @ self._to_variance).to(dtype)

    def prepare(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean logits `(n, classes)` and ψ² `(n, d)`."""
        features = self.network.embed(x)
        with without_autocast(x.device.type):
            features = features.to(self._rotation.dtype)
            logits: Tensor = self.network.head(features)
            return logits, (features @ self._rotation).square_()

    def predict(self, prepared: tuple[Tensor, ...]) -> Tensor:
        logits, squares = prepared
        with without_autocast(logits.device.type):
            if self.config.link is Link.PROBIT:
                return links.probit(logits, torch.addmm(self._variance_bias, squares, self._variance))
            if self.config.link is Link.MC:
                return links.monte_carlo(self.draws(logits, squares))
            spread = torch.addmm(self._spread_bias, squares.double(), self._spread)
            out = links.bridge(logits.double(), spread @ self._to_variance, spread @ self._to_row_sums)
            return out.to(logits.dtype)

    def draws(self, logits: Tensor, squares: Tensor) -> Iterator[Tensor]:
        """Draw logits `(≤ 16, n, classes)` from their exact posterior until there are `link_samples` of them."""
        dtype = logits.dtype
        spread = torch.addmm(self._spread_bias.to(dtype), squares, self._spread.to(dtype)).sqrt_()
        vectors = self.tensors["class_vectors"].to(dtype)
        for part in links.noise(self.config.link_samples, spread):
            yield logits + (part * spread) @ vectors.T

    def eigenvalues(self) -> Tensor:
        values = self.tensors["class_values"].double()
        weights = torch.outer(values, self.tensors["feature_values"].double()).flatten()
        return torch.cat([weights, values]) if self.network.head.bias is not None else weights

    def squared_norm(self) -> float:
        return sum(float(p.detach().double().square().sum()) for p in self.network.head.parameters())


def factors(features: Iterable[tuple[Tensor, Tensor]], head: torch.nn.Linear) -> tuple[Tensor, Tensor, Tensor]:
    """Return A = ΦᵀΦ / N `(d, d)`, B = Σ_n (diag p_n − p_n p_nᵀ) `(classes, classes)` and Σ_n ln p_n(label).

    `features` are batches `(b, d)` with labels `(b,)`. ΦᵀΦ of a batch is in the features' precision, all else in
    float64.
    """
    classes, width = head.weight.shape
    a, b, likelihood = (head.weight.new_zeros(size, dtype=torch.float64) for size in ((width,) * 2, (classes,) * 2, ()))
    count = 0
    for phi, labels in features:
        logits = head(phi).double()  # p (1 - p) of a confident p has no digits left in float32
        p = logits.softmax(-1)
        a = a + (phi.T @ phi).double()
        b = b + (p.sum(0).diag() - p.T @ p)
        likelihood = likelihood - F.cross_entropy(logits, labels, reduction="sum")
        count += len(phi)
    return a / count, b, likelihood


def fit_last_layer(features: Iterable[tuple[Tensor, Tensor]], network: Network, config: LaplaceConfig) -> LastLayerKron:
    """Return the posterior with the prior precision 1, from batches of features `(b, d)` and labels `(b,)`."""
    a, b, likelihood = factors(features, network.head)
    feature_values, feature_vectors = torch.linalg.eigh(a)
    class_values, class_vectors = torch.linalg.eigh(b)
    tensors = {
        "feature_values": feature_values.clamp_min(0),  # both are positive semidefinite, up to rounding
        "feature_vectors": feature_vectors,
        "class_values": class_values.clamp_min(0),
        "class_vectors": class_vectors,
        "log_likelihood": likelihood,
        "prior_precision": torch.ones((), dtype=torch.float64),
        **{name: parameter.detach().clone() for name, parameter in network.head.named_parameters()},
    }
    return LastLayerKron(network, config, tensors)
