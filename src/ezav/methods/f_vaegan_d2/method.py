"""f-VAEGAN-D2: generate features of unseen classes, then classify."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ezav.features.tokens import Tokens
from ezav.methods.base import Batch, Dims, Loss, Method
from ezav.methods.common.card import Card
from ezav.methods.common.joint_input import JointInput
from ezav.methods.common.losses import summed
from ezav.methods.f_vaegan_d2.classifier import fit_softmax
from ezav.methods.f_vaegan_d2.config import FVAEGANConfig
from ezav.methods.f_vaegan_d2.losses import critic_parts, generator_parts
from ezav.methods.f_vaegan_d2.network import FVAEGANNetwork


class FVAEGAND2(Method):
    """A VAE and a Wasserstein GAN make features from class embeddings; a softmax classifies.

    Training is one loss whose critic part moves the critic only and whose generator part moves
    encoder and generator only. The classifier is fitted when scores are asked for: on real examples
    of training classes and generated ones of all others.
    """

    Config = FVAEGANConfig
    config: FVAEGANConfig
    low_: Tensor
    high_: Tensor
    classes_: Tensor
    examples_: Tensor
    steps_: Tensor
    card: ClassVar[Card] = Card(
        title="f-VAEGAN-D2",
        paper="Xian, Sharma, Schiele, Akata, CVPR 2019",
        year=2019,
        parity="naive formulations; the classifier against autograd",
    )

    def __init__(self, config: FVAEGANConfig, dims: Dims) -> None:
        super().__init__(config, dims)
        self.input = JointInput(
            dims.visual, dims.audio, "joint" if config.scaling == "length" else "none"
        )
        dim = self.input.dim
        self.network = FVAEGANNetwork(dims, config)
        self.register_buffer("low_", torch.zeros(dim))
        self.register_buffer("high_", torch.ones(dim))
        # The training classes and real examples of each; their number is known in `prepare`.
        self.register_buffer("classes_", torch.zeros(0, dims.text))
        self.register_buffer("examples_", torch.zeros(0, config.real_per_class, dim))
        self.register_buffer("steps_", torch.zeros((), dtype=torch.long))
        self._classifier: tuple[Tensor, Tensor, Tensor] | None = None

    def prepare(self, audio: Tokens, visual: Tokens, labels: Tensor, classes: Tensor) -> None:
        """Learn the features' range and keep real examples of the training classes."""
        self._classifier = None
        self.input.fit(audio, visual)
        x = self.input(audio, visual)
        if self.config.scaling == "minmax":
            self.low_, self.high_ = x.amin(dim=0), x.amax(dim=0)
        self.classes_ = classes.clone()
        x = self.features(audio, visual)
        kept = []
        for label in range(len(classes)):
            own = (labels == label).nonzero().squeeze(1)
            # A draw of its own: what is kept of a class depends on its clips alone.
            generator = torch.Generator().manual_seed(0)
            draw = torch.randint(len(own), (self.config.real_per_class,), generator=generator)
            kept.append(x[own[draw.to(own.device)]])
        self.examples_ = torch.stack(kept)

    def features(self, audio: Tokens, visual: Tokens) -> Tensor:
        """Clips as features in [0, 1], `[B, d]`; beyond the training range they are cut off."""
        x: Tensor = self.input(audio, visual)
        span = (self.high_ - self.low_).clamp(min=1e-8)
        return ((x - self.low_) / span).clamp(0, 1)

    def loss(self, batch: Batch) -> Loss:
        """The critic's loss and, once in `critic_steps` batches, the generator's."""
        config, network = self.config, self.network
        self._classifier = None  # a step may follow
        x = self.features(batch.audio, batch.visual)
        text = batch.class_embeddings[batch.labels]
        noise = torch.randn(len(x), config.noise_dim, device=x.device)
        fake = network.generator(noise, text)
        mix = torch.rand(len(x), 1, device=x.device)
        parts = critic_parts(network, x, text, fake, mix, config.penalty)
        if self.steps_ % config.critic_steps == 0:
            latent = torch.randn(len(x), config.noise_dim, device=x.device)
            parts |= generator_parts(network, x, text, fake, latent, config.adversarial_weight)
        if self.training:
            self.steps_ += 1
        return summed(parts)

    def scores(self, audio: Tokens, visual: Tokens, class_embeddings: Tensor) -> Tensor:
        """Logits of the classifier, `[N, C]`."""
        weight, bias = self._fitted(class_embeddings)
        return F.normalize(self.features(audio, visual), dim=1) @ weight.T + bias

    @torch.no_grad()
    def _fitted(self, class_embeddings: Tensor) -> tuple[Tensor, Tensor]:
        # Scores come in blocks of clips: the classifier is kept until training goes on or the
        # classes change. (A parameter's version says nothing: fused Adam does not raise it.)
        kept = self._classifier
        if kept is not None and torch.equal(kept[0], class_embeddings):
            return kept[1], kept[2]
        examples = F.normalize(self.examples(class_embeddings), dim=2)
        weight, bias = fit_softmax(
            examples,
            epochs=self.config.classifier_epochs,
            rows=self.config.synthetic_per_class,
            learning_rate=self.config.classifier_rate,
        )
        self._classifier = (class_embeddings.clone(), weight, bias)
        return weight, bias

    @torch.no_grad()
    def examples(self, class_embeddings: Tensor) -> Tensor:
        """Examples of each class, `[C, n, d]`: real ones of training classes, else generated.

        All classes are generated from the same noise, so their order does not matter.
        """
        number = self.config.synthetic_per_class
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(number, self.config.noise_dim, generator=generator)
        noise = noise.to(class_embeddings.device)
        made = []
        for text in class_embeddings:
            known = (self.classes_ - text).abs().amax(dim=1) < 1e-6
            if known.any():
                real = self.examples_[known.nonzero()[0, 0]]
                made.append(real[torch.arange(number, device=real.device) % len(real)])
            else:
                made.append(self.network.generator(noise, text.expand(number, -1)))
        return torch.stack(made)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All parameters, with the authors' betas for Adam."""
        return [{**group, "betas": (0.5, 0.999)} for group in super().parameter_groups()]

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        # The number of training classes is only known from the file.
        for name in ("classes_", "examples_"):
            saved = state_dict.get(prefix + name)
            if saved is not None:
                setattr(self, name, getattr(self, name).new_empty(saved.shape))
        self._classifier = None
        super()._load_from_state_dict(state_dict, prefix, *rest)


METHOD = FVAEGAND2
