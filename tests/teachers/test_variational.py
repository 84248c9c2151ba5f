"""Variational inference: closed forms, moments, limits, a conjugate problem, and what sampling promises."""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from kdlib.models import build
from kdlib.teachers.contract import evaluating
from kdlib.teachers.variational import PUBLISHED, Family, VariationalConfig, inducing
from kdlib.teachers.variational.bayesianize import bayesianize, kl, kl_weight, posteriors
from kdlib.teachers.variational.inducing import DIAGONAL_FLOOR, Inducing
from kdlib.teachers.variational.mean_field import MeanField
from kdlib.teachers.variational.sampling import draw, pinned, sample_forward


def options_of(**given: Any) -> VariationalConfig:
    """Return the published config with what is given in its place."""
    return VariationalConfig(**{**PUBLISHED, **given})


MEAN_FIELD = options_of(family=Family.MEAN_FIELD)
SMALL = options_of(inducing_rows=4, inducing_columns=5)
EVERY = {
    "mean_field": MEAN_FIELD,
    "inducing": SMALL,
    "inducing_unwhitened": options_of(inducing_rows=4, inducing_columns=5, whitened=False),
}
every = pytest.mark.parametrize("options", EVERY.values(), ids=EVERY.keys())


def small_net(bias: bool = True) -> nn.Sequential:
    """Return a net with a plain, a grouped strided and a depthwise convolution, batch norms and a head."""
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1, bias=bias),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, stride=2, padding=1, groups=2, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False),
        nn.AvgPool2d(3),
        nn.Flatten(),
        nn.Linear(6, 5, bias=bias),
    )


def bayesian(options: VariationalConfig, seed: int = 0) -> nn.Module:
    """Return `small_net` made Bayesian, its parameters and statistics away from where they start."""
    torch.manual_seed(seed)
    network = bayesianize(small_net(), options)
    scatter(network)
    network(torch.randn(16, 2, 6, 6))  # batch-norm statistics
    return network


def mean_forward(network: nn.Module, x: Tensor) -> Tensor:
    """Return the outputs of the deterministic twin, (n, classes): eval mode, every posterior at its centre."""
    with evaluating(network):
        result: Tensor = network(x)
    return result


def scatter(module: nn.Module, scale: float = 0.3) -> None:
    """Move every parameter at random, so that no test rests on the first values' symmetries."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(scale * torch.randn_like(parameter))


def inducing_layer(options: VariationalConfig, d_out: int = 3, d_in: int = 4) -> Inducing:
    torch.manual_seed(1)
    layer = Inducing(torch.randn(d_out, d_in, dtype=torch.float64), options)
    scatter(layer)
    return layer


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let D start as large as Z's own rows, so that nothing of it is lost beside them."""
    monkeypatch.setattr(inducing, "DIAGONAL_INITIAL", 0.5)


def psi(z: Tensor, raw_d: Tensor) -> Tensor:
    """Return Ψ = Z Zᵀ + D², written out once more."""
    return z @ z.T + torch.diag((DIAGONAL_FLOOR + raw_d.exp()).square())


def conditional(layer: Inducing, u: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and prior covariance of vec(W) | U (row by row) by explicit inverses and Kronecker products."""
    z_r, z_c, s = layer.z_row, layer.z_column, layer.prior_sd
    p_r, p_c = psi(z_r, layer.raw_d_row), psi(z_c, layer.raw_d_column)
    if layer.whitened:
        u = torch.linalg.cholesky(p_r) @ u @ torch.linalg.cholesky(p_c).T
    mean = s * z_r.T @ p_r.inverse() @ u @ p_c.inverse() @ z_c
    a_r, a_c = z_r.T @ p_r.inverse() @ z_r, z_c.T @ p_c.inverse() @ z_c
    return mean.flatten(), s**2 * (torch.eye(mean.numel(), dtype=u.dtype) - torch.kron(a_r, a_c))


def assert_moments(draws: Tensor, mean: Tensor, covariance: Tensor) -> None:
    """Check the mean and the covariance of `draws`, (n, k), within five standard errors of each entry."""
    n, variance = len(draws), covariance.diagonal()
    assert ((draws.mean(0) - mean).abs() < 5 * (variance / n).sqrt()).all()
    error = ((variance[:, None] * variance + covariance.square()) / n).sqrt()
    assert ((draws.T.cov() - covariance).abs() < 5 * error).all()


def test_mean_field_kl_is_that_of_torch_distributions() -> None:
    torch.manual_seed(0)
    network = bayesianize(small_net(), options_of(family=Family.MEAN_FIELD, prior_scale=0.7, initial_sd=0.2))
    scatter(network)
    expected = torch.zeros(())
    for posterior in posteriors(network):
        assert isinstance(posterior, MeanField)
        mean, sd = posterior.mean, posterior.prior_sd * posterior.sd()
        prior = Normal(torch.zeros_like(mean), 0.7 / mean.shape[1] ** 0.5)
        expected = expected + kl_divergence(Normal(mean, sd), prior).sum()
    torch.testing.assert_close(kl(network), expected)


def test_mean_field_draws_have_its_mean_and_sd() -> None:
    torch.manual_seed(0)
    posterior = MeanField(torch.randn(2, 3, dtype=torch.float64), options_of(family=Family.MEAN_FIELD, initial_sd=0.5))
    scatter(posterior)
    mean, sd = (x.detach().flatten() for x in (posterior.mean, posterior.prior_sd * posterior.sd()))
    assert_moments(posterior.draw(100_000).detach().flatten(1), mean, sd.square().diag())


@pytest.mark.parametrize("whitened", [True, False])
def test_inducing_kl_is_that_of_torch_distributions(whitened: bool) -> None:
    """KL of q(U), and of q(W | U) for any U, both from explicit covariance matrices."""
    options = options_of(whitened=whitened, inducing_rows=2, inducing_columns=3, initial_sd=0.05)
    layer = inducing_layer(options)
    q = layer.inducing
    sd = 0.1 * torch.sigmoid(q.raw_sd).flatten()
    assert (sd < 0.1).all()
    posterior = MultivariateNormal(q.mean.flatten(), sd.square().diag())
    prior_covariance = torch.eye(6, dtype=torch.float64)
    if not whitened:
        prior_covariance = torch.kron(psi(layer.z_row, layer.raw_d_row), psi(layer.z_column, layer.raw_d_column))
    expected = kl_divergence(posterior, MultivariateNormal(torch.zeros_like(q.mean).flatten(), prior_covariance))
    mean, covariance = conditional(layer, torch.randn(2, 3, dtype=torch.float64))
    narrow = MultivariateNormal(mean, layer.lambda_().square() * covariance)
    expected = expected + kl_divergence(narrow, MultivariateNormal(mean, covariance))
    torch.testing.assert_close(layer.kl(), expected)


@pytest.mark.parametrize("whitened", [True, False])
@pytest.mark.parametrize("size", [(2, 3), (3, 4)])
def test_matheron_draws_have_the_conditional_mean_and_covariance(
    size: tuple[int, int], whitened: bool, wide: None
) -> None:
    options = options_of(
        whitened=whitened, inducing_rows=size[0], inducing_columns=size[1], lambda_initial=0.6, lambda_max=1.0
    )
    layer = inducing_layer(options)
    with torch.no_grad():
        u = torch.randn(size, dtype=torch.float64)
        mean, covariance = conditional(layer, u)
        draws = layer.draw_given(u.expand(200_000, *size)).flatten(1)
        assert_moments(draws, mean, layer.lambda_().square() * covariance)
        layer.inducing.mean.copy_(u)
        torch.testing.assert_close(layer.centre().flatten(), mean)


def test_matheron_with_lambda_one_and_prior_u_gives_the_prior_of_w(wide: None) -> None:
    """Integrating the conditional over p(U) must return N(0, σ²): the blocks fit together."""
    layer = inducing_layer(options_of(inducing_rows=2, inducing_columns=3, lambda_max=1.0))
    with torch.no_grad():
        layer.raw_lambda.fill_(40.0)  # λ = 1
        draws = layer.draw_given(torch.randn(200_000, 2, 3, dtype=torch.float64)).flatten(1)
    zero = torch.zeros(12, dtype=torch.float64)
    assert_moments(draws, zero, layer.prior_sd**2 * torch.eye(12, dtype=torch.float64))


def test_draws_of_u_have_the_mean_and_covariance_that_the_kl_uses() -> None:
    q = inducing_layer(options_of(inducing_rows=2, inducing_columns=3, initial_sd=0.05)).inducing
    with torch.no_grad():
        assert_moments(q.draw(200_000, None).flatten(1), q.mean.flatten(), q.sd().square().flatten().diag())


@every
def test_without_spread_every_draw_is_the_deterministic_twin(options: VariationalConfig) -> None:
    """λ → 0, sd → 0: all draws equal a plain network with the posterior's centre as its weights."""
    network = bayesian(options)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(("raw_sd", "raw_lambda")):
                parameter.fill_(-30.0)
    twin = small_net().eval()
    source = network.state_dict()
    layers = [module for module in network.modules() if hasattr(module, "posterior")]
    plain = [module for module in twin.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        for ours, theirs in zip(layers, plain, strict=True):
            theirs.weight.copy_(ours.weight)
            if theirs.bias is not None:
                theirs.bias.copy_(ours.bias)
    twin.load_state_dict({**twin.state_dict(), **{k: v for k, v in source.items() if "posterior" not in k}})
    x = torch.randn(4, 2, 6, 6)
    with torch.no_grad():
        expected = twin(x)
    torch.testing.assert_close(mean_forward(network, x), expected)
    torch.testing.assert_close(network.eval()(x), expected)
    for output in sample_forward(network, x, 3):
        torch.testing.assert_close(output, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("whitened", [True, False])
def test_a_network_starts_as_itself(whitened: bool) -> None:
    """Mean-field always, inducing where U is as large as W: the twin of a new network is that network."""
    torch.manual_seed(0)
    plain = small_net().eval()
    x = torch.randn(4, 2, 6, 6)
    expected = plain(x).detach()
    torch.testing.assert_close(mean_forward(bayesianize(copy.deepcopy(plain), MEAN_FIELD), x), expected)
    torch.testing.assert_close(mean_forward(bayesianize(plain, options_of(whitened=whitened)), x), expected)


def test_mean_field_finds_the_posterior_of_bayesian_linear_regression() -> None:
    """The best factorised Gaussian has the exact posterior mean and variances 1 / diag(precision).

    The expected likelihood is exact: for a quadratic, the 2k points ±√k e_i replace standard normal noise.
    """
    torch.manual_seed(0)
    n, noise = 30, 0.5
    x = torch.randn(n, 3, dtype=torch.float64) @ torch.tensor([[1.0, 0.6, 0], [0, 1, 0.3], [0, 0, 1]]).double()
    y = x @ torch.tensor([1.0, -2.0, 0.5]).double() + 0.3 + noise * torch.randn(n, dtype=torch.float64)
    network = bayesianize(nn.Linear(3, 1).double(), MEAN_FIELD)
    posterior = posteriors(network)[0]
    design = torch.cat([x, torch.ones(n, 1, dtype=torch.float64)], 1)  # the bias is the last column
    precision = design.T @ design / noise**2 + torch.eye(4) / posterior.prior_sd**2
    exact = torch.linalg.solve(precision, design.T @ y / noise**2)
    points = 4**0.5 * torch.cat([torch.eye(4), -torch.eye(4)]).double()
    optimiser = torch.optim.LBFGS(network.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def elbo() -> Tensor:
        optimiser.zero_grad()
        mean, sd = posterior.mean, posterior.prior_sd * posterior.sd()
        loss = kl(network)
        for point in points:
            with pinned(network, [mean + sd * point]):
                loss = loss + (network(x)[:, 0] - y).square().sum() / (2 * noise**2) / len(points)
        loss.backward()
        return loss

    optimiser.step(elbo)
    mean, sd = posterior.mean, posterior.prior_sd * posterior.sd()
    torch.testing.assert_close(mean[0], exact, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(sd[0].square(), 1 / precision.diagonal(), atol=0, rtol=1e-4)


@pytest.mark.parametrize("family", list(Family))
def test_one_sample_a_step_finds_the_posterior_mean(family: Family) -> None:
    """Train as a teacher is trained, through train-mode draws; U as large as W can hold any mean."""
    torch.manual_seed(0)
    x = torch.randn(40, 3)
    y = x @ torch.tensor([1.0, -2.0, 0.5]) + 0.1 * torch.randn(40)
    network = bayesianize(nn.Linear(3, 1, bias=False), options_of(family=family, lambda_initial=0.029))
    sigma = 1 / 3**0.5
    exact = torch.linalg.solve(x.T @ x + 0.04 * torch.eye(3) / sigma**2, x.T @ y)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.03)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 800)
    for _ in range(800):
        optimiser.zero_grad()
        loss = (network(x)[:, 0] - y).square().mean() / (2 * 0.04) + kl(network) / len(x)
        loss.backward()
        optimiser.step()
        schedule.step()
    torch.testing.assert_close(posteriors(network)[0].centre()[0], exact, atol=0.02, rtol=0)


def test_kl_weight_is_off_then_rises_linearly_to_one() -> None:
    assert [kl_weight(epoch, 2, 4) for epoch in range(8)] == [0, 0, 0.25, 0.5, 0.75, 1, 1, 1]
    assert [kl_weight(epoch, 1, 0) for epoch in range(3)] == [0, 1, 1]
    assert kl_weight(0, 0, 0) == 1
    assert kl_weight(99, 100, 50) == 0 and kl_weight(149, 100, 50) == 1


@every
def test_state_round_trip_is_strict_and_draws_are_the_same(options: VariationalConfig, tmp_path: Path) -> None:
    network, other = bayesian(options), bayesian(options, seed=5)
    x = torch.randn(4, 2, 6, 6)
    expected = sample_forward(network, x, 4, torch.Generator().manual_seed(3))
    before = sample_forward(other, x, 4, torch.Generator().manual_seed(3))
    assert not torch.equal(before, expected)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"), strict=True)
    assert torch.equal(sample_forward(other, x, 4, torch.Generator().manual_seed(3)), expected)
    assert torch.equal(mean_forward(other, x), mean_forward(network, x))
    torch.manual_seed(9)
    first = sample_forward(other, x, 4)
    torch.manual_seed(9)
    assert torch.equal(sample_forward(network, x, 4), first)  # torch's global generator


@every
def test_gradients_reach_every_parameter(options: VariationalConfig) -> None:
    network = bayesian(options).train()
    x, y = torch.randn(8, 2, 6, 6), torch.randint(5, (8,))
    likelihood = F.cross_entropy(network(x), y)
    likelihood.backward(retain_graph=True)
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    network.zero_grad()
    (likelihood + kl(network) / 100).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


@every
def test_training_draws_anew_each_pass_and_evaluation_is_deterministic(options: VariationalConfig) -> None:
    network = bayesian(options).train()
    x = torch.randn(4, 2, 6, 6)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))
    with torch.no_grad():
        torch.testing.assert_close(network(x), mean_forward(network, x))


@every
def test_loop_and_vectorised_pass_agree_for_the_same_draws(options: VariationalConfig) -> None:
    network = bayesian(options)
    x = torch.randn(4, 2, 6, 6)
    outputs = [
        sample_forward(network, x, 5, torch.Generator().manual_seed(2), vectorised) for vectorised in (True, False)
    ]
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=1e-5)
    assert outputs[0].shape == (5, 4, 5)
    assert outputs[0].std(0).min() > 0


@pytest.mark.parametrize("name", ["cnn4", "resnet8", "mobilenetv2", "shufflenetv1", "shufflenetv2", "vgg8"])
def test_any_architecture_becomes_bayesian(name: str) -> None:
    torch.manual_seed(0)
    network = bayesianize(build(name, 4, 1, 8 if name == "cnn4" else 32), SMALL)
    x = torch.rand(2, 1, *((8, 8) if name == "cnn4" else (32, 32)))
    expected = network.head(network.embed(x))
    assert expected.shape == (2, 4) and torch.isfinite(expected).all()
    loop, vectorised = (sample_forward(network, x, 2, torch.Generator().manual_seed(2), way) for way in (False, True))
    torch.testing.assert_close(loop, vectorised, atol=1e-3, rtol=1e-3)
    with pinned(network, [weights[1] for weights in draw(network, 2)]), torch.no_grad():
        assert [stage.shape[0] for stage in network.eval().stages(x)] == [2] * len(network.blocks)


def test_sampling_leaves_the_network_as_it_was() -> None:
    network = bayesian(EVERY["inducing"]).train()
    network[1].eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    x = torch.randn(4, 2, 6, 6)
    sample_forward(network, x, 3)
    mean_forward(network, x)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert network.training and network[0].training and not network[1].training
    assert all(parameter.grad is None for parameter in network.parameters())


@every
def test_cached_factors_follow_the_parameters(options: VariationalConfig) -> None:
    network = bayesian(options)
    x = torch.randn(4, 2, 6, 6)
    old = sample_forward(network, x, 2, torch.Generator().manual_seed(1))
    assert torch.equal(sample_forward(network, x, 2, torch.Generator().manual_seed(1)), old)
    torch.optim.SGD(network.parameters(), lr=0.1).zero_grad()
    scatter(network)
    new = sample_forward(network, x, 2, torch.Generator().manual_seed(1))
    assert not torch.allclose(new, old)
    fresh = bayesian(options)
    fresh.load_state_dict(network.state_dict(), strict=True)
    for other in (fresh, copy.deepcopy(network), network.double().float()):
        assert torch.equal(sample_forward(other, x, 2, torch.Generator().manual_seed(1)), new)


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD])
@pytest.mark.parametrize("back_to_train", [True, False])
def test_cached_factors_follow_a_fused_optimizer(optimizer: type, back_to_train: bool) -> None:
    """Its steps raise no tensor's version: only the training pass before one tells that the factors will change."""
    network = bayesian(SMALL).train()
    x = torch.randn(4, 2, 6, 6)
    sample_forward(network, x, 2)  # the factors are kept
    step = optimizer(network.parameters(), lr=0.5, fused=True)
    if back_to_train:
        network.eval()
        mean_forward(network, x)
        network.train()
    network(x).square().sum().backward()
    step.step()
    fresh = bayesian(SMALL)
    fresh.load_state_dict(network.state_dict(), strict=True)
    expected = sample_forward(fresh, x, 2, torch.Generator().manual_seed(1))
    assert torch.equal(sample_forward(network, x, 2, torch.Generator().manual_seed(1)), expected)


def test_a_bayesian_network_survives_pickling_by_torch() -> None:
    network, buffer = bayesian(SMALL), io.BytesIO()
    x = torch.randn(4, 2, 6, 6)
    torch.save(network, buffer)
    buffer.seek(0)
    assert torch.equal(mean_forward(torch.load(buffer, weights_only=False), x), mean_forward(network, x))


@pytest.mark.parametrize("family", list(Family))
def test_bf16_autocast_draws_in_float32(family: Family) -> None:
    network = bayesian(options_of(family=family))
    x, y = torch.randn(8, 2, 6, 6), torch.randint(5, (8,))
    expected, divergence = sample_forward(network, x, 3, torch.Generator().manual_seed(1)), kl(network)
    with torch.autocast("cpu", torch.bfloat16):
        assert all(weights.dtype == torch.float32 for weights in draw(network, 2))
        assert torch.equal(kl(network), divergence)
        for vectorised in (True, False):
            outputs = sample_forward(network, x, 3, torch.Generator().manual_seed(1), vectorised)
            assert outputs.dtype == (torch.float32 if vectorised else torch.bfloat16)
            assert (outputs.float() - expected).abs().max() < 0.03 * expected.abs().max()
        loss = F.cross_entropy(network.train()(x), y) + kl(network) / 100
    loss.backward()
    assert all(
        parameter.grad is not None and parameter.grad.dtype == torch.float32 for parameter in network.parameters()
    )


@pytest.mark.parametrize("vectorised", [True, False])
def test_channels_last_gives_the_same_outputs(vectorised: bool) -> None:
    network = bayesian(SMALL)
    x = torch.randn(8, 2, 6, 6)
    expected = sample_forward(network, x, 3, torch.Generator().manual_seed(1), vectorised)
    network.to(memory_format=torch.channels_last)
    last = x.contiguous(memory_format=torch.channels_last)
    outputs = sample_forward(network, last, 3, torch.Generator().manual_seed(1), vectorised)
    torch.testing.assert_close(outputs, expected, atol=1e-5, rtol=1e-4)


def test_sd_and_lambda_stay_below_their_caps() -> None:
    network = bayesian(SMALL)
    scatter(network, 20.0)
    for posterior in posteriors(network):
        spread = posterior.inducing.draw(500, None).std(0)
        assert (spread < 0.1 * 1.15).all()
        assert 0 < posterior.lambda_() <= 0.03
