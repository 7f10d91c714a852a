"""C3D and VGGish, written out here: shapes, names and preprocessing of the published models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ezav.encoders.c3d import c3d_features, c3d_network
from ezav.encoders.registry import load_audio, load_visual
from ezav.encoders.vggish import log_mel_patch, vggish_features, vggish_network
from ezav.errors import EzavError
from ezav.media.clip import Frames, Waveform

SMALL = (2, 3, 2, 2, 3, 3, 2, 2)


def random_state(net: nn.Module, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(value.shape, generator=generator) * 0.3
        for name, value in net.state_dict().items()
    }


def test_c3d_has_the_published_sizes() -> None:
    with torch.device("meta"):
        net = c3d_network()
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    assert shapes["conv1.weight"] == (64, 3, 3, 3, 3)
    assert shapes["conv5b.weight"] == (512, 512, 3, 3, 3)
    assert shapes["fc6.weight"] == (4096, 8192)
    # 78.41 million parameters are reported for the network with 101 classes.
    total = sum(value.numel() for value in net.state_dict().values())
    assert total + 4096 * 101 + 101 == pytest.approx(78.41e6, rel=1e-4)


def c3d_file(path: Path, names: str = "conversion", classifier: bool = True) -> Path:
    state = random_state(c3d_network(SMALL, hidden=6))
    if classifier:
        state |= {"fc8.weight": torch.zeros(487, 6), "fc8.bias": torch.zeros(487)}
    if names == "authors":
        theirs = {"conv1": "conv1a", "conv2": "conv2a"}
        theirs |= {name: f"{name}-1" for name in ("fc6", "fc7", "fc8")}
        state = {
            ".".join([theirs.get(k.split(".")[0], k.split(".")[0]), k.split(".")[1]]): v
            for k, v in state.items()
        }
    torch.save(state, path)
    return path


def video(frames: int, seed: int = 0) -> Frames:
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 256, (frames, 40, 60, 3), dtype=np.uint8)
    return Frames(images, (np.arange(frames) + 0.5) / 16)


def test_c3d_end_to_end(tmp_path: Path) -> None:
    path = c3d_file(tmp_path / "c3d.pth")
    encoder = load_visual("c3d", source=path)
    clips = [video(33), video(5, seed=1)]
    together = encoder.encode(clips)
    assert [e.values.shape for e in together] == [(2, 6), (1, 6)]
    assert encoder.card.dimension == 6
    assert encoder.card.source == "c3d.pth"
    for clip, expected in zip(clips, together):
        (alone,) = encoder.encode([clip])
        np.testing.assert_allclose(alone.values, expected.values, rtol=1e-5)
    authors = load_visual("c3d", source=c3d_file(tmp_path / "a.pth", "authors"))
    np.testing.assert_array_equal(authors.encode(clips)[0].values, together[0].values)
    fc7 = load_visual("c3d", source=path, layer="fc7").encode(clips[1:])[0].values
    state = torch.load(path, weights_only=True)
    by_hand = np.maximum(
        together[1].values @ state["fc7.weight"].numpy().T + state["fc7.bias"].numpy(), 0
    )
    np.testing.assert_allclose(fc7, by_hand, rtol=1e-4, atol=1e-3)


def test_c3d_reads_bgr_around_the_mean(tmp_path: Path) -> None:
    path = c3d_file(tmp_path / "c3d.pth")
    images = np.zeros((16, 128, 171, 3), np.uint8)
    images[...] = (102, 98, 90)  # the mean colour, as RGB
    found = load_visual("c3d", source=path).encode([Frames(images, np.arange(16) / 16)])[0]
    net = c3d_network(SMALL, hidden=6)
    net.load_state_dict(
        {k: v for k, v in torch.load(path, weights_only=True).items() if "fc8" not in k}
    )
    expected = c3d_features(net, torch.zeros(1, 3, 16, 112, 112), "fc6")
    np.testing.assert_allclose(found.values, expected.detach().numpy(), atol=1e-5)
    # A blue that is 20 above the mean is in the first channel of the network's input.
    images[..., 2] += 20
    found = load_visual("c3d", source=path).encode([Frames(images, np.arange(16) / 16)])[0]
    blue = torch.zeros(1, 3, 16, 112, 112)
    blue[:, 0] = 20
    np.testing.assert_allclose(
        found.values, c3d_features(net, blue, "fc6").detach().numpy(), rtol=1e-4, atol=1e-3
    )


def test_c3d_pools_as_caffe_does() -> None:
    """Windows begin at every second pixel; the last of 7 is a window of its own."""
    net = c3d_network((1,) * 8, hidden=16)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            parameter.zero_()
            if name.startswith("conv") and name.endswith("weight"):
                parameter[0, 0, 1, 1, 1] = 1.0  # each convolution passes its input on
        net.fc6.weight.copy_(torch.eye(16))
    clip = torch.zeros(1, 3, 16, 112, 112)
    clip[:, 0] = torch.rand(112, 112, generator=torch.Generator().manual_seed(0))
    seen = clip[0, 0, 0].numpy()
    by_hand = [
        seen[32 * row : 32 * row + 32, 32 * column : 32 * column + 32].max()
        for row in range(4)
        for column in range(4)
    ]
    found = c3d_features(net, clip, "fc6").detach().numpy()[0]
    np.testing.assert_allclose(found, by_hand, rtol=1e-6)


def test_weight_files_are_checked(tmp_path: Path) -> None:
    state = random_state(c3d_network(SMALL, hidden=6))
    del state["conv3b.weight"]
    torch.save(state, tmp_path / "lost.pth")
    with pytest.raises(EzavError, match=r"missing weights conv3b\.weight"):
        load_visual("c3d", source=tmp_path / "lost.pth")
    torch.save({"conv1.weight": "not a tensor"}, tmp_path / "odd.pth")
    with pytest.raises(EzavError, match="does not hold named tensors"):
        load_visual("c3d", source=tmp_path / "odd.pth")
    torch.save(nn.Linear(1, 1), tmp_path / "code.pth")
    with pytest.raises(EzavError, match="cannot read weights"):
        load_visual("c3d", source=tmp_path / "code.pth")
    with pytest.raises(EzavError, match="needs its weight file"):
        load_visual("c3d")
    with pytest.raises(EzavError, match="no layer 'fc9'"):
        load_visual("c3d", source=tmp_path / "odd.pth", layer="fc9")


# ---- VGGish


def test_vggish_has_the_published_sizes() -> None:
    with torch.device("meta"):
        net = vggish_network()
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    assert shapes["features.0.weight"] == (64, 1, 3, 3)
    assert shapes["features.13.weight"] == (512, 512, 3, 3)
    assert shapes["embeddings.0.weight"] == (4096, 12_288)
    assert shapes["embeddings.4.weight"] == (128, 4096)
    convolutions = {name for name in shapes if name.startswith("features")}
    assert {name.split(".")[1] for name in convolutions} == {"0", "3", "6", "8", "11", "13"}


def test_vggish_end_to_end(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    net = vggish_network((2, 3, 2, 2, 3, 3), hidden=5, dimension=4)
    state = random_state(net)
    state["embeddings.4.bias"] = torch.full((4,), 5.0)  # most entries above the last ReLU
    save_file(state, tmp_path / "vggish.safetensors")
    net.load_state_dict(state)
    encoder = load_audio("vggish", source=tmp_path / "vggish.safetensors")
    samples = np.random.default_rng(0).normal(0, 0.1, 16_000 * 3).astype(np.float32)
    (found,) = encoder.encode([Waveform(samples, 16_000, start=2.0)])
    assert found.values.shape == (3, 4)
    np.testing.assert_allclose(found.times, [2.48, 3.44, 4.4], atol=1e-3)
    # The first 0.96 s and the 15 ms that complete the last frame.
    patch = torch.from_numpy(log_mel_patch(samples[: 15_360 + 240]))[None]
    expected = vggish_features(net, patch).detach().numpy()
    np.testing.assert_allclose(found.values[:1], expected, atol=1e-4)
    (short,) = encoder.encode([Waveform(samples[:100], 16_000)])
    assert short.values.shape == (1, 4)


def test_vggish_flattens_time_band_channel() -> None:
    """The authors' layers keep channels last; the first linear layer sees that order."""
    net = vggish_network((1, 1, 1, 1, 1, 2), hidden=1, dimension=1)
    seen = []
    net.embeddings.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))  # type: ignore[union-attr]
    patches = torch.randn(1, 96, 64, generator=torch.Generator().manual_seed(0))
    vggish_features(net, patches)
    maps = net.features(patches[:, None])  # type: ignore[operator]
    assert maps.shape == (1, 2, 6, 4)
    by_hand = [maps[0, c, t, f] for t in range(6) for f in range(4) for c in range(2)]
    torch.testing.assert_close(seen[0][0], torch.stack(by_hand))


def test_log_mel_patch_equals_the_authors_recipe() -> None:
    """Magnitudes, 64 HTK bands between 125 and 7500 Hz, log with an offset of 0.01."""
    from transformers.audio_utils import mel_filter_bank, spectrogram

    samples = np.random.default_rng(1).normal(0, 0.1, 15_600).astype(np.float32)
    filters = mel_filter_bank(
        257, 64, 125.0, 7500.0, 16_000, norm=None, mel_scale="htk", triangularize_in_mel_space=True
    )
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    expected = spectrogram(
        samples, window, 400, 160, fft_length=512, power=1.0, center=False, mel_filters=filters
    )
    expected = np.log(np.maximum(expected, 0) + 0.01).T
    np.testing.assert_allclose(log_mel_patch(samples), expected[:96], atol=1e-3)
