"""The losses of critic and generator. Each touches its own parameters only."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.methods.f_vaegan_d2.network import FVAEGANNetwork


def critic_parts(
    network: FVAEGANNetwork, x: Tensor, text: Tensor, fake: Tensor, mix: Tensor, penalty: float
) -> dict[str, Tensor]:
    """`E[D(G)] - E[D(x)]` and `penalty * E[(|grad_u D(u)| - 1)^2]`, `u = mix x + (1 - mix) G`.

    Args:
        x, text: real features `[B, d]` and their class embeddings.
        fake: generated features `[B, d]`, taken as given.
        mix: `[B, 1]` in [0, 1].
        penalty: weight of the gradient penalty.
    """
    fake = fake.detach()
    with torch.enable_grad():
        between = (mix * x + (1 - mix) * fake).requires_grad_(True)
        (slope,) = torch.autograd.grad(
            network.critic(between, text).sum(), between, create_graph=True
        )
    return {
        "critic": network.critic(fake, text).mean() - network.critic(x, text).mean(),
        "penalty": penalty * (slope.norm(dim=1) - 1).square().mean(),
    }


def generator_parts(
    network: FVAEGANNetwork,
    x: Tensor,
    text: Tensor,
    fake: Tensor,
    noise: Tensor,
    adversarial_weight: float,
) -> dict[str, Tensor]:
    """`BCE(x', x) + KL`, summed over batch and coordinates, and `w (-E[D(x')] - E[D(G)])`.

    Args:
        x, text: real features `[B, d]` in [0, 1] and their class embeddings.
        fake: generated features `[B, d]`, with the generator's gradient.
        noise: `[B, noise_dim]`, of the reconstruction x'.
        adversarial_weight: w.
    """
    mean, log_variance = network.encoder(x, text)
    rebuilt = network.generator(mean + noise * (0.5 * log_variance).exp(), text)
    divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
    with torch.autocast(x.device.type, enabled=False):  # on a GPU autocast refuses this loss
        likeness = F.binary_cross_entropy(rebuilt.to(x.dtype), x, reduction="sum")
    critic = network.critic
    return {
        "vae": likeness + divergence,
        "adversarial": -adversarial_weight
        * (critic.frozen(rebuilt, text).mean() + critic.frozen(fake, text).mean()),
    }
