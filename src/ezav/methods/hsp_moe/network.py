"""HSP-MoE's network: ClipClap's, on the unit sphere, with a mixture of experts beside it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ezav.methods.base import Dims
from ezav.methods.clipclap.network import ClipClapNetwork
from ezav.methods.common.alignment_head import agreement
from ezav.methods.common.scoring import negative_distance
from ezav.methods.hsp_moe.config import HspMoeConfig
from ezav.methods.hsp_moe.fusion import FrozenFusion
from ezav.methods.hsp_moe.losses import distribution, radii, relation, uniformity, unit
from ezav.methods.hsp_moe.mixture import Mixture


class HspMoeNetwork(ClipClapNetwork):
    """Clips and classes as directions: t_w of a class, and of a clip t_o mixed with the experts'.

    Example:
        >>> import torch
        >>> dims = Dims(audio=3, visual=5, text=8)
        >>> network = HspMoeNetwork(dims, HspMoeConfig(dim=4)).eval()
        >>> network.scores(torch.ones(2, 8), torch.ones(6, 8)).shape
        torch.Size([2, 6])
    """

    def __init__(self, dims: Dims, config: HspMoeConfig) -> None:
        super().__init__(dims, config)
        self.config = config
        self.mixture = Mixture(
            dims.visual,
            dims.audio,
            out_dim=config.out_dim,
            dropout=config.expert_dropout,
            temperature=config.router_temperature,
        )
        self.fusion = FrozenFusion(config.frozen_share, config.released_frozen_scale)

    def directions(self, theta_o: Tensor, sample: Tensor) -> Tensor:
        """A clip's direction s `[B, d]`: that of theta_o `[B, d]`, mixed with the experts'."""
        share = self.config.expert_share if self.config.spherical else 0.0
        if share == 0:
            return unit(theta_o)
        return unit((1 - share) * unit(theta_o) + share * self.mixture(sample))

    def loss_parts(
        self,
        sample: Tensor,
        class_text: Tensor,
        labels: Tensor,
        detach_target: bool = False,
    ) -> dict[str, Tensor]:
        """ClipClap's three losses, the first by cosines, and the three weak ones, weighted.

        Args:
            sample: `[B, sample_dim]`.
            class_text: `[C, text_dim]`, the training classes.
            labels: long `[B]`.
            detach_target: see :class:`ClipClapNetwork`.
        """
        config = self.config
        # The batch's texts and the table of classes pass BatchNorm as batches of their own.
        u = self.text_encoder(class_text[labels])
        theta_o, theta_w, rho_o, rho_w = self.head(self.sample_encoder(sample), u)
        theta_c = self.head.text_projection(self.text_encoder(class_text))
        clips, classes, frozen = self.directions(theta_o, sample), unit(theta_c), unit(sample)
        if config.spherical:
            scaled = clips * radii(theta_o, config.radial) if config.radial else clips
            known = classes * radii(theta_c, config.radial) if config.radial else classes
            logits = scaled @ known.T / config.temperature
        else:
            logits = theta_o @ theta_c.T
        as_far_as = frozen if config.uniformity_mode == "preserve" else None
        hup = uniformity(clips, labels, as_far_as, config.uniformity_all_pairs)
        parts = {
            "cross_entropy": F.cross_entropy(logits, labels),
            **agreement(theta_o, theta_w, rho_o, rho_w, u.detach() if detach_target else u),
            "relation": config.relation_weight * relation(clips, frozen),
            "uniformity": config.uniformity_weight * hup,
        }
        if config.distribution_weight > 0:
            teacher = frozen @ unit(class_text).T
            dp = distribution(clips, classes, teacher, config.distribution_temperature)
            parts["distribution"] = config.distribution_weight * dp
        if self.training and config.frozen_share > 0:
            matched = (clips, classes) if config.spherical else (theta_o, theta_c)
            learned = negative_distance(*(one.detach() for one in matched))
            self.fusion.observe(learned, frozen_scores(sample, class_text))
        return parts

    def embed(self, sample: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """`[N, sample_dim]` and `[C, text_dim]` to what is matched of clips and of classes."""
        theta_o, theta_w = super().embed(sample, text)
        if not self.config.spherical:
            return theta_o, theta_w
        return self.directions(theta_o, sample), unit(theta_w)

    def scores(self, sample: Tensor, text: Tensor) -> Tensor:
        """Minus the fused distances, `[N, C]`."""
        learned = negative_distance(*self.embed(sample, text))
        if self.config.frozen_share == 0:
            return learned
        fused: Tensor = self.fusion(learned, frozen_scores(sample, text))
        return fused


def frozen_scores(sample: Tensor, text: Tensor) -> Tensor:
    """`-|x - w|` of features and texts at length 1, `[N, C]`: what needs no training."""
    return negative_distance(unit(sample), unit(text))
