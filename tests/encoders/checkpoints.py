"""Tiny random checkpoints of the real architectures, saved as a hub folder is laid out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

_TEXT = "a photo of dog barking playing guitar sound video this is the red square by ice cream"
WORDS = ["<s>", "<pad>", "</s>", "<unk>", *_TEXT.split()]
_TOWER = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
_IMAGE = {"image_size": 32, "patch_size": 16}
_MEAN, _STD = [0.48, 0.46, 0.41], [0.27, 0.26, 0.28]


def randomise(model: torch.nn.Module) -> None:
    """Larger weights than at initialisation, so that different inputs differ visibly."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            gain = name.endswith("weight") and parameter.ndim == 1  # of a normalisation
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2 + gain)


def save(
    config: Any, model_class: str, folder: Path, picture: dict[str, Any] | None = None
) -> Path:
    """Build a random model and save it, with a preprocessor config if it sees pictures."""
    torch.manual_seed(0)
    model = getattr(transformers, model_class)(config)
    randomise(model)
    model.save_pretrained(folder)
    if picture is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(picture))
    return folder


def save_tokenizer(folder: Path, length: int = 20) -> None:
    """A word-level tokenizer over `WORDS`, with begin and end tokens."""
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        model_max_length=length,
    ).save_pretrained(folder)


def square(size: int = 32) -> dict[str, Any]:
    return {
        "do_resize": True,
        "size": {"shortest_edge": size},
        "do_center_crop": True,
        "crop_size": {"height": size, "width": size},
        "resample": 3,
        "image_mean": _MEAN,
        "image_std": _STD,
    }


def exact(size: int = 32) -> dict[str, Any]:
    return {
        "size": {"height": size, "width": size},
        "resample": 2,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }


def clip(folder: Path) -> Path:
    text = {**_TOWER, "vocab_size": len(WORDS), "max_position_embeddings": 20, "eos_token_id": 2}
    config = transformers.CLIPConfig(
        text_config=text, vision_config={**_TOWER, **_IMAGE}, projection_dim=12
    )
    save_tokenizer(folder)
    return save(config, "CLIPModel", folder, square())


def siglip(folder: Path) -> Path:
    text = {
        **_TOWER,
        "vocab_size": len(WORDS),
        "max_position_embeddings": 12,
        "projection_size": 16,
    }
    config = transformers.SiglipConfig(text_config=text, vision_config={**_TOWER, **_IMAGE})
    save_tokenizer(folder)
    return save(config, "SiglipModel", folder, exact())


def dinov3(folder: Path) -> Path:
    config = transformers.DINOv3ViTConfig(**_TOWER, **_IMAGE, num_register_tokens=2)
    return save(config, "DINOv3ViTModel", folder, exact())


def videomae(folder: Path, model_class: str = "VideoMAEForVideoClassification") -> Path:
    config = transformers.VideoMAEConfig(
        **_TOWER,
        **_IMAGE,
        num_frames=4,
        tubelet_size=2,
        num_labels=3,
        use_mean_pooling=model_class.endswith("Classification"),
        decoder_hidden_size=8,
        decoder_num_attention_heads=2,
        decoder_num_hidden_layers=1,
        decoder_intermediate_size=8,
    )
    return save(config, model_class, folder, square())


def vjepa2(folder: Path) -> Path:
    config = transformers.VJEPA2Config(
        patch_size=16,
        crop_size=32,
        frames_per_clip=4,
        tubelet_size=2,
        hidden_size=24,
        num_attention_heads=2,
        num_hidden_layers=2,
        mlp_ratio=2,
        pred_hidden_size=24,
        pred_num_attention_heads=2,
        pred_num_hidden_layers=1,
        pred_mlp_ratio=2,
    )
    folder.mkdir(exist_ok=True)
    (folder / "video_preprocessor_config.json").write_text(json.dumps(square()))
    return save(config, "VJEPA2Model", folder)


def xclip(folder: Path) -> Path:
    text = {**_TOWER, "vocab_size": len(WORDS), "max_position_embeddings": 20, "eos_token_id": 2}
    vision = {
        **_TOWER,
        **_IMAGE,
        "num_frames": 4,
        "mit_hidden_size": 12,
        "mit_intermediate_size": 16,
        "mit_num_attention_heads": 2,
        "mit_num_hidden_layers": 1,
    }
    config = transformers.XCLIPConfig(
        text_config=text,
        vision_config=vision,
        projection_dim=12,
        prompt_layers=1,
        prompt_num_attention_heads=2,
    )
    save_tokenizer(folder)
    return save(config, "XCLIPModel", folder, square())


def clap(folder: Path, fused: bool = False) -> Path:
    text = {
        **_TOWER,
        "vocab_size": len(WORDS),
        "max_position_embeddings": 22,
        "projection_dim": 12,
        "pad_token_id": 1,
    }
    audio = {
        "spec_size": 64,
        "num_mel_bins": 16,
        "patch_size": 4,
        "patch_stride": [4, 4],
        "depths": [1, 1],
        "num_attention_heads": [1, 2],
        "patch_embeds_hidden_size": 8,
        "hidden_size": 16,
        "window_size": 4,
        "projection_dim": 12,
        "num_classes": 3,
        "enable_fusion": fused,
        "aff_block_r": 4,
    }
    config = transformers.ClapConfig(text_config=text, audio_config=audio, projection_dim=12)
    save_tokenizer(folder)
    extractor = transformers.ClapFeatureExtractor(
        feature_size=16,
        sampling_rate=48_000,
        max_length_s=1,
        hop_length=1000,
        fft_window_size=1024,
        truncation="fusion" if fused else "rand_trunc",
        padding="repeatpad",
    )
    extractor.save_pretrained(folder)
    return save(config, "ClapModel", folder)


def ast(folder: Path) -> Path:
    config = transformers.ASTConfig(
        **_TOWER, patch_size=16, frequency_stride=16, time_stride=16, max_length=64, num_mel_bins=32
    )
    extractor = transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=64)
    extractor.save_pretrained(folder)
    return save(config, "ASTForAudioClassification", folder)


def speech(folder: Path, family: str) -> Path:
    config = getattr(transformers, f"{family}Config")(
        **_TOWER,
        conv_dim=[8, 8],
        conv_kernel=[10, 8],
        conv_stride=[20, 16],
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        vocab_size=8,
    )
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    head = "ForCTC" if family == "Wav2Vec2" else "Model"
    return save(config, f"{family}{head}", folder)


def whisper(folder: Path) -> Path:
    config = transformers.WhisperConfig(
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        num_mel_bins=8,
        vocab_size=50,
        max_source_positions=1500,
        max_target_positions=10,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    transformers.WhisperFeatureExtractor(feature_size=8).save_pretrained(folder)
    return save(config, "WhisperForConditionalGeneration", folder)


def pe_av(folder: Path) -> Path:
    """PE-AV with a ViT as its picture tower: the published one needs the package timm.

    To read it back, the class has to be told (:func:`vit_for_timm`).
    """
    tower = {**_TOWER, "num_key_value_heads": 2, "head_dim": 8}
    vision = transformers.ViTConfig(**_TOWER, **_IMAGE, num_labels=10)
    dac = transformers.DacConfig(
        encoder_hidden_size=4,
        downsampling_ratios=[8, 10, 24],
        hidden_size=16,
        codebook_dim=4,
        codebook_size=8,
        n_codebooks=1,
    )
    audio = transformers.PeAudioEncoderConfig(dac_config=dac, **tower)
    video = transformers.PeVideoEncoderConfig(vision_config=vision, **tower)
    text = {
        **_TOWER,
        "model_type": "modernbert",
        "vocab_size": len(WORDS),
        "max_position_embeddings": 64,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "cls_token_id": 0,
        "sep_token_id": 2,
    }
    encoder = transformers.PeAudioVideoEncoderConfig(
        audio_config=audio, video_config=video, **tower
    )
    config = transformers.PeAudioVideoConfig(text_config=text, audio_video_config=encoder)
    save_tokenizer(folder)
    return save(config, "PeAudioVideoModel", folder, exact())


def vit_for_timm(patch: pytest.MonkeyPatch) -> None:
    """PE-AV's picture tower is a ViT of transformers, not of timm, until the patch is undone."""
    from transformers.models.pe_video import configuration_pe_video as module

    specification = module.SubConfigSpec(config_class=transformers.ViTConfig)
    patch.setitem(module.PeVideoEncoderConfig.sub_configs_defaults, "vision_config", specification)


def llama(folder: Path) -> Path:
    config = transformers.LlamaConfig(
        **_TOWER, vocab_size=len(WORDS), num_key_value_heads=2, pad_token_id=None
    )
    save_tokenizer(folder)
    return save(config, "LlamaForCausalLM", folder)


def bert(folder: Path) -> Path:
    config = transformers.BertConfig(
        **_TOWER, vocab_size=len(WORDS), max_position_embeddings=30, pad_token_id=1
    )
    save_tokenizer(folder)
    return save(config, "BertModel", folder)
