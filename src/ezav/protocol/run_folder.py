"""A run is a folder that says everything about itself: written whole, read with checks."""

from __future__ import annotations

import json
import platform
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

import ezav
from ezav.classes.embeddings import ClassEmbeddings
from ezav.device import choose_device
from ezav.errors import EzavError
from ezav.features.store import FeatureStore
from ezav.methods import registry
from ezav.methods.base import Dims, Method
from ezav.methods.common.config_check import parse
from ezav.metrics import (
    calibrated_predictions,
    gzsl_scores,
    per_class_recall,
    seen_unseen_curve,
)
from ezav.protocol.chance import chance
from ezav.protocol.evaluation import Evaluation, StageModel
from ezav.protocol.result import RESULT, RESULT_VERSION, ClassResult, Metrics, RunResult
from ezav.protocol.two_stage import FittedProtocol, TwoStageProtocol
from ezav.safe_io import write_text


def write_run(
    fitted: FittedProtocol,
    folder: str | Path,
    label: str = "",
    alphas: Mapping[float, float] | None = None,
) -> RunResult:
    """Test a fitted protocol and write its run folder; the folder appears in one step.

    Files: `result.json`, `config.yaml`, `metrics.jsonl` (a line an epoch of stage 1),
    `weights.safetensors`, `class_embeddings.safetensors` (as trained with), `text.safetensors`
    (as the text encoder gave them), `validation.safetensors` and `test.safetensors` (scores,
    targets, seen, with names in the metadata), `store.json` (header of the feature store). The
    state of training beside it (:func:`checkpoint_of`, :func:`tried_beside`) goes then, and no
    sooner.

    Args:
        fitted: what is tested.
        folder: of the run.
        label: what tables call the run; by default the method.
        alphas: validation HM of every alpha that was tried, where alpha was chosen.

    Raises:
        EzavError: the folder exists and holds something, or cannot be written.
    """
    folder = Path(folder).resolve()
    check_free(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    test = fitted.test()
    seconds = {**fitted.seconds, "test": time.perf_counter() - started}
    result = _result(fitted, test, seconds, label, alphas or {})
    text = fitted.store.class_embeddings(fitted.protocol.text_encoder)
    partial = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        model = fitted.model_
        write_text(partial / RESULT, result.model_dump_json(indent=2) + "\n")
        config = {"method": result.method, "config": result.config, "training": result.training}
        write_text(partial / "config.yaml", yaml.safe_dump(config, sort_keys=False))
        write_text(partial / "metrics.jsonl", _metrics_lines(fitted))
        write_text(partial / "store.json", fitted.store.header.model_dump_json(indent=2) + "\n")
        weights = model.method.state_dict()
        dims = {"dims": json.dumps(asdict(model.method.dims))}
        _save_tensors(partial / "weights.safetensors", weights, dims)
        model.classes.save(partial / "class_embeddings.safetensors")
        text.select(model.classes.names).save(partial / "text.safetensors")
        _save_evaluation(fitted.validation_, partial / "validation.safetensors")
        _save_evaluation(test, partial / "test.safetensors")
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
        for state in (checkpoint_of(folder), tried_beside(folder)):
            state.unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or error
        raise EzavError(f"cannot write the run '{folder}': {why}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return result


def checkpoint_of(folder: str | Path) -> Path:
    """Where the training of a run leaves its state until the run folder is written."""
    folder = Path(folder).resolve()  # "." has no name
    return folder.with_name(f".{folder.name}.checkpoint")


def tried_beside(folder: str | Path) -> Path:
    """Where the choice of a run's settings keeps what it has tried until the run is written."""
    return checkpoint_of(folder).with_suffix(".tried")


def check_free(folder: Path) -> None:
    """Raise EzavError unless a run can be written to `folder`: absent, or an empty folder."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise EzavError(f"'{folder}' exists already", "choose another --out, or remove it first")


def read_result(folder: str | Path) -> RunResult:
    """The typed result of a run folder.

    Raises:
        EzavError: no run there, or one of another version.
    """
    path = Path(folder) / RESULT
    if not path.is_file():
        raise EzavError(f"no run at '{folder}' (no {RESULT})", "'ezav run' writes one")
    try:
        data = json.loads(path.read_bytes())
        version = data.get("version") if isinstance(data, dict) else None
        if version != RESULT_VERSION:
            raise EzavError(
                f"'{folder}' is a run of version {version}, this ezav reads {RESULT_VERSION}",
                "run it again, or use the ezav that wrote it",
            )
        return RunResult.model_validate(data)
    except (ValidationError, ValueError) as error:
        raise EzavError(f"'{path}' is damaged: {str(error).splitlines()[0]}") from error


def difference(
    result: RunResult, protocol: TwoStageProtocol, store: FeatureStore, label: str
) -> str:
    """In what a run differs from what a protocol has on a store by this ezav; empty: in nothing.

    Args:
        result: of the run.
        protocol, store: what is asked for.
        label: as for :func:`write_run`.
    """
    config = protocol.config
    if config is None:
        config = registry.get(protocol.method, import_code=True).Config()
    told = {
        "method": (result.method, protocol.method),
        "seed": (result.seed, protocol.seed),
        "version of ezav": (result.versions.get("ezav"), ezav.__version__),
        "feature store": (result.store_fingerprint, store.fingerprint),
        "text encoder": (
            result.class_embeddings.get("encoder"),
            protocol.text_encoder or store.encoders[0],
        ),
        "label": (result.label, label or protocol.method),
        "training settings": (result.training, asdict(protocol.training)),
        "config": (result.config, plain_config(config)),
    }
    return ", ".join(name for name, (there, asked) in told.items() if there != asked)


def read_model(
    folder: str | Path, device: str = "cpu", *, import_code: bool = False
) -> tuple[StageModel, RunResult]:
    """The stage-2 model of a run, ready to score, and the run's result.

    Args:
        folder: of the run.
        device: where the model goes; as :func:`ezav.device.choose_device` takes it.
        import_code: import the run's method where it is one of one's own (`docs/trust.md`).

    Raises:
        EzavError: no run there, a file is missing, or weights of another architecture.
        RefusedError: its method would have to be imported.
        UnavailableError: no such device.
    """
    device = choose_device(device)
    folder = Path(folder)
    result = read_result(folder)
    method_class = registry.get(result.method, import_code=import_code)
    config = parse_config(method_class, result.config)
    weights_path = folder / "weights.safetensors"
    try:
        from safetensors import safe_open

        with safe_open(weights_path, framework="pt") as file:
            dims = Dims(**json.loads((file.metadata() or {})["dims"]))
        state = load_file(weights_path)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise EzavError(f"cannot read '{weights_path}': {error}", "run it again") from error
    method: Method = method_class(config, dims)
    try:
        method.load_state_dict(state)
    except RuntimeError as error:
        raise EzavError(
            f"'{weights_path}' is of another architecture: {str(error).splitlines()[-1].strip()}",
            "run it again with this version",
        ) from error
    classes = ClassEmbeddings.load(folder / "class_embeddings.safetensors")
    seen_names = set(result.candidates["seen"])
    seen = torch.tensor([name in seen_names for name in classes.names])
    return StageModel(method.to(device).eval(), classes, seen), result


def read_evaluation_file(path: str | Path) -> Evaluation:
    """The scores a run stored (`validation.safetensors` or `test.safetensors`)."""
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt") as file:
            names = file.metadata() or {}
            return Evaluation(
                scores=file.get_tensor("scores"),
                targets=file.get_tensor("targets"),
                seen=file.get_tensor("seen"),
                classes=tuple(json.loads(names["classes"])),
                clips=tuple(json.loads(names["clips"])),
            )
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise EzavError(f"cannot read '{path}': {error}") from error


def plain_config(config: Any) -> dict[str, Any]:
    """A typed config as plain data, as runs and recipes hold it."""
    plain: dict[str, Any] = TypeAdapter(type(config)).dump_python(config, mode="json")
    return plain


def parse_config(method: type[Method], values: dict[str, Any]) -> Any:
    """A method's config from plain data (a recipe, a run), checked field by field.

    Raises:
        EzavError: a field is unknown, or has a value of the wrong kind or beyond reason.
    """
    return parse(method.Config, values, method.Config.__name__)


def metrics_of(evaluation: Evaluation, gamma: float) -> Metrics:
    """S, U, HM, ZSL at gamma, and AUSUC of the whole curve."""
    curve = seen_unseen_curve(evaluation.scores, evaluation.targets, evaluation.seen)
    at_gamma = gzsl_scores(evaluation.scores, evaluation.targets, evaluation.seen, gamma)
    return Metrics(**asdict(at_gamma), AUSUC=curve.ausuc)


def _result(
    fitted: FittedProtocol,
    test: Evaluation,
    seconds: dict[str, float],
    label: str,
    alphas: Mapping[float, float],
) -> RunResult:
    protocol, header = fitted.protocol, fitted.store.header
    classes = fitted.model_.classes
    return RunResult(
        method=protocol.method,
        label=label or protocol.method,
        dataset=header.dataset,
        setting=header.setting,
        simulated=header.simulated,
        text_alignment=header.text_alignment,
        seed=protocol.seed,
        gamma=fitted.gamma_,
        epoch=fitted.epoch_,
        metrics=metrics_of(test, fitted.gamma_),
        validation=metrics_of(fitted.validation_, fitted.gamma_),
        chance=chance(int(test.seen.sum()), int((~test.seen).sum())),
        per_class=_per_class(test, fitted.gamma_),
        candidates={
            "seen": [n for n, seen in zip(classes.names, test.seen.tolist()) if seen],
            "unseen": [n for n, seen in zip(classes.names, test.seen.tolist()) if not seen],
        },
        class_embeddings={"encoder": classes.encoder, **classes.settings},
        alphas=dict(alphas),
        parameters=sum(p.numel() for p in fitted.model_.method.parameters()),
        timing=seconds,
        versions={
            "ezav": ezav.__version__,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
        store_fingerprint=fitted.store.fingerprint,
        config=plain_config(fitted.model_.method.config),
        training=asdict(protocol.training),
    )


def _per_class(test: Evaluation, gamma: float) -> list[ClassResult]:
    predictions = calibrated_predictions(test.scores, test.seen, gamma)
    recall = per_class_recall(predictions, test.targets, len(test.classes))
    unseen_clips = ~test.seen[test.targets]
    among_unseen = test.scores[unseen_clips].masked_fill(test.seen, -torch.inf).argmax(1)
    zsl = per_class_recall(among_unseen, test.targets[unseen_clips], len(test.classes))
    count = torch.bincount(test.targets, minlength=len(test.classes))
    return [
        ClassResult(
            name=name,
            seen=bool(test.seen[row]),
            clips=int(count[row]),
            recall=_number(recall[row]),
            zsl_recall=None if test.seen[row] else _number(zsl[row]),
        )
        for row, name in enumerate(test.classes)
    ]


def _number(value: Tensor) -> float | None:
    return None if bool(value.isnan()) else float(value)


def _metrics_lines(fitted: FittedProtocol) -> str:
    lines = [
        {
            "stage": 1,
            "epoch": epoch.log.epoch,
            "loss": epoch.log.loss,
            **{f"loss_{name}": part for name, part in epoch.log.parts.items()},
            "learning_rate": epoch.log.learning_rate,
            "validation_HM": epoch.HM,
            "validation_gamma": epoch.gamma,
            "seconds": epoch.log.seconds,
        }
        for epoch in fitted.history_
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def _save_evaluation(evaluation: Evaluation, path: Path) -> None:
    _save_tensors(
        path,
        {"scores": evaluation.scores, "targets": evaluation.targets, "seen": evaluation.seen},
        {"classes": json.dumps(evaluation.classes), "clips": json.dumps(evaluation.clips)},
    )


def _save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    save_file({name: value.contiguous() for name, value in tensors.items()}, path, metadata)
    path.chmod(0o644)  # safetensors lets nobody else read; a run is to be shared
