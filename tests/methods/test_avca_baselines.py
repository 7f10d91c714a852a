"""APN, CJME and AVGZSLNet against loops over their equations, clip by clip."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from ezav.features.tokens import Tokens
from ezav.methods.apn.config import APNConfig
from ezav.methods.apn.method import APN
from ezav.methods.avgzslnet.config import AVGZSLNetConfig
from ezav.methods.avgzslnet.method import AVGZSLNet
from ezav.methods.base import Batch, Dims
from ezav.methods.cjme.config import CJMEConfig
from ezav.methods.cjme.losses import surer_modality
from ezav.methods.cjme.method import CJME

DIMS = Dims(audio=3, visual=4, text=5)
B, C = 6, 4


def clips(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(B, 3)), rng.normal(size=(B, 4)), rng.integers(0, C, B)


CLASSES = np.random.default_rng(9).normal(size=(C, 5))


def batch_of(seed: int, negative: Batch | None = None) -> Batch:
    audio, visual, labels = clips(seed)
    return Batch(
        audio=Tokens.pooled(torch.tensor(audio)),
        visual=Tokens.pooled(torch.tensor(visual)),
        labels=torch.tensor(labels),
        class_embeddings=torch.tensor(CLASSES),
        negative=negative,
    )


def array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def run(net: nn.Module, x: np.ndarray) -> np.ndarray:
    """A perceptron Linear - BatchNorm - ReLU - Dropout - Linear (- ReLU) in evaluation mode."""
    norm = net[1]
    x = x @ array(net[0].weight).T + array(net[0].bias)
    spread = np.sqrt(array(norm.running_var) + norm.eps)
    x = (x - array(norm.running_mean)) / spread * array(norm.weight) + array(norm.bias)
    x = np.maximum(x, 0) @ array(net[4].weight).T + array(net[4].bias)
    return np.maximum(x, 0) if len(net) > 5 else x


def distance(x: np.ndarray, y: np.ndarray) -> float:
    return math.sqrt(sum((p - q) ** 2 for p, q in zip(x, y)))


def tri(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> float:
    terms = (max(0.0, distance(p, q) - distance(p, r) + 1) for p, q, r in zip(x, y, z))
    return sum(terms) / len(x)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


def stirred(method: nn.Module) -> nn.Module:
    """Double precision, evaluation mode, BatchNorm statistics that are not 0 and 1."""
    for part in method.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 2.0)
    return method.double().eval()


@pytest.mark.parametrize("twice", [True, False])
@pytest.mark.parametrize("prototypes", [True, False])
def test_apn(twice: bool, prototypes: bool) -> None:
    torch.manual_seed(0)
    config = APNConfig(softmax_twice=twice, prototypes=prototypes, normalization="joint")
    method = stirred(APN(config, DIMS))
    with torch.no_grad():
        for parameter in method.parameters():
            assert 0 <= float(parameter.min()) <= float(parameter.max()) < 2e-4
            parameter.mul_(5000)
    audio, visual, labels = clips(1)
    x = np.concatenate([visual, audio], axis=1)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    total = 0.0
    maps = [method.network.embedding] + ([method.network.prototypes] if prototypes else [])
    for weight in maps:
        e = x @ array(weight).T
        for row, label in zip(e, labels):
            q = row @ CLASSES.T
            q = softmax(softmax(q)) if twice else softmax(q)
            total += -math.log(q[label]) / B + np.mean((row - CLASSES[label]) ** 2) / B
    batch = batch_of(1)
    assert float(method.loss(batch).total.detach()) == pytest.approx(total, rel=1e-6)
    e = x @ array(method.network.embedding).T
    expected = [[-distance(row, c) for c in CLASSES] for row in e]
    scores = method.scores(batch.audio, batch.visual, batch.class_embeddings)
    np.testing.assert_allclose(array(scores), expected, atol=1e-6)


@pytest.mark.parametrize("broadcast", [True, False])
def test_cjme(broadcast: bool) -> None:
    torch.manual_seed(1)
    config = CJMEConfig(hidden_dim=7, text_hidden=6, out_dim=5, released_broadcast=broadcast)
    method = stirred(CJME(config, DIMS))
    with torch.no_grad():
        method.network.attention[1].weight.mul_(4)
    network = method.network
    audio, visual, labels = clips(1)
    audio_n, visual_n, _ = clips(2)
    a, v, t = run(network.audio, audio), run(network.visual, visual), None
    a_n, v_n = run(network.audio, audio_n), run(network.visual, visual_n)
    table = run(network.text, CLASSES)
    t = table[labels]
    norm, linear, _ = network.attention
    x = np.concatenate([audio, visual], axis=1)
    x = (x - array(norm.running_mean)) / np.sqrt(array(norm.running_var) + norm.eps)
    x = x * array(norm.weight) + array(norm.bias)
    share = 1 / (1 + np.exp(-(x @ array(linear.weight).T + array(linear.bias))))[:, 0]
    l_a = [max(0, distance(t[i], a[i]) - distance(t[i], a_n[i]) + 1) for i in range(B)]
    l_v = [max(0, distance(t[i], v[i]) - distance(t[i], v_n[i]) + 1) for i in range(B)]
    if broadcast:
        triplet = np.mean(1 - share) * np.mean(l_a) + np.mean(share) * np.mean(l_v)
    else:
        triplet = np.mean([(1 - share[i]) * l_a[i] + share[i] * l_v[i] for i in range(B)])
    z = []
    for i in range(B):
        p_a, p_v = softmax(table @ a[i]), softmax(table @ v[i])
        gap = -(p_v * np.log(p_v)).sum() + (p_a * np.log(p_a)).sum()
        z.append(0.0 if gap > 0.1 else 0.5 if abs(gap) <= 0.1 else 1.0)
    loss = method.loss(batch_of(1, batch_of(2)))
    assert float(loss.parts["triplet"]) == pytest.approx(triplet, rel=1e-5)
    assert float(loss.parts["agreement"]) == pytest.approx(np.mean((a - v) ** 2), rel=1e-6)
    assert float(loss.parts["attention"]) == pytest.approx(np.mean((share - z) ** 2), rel=1e-6)
    batch = batch_of(1)
    scores = array(method.scores(batch.audio, batch.visual, batch.class_embeddings))
    assert {bool(s >= 0.5) for s in share} == {True, False}
    for i in range(B):
        chosen = v[i] if share[i] >= 0.5 else a[i]
        np.testing.assert_allclose(scores[i], [-distance(chosen, w) for w in table], atol=1e-6)


def test_cjme_supervision_has_three_levels() -> None:
    table = torch.eye(3) * 6
    sure, unsure = torch.tensor([[1.0, 0.0, 0.0]]), torch.zeros(1, 3)
    assert surer_modality(sure, unsure, table).tolist() == [0.0]
    assert surer_modality(unsure, sure, table).tolist() == [1.0]
    assert surer_modality(sure, sure, table).tolist() == [0.5]


@pytest.mark.parametrize("released", [True, False])
def test_cjme_table_moves_statistics_only_as_released(released: bool) -> None:
    torch.manual_seed(0)
    method = CJME(CJMEConfig(table_in_training_mode=released), DIMS).double().train()
    method.loss(batch_of(1, batch_of(2)))
    assert method.network.text.training
    assert int(method.network.text[1].num_batches_tracked) == (2 if released else 1)


def test_cjme_believes_the_modality_that_is_there() -> None:
    torch.manual_seed(0)
    method = stirred(CJME(CJMEConfig(), DIMS))
    batch = batch_of(1)
    t = method.network.text(batch.class_embeddings)
    for audio, visual, net, tokens in (
        (batch.audio, batch.visual.without(), method.network.audio, batch.audio),
        (batch.audio.without(), batch.visual, method.network.visual, batch.visual),
    ):
        expected = -torch.cdist(net(tokens.mean()), t)
        torch.testing.assert_close(method.scores(audio, visual, batch.class_embeddings), expected)


def test_avgzslnet() -> None:
    torch.manual_seed(2)
    config = AVGZSLNetConfig(hidden_dim=7, text_hidden=6, decoder_hidden=8, out_dim=5)
    method = stirred(AVGZSLNet(config, DIMS))
    network = method.network
    audio, visual, labels = clips(1)
    audio_n, visual_n, labels_n = clips(2)
    a, v = run(network.audio, audio), run(network.visual, visual)
    a_n, v_n = run(network.audio, audio_n), run(network.visual, visual_n)
    t, t_n = run(network.text, CLASSES[labels]), run(network.text, CLASSES[labels_n])

    def g(x: np.ndarray) -> np.ndarray:
        x = run(network.decoder, x)
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    loss = method.loss(batch_of(1, batch_of(2)))
    triplets = tri(t, a, a_n) + tri(a, t, t_n) + tri(t, v, v_n) + tri(v, t, t_n)
    assert float(loss.parts["triplets"]) == pytest.approx(triplets, rel=1e-4)
    rebuilt = sum(distance(g(x)[i], CLASSES[labels[i]]) / B for x in (t, a, v) for i in range(B))
    assert float(loss.parts["reconstruction"]) == pytest.approx(rebuilt, rel=1e-4)
    decoded = tri(g(t), g(a), g(a_n)) + tri(g(t), g(v), g(v_n))
    assert float(loss.parts["decoded_triplets"]) == pytest.approx(decoded, rel=1e-4)
    batch = batch_of(1)
    table = run(network.text, CLASSES)
    expected = [[-distance(a[i], c) - distance(v[i], c) for c in table] for i in range(B)]
    scores = method.scores(batch.audio, batch.visual, batch.class_embeddings)
    np.testing.assert_allclose(array(scores), expected, atol=1e-6)
    silent = method.scores(batch.audio.without(), batch.visual, batch.class_embeddings)
    doubled = [[-2 * distance(v[i], c) for c in table] for i in range(B)]
    np.testing.assert_allclose(array(silent), doubled, atol=1e-6)
