"""A run is a folder that says everything about itself: written whole, read with checks."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import yaml
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ezav.alone import alone, whole_folder
from ezav.classes.embeddings import ClassEmbeddings
from ezav.device import choose_device
from ezav.errors import DamagedError, NotFoundError, RefusedError
from ezav.manifest import check, write_manifest
from ezav.methods import registry
from ezav.methods.base import Dims, Method
from ezav.methods.common.gated import Gated
from ezav.protocol.appearance import Appearance
from ezav.protocol.evaluation import Evaluation, StageModel
from ezav.protocol.files import CALIBRATION, HEADER, RESULT
from ezav.protocol.kept import completed
from ezav.protocol.measure import Frozen, result_of
from ezav.protocol.result import RESULT_VERSION, RunResult
from ezav.protocol.settings import parse_config
from ezav.protocol.skeleton import refuse_larger
from ezav.safe_io import write_text
from ezav.small_files import parse_json, read_small

if TYPE_CHECKING:
    from ezav.protocol.fitted import FittedProtocol


def write_run(
    fitted: FittedProtocol,
    folder: str | Path,
    label: str = "",
    alphas: Mapping[float, float] | None = None,
    frozen: Frozen | None = None,
) -> RunResult:
    """Test a fitted protocol and write its run folder; the folder appears in one step.

    Files: `result.json`, `config.yaml`, `metrics.jsonl` (a line an epoch of stage 1),
    `weights.safetensors`, `class_embeddings.safetensors` (as trained with), `text.safetensors`
    (as the text encoder gave them), `validation.safetensors` and `test.safetensors` (scores,
    targets, seen, with names in the metadata), `calibration.json` (how scores
    become probabilities), `appearance.safetensors` (what a few clips of a class are worth, for a
    method without a space of its own), `store.json` (header of the feature store),
    `manifest.json` (the SHA-256 of each of these). The state of training beside it
    (:func:`checkpoint_of`, :func:`tried_beside`) goes then, and no sooner.

    Args:
        fitted: what is tested.
        folder: of the run.
        label: what tables call the run; by default the method.
        alphas: validation HM of every alpha that was tried, where alpha was chosen.
        frozen: the frozen row on the same test clips, if it shall be told how far the run is
            above it (:func:`ezav.recipes.frozen_row`).

    Raises:
        RefusedError: the folder exists and holds something.
        UnavailableError: it cannot be written, or another process is writing it.

    Example:
        >>> write_run(fitted=None, folder=runs / "ez-0")  # nothing is trained twice or overwritten
        Traceback (most recent call last):
        ezav.errors.RefusedError: '...ez-0' exists already; ...
    """
    check_free(Path(folder))
    folder = Path(folder).resolve()
    with alone(folder):
        started = time.perf_counter()
        test = fitted.test()
        seconds = {**fitted.seconds, "test": time.perf_counter() - started}
        result = result_of(fitted, test, seconds, label, alphas or {}, frozen)
        check_free(folder)
        with whole_folder(folder) as partial:
            _write_files(fitted, result, test, partial)
        for state in (checkpoint_of(folder), tried_beside(folder)):
            with suppress(OSError):  # the run is there; what stays is of no harm
                state.unlink()
    return result


def _write_files(
    fitted: FittedProtocol, result: RunResult, test: Evaluation, partial: Path
) -> None:
    model = fitted.model_
    write_text(partial / RESULT, result.model_dump_json(indent=2) + "\n")
    config = {"method": result.method, "config": result.config, "training": result.training}
    write_text(partial / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    write_text(partial / "metrics.jsonl", _metrics_lines(fitted))
    write_text(partial / HEADER, fitted.store.header.model_dump_json(indent=2) + "\n")
    weights = model.method.state_dict()
    dims = {"dims": json.dumps(asdict(model.method.dims))}
    _save_tensors(partial / "weights.safetensors", weights, dims)
    model.classes.save(partial / "class_embeddings.safetensors")
    text = fitted.store.class_embeddings(fitted.protocol.text_encoder)
    text.select(model.classes.names).save(partial / "text.safetensors")
    _save_evaluation(fitted.validation_, partial / "validation.safetensors")
    _save_evaluation(test, partial / "test.safetensors")
    if fitted.calibration_ is not None:
        learned = json.dumps(fitted.calibration_.as_dict(), indent=2, allow_nan=False)
        write_text(partial / CALIBRATION, learned + "\n")
    if (look := Appearance.learn(fitted)) is not None:
        look.save(partial)
    write_manifest(partial)


def checkpoint_of(folder: str | Path) -> Path:
    """Where the training of a run leaves its state until the run folder is written.

    Example:
        >>> checkpoint_of("runs/seed-0").name
        '.seed-0.checkpoint'
    """
    folder = Path(folder).resolve()  # "." has no name
    return folder.with_name(f".{folder.name}.checkpoint")


def tried_beside(folder: str | Path) -> Path:
    """Where the choice of a run's settings keeps what it has tried until the run is written.

    Example:
        >>> tried_beside("runs/seed-0").name
        '.seed-0.tried'
    """
    return checkpoint_of(folder).with_suffix(".tried")


def check_free(folder: Path) -> None:
    """Refuse a folder that a run cannot be written to: it must be absent, or empty.

    Raises:
        RefusedError: something is there.

    Example:
        >>> check_free(Path(__file__))
        Traceback (most recent call last):
        ezav.errors.RefusedError: '...run_folder.py' exists already; choose another `out`, ...
    """
    if folder.is_symlink():
        raise RefusedError(f"refused to write the run '{folder}': it is a link")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RefusedError(f"'{folder}' exists already", "choose another `out`, or remove it first")


def read_result(folder: str | Path) -> RunResult:
    """The typed result of a run folder.

    Of a run that an earlier version of ezav wrote, settings that came later have their defaults:
    it stands in one row with runs of this version.

    Raises:
        NotFoundError: no run there.
        DamagedError: its file cannot be read, or is of a format that this version does not read.

    Example:
        >>> read_result("no/such/run")
        Traceback (most recent call last):
        ezav.errors.NotFoundError: no run at 'no/such/run' (no result.json); 'ezav run' writes one
    """
    path = Path(folder) / RESULT
    if not path.is_file():
        raise NotFoundError(f"no run at '{folder}' (no {RESULT})", "'ezav run' writes one")
    try:
        data = parse_json(read_small(path))
        version = data.get("version") if isinstance(data, dict) else None
        if version != RESULT_VERSION:
            raise DamagedError(
                f"'{folder}' is a run of version {version}, this ezav reads {RESULT_VERSION}",
                "run it again, or use the ezav that wrote it",
            )
        result = RunResult.model_validate(data)
        if not math.isfinite(result.gamma) or not {"seen", "unseen"} <= set(result.candidates):
            raise ValueError("gamma is no number, or the candidates are not there")
    except (ValidationError, ValueError) as error:
        raise DamagedError(
            f"'{path}' is damaged: {str(error).splitlines()[0]}",
            "get the folder again, or run it again",
        ) from error
    check(Path(folder), (RESULT,))
    return completed(result)


def read_model(
    folder: str | Path, device: str = "cpu", *, import_code: bool = False
) -> tuple[StageModel, RunResult]:
    """The stage-2 model of a run, ready to score, and the run's result.

    Args:
        folder: of the run.
        device: where the model goes; as :func:`ezav.device.choose_device` takes it.
        import_code: import a method of one's own (`docs/concepts/trust.md`).

    Raises:
        NotFoundError: no run there.
        DamagedError: a file is missing or unreadable, or weights are of another architecture.
        RefusedError: its method would have to be imported.
        UnavailableError: no such device.

    Example:
        >>> read_model("no/such/run")
        Traceback (most recent call last):
        ezav.errors.NotFoundError: no run at 'no/such/run' (no result.json); 'ezav run' writes one
    """
    device = choose_device(device)
    folder = Path(folder)
    result = read_result(folder)
    method_class = registry.get(result.method, import_code=import_code)
    config = parse_config(method_class, result.config)
    weights_path = folder / "weights.safetensors"
    check(folder, (weights_path.name, "class_embeddings.safetensors"))
    try:
        from safetensors import safe_open

        with safe_open(weights_path, framework="pt") as file:
            dims = _dims(parse_json((file.metadata() or {})["dims"]))
        state = load_file(weights_path)
        size = weights_path.stat().st_size
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise DamagedError(f"cannot read '{weights_path}': {error}", "run it again") from error

    def made() -> Method:
        one = method_class(config, dims)
        return one if result.gate == "none" else Gated(one, result.gate)

    try:
        refuse_larger(made, size, len(state))
    except RefusedError as error:
        raise RefusedError(f"refused '{folder}': {error.message}") from None
    method = made()
    try:
        method.load_state_dict(state)
    except RuntimeError as error:
        raise DamagedError(
            f"'{weights_path}' is of another architecture: {str(error).splitlines()[-1].strip()}",
            "run it again with this version",
        ) from error
    classes = ClassEmbeddings.load(folder / "class_embeddings.safetensors")
    seen_names = set(result.candidates["seen"])
    seen = torch.tensor([name in seen_names for name in classes.names])
    return StageModel(method.to(device).eval(), classes, seen), result


def _dims(told: Any) -> Dims:
    """Raises TypeError or ValueError where they are none."""
    if not all(type(one) is int and 0 <= one < 1 << 31 for one in dict(told).values()):
        raise ValueError("its dimensions are no numbers")
    return Dims(**told)


def read_evaluation_file(path: str | Path) -> Evaluation:
    """The scores a run stored (`validation.safetensors` or `test.safetensors`).

    Raises:
        DamagedError: the file is missing, unreadable or something else.

    Example:
        >>> test = read_evaluation_file(runs / "ez-0" / "test.safetensors")
        >>> test.scores.shape, int(test.seen.sum())
        (torch.Size([48, 8]), 5)
    """
    from safetensors import safe_open

    path = Path(path)
    check(path.parent, (path.name,))
    try:
        with safe_open(path, framework="pt") as file:
            names = file.metadata() or {}
            found = Evaluation(
                scores=file.get_tensor("scores"),
                targets=file.get_tensor("targets"),
                seen=file.get_tensor("seen"),
                classes=tuple(parse_json(names["classes"])),
                clips=tuple(parse_json(names["clips"])),
            )
        _check_fits(found)
        return found
    except FileNotFoundError as error:
        raise DamagedError(
            f"the run '{path.parent}' lacks '{path.name}'", "get the folder again, or run it again"
        ) from error
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise DamagedError(f"cannot read '{path}': {error}") from error


def _check_fits(found: Evaluation) -> None:
    """Refuse scores, targets and names that do not fit together."""
    clips, classes = len(found.clips), len(found.classes)
    if found.scores.shape != (clips, classes) or not found.scores.is_floating_point():
        raise ValueError(f"it has no scores of {clips} clips and {classes} classes")
    if found.targets.shape != (clips,) or found.targets.dtype != torch.long:
        raise ValueError("its targets are not one a clip")
    if found.seen.shape != (classes,) or found.seen.dtype != torch.bool:
        raise ValueError("it does not say of each class whether it is seen")
    if clips and not 0 <= int(found.targets.min()) <= int(found.targets.max()) < classes:
        raise ValueError("a target is no class")


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
