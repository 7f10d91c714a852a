"""ClipClap's network (Kurzendörfer et al., CVPR Workshops 2024): perceptrons on CLIP and CLAP."""

from __future__ import annotations

from torch import Tensor, nn

from ezav.methods.common.alignment_head import AlignmentHead
from ezav.methods.common.embedding_net import EmbeddingNet
from ezav.methods.common.scoring import negative_distance


class ClipClapNetwork(nn.Module):
    """One encoder for the clip, one for the class text, TCaF's heads.

    Args:
        sample_dim: size of a clip's vector, visual then audio (512 + 1024).
        text_dim: size of a class's vector, CLIP then CLAP text (512 + 1024).
        dim: size of encoded clips and texts (512).
        hidden_dim, out_dim: of the heads (512, 64).
        encoder_dropout: of the two encoders (0.1).
        decoder_dropout, text_dropout: of the heads (0.1).

    Example:
        >>> import torch
        >>> network = ClipClapNetwork(8, 9, dim=4).eval()
        >>> network.scores(torch.ones(2, 8), torch.ones(5, 9)).shape
        torch.Size([2, 5])
    """

    def __init__(
        self,
        sample_dim: int,
        text_dim: int,
        *,
        dim: int = 512,
        hidden_dim: int = 512,
        out_dim: int = 64,
        encoder_dropout: float = 0.1,
        decoder_dropout: float = 0.1,
        text_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.sample_encoder = EmbeddingNet(sample_dim, dim, dropout=encoder_dropout)
        self.text_encoder = EmbeddingNet(text_dim, dim, dropout=encoder_dropout)
        self.head = AlignmentHead(
            dim,
            dim,
            hidden_dim=hidden_dim,
            out_dim=out_dim,
            dropout=decoder_dropout,
            text_dropout=text_dropout,
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

    def scores(self, sample: Tensor, class_text: Tensor) -> Tensor:
        """`-|theta_o - theta_w|`, `[N, C]`."""
        return negative_distance(*self.embed(sample, class_text))
