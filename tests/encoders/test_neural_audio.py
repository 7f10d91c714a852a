"""Audio networks, end to end on tiny random checkpoints of their architectures."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ezav.encoders.base import AudioEncoder
from ezav.encoders.loading import Source, load_pretrained
from ezav.encoders.registry import load_audio
from ezav.errors import EzavError
from ezav.media.clip import Waveform
from tests.encoders import checkpoints

# name: (checkpoint, dimension, options, seconds a token)
FAMILIES: dict[str, tuple[Callable[[Path], Path], int, dict[str, Any], float]] = {
    "clap": (checkpoints.clap, 12, {"window": 1.0}, 1.0),
    "clap fused": (lambda f: checkpoints.clap(f, fused=True), 12, {"window": 1.0}, 1.0),
    "ast": (checkpoints.ast, 16, {"window": 0.5}, 0.5),
    "wav2vec2": (lambda f: checkpoints.speech(f, "Wav2Vec2"), 16, {"token": 0.5}, 0.5),
    "wavlm": (lambda f: checkpoints.speech(f, "WavLM"), 16, {"token": 0.5}, 0.5),
    "whisper": (checkpoints.whisper, 16, {"token": 0.5}, 0.5),
    "pe-av": (checkpoints.pe_av, 16, {"window": 0.5}, 0.5),
}


@pytest.fixture(autouse=True)
def _picture_tower(monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints.vit_for_timm(monkeypatch)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = FAMILIES[name][0](tmp_path_factory.mktemp(re.sub("[- ]", "", name)))
        return made[name]

    return folder


def tone(hertz: float, seconds: float, rate: int, start: float = 0.0) -> Waveform:
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(int(hertz)).normal(0, 0.05, len(time))
    samples = 0.5 * np.sin(2 * np.pi * hertz * time) + noise
    return Waveform(samples.astype(np.float32), rate, start)


@pytest.mark.parametrize("name", FAMILIES)
def test_audio_family(name: str, folders: Callable[[str], Path]) -> None:
    _, dimension, options, token = FAMILIES[name]
    kind = name.split()[0]
    encoder = load_audio(kind, source=folders(name), **options)
    assert isinstance(encoder, AudioEncoder)
    rate = encoder.card.needs.sample_rate
    assert rate is not None
    clips = [tone(440, 2.0, rate), tone(1500, 0.3, rate), tone(90, 1.2, rate, start=5.0)]
    together = encoder.encode(clips)
    for clip, (values, times) in zip(clips, together):
        assert values.shape[1] == dimension
        assert abs(len(values) - clip.duration / token) <= 1
        assert values.dtype == times.dtype == np.float32
        # Tokens share the sound out: the middles of equal parts.
        step = clip.duration / len(values)
        middles = clip.start + (np.arange(len(values)) + 0.5) * step
        np.testing.assert_allclose(times, middles, atol=1e-3)
    assert encoder.card.dimension == dimension
    for clip, expected in zip(clips, together):
        (alone,) = encoder.encode([clip])
        np.testing.assert_allclose(alone.values, expected.values, atol=2e-5)
    again = load_audio(kind, source=folders(name), **options).encode(clips)
    for first, second in zip(together, again):
        np.testing.assert_array_equal(first.values, second.values)
    assert np.abs(together[0].values[0] - together[1].values[0]).max() > 1e-3
    assert encoder.encode([]) == []


@pytest.mark.parametrize("name", FAMILIES)
def test_a_single_sample_and_silence(name: str, folders: Callable[[str], Path]) -> None:
    _, dimension, options, _ = FAMILIES[name]
    encoder = load_audio(name.split()[0], source=folders(name), **options)
    rate = encoder.card.needs.sample_rate
    assert rate is not None
    for samples in (np.full(1, 0.5, np.float32), np.zeros(rate // 3, np.float32)):
        ((values, _),) = encoder.encode([Waveform(samples, rate)])
        assert values.shape == (1, dimension)
        assert np.isfinite(values).all()


def test_another_sample_rate_is_refused(folders: Callable[[str], Path]) -> None:
    encoder = load_audio("ast", source=folders("ast"))
    with pytest.raises(EzavError, match="44100 Hz was given to an encoder for 16000 Hz"):
        encoder.encode([tone(440, 1.0, 44_100)])


@pytest.mark.parametrize(("name", "option"), [("clap", "window"), ("whisper", "token")])
@pytest.mark.parametrize("value", [0.0, -1.0, 1000.0])
def test_windows_are_bounded(
    name: str, option: str, value: float, folders: Callable[[str], Path]
) -> None:
    with pytest.raises(EzavError, match="give"):
        load_audio(name, source=folders(name), **{option: value})


def test_clap_equals_the_library(folders: Callable[[str], Path]) -> None:
    import transformers

    folder = folders("clap")
    clip = tone(700, 1.0, 48_000)
    extractor = transformers.ClapFeatureExtractor.from_pretrained(folder)
    model = transformers.ClapModel.from_pretrained(folder).eval()
    inputs = extractor(clip.samples, sampling_rate=48_000, return_tensors="pt")
    with torch.inference_mode():
        expected = model.get_audio_features(**inputs).pooler_output.numpy()
    (found,) = load_audio("clap", source=folder, window=1.0).encode([clip])
    np.testing.assert_allclose(found.values, expected, atol=1e-5)


def test_no_window_is_longer_than_clap_reads(folders: Callable[[str], Path]) -> None:
    """Of a longer one the extractor takes a random part."""
    encoder = load_audio("clap", source=folders("clap"))  # 10 s, and this one reads 1 s
    clip = tone(700, 2.0, 48_000)
    (first,), (second,) = encoder.encode([clip]), encoder.encode([clip])
    assert len(first.values) == 2
    np.testing.assert_array_equal(first.values, second.values)


def test_whisper_keeps_the_states_of_real_sound(folders: Callable[[str], Path]) -> None:
    import transformers

    folder = folders("whisper")
    clip = tone(300, 3.0, 16_000)
    extractor = transformers.WhisperFeatureExtractor.from_pretrained(folder)
    model = transformers.WhisperModel.from_pretrained(folder).eval()
    inputs = extractor(clip.samples, sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        states = model.encoder(inputs["input_features"]).last_hidden_state[0].numpy()
    (found,) = load_audio("whisper", source=folder).encode([clip])
    # 20 ms a state: 50 a token.
    expected = states[:150].reshape(3, 50, -1).mean(axis=1)
    np.testing.assert_allclose(found.values, expected, atol=1e-5)


def test_an_unused_head_may_be_there_and_no_other(tmp_path: Path) -> None:
    folder = checkpoints.ast(tmp_path)
    found = Source("mine", "1", folder)
    load_pretrained("ASTModel", found, ignore=("classifier.",))
    with pytest.raises(EzavError, match=r"unexpected weights classifier\.dense\.bias"):
        load_pretrained("ASTModel", found)


@pytest.mark.parametrize("family", ["Wav2Vec2", "WavLM"])
def test_weight_norm_of_the_published_files_is_read(family: str, tmp_path: Path) -> None:
    """The hub's files name its two parts weight_g and weight_v."""
    from safetensors.torch import load_file, save_file

    folder = checkpoints.speech(tmp_path, family)
    clip = tone(440, 0.5, 16_000)
    expected = load_audio(family.lower(), source=folder).encode([clip])[0].values
    weights = load_file(folder / "model.safetensors")
    renamed = {
        key.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): value
        for key, value in weights.items()
        if "masked_spec_embed" not in key  # absent from some of them, and never used
    }
    assert set(renamed) != set(weights)
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    found = load_audio(family.lower(), source=folder).encode([clip])[0].values
    np.testing.assert_array_equal(found, expected)
