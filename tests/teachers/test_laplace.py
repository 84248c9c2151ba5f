"""Laplace posteriors against laplace-torch itself and against dense algebra done by hand."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.func import functional_call, jacrev
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from kdlib.base.errors import InputError, NotFinite
from kdlib.models import build
from kdlib.models.network import Network
from kdlib.teachers.laplace import (
    HessianStructure,
    Laplace,
    LaplaceConfig,
    Link,
    Predictive,
    PriorPrecision,
    SubsetOfWeights,
    links,
    prior,
)
from kdlib.teachers.laplace.fit import fit, posterior_of
from kdlib.teachers.laplace.last_layer_kron import LastLayerKron, factors, fit_last_layer
from kdlib.teachers.laplace.library import LibraryPosterior
from kdlib.teachers.laplace.posterior import Posterior

CLASSES = 6
Batches = list[tuple[Tensor, Tensor]]
SAMPLED = {"predictive": Predictive.NN, "link": Link.MC, "link_samples": 5}


def config(subset: str = "last_layer", structure: str = "kron", prior: str = "marglik", **how: Any) -> LaplaceConfig:
    return LaplaceConfig(
        subset_of_weights=SubsetOfWeights(subset),
        hessian=HessianStructure(structure),
        prior_precision=PriorPrecision(prior),
        **how,
    )


def fitted(network: Network, seen: Batches, *which: str, validation: Batches | None = None, **how: Any) -> Posterior:
    return fit(config(*which, **how), network, seen, validation or [])


@pytest.fixture(scope="module")
def network() -> Network:
    """A small network whose features and batch statistics are no longer the initial ones."""
    torch.manual_seed(0)
    net = build("cnn4", CLASSES, 1, 8)
    for _ in range(5):
        net(torch.rand(64, 1, 8, 8))
    with torch.no_grad():
        net.head.weight.mul_(4)
    return net.eval()


@pytest.fixture(scope="module")
def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.rand(70, 1, 8, 8, generator=generator), torch.randint(CLASSES, (70,), generator=generator)
    return images, labels


def batches(data: tuple[Tensor, Tensor], size: int = 32) -> list[tuple[Tensor, Tensor]]:
    return list(zip(data[0].split(size), data[1].split(size), strict=True))


def doubled(network: Network) -> Network:
    net = build("cnn4", CLASSES, 1, 8).double()
    net.load_state_dict(network.state_dict())
    return net.eval()


def library(network: Network, data: tuple[Tensor, Tensor], structure: str = "kron", backend: Any = None) -> Any:
    """laplace-torch's own last-layer posterior of the whole network."""
    from laplace import Laplace

    la = Laplace(network, "classification", "last_layer", structure, last_layer_name="head", backend=backend)
    la.fit(DataLoader(TensorDataset(*data), batch_size=32))
    return la


def dense(network: Network, data: tuple[Tensor, Tensor], names: list[str]) -> Tensor:
    """The Gauss-Newton Hessian Σ_n J_nᵀ (diag p − p pᵀ) J_n of some parameters, by torch.func."""
    weights = {k: v.detach() for k, v in network.named_parameters() if k in names}
    jacobian = jacrev(lambda w: functional_call(network, w, (data[0],)))(weights)
    j = torch.cat([jacobian[k].flatten(2) for k in weights], 2)
    p = network(data[0]).detach().softmax(1)
    return torch.einsum("ncp,nck,nkq->pq", j, torch.diag_embed(p) - p[:, :, None] * p[:, None], j)


# --- the closed form ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["CurvlinopsGGN", "BackPackGGN"])
def test_factors_are_those_of_laplace_torch(network: Network, data: tuple[Tensor, Tensor], backend: str) -> None:
    import laplace.curvature

    net, images = doubled(network), data[0].double()
    la = library(net, (images, data[1]), backend=getattr(laplace.curvature, backend))
    with torch.no_grad():
        a, b, likelihood = factors([(net.embed(x), y) for x, y in batches((images, data[1]))], net.head)
    (b_weight, a_weight), (b_bias,) = la.H_facs.kfacs
    torch.testing.assert_close(a, a_weight, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(b, b_weight, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(b, b_bias, rtol=1e-10, atol=1e-12)
    assert float(likelihood) == pytest.approx(float(la.log_likelihood), rel=1e-12)


@pytest.mark.parametrize("link", [Link.PROBIT, Link.BRIDGE])
@pytest.mark.parametrize(("double", "tolerance"), [(True, 1e-10), (False, 1e-5)])
def test_closed_form_equals_laplace_torch(
    network: Network, data: tuple[Tensor, Tensor], link: Link, double: bool, tolerance: float
) -> None:
    net, images = (doubled(network), data[0].double()) if double else (network, data[0])
    posterior = fitted(net, batches((images, data[1])), link=link)
    assert isinstance(posterior, LastLayerKron)
    la = library(net, (images, data[1]))
    for precision in (0.03, 1.0, 40.0):
        posterior.prior_precision = la.prior_precision = precision
        theirs = la(images, pred_type="glm", link_approx=link)
        torch.testing.assert_close(posterior.outputs(images).exp(), theirs, rtol=0, atol=tolerance)


def test_closed_form_against_the_dense_inverse(network: Network, data: tuple[Tensor, Tensor]) -> None:
    """(B ⊗ A + δI)⁻¹ written out; the draws' mean and covariance are Jacobian · inverse · Jacobianᵀ."""
    net, images = doubled(network), data[0].double()
    posterior = fitted(net, batches((images, data[1])), link=Link.MC, link_samples=10_000)
    assert isinstance(posterior, LastLayerKron)
    with torch.no_grad():
        phi = net.embed(images)
        a, b, _ = factors([(phi, data[1])], net.head)
        delta, width = posterior.prior_precision, phi.shape[1]
        weights = torch.linalg.inv(torch.kron(b, a) + delta * torch.eye(CLASSES * width).double())
        bias = torch.linalg.inv(b + delta * torch.eye(CLASSES).double())
        jacobian = torch.kron(torch.eye(CLASSES).double(), phi[:1])
        covariance = jacobian @ weights @ jacobian.T + bias
        logits, squares = posterior.prepare(images[:1])
        mc = posterior.outputs(images[:1])
        posterior.config = posterior.config.model_copy(update={"link_samples": 40_000})
        draws = torch.cat(list(posterior.draws(logits, squares)))[:, 0]
        posterior.config = config()
    torch.testing.assert_close(draws.mean(0), logits[0], rtol=0, atol=5 * float(covariance.diag().max() / 4e4) ** 0.5)
    scale = covariance.diag().outer(covariance.diag()).sqrt()
    torch.testing.assert_close(draws.T.cov() / scale, covariance / scale, rtol=0, atol=0.03)
    # the link mc is the mean softmax over such draws
    torch.testing.assert_close(mc.exp()[0], draws.softmax(1).mean(0), rtol=0, atol=0.02)
    expected = links.probit(net(images[:1]).detach(), covariance.diag()[None])
    torch.testing.assert_close(posterior.outputs(images[:1]), expected, rtol=1e-8, atol=1e-8)


def test_mc_does_not_depend_on_the_batch_around_an_image(network: Network, data: tuple[Tensor, Tensor]) -> None:
    posterior = fitted(network, batches(data), link=Link.MC)
    whole = posterior.outputs(data[0])
    torch.testing.assert_close(posterior.outputs(data[0][7:9]), whole[7:9], rtol=0, atol=1e-5)
    assert torch.equal(posterior.outputs(data[0]), whole)


def test_a_certain_posterior_is_the_network(network: Network, data: tuple[Tensor, Tensor]) -> None:
    expected = network(data[0]).detach().log_softmax(1)
    for link in (Link.PROBIT, Link.MC):
        posterior = fitted(network, batches(data), link=link)
        posterior.prior_precision = 1e12
        torch.testing.assert_close(posterior.outputs(data[0]), expected, rtol=0, atol=1e-4)


def test_bridge_of_confident_logits_is_finite_and_normalised() -> None:
    mean = torch.tensor([[90.0, -90.0, 0.0], [60.0, 0.0, -60.0]])
    variance = torch.ones(2, 3)
    out = links.bridge(mean, variance, variance)
    assert torch.isfinite(out).all()
    torch.testing.assert_close(out.exp().sum(1), torch.ones(2))


def test_bridge_of_two_classes_is_the_logistic_normal_dirichlet() -> None:
    """K = 2: α_c = exp(m_c) Σ exp(−m) / (4 v_c), so the mean is the softmax of the centred mean."""
    mean, variance = torch.tensor([[1.0, -0.4]]).double(), torch.tensor([[0.7, 0.7]]).double()
    torch.testing.assert_close(links.bridge(mean, variance, variance), torch.log_softmax(mean - mean.mean(), 1))


def test_closed_form_never_imports_laplace_torch() -> None:
    code = (
        "import sys, torch; from kdlib import models; from kdlib.teachers.laplace import LaplaceConfig, fit as l\n"
        "torch.manual_seed(0); c = LaplaceConfig(prior_precision='gridsearch')\n"
        "n = models.build('cnn4', 3, 1, 8).eval(); d = [(torch.rand(9, 1, 8, 8), torch.arange(9) % 3)]\n"
        "p = l.fit(c, n, d, d); p.outputs(d[0][0]); l.posterior_of(c, n, p.state())\n"
        "assert not [m for m in sys.modules if m == 'laplace' or m.startswith('curvlinops')]"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)


# --- the others, against dense algebra ---------------------------------------------------------------------------


@pytest.mark.parametrize("subset", list(SubsetOfWeights))
@pytest.mark.parametrize("structure", [HessianStructure.DIAG, HessianStructure.FULL])
def test_library_hessians_are_the_gauss_newton_matrix(
    network: Network, data: tuple[Tensor, Tensor], subset: SubsetOfWeights, structure: HessianStructure
) -> None:
    few = (data[0][:20], data[1][:20])
    posterior = fitted(network, batches(few, 8), subset, structure)
    last = subset is SubsetOfWeights.LAST_LAYER
    names = [k for k, _ in network.named_parameters() if k.startswith("head") or not last]
    expected = dense(network, few, names)
    hessian = posterior.state()["hessian"]
    if structure is HessianStructure.DIAG:
        expected = expected.diag()
    torch.testing.assert_close(hessian, expected, rtol=1e-3, atol=1e-4 * float(expected.detach().abs().max()))


@pytest.mark.parametrize("structure", [HessianStructure.DIAG, HessianStructure.FULL])
@pytest.mark.parametrize("link", list(Link))
def test_last_layer_predictive_against_the_dense_covariance(
    network: Network, data: tuple[Tensor, Tensor], structure: HessianStructure, link: Link
) -> None:
    posterior = fitted(network, batches(data), "last_layer", structure, link=link, link_samples=4000)
    names = ["head.weight", "head.bias"]
    hessian = dense(network, data, names).double()
    if structure is HessianStructure.DIAG:
        hessian = hessian.diag().diag()
    inverse = torch.linalg.inv(hessian + posterior.prior_precision * torch.eye(len(hessian)))
    with torch.no_grad():
        phi = network.embed(data[0][:5]).double()
        mean = network(data[0][:5]).double()
    eye = torch.eye(CLASSES).double()
    jacobian = torch.stack([torch.cat([torch.kron(eye, f[None]), eye], 1) for f in phi])
    covariance = jacobian @ inverse @ jacobian.mT
    if link is Link.PROBIT:
        expected = links.probit(mean, covariance.diagonal(dim1=1, dim2=2))
    elif link is Link.BRIDGE:
        expected = links.bridge(mean, covariance.diagonal(dim1=1, dim2=2), covariance.sum(2))
    else:
        torch.manual_seed(0)
        noise = torch.randn(20_000, CLASSES).double()
        draws = mean + torch.einsum("ncd,sd->snc", torch.linalg.cholesky(covariance), noise)
        expected = draws.softmax(2).mean(0).log()
    tolerance = 0.02 if link is Link.MC else 1e-4
    torch.testing.assert_close(posterior.outputs(data[0][:5]).exp(), expected.exp().float(), rtol=0, atol=tolerance)


def test_kron_of_all_weights_leaves_batch_norms_out(network: Network, data: tuple[Tensor, Tensor]) -> None:
    posterior = fitted(network, batches(data), "all", **SAMPLED)
    state = posterior.state()
    norms = sum(p.numel() for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d) for p in m.parameters())
    assert norms > 0
    assert len(state["mean"]) == sum(p.numel() for p in network.parameters()) - norms
    # the head's block is the last layer's own
    with torch.no_grad():
        a, b, _ = factors([(network.embed(x), y) for x, y in batches(data)], network.head)
    blocks = sorted({int(k.split(".")[1]) for k in state if k.startswith("hessian")})
    weight, bias = blocks[-2:]
    torch.testing.assert_close(state[f"hessian.{weight}.1"].double(), a, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(state[f"hessian.{bias}.0"].double(), b, rtol=1e-3, atol=1e-4)


def test_glm_of_all_weights_has_the_dense_covariance(network: Network, data: tuple[Tensor, Tensor]) -> None:
    few = (data[0][:12], data[1][:12])
    posterior = fitted(network, batches(few), "all", "full")
    names = [k for k, _ in network.named_parameters()]
    net, images = doubled(network), few[0].double()
    hessian = dense(net, (images, few[1]), names)
    weights = {k: v.detach() for k, v in net.named_parameters()}
    jacobian = jacrev(lambda w: functional_call(net, w, (images,)))(weights)
    j = torch.cat([jacobian[k].flatten(2) for k in names], 2)
    covariance = j @ torch.linalg.inv(hessian + posterior.prior_precision * torch.eye(len(hessian))) @ j.mT
    expected = links.probit(net(images).detach(), covariance.diagonal(dim1=1, dim2=2))
    torch.testing.assert_close(posterior.outputs(few[0]).exp(), expected.exp().float(), rtol=0, atol=2e-3)


# --- the prior ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("structure", list(HessianStructure))
def test_marglik_is_laplace_torchs_and_never_below_it(
    network: Network, data: tuple[Tensor, Tensor], structure: HessianStructure
) -> None:
    net, images = doubled(network), data[0].double()
    posterior = fitted(net, batches((images, data[1])), "last_layer", structure)
    la = library(net, (images, data[1]), str(structure))
    ours = float(la.log_marginal_likelihood(torch.tensor(posterior.prior_precision)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        la.optimize_prior_precision(method="marglik", pred_type="glm", prior_structure="scalar")
    assert posterior.prior_precision == pytest.approx(float(la.prior_precision), rel=0.02)
    assert ours >= float(la.log_marginal_likelihood()) - 1e-9


def test_marglik_is_where_the_gradient_vanishes() -> None:
    values = torch.rand(50, generator=torch.Generator().manual_seed(0)).double() * 30
    best = prior.marglik(values, 3.0)
    log_precision = torch.tensor(math.log(best), dtype=torch.float64, requires_grad=True)
    delta = log_precision.exp()
    (-0.5 * (torch.log1p(values / delta).sum() + 3.0 * delta)).backward()
    assert log_precision.grad is not None and abs(float(log_precision.grad)) < 1e-6


@pytest.mark.parametrize(("structure", "flatter"), [(HessianStructure.KRON, 0.35), (HessianStructure.DIAG, 0.7)])
def test_gridsearch_takes_the_lowest_validation_nll(
    network: Network, data: tuple[Tensor, Tensor], structure: HessianStructure, flatter: float
) -> None:
    generator = torch.Generator().manual_seed(8)
    images = torch.rand(90, 1, 8, 8, generator=generator)
    with torch.no_grad():  # labels that a flattened network would give, so that the best precision lies inside
        labels = torch.multinomial((flatter * network(images)).softmax(1), 1, generator=generator)[:, 0]
    which = ("last_layer", structure, "gridsearch")
    posterior = fitted(network, batches(data), *which, validation=batches((images, labels)))
    losses = {}
    chosen = posterior.prior_precision
    for exponent in torch.linspace(-4, 4, 41).double().tolist():
        posterior.prior_precision = 10**exponent
        losses[exponent] = float(F.nll_loss(posterior.outputs(images), labels))
    assert math.log10(chosen) == pytest.approx(min(losses, key=lambda e: losses[e]), abs=1e-6)
    assert structure is HessianStructure.DIAG or -4 < math.log10(chosen) < 4
    again = fitted(network, batches(data), *which, validation=batches((images, labels)))
    assert again.prior_precision == chosen


def test_gridsearch_passes_over_what_is_not_a_number() -> None:
    def loss(precision: float) -> float:
        if precision < 0.05:
            raise NotFinite("overflow")
        if precision < 0.5:
            raise torch.linalg.LinAlgError("no factor")
        return math.nan if precision > 50 else precision

    assert prior.gridsearch(loss, 0.01, 100.0, 5) == (pytest.approx(1.0), True)  # the first that is left


# --- storage -----------------------------------------------------------------------------------------------------

EVERY = [(subset, structure) for subset in SubsetOfWeights for structure in HessianStructure]


@pytest.mark.parametrize("how", [{}, SAMPLED], ids=["glm", "nn"])
@pytest.mark.parametrize("which", EVERY, ids="-".join)
def test_round_trip_is_exact_and_changes_nothing(
    network: Network, data: tuple[Tensor, Tensor], which: tuple[str, str], how: dict[str, Any], tmp_path: Path
) -> None:
    few = (data[0][:10], data[1][:10])
    network.train()
    network.blocks[0].eval()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    modes = [m.training for m in network.modules()]
    random = torch.get_rng_state()
    posterior = fitted(network, batches(few, 5), *which, **how)
    expected = posterior.outputs(few[0])
    torch.testing.assert_close(expected.exp().sum(1), torch.ones(10))
    assert torch.equal(torch.get_rng_state(), random)
    assert [m.training for m in network.modules()] == modes
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
    network.eval()
    file = tmp_path / "posterior.safetensors"
    save_file(posterior.state(), file)
    loaded = posterior_of(config(*which, **how), network, load_file(file))
    assert torch.equal(loaded.outputs(few[0]), expected)
    assert loaded.prior_precision == posterior.prior_precision
    assert loaded.state().keys() == posterior.state().keys()


@pytest.mark.parametrize("structure", ["kron", "diag"], ids=["closed", "library"])
def test_damaged_states_are_refused(network: Network, data: tuple[Tensor, Tensor], structure: str) -> None:
    which = config("last_layer", structure)
    state = fit(which, network, batches(data), []).state()
    name = next(iter(state))
    one = torch.tensor(1.0)
    cases: list[tuple[dict[str, Tensor], str]] = [
        ({k: v for k, v in state.items() if k != name}, f"lacks {name}"),
        ({**state, "surplus": one}, "has the unknown surplus"),
        ({**state, name: state[name][:-1]}, f"another shape of {name}"),
        ({**state, name: state[name] * math.nan}, f"{name}.*finite"),
        ({**state, "prior_precision": -one.double()}, "positive"),
    ]
    for tensors, sentence in cases:
        with pytest.raises(InputError, match=sentence):
            posterior_of(which, network, tensors)
    with pytest.raises(InputError, match="another network"):
        posterior_of(which, build("cnn4", CLASSES, 1, 8), state)


@pytest.mark.parametrize("which", EVERY, ids="-".join)
def test_memory_format_changes_nothing(network: Network, data: tuple[Tensor, Tensor], which: tuple[str, str]) -> None:
    few = (data[0][:10], data[1][:10])
    expected = fitted(network, batches(few), *which)
    turned = build("cnn4", CLASSES, 1, 8).eval().to(memory_format=torch.channels_last)
    turned.load_state_dict(network.state_dict())
    images = few[0].contiguous(memory_format=torch.channels_last)
    posterior = fitted(turned, batches((images, few[1])), *which)
    assert posterior.prior_precision == pytest.approx(expected.prior_precision, rel=1e-3)
    torch.testing.assert_close(posterior.outputs(images), expected.outputs(few[0]), rtol=0, atol=1e-3)
    loaded = posterior_of(config(*which), turned, expected.state())
    torch.testing.assert_close(loaded.outputs(images), expected.outputs(few[0]), rtol=0, atol=1e-3)


@pytest.mark.parametrize("which", EVERY, ids="-".join)
def test_autocast_stays_near_float32(network: Network, data: tuple[Tensor, Tensor], which: tuple[str, str]) -> None:
    few = (data[0][:10], data[1][:10])
    expected = fitted(network, batches(few), *which).outputs(few[0]).exp()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = fitted(network, batches(few), *which).outputs(few[0])
    assert out.dtype == torch.float32
    torch.testing.assert_close(out.exp(), expected, rtol=0, atol=0.02)


# --- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("link", [Link.PROBIT, Link.BRIDGE])
def test_options_that_exclude_each_other_are_refused(link: Link) -> None:
    with pytest.raises(InputError, match="allowed is mc"):
        Laplace().check(config(predictive=Predictive.NN, link=link))


@pytest.mark.parametrize(
    ("architecture", "classes", "which", "sentence"),
    [
        ("cnn16", 10, ("all", "full"), r"14,\d{3} weights.*0\.[89] GB"),
        ("resnet18", 100, ("all", "kron"), "GB an image"),
        ("mobilenetv2", 10, ("all", "kron"), "grouped"),
    ],
)
def test_posteriors_that_cannot_be_are_refused(
    architecture: str, classes: int, which: tuple[str, str], sentence: str
) -> None:
    how = SAMPLED if sentence == "grouped" else {}
    with pytest.raises(InputError, match=sentence):
        Laplace().check_network(config(*which, **how), build(architecture, classes, 3, 32))


def test_networks_of_which_too_much_would_be_held_can_be_sampled() -> None:
    network = build("resnet18", 100, 3, 32)
    Laplace().check_network(config("all", "diag", **SAMPLED), network)
    with pytest.raises(InputError, match=r"predictive = 'glm' with .* choose nn, or last_layer"):
        Laplace().check_network(config("all", "diag"), network)


def test_sampled_networks_that_overflow_are_refused(network: Network, data: tuple[Tensor, Tensor]) -> None:
    few, which = (data[0][:10], data[1][:10]), config("all", "diag", **SAMPLED)
    posterior = fit(which, network, batches(few), [])
    posterior.prior_precision = 1e-30
    state = {**posterior.state(), "hessian": torch.zeros_like(posterior.state()["hessian"])}
    with pytest.raises(NotFinite, match="prior precision 1e-30"):
        posterior_of(which, network, state).outputs(few[0])


def test_the_library_is_only_used_where_it_must_be(network: Network, data: tuple[Tensor, Tensor]) -> None:
    assert isinstance(fitted(network, batches(data)), LastLayerKron)
    assert isinstance(fitted(network, batches(data), "last_layer", "diag"), LibraryPosterior)


def test_float32_factors_keep_the_digits_of_confident_predictions() -> None:
    """p (1 − p) at logits 20 apart is 2e-9: nothing is left of it in float32."""
    head = torch.nn.Linear(2, 2)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[10.0, 0.0], [-10.0, 0.0]]))
        head.bias.zero_()
    phi = torch.tensor([[1.0, 0.3]])
    with torch.no_grad():
        _, b, _ = factors([(phi, torch.tensor([0]))], head)
    p = 1 / (1 + math.exp(20))
    torch.testing.assert_close(b[0, 0], torch.tensor(p * (1 - p), dtype=torch.float64), rtol=1e-6, atol=0)


def test_the_order_of_batches_does_not_matter(network: Network, data: tuple[Tensor, Tensor]) -> None:
    with torch.no_grad():
        seen = [(network.embed(x), y) for x, y in batches(data)]
    one = fit_last_layer(seen, network, config())
    other = fit_last_layer(seen[::-1], network, config())
    torch.testing.assert_close(one.outputs(data[0]), other.outputs(data[0]), rtol=0, atol=1e-5)
