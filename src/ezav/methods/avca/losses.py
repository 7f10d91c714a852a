"""AVCA's five losses, each a plain sum of terms with weight 1 (equations 5 to 10 of the paper)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ezav.methods.avca.network import Embedded
from ezav.methods.common.losses import triplet


def loss_parts(
    positive: Embedded,
    negative: Embedded,
    text: Tensor,
    *,
    reconstructed: tuple[Tensor, Tensor] | None = None,
    additional_triplets: bool = True,
) -> dict[str, Tensor]:
    """The scalar parts of AVCA's loss; the total is their sum.

    Args:
        positive, negative: what `network(...)` returns.
        text: the positives' class embeddings `[B, text_dim]`, the target of reconstruction.
        reconstructed: what `network.reconstruct(...)` makes of the positives' `theta_a` and
            `theta_v`; None leaves the regression loss `l_reg` out.
        additional_triplets: with `l_t`, the triplets whose negative is of the anchor's modality.

    Returns:
        `reconstruction`, `decoded_triplets`, `triplets`, and where asked for
        `additional_triplets`, `regression`. Nothing is detached.
    """
    p, n = positive, negative
    mse = F.mse_loss
    parts = {
        # l_rec: all three are decoded to the class embedding.
        "reconstruction": mse(p.rho_v, text) + mse(p.rho_a, text) + mse(p.rho_w, text),
        # l_ct: triplets among the decoded.
        "decoded_triplets": triplet(p.rho_w, p.rho_a, n.rho_a) + triplet(p.rho_w, p.rho_v, n.rho_v),
        # l_w: text against the clips, and the clips against the texts.
        "triplets": (
            triplet(p.theta_w, p.theta_a, n.theta_a)
            + triplet(p.theta_w, p.theta_v, n.theta_v)
            + triplet(p.theta_a, p.theta_w, n.theta_w)
            + triplet(p.theta_v, p.theta_w, n.theta_w)
        ),
    }
    if additional_triplets:
        parts["additional_triplets"] = (
            triplet(p.theta_a, p.theta_w, n.theta_a)
            + triplet(p.theta_v, p.theta_w, n.theta_v)
            + triplet(p.theta_w, p.theta_a, n.theta_w)
            + triplet(p.theta_w, p.theta_v, n.theta_w)
        )
    if reconstructed is not None:
        phi_a, phi_v = reconstructed
        parts["regression"] = (
            mse(phi_v, p.phi_v)
            + mse(phi_a, p.phi_a)
            + mse(p.theta_v, p.theta_w)
            + mse(p.theta_a, p.theta_w)
        )
    return parts
