"""f-VAEGAN-D2's networks (Xian et al., CVPR 2019): a VAE and a critic that share the generator."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ezav.methods.base import Dims
from ezav.methods.f_vaegan_d2.config import FVAEGANConfig


class Encoder(nn.Module):
    """Features and class to mean and log-variance of the noise, `[B, noise_dim]` each."""

    def __init__(self, dim: int, text_dim: int, hidden_dim: int, noise_dim: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(dim + text_dim, hidden_dim), nn.ReLU())
        self.mean = nn.Linear(hidden_dim, noise_dim)
        self.log_variance = nn.Linear(hidden_dim, noise_dim)

    def forward(self, x: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.hidden(torch.cat([x, text], dim=1))
        return self.mean(hidden), self.log_variance(hidden)


class Generator(nn.Module):
    """Noise and class to features in (0, 1), `[..., noise_dim], [..., text_dim] -> [..., dim]`."""

    def __init__(self, dim: int, text_dim: int, hidden_dim: int, noise_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(noise_dim + text_dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, dim),
            nn.Sigmoid(),
        )

    def forward(self, noise: Tensor, text: Tensor) -> Tensor:
        made: Tensor = self.layers(torch.cat([noise, text], dim=-1))
        return made


class Critic(nn.Module):
    """How real features look for a class, `[B]`."""

    def __init__(self, dim: int, text_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(dim + text_dim, hidden_dim), nn.LeakyReLU(0.2), nn.Linear(hidden_dim, 1)
        )
        for layer in (self.layers[0], self.layers[2]):
            assert isinstance(layer, nn.Linear)
            nn.init.normal_(layer.weight, 0.0, 0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        judged: Tensor = self.layers(torch.cat([x, text], dim=1))
        return judged.squeeze(1)

    def frozen(self, x: Tensor, text: Tensor) -> Tensor:
        """The same, with a gradient to `x` but none to the critic."""
        fixed = {name: parameter.detach() for name, parameter in self.named_parameters()}
        judged: Tensor = functional_call(self, fixed, (x, text))
        return judged


class FVAEGANNetwork(nn.Module):
    """Encoder, generator (the VAE's decoder) and the conditional critic.

    Example:
        >>> network = FVAEGANNetwork(Dims(audio=3, visual=4, text=5), FVAEGANConfig(noise_dim=6))
        >>> network.generator(torch.ones(2, 6), torch.ones(2, 5)).shape
        torch.Size([2, 7])
    """

    def __init__(self, dims: Dims, config: FVAEGANConfig) -> None:
        super().__init__()
        dim, text_dim = dims.visual + dims.audio, dims.text
        noise_dim, hidden_dim = config.noise_dim, config.hidden_dim
        # The encoder's hidden size is the noise's, as in the authors' code.
        self.encoder = Encoder(dim, text_dim, noise_dim, noise_dim)
        self.generator = Generator(dim, text_dim, hidden_dim, noise_dim)
        self.critic = Critic(dim, text_dim, hidden_dim)
