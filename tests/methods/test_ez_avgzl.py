"""EZ-AVGZL against naive formulations of the paper's equations."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ezav.errors import EzavError
from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Dims
from ezav.methods.common.cross_modal import AUDIO, CLASS, VISUAL, cross_modal_mask
from ezav.methods.ez_avgzl.config import EzAvgzlConfig
from ezav.methods.ez_avgzl.method import EzAvgzl
from ezav.methods.ez_avgzl.network import (
    AttentionSimilarity,
    CosineSimilarity,
    DecoderSimilarity,
    Fused,
    FusionLayer,
    TimeEmbedding,
)

DIMS = Dims(audio=5, visual=7, text=6)


def method(**settings) -> EzAvgzl:
    torch.manual_seed(0)
    config = EzAvgzlConfig(
        **{"width": 16, "hidden": 12, "heads": 2, "head_dim": 4, "mlp": 8, **settings}
    )
    return stirred(EzAvgzl(config, DIMS).eval())


def stirred(module):
    """With weights in place of the zeros it begins with, which would hide what it does."""
    for weight in module.parameters():
        if not weight.any():
            nn.init.normal_(weight, std=0.5)
    return module


def temporal(batch: int = 4, seed: int = 0) -> tuple[Tokens, Tokens]:
    generator = torch.Generator().manual_seed(seed)

    def tokens(dim: int, longest: int) -> Tokens:
        lengths = torch.randint(1, longest + 1, (batch,), generator=generator)
        lengths[0] = longest
        mask = torch.arange(longest)[None] < lengths[:, None]
        values = torch.randn(batch, longest, dim, generator=generator) * mask[..., None]
        return Tokens(values, mask, torch.arange(longest).float().expand(batch, -1) * 0.5)

    return tokens(5, 4), tokens(7, 6)


def naive_attention_score(similarity: AttentionSimilarity, x, kinds, classes):
    """Multi-head attention of class queries over tokens, then p: one clip, one class at a time."""
    heads = similarity.heads
    width = similarity.to_key.out_features // heads
    scores = torch.zeros(len(classes))
    for c, w in enumerate(classes):
        q, k = similarity.to_query(w / w.norm()), similarity.to_key(x)
        for h in range(heads):
            part = slice(h * width, (h + 1) * width)
            logits = torch.stack([q[part] @ row[part] for row in k])
            weight = logits.exp() / logits.exp().sum()
            value = similarity.to_value.weight[h] @ x.T + similarity.kind_value[kinds, h]
            scores[c] += similarity.log_scale.exp() * (weight * value).sum()
    return scores


def test_attention_similarity_is_the_papers_formula():
    torch.manual_seed(1)
    similarity = AttentionSimilarity(width=8, text_dim=6, heads=3, head_dim=4, learned_query=False)
    nn.init.normal_(similarity.to_value.weight)
    x, classes = torch.randn(2, 5, 8), torch.randn(4, 6)
    kinds = torch.tensor([CLASS, AUDIO, AUDIO, VISUAL, VISUAL])
    real = torch.tensor([[True] * 5, [True, True, False, True, False]])
    scores = similarity(Fused(x, real, kinds), classes)
    for clip in range(2):
        kept = real[clip]
        expected = naive_attention_score(similarity, x[clip][kept], kinds[kept], classes)
        assert torch.allclose(scores[clip], expected, atol=1e-5)


@pytest.mark.parametrize("similarity", ["attention", "decoder", "cosine"])
def test_scores_depend_on_the_class_and_on_the_clip(similarity):
    scores = method(similarity=similarity).scores(*temporal(), torch.randn(9, 6)).detach()
    assert scores.shape == (4, 9)
    assert float(scores.std(dim=1).min()) > 1e-4, "every class gets the same score"
    assert float(scores.std(dim=0).max()) > 1e-4, "every clip gets the same score"


def test_ten_thousand_classes_build_no_clip_by_class_by_width_tensor():
    model = method(width=64, heads=2, head_dim=4)
    audio, visual = Tokens.pooled(torch.randn(8, 5)), Tokens.pooled(torch.randn(8, 7))
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            out = function(*args, **(kwargs or {}))
            for one in out if isinstance(out, (tuple, list)) else [out]:
                if isinstance(one, torch.Tensor):
                    largest = max(largest, one.numel())
            return out

    with Watch(), torch.no_grad():
        model.scores(audio, visual, torch.randn(10_000, 6))
    batch, heads, classes, tokens, width = 8, 2, 10_000, 3, 64
    assert largest <= batch * heads * classes * tokens
    assert largest < batch * classes * width


def test_cross_modal_mask_by_the_rule():
    kinds = torch.tensor([CLASS, AUDIO, AUDIO, VISUAL])
    real = torch.tensor([[True, True, False, True]])
    allowed = cross_modal_mask(kinds, real)[0, 0]
    for i in range(4):
        for j in range(4):
            other = kinds[i] != kinds[j] or kinds[i] == CLASS
            assert bool(allowed[i, j]) == bool(other and real[0, j])


def test_tokens_see_the_other_modality_and_the_class_token():
    model = method(temporal=True)
    audio, visual = temporal()
    before = model.fuse(audio, visual)
    values = audio.values.clone()
    values[0, 1] += 1  # the second sound of the first clip, which lacks no token
    after = model.fuse(dataclasses.replace(audio, values=values), visual)
    moved = (after.tokens - before.tokens).abs().amax(dim=2) > 1e-5
    assert not moved[1:].any()
    assert moved[0].tolist() == [True] + [False, True, False, False] + [True] * 6


def test_a_fusion_layer_is_torchs_pre_norm_encoder_layer():
    torch.manual_seed(2)
    ours = stirred(FusionLayer(width=12, heads=3, head_dim=4, mlp=7, dropout=0.0))
    theirs = nn.TransformerEncoderLayer(12, 3, 7, 0.0, "gelu", batch_first=True, norm_first=True)
    pairs = {
        "self_attn.in_proj_weight": ours.to_qkv.weight,
        "self_attn.in_proj_bias": torch.zeros(36),
    }
    for name, part in (
        ("self_attn.out_proj", ours.to_out),
        ("linear1", ours.mlp[0]),
        ("linear2", ours.mlp[3]),
        ("norm1", ours.attention_norm),
        ("norm2", ours.mlp_norm),
    ):
        pairs |= {f"{name}.weight": part.weight, f"{name}.bias": part.bias}
    theirs.load_state_dict(pairs)
    x, allowed = torch.randn(2, 5, 12), torch.rand(2, 1, 5, 5) < 0.5
    allowed[..., 0] = True
    mask = ~allowed.expand(2, 3, 5, 5).flatten(0, 1)
    assert torch.allclose(ours(x, allowed), theirs(x, mask), atol=1e-5)


def test_training_begins_with_what_each_modality_says_alone():
    torch.manual_seed(0)
    model = EzAvgzl(EzAvgzlConfig(width=16, layers=2, temporal=True), DIMS).eval()
    clips, classes = temporal(), torch.randn(5, 6)
    scores = model.scores(*clips, classes)
    model.fusion.layers = nn.ModuleList()
    assert torch.equal(model.scores(*clips, classes), scores)
    value = model.similarity.value(model.fuse(*clips))  # [H, T, B], of the kind of token only
    assert torch.equal(value, value[..., :1].expand_as(value))


def test_decoder_similarity_is_torchs_attention_between_two_residuals():
    torch.manual_seed(3)
    ours = stirred(DecoderSimilarity(12, 6, heads=3, head_dim=4, mlp=7, dropout=0.0))
    theirs = nn.MultiheadAttention(12, 3, batch_first=True)
    query, key_value = ours.to_query, ours.to_key_value
    theirs.load_state_dict(
        {
            "in_proj_weight": torch.cat([query.weight, key_value.weight]),
            "in_proj_bias": torch.cat([query.bias, key_value.bias]),
            "out_proj.weight": ours.to_out.weight,
            "out_proj.bias": ours.to_out.bias,
        }
    )
    tokens, classes = torch.randn(2, 5, 12), torch.randn(4, 6)
    real = torch.tensor([[True] * 5, [True, True, False, True, False]])
    x = ours.embed(classes).expand(2, -1, -1)
    x = x + theirs(ours.query_norm(x), tokens, tokens, key_padding_mask=~real)[0]
    x = x + ours.mlp(ours.mlp_norm(x))
    expected = ours.to_score(ours.score_norm(x))[..., 0]
    found = ours(Fused(tokens, real, torch.zeros(2, 5).long()), classes)
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("log_scale", "scale"), [(None, 20), (3.0, math.exp(3)), (9.0, 100)])
def test_cosine_similarity_is_a_cosine_over_a_temperature_of_a_hundredth_at_least(log_scale, scale):
    similarity = CosineSimilarity(8, 6)
    if log_scale is not None:
        nn.init.constant_(similarity.log_scale, log_scale)
    x, classes = torch.randn(2, 3, 8), torch.randn(4, 6)
    real = torch.tensor([[True, True, True], [True, False, True]])
    scores = similarity(Fused(x, real, torch.zeros(2, 3).long()), classes)
    for clip in range(2):
        mean = similarity.project(x[clip][real[clip]].mean(dim=0))
        expected = scale * F.cosine_similarity(mean[None], classes)
        assert torch.allclose(scores[clip], expected, atol=1e-4)


@pytest.mark.parametrize("similarity", ["attention", "decoder", "cosine"])
def test_padding_changes_nothing(similarity):
    model = method(similarity=similarity, temporal=True, layers=2)
    audio, visual = temporal()
    classes = torch.randn(5, 6)
    alone = []
    for clip in range(4):
        parts = [
            Tokens(t.values[clip][m][None], m[m][None], t.times[clip][m][None])
            for t, m in ((audio, audio.mask[clip]), (visual, visual.mask[clip]))
        ]
        alone.append(model.scores(*parts, classes))
    assert torch.allclose(model.scores(audio, visual, classes), torch.cat(alone), atol=1e-5)


@pytest.mark.parametrize("similarity", ["attention", "decoder", "cosine"])
def test_a_missing_modality_is_not_looked_at(similarity):
    model = method(similarity=similarity)
    visual = Tokens.pooled(torch.randn(3, 7))
    absent = torch.zeros(3, dtype=torch.bool)
    classes = torch.randn(4, 6)
    once = model.scores(Tokens.pooled(torch.randn(3, 5), absent), visual, classes)
    twice = model.scores(Tokens.pooled(torch.randn(3, 5) * 100, absent), visual, classes)
    assert torch.equal(once, twice)
    by_sight = method(similarity=similarity, modalities="visual")
    same = by_sight.scores(Tokens.pooled(torch.randn(3, 5)), visual, classes)
    assert torch.allclose(once, same, atol=1e-6)
    by_ear, sound = method(similarity=similarity, modalities="audio"), torch.randn(3, 5)
    once, twice = (
        by_ear.scores(Tokens.pooled(sound), Tokens.pooled(torch.randn(3, 7)), classes)
        for _ in range(2)
    )
    assert torch.equal(once, twice)


def naive_contrastive(scores, labels):
    """Equation 5, term by term, over the clips of the batch."""
    total = 0.0
    for i, y in enumerate(labels):
        denominator = sum(math.exp(scores[i, k]) for k in labels)
        total -= math.log(math.exp(scores[i, y]) / denominator)
    return total / len(labels)


def test_loss_is_equation_5_with_multiplicity():
    model = method(negatives="batch")
    labels = torch.tensor([0, 2, 2, 1, 2, 4])
    classes = torch.randn(5, 6)
    batch = Batch(
        audio=Tokens.pooled(torch.randn(6, 5)),
        visual=Tokens.pooled(torch.randn(6, 7)),
        labels=labels,
        class_embeddings=classes,
    )
    scores = model.scores(batch.audio, batch.visual, classes).detach()
    expected = naive_contrastive(scores, labels.tolist())
    assert float(model.loss(batch).total.detach()) == pytest.approx(expected, rel=1e-5)
    distinct = method(negatives="distinct").loss(batch).total
    known = [0, 1, 2, 4]
    assert float(distinct) == pytest.approx(
        float(F.cross_entropy(scores[:, known], torch.tensor([0, 2, 2, 1, 2, 3]))), rel=1e-5
    )
    every = method(negatives="seen").loss(batch).total
    assert float(every) == pytest.approx(float(F.cross_entropy(scores, labels)), rel=1e-5)


def test_standardisation_is_learned_from_the_training_set_and_survives_constants():
    model = method()
    audio = torch.cat([torch.randn(50, 4) * 100 + 30, 7 + 0.01 * torch.randn(50, 1)], dim=1)
    visual = torch.randn(50, 7) * 0.01 - 5
    model.prepare(Tokens.pooled(audio), Tokens.pooled(visual), torch.zeros(50), torch.randn(1, 6))
    out = model.fusion.audio.standardize(audio)
    assert torch.allclose(out[:, :4].mean(0), torch.zeros(4), atol=1e-4)
    assert torch.allclose(out[:, :4].std(0, correction=0), torch.ones(4), atol=1e-4)
    # A tenth of the typical deviation, 90, divides what is nearly constant.
    assert torch.allclose(out[:, 4], torch.zeros(50), atol=0.01)
    seen = model.fusion.visual.standardize(visual)
    assert torch.allclose(seen.mean(0), torch.zeros(7), atol=1e-3)
    assert torch.allclose(seen.std(0, correction=0), torch.ones(7), atol=1e-3)


def test_clips_without_a_modality_do_not_enter_its_statistics():
    model, present = method(), torch.arange(40) % 2 == 0
    audio, visual = torch.randn(40, 5) * 3 + 7, torch.randn(40, 7)
    silent = Tokens.pooled(audio, present)
    model.prepare(silent, Tokens.pooled(visual), torch.zeros(40), torch.randn(1, 6))
    assert torch.allclose(model.fusion.audio.standardize.mean, audio[present].mean(0), atol=1e-5)


def test_padding_does_not_shift_batch_statistics():
    model = method(norm="batch", temporal=True, dropout=0.0).train()
    audio, visual = temporal()
    values, mask = F.pad(audio.values, (0, 0, 0, 3)), F.pad(audio.mask, (0, 3))
    longer, classes = Tokens(values, mask, F.pad(audio.times, (0, 3))), torch.randn(5, 6)
    expected = model.scores(audio, visual, classes)
    assert torch.allclose(model.scores(longer, visual, classes), expected, atol=1e-5)


def test_times_are_sines_and_cosines_from_20_seconds_to_a_fifth():
    embedding = TimeEmbedding(6, bands=3)
    for seconds in (0.0, 1.3):
        angles = [2 * math.pi * seconds / period for period in (20, 2, 0.2)]
        waves = torch.tensor([*map(math.sin, angles), *map(math.cos, angles)])
        found = embedding(torch.tensor([[seconds]]))[0, 0]
        assert torch.allclose(found, embedding.linear(waves), atol=1e-4)


@pytest.mark.parametrize("read", [False, True])
def test_when_something_happens_matters_where_tokens_have_a_time(read):
    model, (audio, visual), classes = method(temporal=read), temporal(), torch.randn(5, 6)
    later = dataclasses.replace(audio, times=audio.times + 1)
    once, again = (model.scores(a, visual, classes) for a in (audio, later))
    assert torch.equal(once, again) != read


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_depth(layers):
    model = method(layers=layers)
    assert len(model.fusion.layers) == layers
    audio, visual = Tokens.pooled(torch.randn(2, 5)), Tokens.pooled(torch.randn(2, 7))
    assert bool(torch.isfinite(model.scores(audio, visual, torch.randn(3, 6))).all())


def test_queries_keep_the_geometry_of_class_embeddings():
    """With heads x head_dim >= text_dim the query map is an isometry up to one factor."""
    similarity = AttentionSimilarity(width=8, text_dim=6, heads=3, head_dim=4, learned_query=False)
    w = F.normalize(torch.randn(7, 6), dim=1)
    distance = torch.cdist(similarity.to_query(w), similarity.to_query(w)) / torch.cdist(w, w)
    off = ~torch.eye(7, dtype=torch.bool)
    assert torch.allclose(distance[off], distance[0, 1].expand(42), rtol=1e-4)
    # So that logits are about 0.3 times the length of a key, whatever the number of heads.
    length = similarity.to_query(w).unflatten(1, (3, 4)).norm(dim=2).square().mean(dim=1).sqrt()
    assert torch.allclose(length, torch.full((7,), 0.3), atol=1e-5)
    assert not any(p.requires_grad for p in similarity.to_query.parameters())
    learned = AttentionSimilarity(8, 6, 3, 4, learned_query=True)
    assert all(p.requires_grad for p in learned.to_query.parameters())


def test_inspection_splits_the_score_into_tokens():
    model = method(temporal=True, layers=2)
    audio, visual = temporal()
    classes = torch.randn(5, 6)
    shares = model.inspect(audio, visual, classes)
    scores = model.scores(audio, visual, classes)
    assert torch.allclose(shares.contribution.sum(-1), scores, atol=1e-5)
    assert torch.allclose(shares.attention.sum(-1), torch.ones(4, 5), atol=1e-5)
    heads = model.similarity.attention(model.fuse(audio, visual), classes)  # [H, T, B, C]
    assert torch.allclose(shares.attention, torch.einsum("htbc->bct", heads) / 2, atol=1e-6)
    padded = ~shares.real[:, None].expand_as(shares.attention)
    assert float(shares.attention[padded].abs().max()) == 0
    assert float(shares.contribution[padded].abs().max()) == 0
    assert torch.equal(shares.times[:, shares.kinds == VISUAL], visual.times)
    with pytest.raises(EzavError, match="does not attend"):
        method(similarity="cosine").inspect(audio, visual, classes)
