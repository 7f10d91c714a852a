"""PE-AV (Perception Encoder Audio-Visual): video, sound and text in one space."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ezav.encoders.base import EncoderCard, MediaNeeds
from ezav.encoders.loading import Source, load_pretrained, load_tokenizer
from ezav.encoders.registry import Entry
from ezav.encoders.text_towers import NeuralText, tokenized
from ezav.encoders.towers import SoundEncoder, VideoEncoder
from ezav.errors import EzavError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

VISUAL = EncoderCard(
    name="pe-av",
    kind="visual",
    dimension=1024,
    needs=MediaNeeds(fps=8, short_side=336),
    source="facebook/pe-av-large",
    revision="0d24878d4107d64bef49e53602fc34ce6f94f6d8",
    licence="Apache-2.0",
    trained_on=(
        "web video with synthetic captions (not published)",
        "Kinetics-400",
        "Kinetics-700",
        "VGGSound",
        "ActivityNet Captions",
        "HMDB51",
        "AudioCaps",
    ),
    space="pe-av",
    notes="one token a window of window_frames frames; its picture tower needs the package timm",
)
AUDIO = VISUAL.but(
    kind="audio",
    needs=MediaNeeds(sample_rate=48_000),
    notes="one token a window of up to 10 s; the model's picture tower needs the package timm",
)
TEXT = VISUAL.but(
    kind="text",
    needs=MediaNeeds(),
    templates=("{}",),
    notes="target= chooses the text head: audio_video, audio or video",
)


_LONGEST = 512  # tokens that the text tower reads


def _load(source: Source, device: str) -> Any:
    return load_pretrained("PeAudioVideoModel", source, device=device)


class PeAvVisual(VideoEncoder):
    """The video tower's vector in the shared space.

    Args:
        window_frames: frames a window.
    """

    def __init__(
        self, card: EncoderCard, *arguments: Any, window_frames: int = 16, **options: Any
    ) -> None:
        super().__init__(card, *arguments, **options)
        self._length = self._at_least_one(window_frames)
        self._model = _load(self.source, self._device)
        self._learn_dimension(self._model.config.text_config.hidden_size)

    def _embed(self, batch: list[Any]) -> Tensor:
        tower = self._model.video_model
        vectors: Tensor = tower.video_head(tower.video_encoder(self._stacked(batch)).pooler_output)
        return vectors


class PeAvAudio(SoundEncoder):
    """The audio tower's vector in the shared space."""

    longest = 10.0

    def __init__(self, card: EncoderCard, *arguments: Any, **options: Any) -> None:
        super().__init__(card, *arguments, **options)
        self._model = _load(self.source, self._device)
        dac = self._model.config.audio_video_config.audio_config.dac_config
        self._hop = int(dac.hop_length)
        self._learn_dimension(self._model.config.text_config.hidden_size)

    def _embed(self, batch: list[np.ndarray]) -> Tensor:
        import torch

        # One by one: padded in a batch, a sound's last frames would see the padding.
        return torch.cat([self._one(samples) for samples in batch])

    def _one(self, samples: np.ndarray) -> Tensor:
        import numpy as np
        import torch

        # Reflected to whole frames, as the model's own feature extractor does.
        whole = np.pad(samples, (0, -len(samples) % self._hop), mode="reflect")
        tower = self._model.audio_model
        sound = torch.from_numpy(whole)[None, None].to(self._device)
        vectors: Tensor = tower.audio_head(tower.audio_encoder(sound).pooler_output)
        return vectors


class PeAvText(NeuralText):
    """The text tower through the head of one target.

    Args:
        target: "audio_video", "audio" or "video": what the text is compared with.
    """

    def __init__(
        self,
        card: EncoderCard,
        source: str | Path | None = None,
        revision: str | None = None,
        target: str = "audio_video",
        **options: Any,
    ) -> None:
        super().__init__(card, source, revision, **options)
        model = _load(self.source, self._device)
        heads = {
            "audio_video": model.text_audio_video_head,
            "audio": model.audio_model.text_audio_head,
            "video": model.video_model.text_video_head,
        }
        if target not in heads:
            raise EzavError(f"PE-AV has no text head '{target}'", f"there are {', '.join(heads)}")
        self._text, self._head = model.text_model, heads[target]
        self._tokenizer = load_tokenizer(self.source)
        self._longest = _LONGEST
        self._learn_dimension(model.config.text_config.hidden_size)

    def _embed(self, batch: list[str]) -> Tensor:
        tokens = tokenized(self._tokenizer, batch, self._device, max_length=self._longest)
        output = self._text(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            output_hidden_states=True,
        )
        vectors: Tensor = self._head(output.hidden_states[-1][:, 0])
        return vectors


ENCODERS = (Entry(VISUAL, PeAvVisual), Entry(AUDIO, PeAvAudio), Entry(TEXT, PeAvText))
