"""Frameworks: each loss is its formula, each student trains and resumes with what it trains, no teacher changes."""

from __future__ import annotations

import math
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import small
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchdistill.losses.mid_level import CCKDLoss

from kdlib import models
from kdlib.base.config import RunType, effective
from kdlib.base.errors import InputError
from kdlib.base.tensors import read_tensors
from kdlib.models.network import Network
from kdlib.runs import execute
from kdlib.runs.plans import plan
from kdlib.runs.recipes import resolve
from kdlib.runs.student import networks_of
from kdlib.students.distill import following, objective
from kdlib.students.frameworks import FRAMEWORKS, cc, fitnet, hsakd
from kdlib.students.frameworks import check as check_framework
from kdlib.students.frameworks.crd import contrast
from kdlib.students.frameworks.dkd import decoupled
from kdlib.students.frameworks.features import Both, Features, Following, features, shapes_of
from kdlib.students.frameworks.framework import Tempered
from kdlib.teachers.kinds import KINDS
from kdlib.training import loop as training
from kdlib.training.loop import Batch
from kdlib.training.schedule import plan_steps

BESIDE = [name for name in FRAMEWORKS if name != "kd"]
FOLLOWING = [name for name, framework in FRAMEWORKS.items() if framework.follows]
N = 6
G = torch.Generator().manual_seed(1)


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=G)


def network(name: str = "cnn4", seed: int = 0, classes: int = 10, channels: int = 1) -> Network:
    torch.manual_seed(seed)
    return models.build(name, classes, channels, 8)


def some(channels: int, d: int) -> Features:
    return Features([drawn(N, channels, 4, 4), drawn(N, channels, 2, 2)], drawn(N, d), drawn(N, 10))


MINE, THEIRS = some(3, 5), some(4, 7)
INDEX = torch.tensor([3, 14, 15, 92, 65, 35])
BATCH = Batch(INDEX, 0, small.DATASET.train.take(INDEX), small.DATASET.train.labels[INDEX], 0.0)


def follow(name: str, teacher: Network, student: Network, **given: Any) -> Following:
    config = small.student(teacher="deterministic", framework=name, **given)
    torch.manual_seed(2)
    made = following(config, student, teacher, small.DATASET)
    assert made is not None
    return made


def contrasted(**given: Any) -> contrast.Contrast:
    built = follow("crd", network("cnn8", 1), network(), **given).built
    assert isinstance(built, contrast.Contrast)
    return built


def built(name: str, student: Network, teacher: Network, side: int = 8) -> Any:
    both = Both(student, teacher, side, torch.arange(6), BATCH.labels)
    return FRAMEWORKS[name].build(both)


def compared(name: str, mine: Features, theirs: Features, own: Any = None) -> Tensor:
    return FRAMEWORKS[name].compare(mine, theirs, own, BATCH)


@dataclass
class Shapes:
    """Stand for two networks of the stages that `MINE` and `THEIRS` have."""

    shapes: Any = ([(3, 4), (3, 2)], [(4, 4), (4, 2)])


# --- the losses ---------------------------------------------------------------------------------------------------


def test_features_are_what_the_network_computes() -> None:
    student = network("cnn8").eval()
    found = features(student, BATCH.images)
    assert torch.equal(found.logits, student(BATCH.images))
    assert torch.equal(found.embedding, student.embed(BATCH.images))
    assert [tuple(stage.shape[1:3]) for stage in found.stages] == shapes_of(student, 8) == [(16, 4), (16, 2)]


def test_stages_of_other_sides_are_averaged_to_the_smaller() -> None:
    def paired(mine: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
        ((s, t),) = Features([mine], drawn(2, 3), drawn(2, 4)).paired(Features([theirs], drawn(2, 3), drawn(2, 4)))
        return s, t

    s, t = paired(drawn(2, 3, 8, 8), drawn(2, 5, 4, 4))
    assert s.shape == (2, 3, 4, 4) and t.shape == (2, 5, 4, 4)
    large = drawn(2, 5, 4, 4)
    _, t = paired(drawn(2, 3, 2, 2), large)
    assert torch.allclose(t[..., 0, 0], large[..., :2, :2].mean((2, 3)), atol=1e-6)


def test_attention() -> None:
    total = 0.0
    for s, t in zip(MINE.stages, THEIRS.stages, strict=True):
        maps = [x.square().sum(1).flatten(1) for x in (s, t)]
        a, b = (m / m.norm(dim=1, keepdim=True) for m in maps)
        total += float((a - b).square().mean())
    assert float(compared("at", MINE, THEIRS)) == pytest.approx(total, rel=1e-4)


def cosines(x: Tensor) -> Tensor:
    unit = x / x.norm(dim=1, keepdim=True)
    return unit @ unit.T


def test_probabilistic_knowledge_transfer() -> None:
    shares = [(cosines(x.embedding) + 1) / 2 for x in (MINE, THEIRS)]
    s, t = (x / x.sum(1, keepdim=True) for x in shares)
    assert float(compared("pkt", MINE, THEIRS)) == pytest.approx(float((t * (t / s).log()).mean()), rel=1e-3)


def test_similarity_preserving() -> None:
    grams = [z @ z.T for z in (x.stages[-1].flatten(1) for x in (MINE, THEIRS))]
    s, t = (gram / gram.norm(dim=1, keepdim=True) for gram in grams)
    assert float(compared("sp", MINE, THEIRS)) == pytest.approx(float((s - t).square().sum()) / N**2, rel=1e-4)


def test_relational() -> None:
    def distances(x: Tensor) -> Tensor:
        d = torch.cdist(x.double(), x.double(), compute_mode="donot_use_mm_for_euclid_dist")
        return d / d[d > 0].mean()

    def angles(x: Tensor) -> Tensor:
        out = torch.zeros(N, N, N, dtype=torch.float64)
        for i in range(N):
            for j in range(N):
                for k in range(N):
                    a, b = x[j].double() - x[i].double(), x[k].double() - x[i].double()
                    out[i, j, k] = a @ b / (a.norm() * b.norm()).clamp_min(1e-12)
        return out

    def huber(of: Any) -> Tensor:
        return F.smooth_l1_loss(of(MINE.embedding), of(THEIRS.embedding))

    wanted = 25 * huber(distances) + 50 * huber(angles)
    assert float(compared("rkd", MINE, THEIRS)) == pytest.approx(float(wanted), rel=1e-3)


def test_correlation() -> None:
    made = built("cc", network(), network("cnn8"))
    f = drawn(N, 5)
    library = CCKDLoss("f", "f", {"type": "gaussian", "gamma": 0.4, "max_p": 2}, "batchmean")
    assert torch.allclose(cc.kernel(f), library.compute_cc_mat_by_gaussian_rbf(f), rtol=1e-5)
    unit = f / f.norm(dim=1, keepdim=True)
    exact = torch.exp(-0.4 * torch.cdist(unit, unit).square())  # what the series stands for, at norm 1
    assert torch.allclose(cc.kernel(unit), exact, atol=0.06)
    mine, theirs = features(network(), BATCH.images), features(network("cnn8"), BATCH.images)
    embeddings = made["student_embedding"](mine.embedding), made["teacher_embedding"](theirs.embedding)
    k = [cc.kernel(embedding) for embedding in embeddings]
    found = compared("cc", mine, theirs, made)
    assert torch.allclose(found, (k[0] - k[1]).norm() / N**2, rtol=1e-4)
    assert torch.allclose(found, library(*({"f": {"output": embedding}} for embedding in embeddings)), rtol=1e-4)


def test_hint() -> None:
    made: Any = FRAMEWORKS["fitnet"].build(Shapes())  # type: ignore[arg-type]
    assert [fitnet.middle(range(n)) for n in (1, 2, 3, 4)] == [0, 0, 1, 1]
    wanted = (made["regressor"](MINE.stages[0]) - THEIRS.stages[0]).square().mean()
    assert torch.allclose(compared("fitnet", MINE, THEIRS, made), wanted)


def test_variational_information() -> None:
    made: Any = FRAMEWORKS["vid"].build(Shapes())  # type: ignore[arg-type]
    total = 0.0
    for regressor, s, t in zip(made["regressors"], MINE.stages, THEIRS.stages, strict=True):
        variance = F.softplus(regressor.soft_plus_param)[None, :, None, None] + 1e-5
        assert torch.allclose(variance, torch.tensor(5.0))
        mean = regressor.regressor(s)
        total += float((0.5 * ((t - mean).square() / variance + variance.log())).mean().detach())
    assert float(compared("vid", MINE, THEIRS, made).detach()) == pytest.approx(total, rel=1e-4)


def test_contrast_scores_are_torchdistill_s() -> None:
    made, own = contrasted(), contrasted()
    for _ in range(2):  # the first batch sets Z, the second reads it
        embeddings = F.normalize(drawn(N, 16), dim=1), F.normalize(drawn(N, 16), dim=1)
        position = made.position[INDEX]
        which = torch.cat([position[:, None], made.draw(BATCH.labels)], 1)
        theirs = own.loss.contrast_memory(*embeddings, position, which)
        own.loss.params = own.loss.params.detach()
        for a, b in zip(made.scores(embeddings, position, which), theirs, strict=True):
            assert torch.allclose(a, b[..., 0], rtol=1e-4)
        for name in ("memory_v1", "memory_v2", "params"):
            assert torch.allclose(getattr(made.loss, name), getattr(own.loss, name), rtol=1e-4)
    p, k = made.scores(embeddings, position, which)[0], made.negatives
    noise = k / len(made.by_class)
    wanted = -((p[:, 0] / (p[:, 0] + noise)).log() + (noise / (p[:, 1:] + noise)).log().sum(1)).mean()
    assert float(made.loss.compute_contrast_loss(p)) == pytest.approx(float(wanted), rel=1e-4)


def test_negatives_are_of_other_classes() -> None:
    given: dict[str, Any] = {"fraction": 0.5, "omit_classes": "3"}
    made = contrasted(**given)
    rows = plan_steps(small.student(**given), small.DATASET).rows
    labels = small.DATASET.train.labels[rows]
    assert torch.equal(made.position[rows], torch.arange(len(rows)))
    made.negatives = 5000
    for label, chosen in zip(labels[::15], made.draw(labels[::15]), strict=True):
        # all of them, and nothing else
        assert chosen.unique().tolist() == (labels != label).nonzero()[:, 0].tolist()
    assert [contrast.negatives(n) for n in (1, 200, 45_000, 50_000, 10**6)] == [1, 66, 14_746, 16_384, 16_384]


@pytest.mark.parametrize("s", [1.0, 3.0])
def test_decoupled_parts_add_up(s: float) -> None:
    logits, labels = drawn(N, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    q = torch.softmax(drawn(N, 4), 1)
    for i in range(N):
        tckd, nckd = decoupled(logits[i : i + 1], labels[i : i + 1], q[i : i + 1], s)
        kl = F.kl_div(F.log_softmax(logits[i] / s, 0), q[i], reduction="sum")
        assert float(tckd + (1 - q[i, labels[i]]) * nckd) == pytest.approx(float(kl), rel=1e-4)
        p = torch.softmax(logits[i] / s, 0)
        a, b = float(q[i, labels[i]]), float(p[labels[i]])
        assert float(tckd) == pytest.approx(a * math.log(a / b) + (1 - a) * math.log((1 - a) / (1 - b)), rel=1e-3)


def test_decoupled_loss() -> None:
    logits, labels = drawn(N, 4).requires_grad_(), torch.tensor([0, 1, 2, 3, 0, 1])
    q = torch.softmax(drawn(N, 4), 1)
    tckd, nckd = decoupled(logits, labels, q, 2.0)
    wanted = 0.3 * F.cross_entropy(logits, labels) + 0.7 * 4 * 2 * (tckd + 8 * nckd)
    answer = FRAMEWORKS["dkd"].answer
    assert torch.allclose(answer(logits, labels, q, Tempered(0.7, 4.0, 2.0, 8.0)), wanted)
    hard = F.one_hot(labels, 4).float()  # a teacher that is certain leaves its labels, and no infinity
    loss = answer(logits, labels, hard, Tempered(1.0, 1.0, 1.0, 8.0))
    assert torch.allclose(loss, F.cross_entropy(logits, labels))
    (gradient,) = torch.autograd.grad(loss, [logits])
    assert torch.isfinite(gradient).all()


def test_review() -> None:
    made: Any = FRAMEWORKS["reviewkd"].build(Shapes()).eval()  # type: ignore[arg-type]
    theirs = Features(THEIRS.stages, drawn(N, 4), THEIRS.logits)
    mine = Features(MINE.stages, drawn(N, 3), MINE.logits)

    def context(s: Tensor, t: Tensor) -> Tensor:
        total, weight, weights = F.mse_loss(s, t), 1.0, 1.0
        for side in (4, 2, 1):
            if side < s.shape[-1]:
                weight /= 2
                total = total + weight * F.mse_loss(F.adaptive_avg_pool2d(s, side), F.adaptive_avg_pool2d(t, side))
                weights += weight
        return total / weights

    levels = [(mine.embedding[..., None, None], theirs.embedding[..., None, None])]
    levels += list(zip(mine.stages, theirs.stages, strict=True))[::-1]
    fused, wanted = None, torch.zeros(())
    for fusion, (s, t) in zip(list(made["fusions"])[::-1], levels, strict=True):
        answer, fused = fusion(s, fused, s.shape[-1])
        wanted = wanted + context(answer, t)
    assert torch.allclose(compared("reviewkd", mine, theirs, made), wanted)


def test_rotations() -> None:
    student, teacher = network(), network("cnn8", 1).eval()
    made = follow("hsakd", teacher, student)
    heads: Any = made.built
    seen = FRAMEWORKS["hsakd"].views(BATCH.images)
    assert torch.equal(seen[:N], BATCH.images)
    for turn in range(4):
        assert torch.equal(torch.rot90(seen[turn * N : (turn + 1) * N], 4 - turn, (2, 3)), BATCH.images)
    z, v = drawn(N, 5), drawn(N, 5)
    q, p = torch.softmax(v / 3, 1), torch.softmax(z / 3, 1)
    kl = 9 * (q * (q / p).log()).sum() / N
    assert float(hsakd.divergence(z, v)) == pytest.approx(float(kl), rel=1e-4)
    heads.eval()
    mine, theirs = features(student, seen), features(teacher, seen)
    joint = torch.cat([4 * BATCH.labels + turn for turn in range(4)])
    wanted = hsakd.divergence(mine.logits, theirs.logits)
    for i in range(2):
        guess, told = heads["student_heads"][i](mine.stages[i]), heads["teacher_heads"][i](theirs.stages[i])
        assert guess.shape == (4 * N, 40)
        wanted = wanted + F.cross_entropy(told, joint) + hsakd.divergence(guess, told)
    assert torch.allclose(compared("hsakd", mine, theirs, heads), wanted)
    # the teacher's heads learn the labels, not the student
    told = [heads["teacher_heads"][i](theirs.stages[i]) for i in range(2)]
    alone = sum((F.cross_entropy(logits, joint) for logits in told), torch.zeros(()))
    wanted_gradients = torch.autograd.grad(alone, list(heads["teacher_heads"].parameters()))
    logits, loss = made(student, BATCH)
    assert logits.shape == (N, 10)
    for a, b in zip(
        torch.autograd.grad(loss, list(heads["teacher_heads"].parameters())), wanted_gradients, strict=True
    ):
        assert torch.allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("name", [n for n in FOLLOWING if n not in ("crd", "vid", "cc")])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(name: str) -> None:
    teacher = network().eval()
    made = follow(name, teacher, teacher)
    own: Any = made.built.eval()
    if name == "fitnet":
        own["regressor"] = nn.Identity()
    if name == "hsakd":
        own["teacher_heads"].load_state_dict(own["student_heads"].state_dict())
    _, loss = made(teacher, BATCH)
    if name in ("reviewkd", "hsakd"):  # what is left does not depend on the student
        assert math.isfinite(float(loss.detach()))
    else:
        assert float(loss.detach()) == pytest.approx(0, abs=1e-6)


# --- how they enter a student's loss ------------------------------------------------------------------------------


@pytest.mark.parametrize("kd_weight", [0.0, 0.4, 1.0])
def test_the_loss_is_that_of_kd_and_beta_times_the_framework_s(kd_weight: float) -> None:
    student, teacher = network().eval(), network("cnn8", 1).eval()
    given: dict[str, Any] = {"teacher": "deterministic", "kd_weight": kd_weight, "temperature": 4}
    config = small.student(framework="at", framework_weight=50, **given)
    probs = torch.softmax(teacher(BATCH.images) / 4, 1)

    def teach(batch: Batch) -> Tensor:
        return probs

    supervision = teach if kd_weight else None
    made = follow("at", teacher, student)
    found = objective(student, config, supervision, made)(BATCH)
    plain = objective(student, small.student(**given), supervision)(BATCH)
    apart = compared("at", features(student, BATCH.images), features(teacher, BATCH.images))
    assert torch.allclose(found, plain + 50 * apart, rtol=1e-5)


def test_published_weights_and_idle_parameters() -> None:
    for name in BESIDE:
        published = small.student(dataset="cifar100", teacher="deterministic", framework=name)
        assert published.framework_weight == FRAMEWORKS[name].weight
        config = small.student(teacher="deterministic", framework=name)
        assert config.framework_weight == FRAMEWORKS[name].weights["digits"]
        same = small.student(teacher="deterministic", framework=name, framework_weight=config.framework_weight)
        other = small.student(teacher="deterministic", framework=name, framework_weight=0.123)
        assert effective(same) == effective(config) != effective(other)
        assert small.student(teacher="one_hot", framework=name) == small.student()
    plain = small.student(teacher="deterministic")
    assert small.student(teacher="deterministic", framework="kd", framework_weight=3) == plain
    labels = small.student(teacher="deterministic", kd_weight=0)
    assert small.student(teacher="deterministic", kd_weight=0, framework="dkd") == labels
    alone = small.student(teacher="deterministic", kd_weight=0, framework="at", temperature=4)
    assert (alone.framework, alone.framework_weight, alone.temperature) == ("at", 10.0, None)
    with pytest.raises(InputError, match="framework = 'abc' is refused"):
        resolve(RunType.STUDENT, {"framework": "abc"})


# --- whole runs ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with one trained teacher, larger than the students."""
    folder = tmp_path_factory.mktemp("frameworks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDLIB_RUNS", str(folder))
        execute.execute(small.teacher(architecture="cnn8", epochs=10, batch_size=20))
    return folder


@pytest.fixture
def taught(teachers: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Use the store of the trained teacher; return its name."""
    monkeypatch.setenv("KDLIB_RUNS", str(teachers))
    return next(path.name for path in teachers.iterdir() if "cnn8" in path.name and path.name.startswith("teacher"))


SHORT: dict[str, Any] = {"epochs": 2, "batch_size": 20, "learning_rate": 3e-3}


@pytest.mark.parametrize("name", BESIDE)
def test_each_framework_trains(name: str, taught: str, teachers: Path) -> None:
    before = small.content(execute.runs.Run(taught))
    run = execute.execute(small.student(teacher=taught, framework=name, **SHORT))
    losses = run.history()["train_loss"]
    assert losses[-4:].mean() < losses[:4].mean()
    assert run.weights().keys() == network().state_dict().keys(), "only the student's own weights are kept"
    assert small.content(execute.runs.Run(taught)) == before
    plain = execute.execute(small.student(teacher=taught, **SHORT))
    assert run.name != plain.name
    assert any(not torch.equal(v, plain.weights()[k]) for k, v in run.weights().items())
    student, _ = networks_of(plan(small.student(teacher=taught, framework=name, **SHORT)))
    seen = small.DATASET.test.images
    assert torch.allclose(student.probs(seen).log().half(), run.predictions()["test"], atol=2e-3)


def test_the_teacher_is_asked_and_never_changed() -> None:
    teacher = small.untrained_teacher(3)
    before = {k: v.clone() for k, v in teacher.network.state_dict().items()}
    for name in FOLLOWING:
        student = network()
        made = follow(name, teacher.network, student)  # type: ignore[arg-type]
        assert not any(module is teacher.network for module in made.built.train().modules())
        _, loss = made(student, BATCH)
        loss.backward()
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in student.parameters())
        assert not teacher.network.training
    assert all(torch.equal(v, teacher.network.state_dict()[k]) for k, v in before.items())
    assert all(p.grad is None for p in teacher.network.parameters())


@pytest.mark.parametrize("name", ["crd", "vid", "hsakd", "reviewkd"])
def test_an_interrupted_student_ends_bit_identical(name: str, taught: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small.student(teacher=taught, framework=name, **SHORT, seed=1)
    straight = small.content(execute.execute(config))
    seen, view = [0], training.view

    def interrupting(*given: Any) -> Tensor:
        seen[0] += 1
        if seen[0] in (4, 13):
            signal.raise_signal(signal.SIGINT)
        return view(*given)

    monkeypatch.setattr(training, "view", interrupting)
    again = config.model_copy(update={"retrain": True})
    with pytest.raises(KeyboardInterrupt):
        execute.execute(again)
    run = plan(config).run
    assert any(key.startswith("trained/auxiliary.") for key in checkpoint(run.checkpoints))
    with pytest.raises(KeyboardInterrupt):
        execute.execute(config)
    assert small.content(execute.execute(config)) == straight
    assert len(run.provenance["sessions"]) == 3


def checkpoint(folder: Path) -> dict[str, Tensor]:
    return read_tensors(max(folder.glob("step-*")))[0]


# --- what is refused ----------------------------------------------------------------------------------------------


def check(name: str, student: str, teacher: str, kind: str = "deterministic") -> None:
    with torch.device("meta"):
        networks = [models.build(n, 10, 3, 32) for n in (student, teacher)]
    config = small.student(teacher="deterministic", framework=name)
    check_framework(config, 10, 0, networks[0], (KINDS[kind], networks[1]))


@pytest.mark.parametrize("name", BESIDE)
def test_networks_of_other_depths_match_or_are_refused(name: str) -> None:
    check(name, "mobilenetv2", "resnet50")
    check(name, "shufflenetv1", "resnet32x4")
    if FRAMEWORKS[name].by_stage:
        with pytest.raises(InputError) as refused:
            check(name, "wrn_16_2", "resnet50")
        assert str(refused.value) == (
            f"framework = '{name}' is refused: it compares the stages after the stem one by one, and architecture "
            "wrn_16_2 has 3, the teacher's resnet50 4."
        )
    else:
        check(name, "wrn_16_2", "resnet50")


@pytest.mark.parametrize("name", BESIDE)
def test_only_one_network_can_be_followed(name: str) -> None:
    for kind in ("ensemble", "variational"):
        if name == "dkd":
            check(name, "cnn4", "cnn8", kind)
        else:
            with pytest.raises(InputError, match=f"a teacher of kind {kind}, which has no one network to follow"):
                check(name, "cnn4", "cnn8", kind)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"teacher": "exact_bcp", "framework": "at"}, "framework = 'at' is refused for teacher = 'exact_bcp'"),
        ({"framework": "vid", "architecture": "resnet8"}, "architecture resnet8 has 3, the teacher's cnn32 2."),
        ({"framework": "crd", "omit_classes": "0+1+2+3+4+5+6+7+8"}, "so at least two must stay."),
        ({"framework": "sp", "teacher": "ensemble"}, "which has no one network to follow"),
    ],
)
def test_refused_before_any_work(store: Path, given: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as refused:
        execute.execute(small.student(**{"teacher": "deterministic", **given}))
    assert says in str(refused.value) and "\n" not in str(refused.value)
    assert not store.exists() or not list(store.iterdir())


@pytest.mark.parametrize(("student", "teacher"), [("mobilenetv2", "vgg13_bn"), ("shufflenetv2", "resnet8x4")])
def test_networks_of_the_papers_are_compared(student: str, teacher: str) -> None:
    torch.manual_seed(0)
    images = torch.rand(4, 3, 32, 32)
    mine, theirs = (models.build(name, 10, 3, 32).train() for name in (student, teacher))
    theirs.eval()
    seen = Batch(INDEX[:4], 0, images, BATCH.labels[:4], 0.0)
    for name in ("fitnet", "vid", "reviewkd", "hsakd", "at"):
        logits, loss = Following(FRAMEWORKS[name], theirs, built(name, mine, theirs, 32))(mine, seen)
        assert logits.shape == (4, 10) and torch.isfinite(loss)
