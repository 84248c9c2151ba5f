"""The exact diagonal of the Gauss-Newton Hessian, as a backend of laplace-torch.

With G = diag p − p pᵀ = Σ_c p_c (e_c − p)(e_c − p)ᵀ the diagonal is Σ_n Σ_c p_nc (∂ ln p_nc / ∂θ)²: one backward pass
a class, of squared gradients of single images. The library's default holds the Jacobian of the whole batch (11 GB for
100 images of a ResNet); its ASDL backend squares before it sums over pixels where a convolution has many weights and
few pixels, which is another number, and divides by the scale of a batch norm, which may be zero.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, vjp, vmap

CHUNK_BYTES = 2**28
"""Bytes of the gradients of single images `(chunk, weights)` that are held at a time."""
CHUNK_VALUES = 3 * 2**12
"""Most values of the images of a chunk, about 4 of CIFAR's: vectorised convolutions of more take longer each."""


def squared_gradients(model: torch.nn.Module, weights: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    """Return Σ_n Σ_c p_nc (∂ ln p_nc / ∂θ)², shaped like the weights, of inputs `(n, …)`."""
    names = list(weights)

    def one(image: Tensor) -> tuple[Tensor, ...]:
        def log_probs(*values: Tensor) -> Tensor:
            logits: Tensor = functional_call(model, dict(zip(names, values, strict=True)), (image[None],))
            return logits[0].log_softmax(-1)

        forward_and_back: Any = vjp(log_probs, *weights.values())
        log_p, pull = forward_and_back
        total = [torch.zeros_like(w) for w in weights.values()]
        for p, unit in zip(log_p.exp(), torch.eye(len(log_p), device=x.device, dtype=log_p.dtype), strict=True):
            total = [t + p * g.square() for t, g in zip(total, pull(unit), strict=True)]
        return tuple(total)

    chunk = min(CHUNK_BYTES // (4 * sum(w.numel() for w in weights.values())), CHUNK_VALUES // x[0].numel())
    chunk = max(1, chunk)
    sums = [torch.zeros_like(w) for w in weights.values()]
    for part in torch.split(x, chunk):
        sums = [s + t.sum(0) for s, t in zip(sums, vmap(one)(part), strict=True)]
    return dict(zip(names, sums, strict=True))


def diagonal_backend() -> type:
    """Return laplace-torch's default backend with the exact diagonal above; its import takes seconds."""
    from laplace.curvature import CurvlinopsGGN

    class DiagonalGGN(CurvlinopsGGN):  # type: ignore[misc]
        """The default backend, but for `diag`."""

        def diag(self, x: Any, y: Tensor, **_: Any) -> tuple[Tensor, Tensor]:
            model: Any = self.model
            with torch.no_grad():
                loss = self.lossfunc(model(x), y)
                if self.last_layer:
                    x = model.forward_with_features(x)[1]
                weights = {name: w.detach() for name, w in self.params_dict.items()}
                squares = squared_gradients(self._model, weights, x)
            return loss, torch.cat([square.flatten() for square in squares.values()])

    return DiagonalGGN
