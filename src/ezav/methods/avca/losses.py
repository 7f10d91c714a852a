"""AVCA's five losses, each a plain sum of terms with weight 1 (equations 5 to 10 of the paper)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.methods.avca.network import Embedded

MARGIN = 1.0


def loss_parts(
    embedded: Embedded,
    text: Tensor,
    *,
    reconstructed: tuple[Tensor, Tensor] | None = None,
    additional_triplets: bool = True,
) -> dict[str, Tensor]:
    """The scalar parts of AVCA's loss; the total is their sum.

    Args:
        embedded: what `network(...)` returns.
        text: the clips' class embeddings `[B, text_dim]`, the target of reconstruction.
        reconstructed: what `network.reconstruct(...)` makes of the clips' `theta_a` and
            `theta_v`; None leaves the regression loss `l_reg` out.
        additional_triplets: with `l_t`, the triplets whose negative is of the anchor's modality.

    Returns:
        `reconstruction`, `decoded_triplets`, `triplets`, and where asked for
        `additional_triplets`, `regression`. Nothing is detached.
    """
    e = embedded
    # Both modalities at once: [B, 2 (audio, visual), 2 (clip, negative), d].
    theta = torch.stack([e.theta_a, e.theta_v], dim=1)
    rho = torch.stack([e.rho_a, e.rho_v], dim=1)
    clip, other = theta.unbind(dim=2)
    word, other_word = (w[:, None] for w in e.theta_w.unbind(dim=1))
    decoded_word = e.rho_w[:, :1]
    word_to_clip, clip_to_word = _distance(word, clip), _distance(clip, word)  # [B, 2]
    parts = {
        # l_rec: all three are decoded to the class embedding.
        "reconstruction": F.mse_loss(e.rho_w[:, 0], text)
        + 2 * F.mse_loss(rho[:, :, 0], text[:, None].expand(-1, 2, -1)),
        # l_ct: triplets among the decoded.
        "decoded_triplets": _hinges(
            _distance(decoded_word, rho[:, :, 0]), _distance(decoded_word, rho[:, :, 1])
        ),
        # l_w: text against the clips, and the clips against the texts.
        "triplets": _hinges(word_to_clip, _distance(word, other))
        + _hinges(clip_to_word, _distance(clip, other_word)),
    }
    if additional_triplets:
        parts["additional_triplets"] = _hinges(clip_to_word, _distance(clip, other)) + _hinges(
            word_to_clip, _distance(word, other_word)
        )
    if reconstructed is not None:
        phi_a, phi_v = reconstructed
        parts["regression"] = (
            F.mse_loss(phi_v, e.phi_v[:, 0])
            + F.mse_loss(phi_a, e.phi_a[:, 0])
            + 2 * F.mse_loss(clip, word.expand_as(clip))
        )
    return parts


def _distance(x: Tensor, y: Tensor) -> Tensor:
    """`|x - y + eps|` over the last dimension, as in torch's triplet loss."""
    return torch.pairwise_distance(x, y)


def _hinges(near: Tensor, far: Tensor) -> Tensor:
    """`max(0, near - far + 1)` of `[B, 2]`: the mean over clips, the sum over modalities."""
    return (near - far + MARGIN).clamp(min=0).mean(dim=0).sum()
