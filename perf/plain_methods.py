"""AVCA, ClipClap and TCaF as plain training steps, the way the authors' released code does them.

Written from the facts about that code, term by term, for `perf/methods.py` to compare with: single
clips through a `DataLoader`, a negative drawn for each clip, every forward pass the authors make
(also those whose results nothing uses, and the one for the log), `torch.optim.Adam` as it comes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

from ezav.features.feature_set import FeatureSet


class Pairs(Dataset):
    """A clip and a clip of another class, each with its class text, one at a time."""

    def __init__(self, clips: FeatureSet, text: Tensor) -> None:
        def rows(ragged) -> list[Tensor]:
            bounds = ragged.offsets.tolist()
            return [ragged.values[a:b] for a, b in pairwise(bounds)]

        self.audio, self.visual = rows(clips.audio), rows(clips.visual)
        self.labels, self.text = clips.labels.tolist(), text
        self.by_class = [np.flatnonzero(clips.labels.numpy() == c) for c in range(len(text))]
        self.rng = np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[Tensor, ...]:
        label = self.labels[row]
        while (same := self.rng.choice(self.by_class[label])) == row:
            pass  # a second clip of the class is drawn and thrown away
        del same
        classes = np.arange(len(self.text))
        other = int(self.rng.choice(classes[classes != label]))
        negative = int(self.rng.choice(self.by_class[other]))
        return (
            self.audio[row],
            self.visual[row],
            self.text[label],
            self.audio[negative],
            self.visual[negative],
            self.text[other],
            torch.tensor(label),
        )


def batches(pairs: Pairs, batch_size: int, steps: int, collate=None) -> Iterator[tuple]:
    count = np.bincount(pairs.labels)
    weights = [1 / count[label] for label in pairs.labels]
    sampler = WeightedRandomSampler(weights, steps * batch_size)
    return iter(DataLoader(pairs, batch_size, sampler=sampler, collate_fn=collate))


def block(in_dim: int, out_dim: int, dropout: float, momentum: float = 0.1) -> list[nn.Module]:
    norm = nn.BatchNorm1d(out_dim, momentum=momentum)
    return [nn.Linear(in_dim, out_dim), norm, nn.ReLU(), nn.Dropout(dropout)]


def net(in_dim: int, out_dim: int, dropout: float, hidden: int = 0, momentum: float = 0.1):
    if not hidden:
        return nn.Sequential(*block(in_dim, out_dim, dropout))
    last = block(hidden, out_dim, dropout, momentum)
    return nn.Sequential(*block(in_dim, hidden, dropout), *last)


class Attention(nn.Module):
    """Pre-norm attention, softmax written out, and feed-forward; one norm for both if `shared`."""

    def __init__(self, dim, heads, head_dim, mlp, dropout, *, shared=False) -> None:
        super().__init__()
        inner = heads * head_dim
        self.heads, self.scale = heads, head_dim**-0.5
        self.norm = nn.LayerNorm(dim)
        self.mlp_norm = self.norm if shared else nn.LayerNorm(dim)
        self.qkv = nn.ModuleList(nn.Linear(dim, inner, bias=False) for _ in range(3))
        self.out = nn.Sequential(nn.Linear(inner, dim), nn.Dropout(dropout))
        self.mlp = nn.Sequential(
            nn.Linear(dim, mlp), nn.GELU(), nn.Dropout(dropout), nn.Linear(mlp, dim),
            nn.Dropout(dropout),
        )  # fmt: skip

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y = self.norm(x)
        q, k, v = (f(y).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in self.qkv)
        dots = q @ k.transpose(-1, -2) * self.scale
        if mask is not None:
            dots = dots.masked_fill(~mask[:, None], torch.finfo(dots.dtype).min)
        x = x + self.out((dots.softmax(-1) @ v).transpose(1, 2).flatten(2))
        return x + self.mlp(self.mlp_norm(x))


class AVCA(nn.Module):
    """17 loss terms on clips and negatives, and passes that nothing uses."""

    def __init__(self, audio, visual, text, p_e, p_d, p_x, momentum) -> None:
        super().__init__()
        self.a_enc = net(audio, 300, p_e, 512, momentum)
        self.v_enc = net(visual, 300, p_e, 512, momentum)
        self.attention = Attention(300, 3, 100, 64, p_e)
        self.positions = nn.Parameter(torch.randn(2, 300), requires_grad=False)
        self.a_proj, self.v_proj = (net(300, 64, p_d, 512, momentum) for _ in range(2))
        self.w_proj, self.d = net(text, 64, p_x), net(64, text, p_x)
        self.a_rec, self.v_rec = net(64, 300, p_x), net(64, 300, p_x)
        self.optimizer = torch.optim.Adam(
            [p for p in self.parameters() if p.requires_grad], lr=1e-3, weight_decay=1e-5
        )

    def attend(self, phi_a: Tensor, phi_v: Tensor) -> tuple[Tensor, Tensor]:
        pair = self.attention(torch.stack([phi_a, phi_v], 1) + self.positions)
        return phi_a + pair[:, 0], phi_v + pair[:, 1]

    def step(self, a, v, w, a_n, v_n, w_n, labels) -> None:
        tri, mse = nn.TripletMarginLoss(margin=1.0), nn.MSELoss()
        a, v, a_n, v_n = (x[:, 0] for x in (a, v, a_n, v_n))
        phi_a, phi_a_n = self.a_enc(a), self.a_enc(a_n)
        phi_v, phi_v_n = self.v_enc(v), self.v_enc(v_n)
        out_a, out_v = self.attend(phi_a, phi_v)
        out_a_n, out_v_n = self.attend(phi_a_n, phi_v_n)
        th_w, th_w_n = self.w_proj(w), self.w_proj(w_n)
        rho_w, _ = self.d(th_w), self.d(th_w_n)
        th_a, th_a_n = self.a_proj(out_a), self.a_proj(out_a_n)
        th_v, th_v_n = self.v_proj(out_v), self.v_proj(out_v_n)
        phi_a_rec, phi_v_rec = self.a_rec(th_a), self.v_rec(th_v)
        self.a_proj(phi_a_rec), self.v_proj(phi_v_rec)  # nothing uses these
        rho_a, rho_a_n = self.d(th_a), self.d(th_a_n)
        rho_v, rho_v_n = self.d(th_v), self.d(th_v_n)
        terms = [
            mse(rho_v, w), mse(rho_a, w), mse(rho_w, w),
            tri(rho_w, rho_a, rho_a_n), tri(rho_w, rho_v, rho_v_n),
            tri(th_w, th_a, th_a_n), tri(th_w, th_v, th_v_n),
            tri(th_a, th_w, th_w_n), tri(th_v, th_w, th_w_n),
            tri(th_a, th_w, th_a_n), tri(th_v, th_w, th_v_n),
            tri(th_w, th_a, th_w_n), tri(th_w, th_v, th_w_n),
            mse(phi_v_rec, phi_v), mse(phi_a_rec, phi_a), mse(th_v, th_w), mse(th_a, th_w),
        ]  # fmt: skip
        self.optimizer.zero_grad()
        sum(terms).backward()
        self.optimizer.step()
        [float(term.detach()) for term in terms]
        with torch.no_grad():  # for the log
            out_a, out_v = self.attend(self.a_enc(a), self.v_enc(v))
            self.a_proj(out_a), self.v_proj(out_v), self.w_proj(w)


class Heads(nn.Module):
    """TCaF's heads and losses, over the classes of the stage."""

    def __init__(self, dim, text, classes: Tensor, p_d, p_x) -> None:
        super().__init__()
        self.o_proj, self.d_o = net(dim, 64, p_d, 512), net(64, text, p_d, 512)
        self.w_proj, self.d_w = net(text, 64, p_x), net(64, text, p_x)
        self.classes = classes

    def loss(self, o: Tensor, w: Tensor, labels: Tensor, table: Tensor) -> list[Tensor]:
        th_o, th_w = self.o_proj(o), self.w_proj(w)
        rho_o, rho_w = self.d_o(th_o), self.d_w(th_w)
        return [
            F.cross_entropy(th_o @ self.w_proj(table).T, labels),
            F.mse_loss(th_o, th_w),
            F.mse_loss(w, rho_o) + F.mse_loss(w, rho_w),
        ]


class ClipClap(nn.Module):
    """Negatives are loaded and not used."""

    def __init__(self, audio, visual, text, classes: Tensor, lr: float) -> None:
        super().__init__()
        self.o_enc, self.w_enc = net(audio + visual, 512, 0.1), net(text, 512, 0.1)
        self.heads = Heads(512, 512, classes, 0.1, 0.1)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=lr, weight_decay=1e-5)

    def step(self, a, v, w, a_n, v_n, w_n, labels) -> None:
        x = torch.cat([v[:, 0], a[:, 0]], 1)
        u, table = self.w_enc(w), self.w_enc(self.heads.classes)
        terms = self.heads.loss(self.o_enc(x), u, labels, table)
        self.optimizer.zero_grad()
        sum(terms).backward()
        self.optimizer.step()
        [float(term.detach()) for term in terms]
        with torch.no_grad():  # for the log
            self.heads.o_proj(self.o_enc(x)), self.heads.w_proj(self.w_enc(w))


class TCaF(nn.Module):
    """Padded steps pass the encoders; every token passes every layer."""

    def __init__(self, audio, visual, text, classes, *, depth, p_e, p_d, p_x, p_t, p_m, lr) -> None:
        super().__init__()
        self.a_enc, self.v_enc = net(audio, 300, p_e, 512), net(visual, 300, p_e, 512)
        self.modality, self.padding = nn.Embedding(2, 64), nn.Embedding(1, 64)
        self.frequencies = torch.randn(2, 32) * 10
        self.time = nn.Linear(64, 64)
        self.out = nn.ModuleList(nn.Conv1d(364, 300, 1) for _ in range(2))
        self.token_dropout = nn.Dropout(p_m)
        self.cls = nn.Parameter(torch.randn(1, 1, 300))
        self.layers = nn.ModuleList(
            Attention(300, 8, 64, 128, p_t, shared=True) for _ in range(depth)
        )
        self.heads = Heads(300, text, classes, p_d, p_x)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=lr, weight_decay=1e-5)

    def tokens(self, x: Tensor, mask: Tensor, times: Tensor, which: int) -> Tensor:
        encoder = (self.a_enc, self.v_enc)[which]
        encoded = encoder(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        angle = (2 * math.pi * times[..., None]).expand(*times.shape, 2) @ self.frequencies
        code = self.modality.weight[which] + self.time(torch.cat([angle.sin(), angle.cos()], -1))
        code = code + self.padding.weight[0] * (~mask)[..., None]
        joined = torch.cat([encoded, code], -1).transpose(1, 2)
        return self.token_dropout(self.out[which](joined).transpose(1, 2))

    def sample(self, a, v, a_mask, v_mask, a_times, v_times) -> Tensor:
        x = torch.cat(
            [
                self.cls.expand(len(a), -1, -1),
                self.tokens(a / 255, a_mask, a_times, 0),
                self.tokens(F.normalize(v), v_mask, v_times, 1),
            ],
            1,
        )
        real = torch.cat([torch.ones_like(a_mask[:, :1]), a_mask, v_mask], 1)
        kind = torch.tensor([0] + [1] * a.shape[1] + [2] * v.shape[1])
        other = kind[:, None] != kind[None]
        other[0, 0] = True
        mask = real[:, :, None] & real[:, None, :] & other
        for layer in self.layers:
            x = layer(x, mask)
        return x[:, 0]

    def step(self, a, v, w, a_n, v_n, w_n, labels, a_mask, v_mask) -> None:
        a_times = torch.arange(a.shape[1]).expand(len(a), -1) * 0.96
        v_times = torch.arange(v.shape[1]).expand(len(v), -1) * 0.64
        o = self.sample(a, v, a_mask, v_mask, a_times, v_times)
        terms = self.heads.loss(o, w, labels, self.heads.classes)
        self.optimizer.zero_grad()
        sum(terms).backward()
        self.optimizer.step()
        [float(term.detach()) for term in terms]
        with torch.no_grad():  # for the log
            o = self.sample(a, v, a_mask, v_mask, a_times / 0.96, v_times / 0.64)
            self.heads.o_proj(o), self.heads.w_proj(w)


def padded(samples: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """TCaF's batch: everything padded to the longest, and the masks of the positives."""
    columns = list(zip(*samples))
    made = [
        pad_sequence(list(column), batch_first=True) if column[0].ndim == 2 else torch.stack(column)
        for column in columns
    ]
    masks = []
    for column in columns[:2]:
        lengths = torch.tensor([len(x) for x in column])
        masks.append(torch.arange(int(lengths.max()))[None] < lengths[:, None])
    return (*made, *masks)


def turns(model: nn.Module, pairs: Pairs, batch_size: int, steps: int, collate=None) -> Callable:
    """A function that trains for `steps` batches."""
    model.train()

    def turn() -> None:
        for batch in batches(pairs, batch_size, steps, collate):
            model.step(*batch)

    return turn
