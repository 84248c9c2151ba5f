"""PKT, SP and RKD: images lie to each other as they do for the teacher. The losses are torchdistill's."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from kdlib.students.frameworks.base import Features, outputs

DISTANCE, ANGLE = 25.0, 50.0
"""Weights of RKD's two parts in the benchmark of Tian et al. (2020), as the authors have them."""


def pkt(mine: Features, theirs: Features) -> Tensor:
    """Return the mean over pairs (i, j) of t_ij ln(t_ij / s_ij).

    s_ij and t_ij are (1 + cosine) / 2 of the embeddings of images i and j, scaled to sum to one over j.
    Source: Passalis and Tefas (2018), equations 4 to 8.
    """
    from torchdistill.losses.mid_level import PKTLoss

    total: Tensor = PKTLoss("e", "output", "e", "output")(outputs(e=mine.embedding), outputs(e=theirs.embedding))
    return total


def similarities(stage: Tensor) -> Tensor:
    """Return G `(n, n)` = Z Zᵀ of a flattened stage Z `(n, c h w)`, each row scaled to (Euclidean) norm 1."""
    flat = stage.flatten(1)
    return F.normalize(flat @ flat.T, dim=1)


def sp(mine: Features, theirs: Features) -> Tensor:
    """Return ‖G_s - G_t‖² / n², with G the `similarities` of the last stage.

    torchdistill scales G's rows to a sum of absolute values of 1, at which the published weight means something else:
    that step is taken here. Source: Tung and Mori (2019), equations 2 to 4.
    """
    from torchdistill.losses.mid_level import SPKDLoss

    loss = SPKDLoss("z", "z", "batchmean")
    loss.matmul_and_normalize = similarities
    total: Tensor = loss(outputs(z=mine.stages[-1]), outputs(z=theirs.stages[-1]))
    return total


def rkd(mine: Features, theirs: Features) -> Tensor:
    """Return 25 times the Huber loss of the embeddings' distances, in units of their mean, and 50 times that of the
    cosines of their angles.

    Source: Park et al. (2019), sections 3.2.1 and 3.2.2; the weights are those of its classification experiments.
    """
    from torchdistill.losses.mid_level import RKDLoss

    loss = RKDLoss("e", "e", dist_factor=DISTANCE, angle_factor=ANGLE, reduction="mean")
    total: Tensor = loss(outputs(e=mine.embedding), outputs(e=theirs.embedding))
    return total
