"""Names of the authors' weight files (`Multimodal_Sequence_Transformer_score.pt`)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ezav.methods.common.weights import rename

_EMBEDDER = "position_encoder_block."
# Registered twice in the authors' model, under two names with equal values.
_TWIN = "audiovisual_embeddings."

NAMES = {
    "cls_token": "class_token",
    "A_enc.fc.": "audio_tokens.encoder.",
    "V_enc.fc.": "visual_tokens.encoder.",
    "O_proj.fc.": "head.sample_projection.",
    "D_o.fc.": "head.sample_decoder.",
    "W_proj.fc.": "head.text_projection.",
    "D_w.fc.": "head.text_decoder.",
    f"{_EMBEDDER}fourier_randn": "time.frequencies",
    f"{_EMBEDDER}fourier_embeddings.": "time.linear.",
    f"{_EMBEDDER}out_proj_audio.": "audio_tokens.out.",
    f"{_EMBEDDER}out_proj_video.": "visual_tokens.out.",
}


def from_published(state: Mapping[str, Tensor], depth: int) -> dict[str, Tensor]:
    """The authors' state dict as one for `TCaFNetwork(..., depth=depth)`.

    Their padding vector is left out: it only reaches padded tokens, which nobody reads. Their
    kernel-1 convolutions are linear maps.

    Raises:
        EzavError: a parameter that TCaF does not have.
    """
    names = dict(NAMES)
    for i in range(depth):
        theirs, ours = f"Audio_visual_transformer.layers.{i}.", f"layers.{i}."
        names |= {
            f"{theirs}attn.to_q.": f"{ours}query.",
            f"{theirs}attn.to_k.": f"{ours}key.",
            f"{theirs}attn.to_v.": f"{ours}value.",
            f"{theirs}attn.to_out.": f"{ours}out.",
            f"{theirs}ff.net.": f"{ours}mlp.",
            f"{theirs}norm.": f"{ours}norm.",
        }
    modalities = f"{_EMBEDDER}modal_embedding.weight"
    ignored = (_TWIN, f"{_EMBEDDER}pad_embedding.", modalities)
    renamed = rename(state, names, ignored)
    if modalities in state:
        audio, visual = state[modalities]
        renamed["audio_tokens.modality"] = audio
        renamed["visual_tokens.modality"] = visual
    for name in ("audio_tokens.out.weight", "visual_tokens.out.weight"):
        if name in renamed:
            renamed[name] = renamed[name].squeeze(-1)  # [out, in, 1] -> [out, in]
    return renamed
