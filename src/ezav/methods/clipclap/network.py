"""ClipClap's network (Kurzendörfer et al., CVPR Workshops 2024): perceptrons on CLIP and CLAP."""

from __future__ import annotations

from torch import Tensor, nn

from ezav.methods.base import Dims
from ezav.methods.clipclap.config import NetworkConfig
from ezav.methods.common.alignment_head import AlignmentHead
from ezav.methods.common.embedding_net import EmbeddingNet


class ClipClapNetwork(nn.Module):
    """One encoder for the clip, one for the class text, TCaF's heads.

    `dims.visual` and `dims.audio` are those of the parts of a clip's vector, `[v ; a]`, and
    `dims.text` that of a class's: CLIP then CLAP text, or the part that is used.

    Example:
        >>> import torch
        >>> network = ClipClapNetwork(Dims(audio=3, visual=5, text=9), NetworkConfig(dim=4)).eval()
        >>> theta_o, theta_w = network.embed(torch.ones(2, 8), torch.ones(5, 9))
        >>> theta_o.shape, theta_w.shape
        (torch.Size([2, 64]), torch.Size([5, 64]))
    """

    def __init__(self, dims: Dims, config: NetworkConfig) -> None:
        super().__init__()
        dim, dropout = config.dim, config.encoder_dropout
        self.sample_encoder = EmbeddingNet(dims.visual + dims.audio, dim, dropout=dropout)
        self.text_encoder = EmbeddingNet(dims.text, dim, dropout=dropout)
        self.head = AlignmentHead(
            dim,
            dim,
            hidden_dim=config.hidden_dim,
            out_dim=config.out_dim,
            dropout=config.decoder_dropout,
            text_dropout=config.text_dropout,
        )

    def loss_parts(
        self,
        sample: Tensor,
        class_text: Tensor,
        labels: Tensor,
        detach_target: bool = False,
    ) -> dict[str, Tensor]:
        """TCaF's three losses; the decoders aim at the ENCODED text u.

        u is learned along with its target role: it can move towards the decoders. `detach_target`
        stops that.

        Args:
            sample: `[B, sample_dim]`.
            class_text: `[C, text_dim]`, the training classes.
            labels: long `[B]`.
        """
        # The batch's texts and the table of classes pass BatchNorm as batches of their own.
        encoded_text = self.text_encoder(class_text[labels])  # u: [B, dim]
        encoded_sample = self.sample_encoder(sample)
        return self.head.loss_parts(
            encoded_sample,
            encoded_text,
            self.text_encoder(class_text),
            labels,
            target=encoded_text.detach() if detach_target else encoded_text,
        )

    def embed(self, sample: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """`[N, sample_dim]` and `[C, text_dim]` to theta_o and theta_w, in the shared space."""
        return self.head.embed(self.sample_encoder(sample), self.text_encoder(text))
