"""What every registered method promises, whatever it does inside."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest
import torch
import yaml
from pydantic import TypeAdapter
from safetensors.torch import load, save
from torch import Tensor

import ezav
from ezav.errors import EzavError
from ezav.features.tokens import Tokens
from ezav.methods import registry
from ezav.methods.base import Batch, Dims, Method
from ezav.methods.common.pooled import MeanStandIn
from ezav.training.config import TrainingConfig

PACKAGE = Path(ezav.__file__).parent
RECIPES = PACKAGE / "recipes"
NAMES = registry.names()

# Text as long as both modalities together: methods on the encoders' own text run too.
DIMS = Dims(audio=6, visual=8, text=14)
CLASSES, CLIPS = 6, 24

# Where a method would be slow at its own size, or needs a setting to be tested alone.
TINY: dict[str, dict] = {
    "attention_fusion": {"dim": 16, "encoder_hidden": 16, "decoder_hidden": 16},
    "avca": {"encoder_hidden": 16, "decoder_hidden": 16, "token_dim": 16, "head_dim": 8},
    "blending": {"weight": 0.4, "trained_config": {"dim": 16, "hidden_dim": 16}},
    "clipclap": {"dim": 16, "hidden_dim": 16},
    "ez_avgzl": {"temporal": True, "width": 16, "hidden": 16, "heads": 2, "head_dim": 8, "mlp": 16},
    "f_vaegan_d2": {
        "noise_dim": 6,
        "hidden_dim": 16,
        "critic_steps": 1,
        "adversarial_weight": 1.0,
        "synthetic_per_class": 12,
        "real_per_class": 4,
        "classifier_epochs": 5,
    },
    "hsp_moe": {"dim": 16, "hidden_dim": 16},
    "hyperbolic": {"encoder_hidden": 16, "decoder_hidden": 16, "token_dim": 16, "head_dim": 8},
    "kda": {"dim": 16, "audio_hidden": 16, "visual_hidden": 16},
    "perceiver": {"dim": 12, "encoder_hidden": 16, "decoder_hidden": 16, "code_dim": 6},
    "tcaf": {
        "dim": 16,
        "encoder_hidden": 16,
        "decoder_hidden": 16,
        "depth": 2,
        "heads": 2,
        "head_dim": 8,
        "code_dim": 6,
    },
}
# What falls in training; where the total is a game of two players, the part that is none.
DESCENDS = {"f_vaegan_d2": "vae"}

# Adam divides by the gradient's size, so the classifier blows up rounding where it is almost zero.
ROUNDING = {"f_vaegan_d2": 5e-3}

every_method = pytest.mark.parametrize("name", NAMES)
trainable = pytest.mark.parametrize("name", [n for n in NAMES if registry.get(n).trainable])


def build(name: str, seed: int = 0) -> Method:
    torch.manual_seed(seed)
    method = registry.get(name)
    return method(method.Config(**TINY.get(name, {})), DIMS)


def class_vectors() -> Tensor:
    vectors = torch.randn(CLASSES + 3, DIMS.text, generator=torch.Generator().manual_seed(7))
    return torch.nn.functional.normalize(vectors, dim=1)


def clips(method: Method, seed: int = 1) -> tuple[Tokens, Tokens, Tensor]:
    """Clips whose features tell their class, as many tokens as the method reads."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.arange(CLIPS) % CLASSES

    def tokens(dim: int, longest: int) -> Tokens:
        centres = torch.rand(CLASSES, dim, generator=torch.Generator().manual_seed(dim))
        if not method.uses_time:
            longest = 1
        length = torch.randint(1, longest + 1, (CLIPS,), generator=g)
        mask = torch.arange(longest)[None] < length[:, None]
        noise = torch.rand(CLIPS, longest, dim, generator=g)
        values = (centres[labels][:, None] + 0.3 * noise) * mask[..., None]
        times = (torch.arange(longest) + 0.5).expand(CLIPS, -1) * mask
        return Tokens(values, mask, times if method.uses_time else times * 0)

    return tokens(DIMS.audio, 3), tokens(DIMS.visual, 4), labels


def batch_of(method: Method, seed: int = 1) -> Batch:
    audio, visual, labels = clips(method, seed)
    batch = Batch(
        audio=audio, visual=visual, labels=labels, class_embeddings=class_vectors()[:CLASSES]
    )
    if not method.needs_negatives:
        return batch
    other = torch.roll(torch.arange(CLIPS), 1)
    negative = dataclasses.replace(
        batch, audio=audio[other], visual=visual[other], labels=labels[other]
    )
    return dataclasses.replace(batch, negative=negative)


def prepared(name: str, seed: int = 0) -> Method:
    method = build(name, seed)
    audio, visual, labels = clips(method)
    mean_audio, mean_visual = (Tokens.pooled(t.mean(), t.present) for t in (audio, visual))
    method.prepare(mean_audio, mean_visual, labels, class_vectors()[:CLASSES])
    return method.eval()


def train(method: Method, steps: int, half: bool = False) -> list[float]:
    optimiser = torch.optim.Adam(method.parameter_groups(), lr=3e-3)
    part = DESCENDS.get(next(n for n in NAMES if registry.get(n) is type(method)))
    batch = batch_of(method)
    losses = []
    method.train()
    for _ in range(steps):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            loss = method.loss(batch)
        optimiser.zero_grad(set_to_none=True)
        loss.total.backward()
        optimiser.step()
        losses.append(float(loss.total.detach() if part is None else loss.parts[part]))
    method.eval()
    return losses


def scores_of(method: Method, classes: Tensor | None = None) -> Tensor:
    audio, visual, _ = clips(method)
    with torch.inference_mode():
        return method.eval().scores(audio, visual, class_vectors() if classes is None else classes)


@every_method
def test_scores_have_a_row_a_clip_and_a_column_a_class(name: str) -> None:
    method = prepared(name)
    for number in (2, CLASSES, CLASSES + 3):
        scores = scores_of(method, class_vectors()[:number])
        assert scores.shape == (CLIPS, number)
        assert scores.dtype == torch.float32
        assert torch.isfinite(scores).all()


@every_method
def test_order_of_classes_does_not_matter(name: str) -> None:
    method = prepared(name)
    order = torch.tensor([4, 1, 8, 0, 3, 7, 2, 6, 5])
    permuted = scores_of(method, class_vectors()[order])
    tolerance = ROUNDING.get(name, 1e-5)
    torch.testing.assert_close(permuted, scores_of(method)[:, order], rtol=1e-4, atol=tolerance)


@every_method
def test_a_clip_is_scored_for_itself(name: str) -> None:
    method = prepared(name)
    whole = scores_of(method)
    audio, visual, _ = clips(method)
    order = torch.tensor([5, 2, 11])
    with torch.inference_mode():
        few = method.scores(audio[order], visual[order], class_vectors())
    torch.testing.assert_close(few, whole[order], rtol=1e-4, atol=1e-5)


@every_method
def test_scores_depend_on_both_modalities_and_the_class(name: str) -> None:
    method = prepared(name)
    audio, visual, _ = clips(method)
    whole = scores_of(method)
    assert (whole[:, 0] - whole[:, 1]).abs().max() > 1e-6
    moved = [
        (Tokens(audio.values + audio.mask[..., None], audio.mask, audio.times), visual),
        (audio, Tokens(visual.values.flip(-1), visual.mask, visual.times)),
    ]
    if name == "cjme":  # it picks one modality a clip
        moved = [tuple(pair[i] for pair, i in zip(moved, (0, 1)))]
    for pair in moved:
        with torch.inference_mode():
            assert (method.scores(*pair, class_vectors()) - whole).abs().max() > 1e-7


@every_method
def test_a_missing_modality_leaves_scores_defined(name: str) -> None:
    method = prepared(name)
    audio, visual, _ = clips(method)
    whole = scores_of(method)
    some = torch.arange(CLIPS) % 3 == 0
    for lost in ("audio", "visual", "both"):
        a = hide(audio, some) if lost != "visual" else audio
        v = hide(visual, some) if lost != "audio" else visual
        with torch.inference_mode():
            scores = method.scores(a, v, class_vectors())
        assert torch.isfinite(scores).all()
        # The others are scored as before.
        torch.testing.assert_close(scores[~some], whole[~some], rtol=1e-4, atol=1e-5)
    with torch.inference_mode():
        silent = method.scores(audio.without(), visual, class_vectors())
    assert torch.isfinite(silent).all()


@every_method
def test_what_stands_in_for_a_missing_modality_is_its_training_mean(name: str) -> None:
    method = prepared(name)
    audio, visual, _ = clips(method)
    means = {t.dim: t.mean().mean(dim=0) for t in (audio, visual)}
    for part in method.modules():
        if isinstance(part, MeanStandIn):
            torch.testing.assert_close(part.mean_, means[len(part.mean_)])


@trainable
def test_training_on_clips_with_a_missing_modality(name: str) -> None:
    method = prepared(name).train()
    batch = batch_of(method)
    some = torch.arange(CLIPS) % 3 == 0
    batch = dataclasses.replace(
        batch, audio=hide(batch.audio, some), visual=hide(batch.visual, some.roll(1))
    )
    loss = method.loss(batch)
    loss.total.backward()
    assert torch.isfinite(loss.total)
    for key, parameter in method.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), key


@trainable
@pytest.mark.parametrize("case", ["one clip", "sound in one clip", "picture in one clip"])
def test_training_where_one_row_is_left(name: str, case: str) -> None:
    """No variance can be taken of one row: BatchNorm must not ask for it."""
    method = prepared(name).train()
    batch = batch_of(method)
    if case == "one clip":
        batch = first_clip(batch)
    else:
        others = torch.arange(CLIPS) > 0
        lost = "audio" if case.startswith("sound") else "visual"
        tokens = hide(getattr(batch, lost), others)
        first_only = torch.arange(tokens.mask.shape[1]) == 0
        tokens = Tokens(tokens.values, tokens.mask & first_only, tokens.times)
        batch = dataclasses.replace(batch, **{lost: tokens})
    loss = method.loss(batch)
    loss.total.backward()
    assert torch.isfinite(loss.total)
    for key, parameter in method.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), key


def first_clip(batch: Batch) -> Batch:
    return dataclasses.replace(
        batch,
        audio=batch.audio[:1],
        visual=batch.visual[:1],
        labels=batch.labels[:1],
        negative=None if batch.negative is None else first_clip(batch.negative),
    )


def hide(tokens: Tokens, lost: Tensor) -> Tokens:
    keep = ~lost
    return Tokens(tokens.values * keep[:, None, None], tokens.mask & keep[:, None], tokens.times)


@pytest.mark.parametrize("name", [name for name in NAMES if build(name).uses_time])
def test_padding_does_not_matter(name: str) -> None:
    method = prepared(name)
    audio, visual, _ = clips(method)

    def padded(tokens: Tokens) -> Tokens:
        def more(x: Tensor, value: float) -> Tensor:
            return torch.cat([x, torch.full_like(x[:, :1], value)], dim=1)

        return Tokens(more(tokens.values, 0.0), more(tokens.mask, False), more(tokens.times, 0.0))

    with torch.inference_mode():
        scores = method.scores(padded(audio), padded(visual), class_vectors())
    torch.testing.assert_close(scores, scores_of(method), rtol=1e-4, atol=1e-5)


@trainable
def test_gradients_reach_every_parameter(name: str) -> None:
    method = prepared(name)
    train(
        method, steps=2
    )  # a branch that begins at zero hides what is behind it until it has moved
    method.train()
    loss = method.loss(batch_of(method))
    method.zero_grad()
    assert loss.total.ndim == 0
    assert all(not part.requires_grad for part in loss.parts.values())
    loss.total.backward()
    optimised = {p for group in method.parameter_groups() for p in group["params"]}
    for key, parameter in method.named_parameters():
        # What a method freezes by name is no accident; all else must learn.
        assert (parameter in optimised) == parameter.requires_grad, key
        if not parameter.requires_grad:
            continue
        assert parameter.grad is not None, f"{key} has no gradient"
        if not key.endswith("bias"):  # a bias before BatchNorm has none in truth
            assert parameter.grad.abs().max() > 0, f"{key} has no gradient"


@trainable
def test_loss_falls_on_a_tiny_set(name: str) -> None:
    losses = train(prepared(name), steps=40)
    assert sum(losses[-5:]) < 0.95 * sum(losses[:5])


@trainable
def test_half_precision_trains_like_full(name: str) -> None:
    """In bfloat16 the loss is that of float32, and training descends as far."""

    def losses(half: bool) -> list[float]:
        method = prepared(name)
        torch.manual_seed(5)
        return train(method, steps=20, half=half)

    half, full = losses(True), losses(False)
    assert half[0] == pytest.approx(full[0], rel=0.05)
    assert sum(half[-5:]) == pytest.approx(sum(full[-5:]), rel=0.25, abs=0.5 * full[0])


@every_method
def test_state_survives_a_file(name: str) -> None:
    method = prepared(name)
    if method.trainable:
        train(method, steps=3)
    state = {key: value.contiguous() for key, value in method.state_dict().items()}
    fresh = build(name, seed=99)
    fresh.load_state_dict(load(save(state)))
    assert torch.equal(scores_of(fresh), scores_of(method))


@every_method
def test_the_seed_decides_everything(name: str) -> None:
    results = []
    for _ in range(2):
        method = prepared(name)
        torch.manual_seed(5)
        losses = train(method, steps=3) if method.trainable else []
        results.append((losses, scores_of(method)))
    assert results[0][0] == results[1][0]
    assert torch.equal(results[0][1], results[1][1])


@every_method
def test_config_survives_yaml(name: str) -> None:
    method = registry.get(name)
    config = method.Config(**TINY.get(name, {}))
    adapter = TypeAdapter(method.Config)
    text = yaml.safe_dump(adapter.dump_python(config, mode="json"))
    assert adapter.validate_python(yaml.safe_load(text)) == config
    assert config != method.Config() or not TINY.get(name)


@every_method
def test_config_is_frozen_and_documented(name: str) -> None:
    config = registry.get(name).Config
    fields = {f.name for f in dataclasses.fields(config)}
    assert config.__dataclass_params__.frozen
    assert all(f.kw_only for f in dataclasses.fields(config))
    documented = set()
    for owner in config.__mro__[:-1]:
        body = ast.parse(inspect.getsource(owner)).body[0].body
        for before, after in pairwise(body):
            if isinstance(before, ast.AnnAssign) and isinstance(after, ast.Expr):
                documented.add(before.target.id)
    assert fields <= documented, f"no docstring: {sorted(fields - documented)}"


# What the command line, a recipe or Python may set without a type checker's objection.
BEYOND_REASON = [
    ("ale", {"dropout": -0.1}, r"dropout -0.1 is outside \[0, 1\)"),
    ("attention_fusion", {"dim": 0}, "dim must be at least 1, not 0"),
    ("avca", {"heads": 0}, "heads must be at least 1, not 0"),
    ("avca", {"out_dim": 0}, "out_dim must be at least 1, not 0"),
    ("avca", {"momentum": 1.5}, r"momentum 1.5 is outside \[0, 1\]"),
    ("clipclap", {"modality": "sound"}, "modality is 'sound'; use one of both, audio, visual"),
    ("ez_avgzl", {"similarity": "atention"}, "similarity is 'atention'; use one of attention"),
    ("f_vaegan_d2", {"critic_steps": 0}, "critic_steps must be at least 1, not 0"),
    ("f_vaegan_d2", {"real_per_class": 0}, "real_per_class must be at least 1, not 0"),
    ("f_vaegan_d2", {"classifier_rate": 0.0}, "classifier_rate must be positive, it is 0"),
    ("hyperbolic", {"kernel": "poincare"}, "kernel is 'poincare'"),
    ("kda", {"encoder_dropout": float("nan")}, "encoder_dropout nan is outside"),
    ("perceiver", {"layers": -1}, "layers must not be negative, it is -1"),
    ("tcaf", {"audio_divisor": 0.0}, "audio_divisor must be positive, it is 0"),
    ("tcaf", {"crop_seconds": -3.0}, "crop_seconds must be positive, it is -3"),
]


@pytest.mark.parametrize(("name", "config", "words"), BEYOND_REASON)
def test_a_value_beyond_reason_is_one_line(name: str, config: dict, words: str) -> None:
    method = registry.get(name)
    with pytest.raises(EzavError, match=words):
        method(method.Config(**config), DIMS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnConfig:
    drop_rate: float = 0.2
    warmup_steps: int = 100
    kind: Literal["one", "two"] = "one"


def test_names_promise_nothing_in_a_config_of_ones_own() -> None:
    Method(OwnConfig(drop_rate=0.0, warmup_steps=0), DIMS)
    with pytest.raises(EzavError, match="kind is 'three'"):
        Method(OwnConfig(kind="three"), DIMS)  # type: ignore[arg-type]


# The test that holds each method against something independent: file::function.
PARITY = {
    "ale": "test_compatibility.py::test_ranking_loss_is_the_papers",
    "apn": "test_avca_baselines.py::test_apn",
    "attention_fusion": "test_fusion_baselines.py::test_attention_fusion_against_a_loop",
    "avca": "test_avca.py::test_every_loss_term_equals_the_authors",
    "avgzslnet": "test_avca_baselines.py::test_avgzslnet",
    "blending": "test_blending.py::test_blend_clip_by_clip",
    "cjme": "test_avca_baselines.py::test_cjme",
    "clipclap": "test_clipclap.py::test_every_loss_term_equals_the_authors",
    "devise": "test_compatibility.py::test_ranking_loss_is_the_papers",
    "eszsl": "test_closed_form.py::test_eszsl_is_the_minimum_of_its_objective",
    "ez_avgzl": "test_ez_avgzl.py::test_attention_similarity_is_the_papers_formula",
    "f_vaegan_d2": "test_f_vaegan_d2.py::test_critic_loss_with_slopes_by_finite_differences",
    "hsp_moe": "test_hsp_moe.py::test_every_loss_term_equals_the_authors",
    "hyperbolic": "test_hyperbolic.py::test_alignment_against_loops",
    "best": "test_best.py::test_every_member_equals_its_equation",
    "kda": "test_fusion_baselines.py::test_kda",
    "perceiver": "test_fusion_baselines.py::test_perceiver_reads_like_a_loop",
    "sje": "test_compatibility.py::test_ranking_loss_is_the_papers",
    "tcaf": "test_tcaf.py::test_every_loss_term_equals_the_authors",
    "zero_shot": "test_closed_form.py::test_zero_shot_against_a_loop",
}


@every_method
def test_method_has_a_parity_test(name: str) -> None:
    assert name in PARITY, f"name the test that holds {name} against something independent"
    file, function = PARITY[name].split("::")
    source = Path(__file__).with_name(file).read_text()
    found = {n.name for n in ast.parse(source).body if isinstance(n, ast.FunctionDef)}
    assert function in found, f"{file} has no {function}"
    assert name in source


@every_method
def test_method_is_complete(name: str) -> None:
    """A card for the table, a recipe of its name, and a README with its parts."""
    method = registry.get(name)
    assert method.card.title
    assert 2000 < method.card.year < 2030
    assert method.card.parity
    assert yaml.safe_load((RECIPES / f"{name}.yaml").read_text())["method"] == name
    readme = (PACKAGE / "methods" / name / "README.md").read_text()
    heads = re.findall(r"^## (\w+)", readme, re.MULTILINE)
    assert heads[0] == "Idea"
    assert heads[-1] == "Published"
    idea = readme.split("## Idea")[1].split("## ")[0]
    assert re.findall(r"^(\d)\. ", idea, re.MULTILINE) == list("12345")
    if name not in ("zero_shot", "blending", "best"):  # no code of others to differ from
        assert "What" in heads


def test_every_folder_is_a_method_and_has_a_recipe() -> None:
    folders = {path.name for path in (PACKAGE / "methods").iterdir() if path.is_dir()}
    assert folders - {"common", "__pycache__"} == set(NAMES)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_recipe_is_valid(path: Path) -> None:
    recipe = yaml.safe_load(path.read_text())
    assert (
        {"method", "source", "settings"}
        <= set(recipe)
        <= {"method", "source", "reported", "settings"}
    )
    name = recipe["method"]
    assert name in NAMES
    assert len(recipe["source"]) > 20
    readme = (PACKAGE / "methods" / name / "README.md").read_text()
    known = {"default", "own"} | {
        f"{dataset}-{setting}"
        for dataset in ("ucf", "activitynet", "vggsound")
        for setting in ("main", "cls", "clipclap")
    }
    assert "default" in recipe["settings"]
    assert set(recipe["settings"]) <= known
    for key, setting in recipe["settings"].items():
        assert {"config", "training"} <= set(setting) <= {"config", "training", "published"}, key
        strict = {f.name for f in dataclasses.fields(registry.get(name).Config)}
        assert set(setting["config"]) <= strict, key
        TypeAdapter(registry.get(name).Config).validate_python(setting["config"])
        assert set(setting["training"]) <= {f.name for f in dataclasses.fields(TrainingConfig)}
        TypeAdapter(TrainingConfig).validate_python(setting["training"])
        published = setting.get("published", {})
        assert set(published) <= {"S", "U", "HM", "ZSL"}
        assert all(0 < value < 100 for value in published.values())
        if published:
            assert f"{published['HM']:.2f} / {published['ZSL']:.2f}" in readme, key
        if {"S", "U", "HM"} <= set(published):
            s, u = published["S"], published["U"]
            assert published["HM"] == pytest.approx(2 * s * u / (s + u), abs=0.02)
