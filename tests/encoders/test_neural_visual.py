"""Picture and video networks, end to end on tiny random checkpoints of their architectures."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ezav.encoders.base import VisualEncoder
from ezav.encoders.loading import Source
from ezav.encoders.pictures import WITHOUT_A_CLASS, Preprocessing, windows
from ezav.encoders.registry import load_visual
from ezav.errors import EzavError
from ezav.media.clip import Frames
from tests.encoders import checkpoints

FAMILIES: dict[str, tuple[Callable[[Path], Path], int, dict[str, Any]]] = {
    "clip": (checkpoints.clip, 12, {}),
    "siglip2": (checkpoints.siglip, 16, {}),
    "dinov3": (checkpoints.dinov3, 16, {}),
    "videomae": (checkpoints.videomae, 16, {}),
    "vjepa2": (checkpoints.vjepa2, 24, {"window_frames": 4}),
    "xclip": (checkpoints.xclip, 12, {}),
    "pe-av": (checkpoints.pe_av, 16, {"window_frames": 4}),
}
VIDEO = {"videomae", "vjepa2", "xclip", "pe-av"}


@pytest.fixture(autouse=True)
def _picture_tower(monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints.vit_for_timm(monkeypatch)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = FAMILIES[name][0](tmp_path_factory.mktemp(name.replace("-", "")))
        return made[name]

    return folder


def moving_clip(frames: int, height: int, width: int, seed: int) -> Frames:
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    return Frames(images, (np.arange(frames) + 0.5) / 8)


@pytest.mark.parametrize("name", FAMILIES)
def test_visual_family(name: str, folders: Callable[[str], Path]) -> None:
    _, dimension, options = FAMILIES[name]
    encoder = load_visual(name, source=folders(name), **options)
    assert isinstance(encoder, VisualEncoder)
    clips = [moving_clip(9, 40, 60, 0), moving_clip(3, 50, 36, 1), moving_clip(1, 32, 32, 2)]
    together = encoder.encode(clips)
    for clip, (values, times) in zip(clips, together):
        tokens = len(windows(len(clip), 4)) if name in VIDEO else len(clip)
        assert values.shape == (tokens, dimension)
        assert values.dtype == times.dtype == np.float32
        assert times.shape == (tokens,)
        assert (np.diff(times) > 0).all()
    assert encoder.card.dimension == dimension
    assert encoder.card.revision.startswith("sha256:")
    # Alone as in a batch, and twice the same.
    for clip, expected in zip(clips, together):
        (alone,) = encoder.encode([clip])
        np.testing.assert_allclose(alone.values, expected.values, atol=2e-5)
    again = load_visual(name, source=folders(name), **options).encode(clips)
    for first, second in zip(together, again):
        np.testing.assert_array_equal(first.values, second.values)
    # Another picture is another vector.
    assert np.abs(together[0].values[0] - together[1].values[0]).max() > 1e-3
    assert encoder.encode([]) == []


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_the_batch_size_changes_nothing(batch_size: int, folders: Callable[[str], Path]) -> None:
    clip = moving_clip(7, 40, 40, 3)
    usual = load_visual("clip", source=folders("clip")).encode([clip])[0]
    small = load_visual("clip", source=folders("clip"), batch_size=batch_size).encode([clip])[0]
    np.testing.assert_allclose(small.values, usual.values, atol=2e-5)


def test_clip_equals_the_library_on_its_own_processor(folders: Callable[[str], Path]) -> None:
    import transformers

    folder = folders("clip")
    clip = moving_clip(2, 48, 70, 4)
    processor = transformers.CLIPImageProcessorPil.from_pretrained(folder)
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    pixels = processor(list(clip.images), return_tensors="pt")
    with torch.inference_mode():
        expected = model.get_image_features(**pixels).pooler_output.numpy()
    (found,) = load_visual("clip", source=folder).encode([clip])
    # Pillow's filter works in fixed point: a grey level of difference in places.
    np.testing.assert_allclose(found.values, expected, atol=0.03 * np.abs(expected).max())


@pytest.mark.parametrize("content", [checkpoints.square(24), checkpoints.exact(24)])
@pytest.mark.parametrize("shape", [(40, 57), (61, 30), (24, 24), (20, 90)])
def test_preprocessing_equals_pillow(content: dict[str, Any], shape: tuple[int, int]) -> None:
    import transformers

    processor = (
        transformers.CLIPImageProcessorPil(**content)
        if "crop_size" in content
        else transformers.SiglipImageProcessorPil(**content)
    )
    images = np.random.default_rng(0).integers(0, 256, (2, *shape, 3), dtype=np.uint8)
    expected = processor(list(images), return_tensors="np")["pixel_values"]
    found = Preprocessing.read(content)(images).numpy()
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1.01 / 255 / 0.26  # one grey level


XCLIP_OF_THE_HUB = {
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "VideoMAEFeatureExtractor",
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 2,
    "size": 224,
}


@pytest.mark.parametrize(
    "content",
    [
        XCLIP_OF_THE_HUB,  # microsoft/xclip-base-patch32 says nothing of crop_size
        {"image_processor_type": "CLIPImageProcessorFast"},
        {"image_processor_type": "CLIPImageProcessor", "do_center_crop": None, "crop_size": None},
        {"image_processor_type": "SiglipImageProcessor", "resample": 2},
        {"image_processor_type": "ViTImageProcessor", "size": 96},
        {"video_processor_type": "VideoMAEVideoProcessor", "do_normalize": False},
    ],
)
def test_absent_entries_are_the_defaults_of_the_processor_class(content: dict[str, Any]) -> None:
    import transformers

    kinds = {"VideoMAEFeatureExtractor": "VideoMAE", "VideoMAEVideoProcessor": "VideoMAE"}
    named = next(value for key, value in content.items() if key.endswith("_type"))
    family = kinds.get(named, named.partition("ImageProcessor")[0])
    options = {key: value for key, value in content.items() if not key.endswith("_type")}
    processor = getattr(transformers, f"{family}ImageProcessorPil")(**options)
    clip, rows, columns, colour = np.ogrid[:2, :240, :320, :3]
    waves = np.sin(rows / 9 + clip) * np.cos(columns / 13 + colour)
    images = (127.5 + 127 * waves).astype(np.uint8)
    expected = np.asarray(processor(list(images), return_tensors="np")["pixel_values"])
    found = Preprocessing.read(content)(images).numpy()
    assert found.shape == expected.reshape(found.shape).shape
    grey = 1 / min(processor.image_std) if processor.do_normalize else 1.0
    # Rows and columns are rounded apart: two grey levels in a few places.
    assert np.abs(found - expected.reshape(found.shape)).max() <= 2.01 * grey / 255


@pytest.mark.parametrize(
    ("family", "module", "named"),
    [
        ("VJEPA2", "vjepa2.video_processing_vjepa2", "VJEPA2VideoProcessor"),
        ("PeVideo", "pe_video.video_processing_pe_video", "PeVideoVideoProcessor"),
        pytest.param(
            "DINOv3ViT",
            "dinov3_vit.image_processing_dinov3_vit",
            "DINOv3ViTImageProcessor",
            marks=pytest.mark.apart("torchvision"),
        ),
    ],
)
def test_defaults_of_classes_that_need_torchvision(family: str, module: str, named: str) -> None:
    processor = getattr(importlib.import_module(f"transformers.models.{module}"), named)
    written = WITHOUT_A_CLASS[family]
    for entry in ("default_to_square", "size", "crop_size", "resample", "image_mean", "image_std"):
        value, own = written.get(entry), getattr(processor, entry, None)
        assert (list(value) if isinstance(value, tuple) else value) == own
    for step in ("do_resize", "do_center_crop", "do_rescale", "do_normalize"):
        assert written.get(step) == getattr(processor, step, None)


def test_an_unknown_processor_class_must_leave_nothing_out() -> None:
    whole = {
        "image_processor_type": "OwnImageProcessor",
        **checkpoints.square(),
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
    }
    assert Preprocessing.read(whole).crop == (32, 32)
    for entry in ("crop_size", "do_rescale", "image_std"):
        less = {key: value for key, value in whole.items() if key != entry}
        with pytest.raises(EzavError, match=f"leaves out {entry}.*'OwnImageProcessor'"):
            Preprocessing.read(less)
    crop = ("do_center_crop", "crop_size")
    assert Preprocessing.read({k: v for k, v in whole.items() if k not in crop}).crop is None
    with pytest.raises(EzavError, match="cannot read the crop_size None"):
        Preprocessing.read({"do_center_crop": True, "size": 32})


def test_a_video_network_reads_the_file_of_the_pictures(tmp_path: Path) -> None:
    """Beside it there may be one of the sound's feature extractor, as PE-AV's is saved."""
    sound = {"feature_extractor_type": "PeAudioFeatureExtractor", "sampling_rate": 48_000}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(sound))
    pictures = tmp_path / "video_preprocessor_config.json"
    pictures.write_text(json.dumps(checkpoints.exact(48)))
    assert Preprocessing.of(Source("pe", "1", tmp_path)).exact == (48, 48)


def test_windows_cover_a_clip_in_order() -> None:
    for frames in range(1, 40):
        for length in (1, 4, 16):
            plan = windows(frames, length)
            assert all(len(window) == length for window in plan)
            flat = [index for window in plan for index in window]
            assert flat == sorted(flat)
            assert 0 <= flat[0] <= flat[-1] < frames
            if frames % length == 0:
                assert flat == list(range(frames))


def test_videomae_reads_the_norm_of_the_classifier(tmp_path: Path) -> None:
    import transformers

    folder = checkpoints.videomae(tmp_path / "tuned")
    encoder = load_visual("videomae", source=folder)
    clip = moving_clip(4, 32, 32, 5)
    model = transformers.VideoMAEForVideoClassification.from_pretrained(folder).eval()
    pixels = Preprocessing.read(checkpoints.square())(clip.images)[None]
    with torch.inference_mode():
        logits = model(pixels).logits
        (found,) = encoder.encode([clip])
        np.testing.assert_allclose(
            model.classifier(torch.from_numpy(found.values)).numpy(), logits.numpy(), atol=1e-4
        )


def test_videomae_reads_a_pretraining_checkpoint(tmp_path: Path) -> None:
    folder = checkpoints.videomae(tmp_path / "pretrained", "VideoMAEForPreTraining")
    (found,) = load_visual("videomae", source=folder).encode([moving_clip(4, 32, 32, 6)])
    assert found.values.shape == (1, 16)


def test_a_missing_weight_is_an_error(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = checkpoints.clip(tmp_path)
    weights = load_file(folder / "model.safetensors")
    lost = weights.pop("vision_model.encoder.layers.0.self_attn.k_proj.bias")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EzavError, match=r"missing weights vision_model\..*k_proj\.bias"):
        load_visual("clip", source=folder)
    weights["vision_model.encoder.layers.0.self_attn.k_proj.bias"] = lost
    weights["vision_model.extra"] = lost.clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EzavError, match=r"unexpected weights vision_model\.extra"):
        load_visual("clip", source=folder)


@pytest.mark.parametrize("name", ["clip", "videomae"])
def test_a_misshapen_weight_is_named(name: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = FAMILIES[name][0](tmp_path)
    weights = load_file(folder / "model.safetensors")
    for key in [k for k in weights if weights[k].ndim][::5]:
        misshapen = torch.zeros(len(weights[key]) + 1, *weights[key].shape[1:])
        changed = {**weights, key: misshapen}
        save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})
        # Where the hub's names are older than the architecture's, the latter is named.
        last = re.sub("^[qv]_bias$", "bias", key.rpartition(".")[2])
        with pytest.raises(EzavError, match=rf"does not fit .*: misshapen weights .*\.{last}"):
            load_visual(name, source=folder)


def test_sources_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(EzavError, match="no folder"):
        load_visual("clip", source=tmp_path / "absent")
    with pytest.raises(EzavError, match="without a revision"):
        load_visual("clip", source="someone/clip")
    own = load_visual("clip", source=checkpoints.clip(tmp_path / "mine")).card
    assert (own.licence, own.trained_on) == ("unknown", ())
    known = load_visual("clip", source=checkpoints.clip(tmp_path / "clip-vit-base-patch32")).card
    assert known.trained_on
    assert known.space == own.space  # the same weights, by their hash


def test_options_are_checked(folders: Callable[[str], Path]) -> None:
    folder = folders("clip")
    middle = load_visual("clip", source=folder, frames=1).card.needs
    assert (middle.frames, middle.fps, middle.short_side) == (1, None, 32)
    assert load_visual("clip", source=folder, fps=2.5).card.needs.fps == 2.5
    for wrong in ({"precision": "int4"}, {"batch_size": 0}, {"device": "abacus"}, {"hue": 1}):
        with pytest.raises(EzavError):
            load_visual("clip", source=folder, **wrong)


@pytest.mark.parametrize("name", ["vjepa2", "pe-av"])
def test_a_window_holds_a_frame(name: str, folders: Callable[[str], Path]) -> None:
    with pytest.raises(EzavError, match="a window of 0 frames"):
        load_visual(name, source=folders(name), window_frames=0)


def test_mixed_precision_is_close(folders: Callable[[str], Path]) -> None:
    clip = moving_clip(3, 40, 40, 7)
    full = load_visual("clip", source=folders("clip")).encode([clip])[0].values
    half = load_visual("clip", source=folders("clip"), precision="bfloat16").encode([clip])[0]
    assert half.values.dtype == np.float32
    cosine = (half.values * full).sum(1) / np.linalg.norm(full, axis=1)
    cosine /= np.linalg.norm(half.values, axis=1)
    assert (cosine > 0.99).all()
    assert not np.array_equal(half.values, full)


def test_videomae_biases_of_the_published_files_are_read(tmp_path: Path) -> None:
    """The hub's files name them q_bias and v_bias; a loader that drops them leaves zeros."""
    from safetensors.torch import load_file, save_file

    folder = checkpoints.videomae(tmp_path)
    clip = moving_clip(4, 32, 32, 8)
    expected = load_visual("videomae", source=folder).encode([clip])[0].values
    weights = load_file(folder / "model.safetensors")
    biases = [key for key in weights if key.endswith("v_bias")]
    assert biases
    for key in biases:
        weights[key] = torch.zeros_like(weights[key])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    without = load_visual("videomae", source=folder).encode([clip])[0].values
    assert np.abs(without - expected).max() > 1e-3


def test_an_older_file_of_plain_tensors_is_read(tmp_path: Path) -> None:
    """`pytorch_model.bin` with buffers that newer models no longer save, as CLIP's on the hub."""
    from safetensors.torch import load_file

    folder = checkpoints.clip(tmp_path)
    clip = moving_clip(2, 32, 32, 9)
    expected = load_visual("clip", source=folder).encode([clip])[0].values
    weights = load_file(folder / "model.safetensors")
    weights["text_model.embeddings.position_ids"] = torch.arange(20)[None]
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    found = load_visual("clip", source=folder).encode([clip])[0].values
    np.testing.assert_array_equal(found, expected)
