"""KDA, attention fusion and Perceiver against naive formulations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ezav.errors import EzavError
from ezav.features.tokens import Tokens
from ezav.methods.attention_fusion.config import AttentionFusionConfig
from ezav.methods.attention_fusion.network import AttentionFusionNetwork
from ezav.methods.base import Batch, Dims
from ezav.methods.kda.config import KDAConfig
from ezav.methods.kda.losses import average_descriptions
from ezav.methods.kda.method import KDA
from ezav.methods.perceiver.config import PerceiverConfig
from ezav.methods.perceiver.network import PerceiverNetwork, ReadingBlock

DIMS = Dims(audio=3, visual=4, text=5)


def linear(layer: nn.Linear, x: np.ndarray) -> np.ndarray:
    y = x @ layer.weight.detach().numpy().T
    return y if layer.bias is None else y + layer.bias.detach().numpy()


def normed(layer: nn.BatchNorm1d | nn.LayerNorm, x: np.ndarray) -> np.ndarray:
    if isinstance(layer, nn.BatchNorm1d):
        mean, variance = layer.running_mean.numpy(), layer.running_var.numpy()
    else:
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    x = (x - mean) / np.sqrt(variance + layer.eps)
    return x * layer.weight.detach().numpy() + layer.bias.detach().numpy()


def embedding_net(net: nn.Sequential, x: np.ndarray) -> np.ndarray:
    for i in range(0, len(net), 4):
        x = np.maximum(normed(net[i + 1], linear(net[i], x)), 0)
    return x


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def gelu(x: np.ndarray) -> np.ndarray:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def stirred(method: nn.Module) -> nn.Module:
    for part in method.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 2.0)
    return method.double().eval()


@pytest.mark.parametrize("normalize", [True, False])
def test_kda(normalize: bool) -> None:
    torch.manual_seed(0)
    config = KDAConfig(
        dim=8, audio_hidden=6, visual_hidden=7, normalize=normalize, margin_scale=0.7
    )
    method = stirred(KDA(config, Dims(audio=3, visual=4, text=5)))
    network = method.network
    with torch.no_grad():
        network.map.mul_(5000)
    rng = np.random.default_rng(1)
    audio, visual, classes = (
        rng.normal(size=(6, 3)),
        rng.normal(size=(6, 4)),
        rng.normal(size=(4, 5)),
    )
    labels = rng.integers(0, 4, 6)
    layer = network.attention.layers[0]
    z = []
    for a, v in zip(audio, visual):
        phi = np.stack(
            [
                embedding_net(network.audio_encoder, a[None])[0],
                embedding_net(network.visual_encoder, v[None])[0],
            ]
        )
        x = phi + network.attention.positions.detach().numpy()
        q, k, value = np.split(linear(layer.qkv, normed(layer.attention_norm, x)), 3, axis=1)
        heads = []
        for h in range(3):
            part = slice(100 * h, 100 * (h + 1))
            weights = softmax(q[:, part] @ k[:, part].T / 10)
            heads.append(weights @ value[:, part])
        x = x + linear(layer.out, np.concatenate(heads, axis=1))
        y = linear(layer.mlp[0], normed(layer.mlp_norm, x))
        x = x + linear(layer.mlp[3], gelu(y))
        out_a, out_v = phi + x
        joined = np.concatenate(
            [
                embedding_net(network.visual_projection, out_v[None])[0],
                embedding_net(network.audio_projection, out_a[None])[0],
            ]
        )
        if normalize:
            joined = joined / np.linalg.norm(joined)
        z.append(network.map.detach().numpy() @ joined)
    alignment = 5 * np.mean([(row - classes[y]) ** 2 for row, y in zip(z, labels)])
    margin = 0.0
    for row, y in zip(z, labels):
        logits = []
        for c, t in enumerate(classes):
            cosine = t @ classes[y] / np.linalg.norm(t) / np.linalg.norm(classes[y])
            logits.append(row @ t + (0 if c == y else 0.7 * cosine))
        margin -= math.log(softmax(np.array(logits))[y]) / len(z)
    batch = Batch(
        audio=Tokens.pooled(torch.tensor(audio)),
        visual=Tokens.pooled(torch.tensor(visual)),
        labels=torch.tensor(labels),
        class_embeddings=torch.tensor(classes),
    )
    loss = method.loss(batch)
    assert float(loss.parts["alignment"]) == pytest.approx(alignment, rel=1e-6)
    assert float(loss.parts["margin"]) == pytest.approx(margin, rel=1e-6)
    expected = [[-np.linalg.norm(row - t) for t in classes] for row in z]
    scores = method.scores(batch.audio, batch.visual, batch.class_embeddings)
    np.testing.assert_allclose(scores.detach().numpy(), expected, atol=1e-6)


def test_kda_as_released_is_a_regression() -> None:
    method = KDA(KDAConfig(margin_weight=0.0, dim=8), Dims(audio=3, visual=4, text=5)).eval()
    batch = Batch(
        audio=Tokens.pooled(torch.rand(3, 3)),
        visual=Tokens.pooled(torch.rand(3, 4)),
        labels=torch.tensor([0, 1, 1]),
        class_embeddings=torch.eye(5)[:2],
    )
    loss = method.loss(batch)
    z = method.embed(batch.audio, batch.visual)
    assert set(loss.parts) == {"alignment"}
    torch.testing.assert_close(loss.total, 5 * F.mse_loss(z, torch.eye(5)[[0, 1, 1]]))


def test_descriptions_are_averaged_class_by_class() -> None:
    vectors = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    ours = average_descriptions(vectors)
    for c in range(3):
        torch.testing.assert_close(ours[c], sum(vectors[c]) / 4)


def sequences(missing_audio: bool = False) -> tuple[Tokens, Tokens]:
    g = torch.Generator().manual_seed(5)

    def tokens(lengths: list[int], dim: int) -> Tokens:
        longest = max(max(lengths), 1)
        mask = torch.arange(longest)[None] < torch.tensor(lengths)[:, None]
        values = torch.randn(len(lengths), longest, dim, generator=g, dtype=torch.float64)
        times = torch.rand(len(lengths), longest, generator=g, dtype=torch.float64)
        return Tokens(values * mask[..., None], mask, times * mask)

    return tokens([3, 0 if missing_audio else 1, 2], 3), tokens([2, 4, 1], 4)


def test_attention_fusion_against_a_loop() -> None:
    torch.manual_seed(1)
    network = stirred(
        AttentionFusionNetwork(
            DIMS, AttentionFusionConfig(dim=6, encoder_hidden=7, decoder_hidden=5)
        )
    )
    audio, visual = sequences(missing_audio=True)
    ours = network(audio, visual).detach().numpy()
    for i in range(3):
        outputs = []
        for tokens, model in ((audio, network.audio), (visual, network.visual)):
            steps = tokens.values[i][tokens.mask[i]].numpy()
            if len(steps):
                encoded = embedding_net(model.encoder, steps)
                outputs.append(softmax(linear(model.importance, encoded)[:, 0]) @ encoded)
            else:
                outputs.append(np.zeros(6))
        logits = linear(network.attention, np.concatenate(outputs)).reshape(2, 6)
        alpha = softmax(logits.T).T
        if not audio.mask[i].any():
            alpha = np.stack([np.zeros(6), np.ones(6)])
        np.testing.assert_allclose(ours[i], (alpha * np.stack(outputs)).sum(0), atol=1e-8)


def test_perceiver_reads_like_a_loop() -> None:
    torch.manual_seed(2)
    block = ReadingBlock(6, heads=2, mlp_dim=5, layers=0, dropout=0.1).double().eval()
    latents = torch.randn(2, 3, 6, dtype=torch.float64)
    tokens = torch.randn(2, 4, 6, dtype=torch.float64)
    mask = torch.tensor([[True, True, False, True], [True, False, False, False]])
    ours = block(latents, tokens, mask).detach().numpy()
    in_weight = block.read.in_proj_weight.detach().numpy()
    in_bias = block.read.in_proj_bias.detach().numpy()
    for i in range(2):
        x = latents[i].numpy()
        y = normed(block.token_norm, tokens[i][mask[i]].numpy())
        query_in = normed(block.latent_norm, x)
        q, k, v = (
            part @ in_weight[6 * j : 6 * j + 6].T + in_bias[6 * j : 6 * j + 6]
            for j, part in enumerate((query_in, y, y))
        )
        heads = [
            softmax(q[:, s] @ k[:, s].T / math.sqrt(3)) @ v[:, s]
            for s in (slice(0, 3), slice(3, 6))
        ]
        x = x + linear(block.read.out_proj, np.concatenate(heads, axis=1))
        x = x + linear(block.mlp[4], gelu(linear(block.mlp[1], normed(block.mlp[0], x))))
        np.testing.assert_allclose(ours[i], x, atol=1e-8)


def test_perceiver_sees_all_real_tokens_and_nothing_else() -> None:
    torch.manual_seed(3)
    network = stirred(
        PerceiverNetwork(
            DIMS, PerceiverConfig(dim=12, latents=4, encoder_hidden=6, code_dim=4, mlp_dim=6)
        )
    )
    audio, visual = sequences()
    plain = network(audio, visual)

    def padded(tokens: Tokens) -> Tokens:
        def more(x: Tensor, value: float) -> Tensor:
            return torch.cat([x, torch.full_like(x[:, :2], value)], dim=1)

        return Tokens(more(tokens.values, 9.0), more(tokens.mask, False), more(tokens.times, 1.0))

    torch.testing.assert_close(network(padded(audio), padded(visual)), plain)
    for name, tokens in (("audio", audio), ("visual", visual)):
        for i, t in tokens.mask.nonzero().tolist():
            changed = tokens.values.clone()
            changed[i, t] += 1
            moved = Tokens(changed, tokens.mask, tokens.times)
            other = network(moved, visual) if name == "audio" else network(audio, moved)
            difference = (other - plain).abs().amax(dim=1)
            assert difference[i] > 1e-6
            assert difference.sum() - difference[i] < 1e-9


@pytest.mark.parametrize("heads", [3, 0])
def test_perceiver_heads_must_divide(heads: int) -> None:
    with pytest.raises(EzavError, match="must divide"):
        PerceiverConfig(dim=10, heads=heads)
