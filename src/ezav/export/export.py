"""Write a recogniser as ONNX and `torch.export`, and prove that both give torch's numbers."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.export import ExportedProgram

from ezav.encoders.names import readable_name
from ezav.errors import EzavError, RefusedError, UnavailableError
from ezav.export.graph import INPUTS, OUTPUTS, Graph, Inputs
from ezav.export.parity import SHAPES, Parity, Runtime, compare, random_batch, real_batches
from ezav.features.feature_set import FeatureSet
from ezav.recognizer import Recognizer
from ezav.recognizer.candidates import Candidates
from ezav.recognizer.names import Names
from ezav.safe_io import atomic_path, write_text

FILES = ONNX, PROGRAM, CLASSES, EMBEDDINGS, CLIP, EXAMPLE, RECORD = (
    "model.onnx",
    "model.pt2",
    "classes.json",
    "class_embeddings.npy",
    "clip.npz",
    "example.py",
    "export.json",
)
_OPSET = 20


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written, and how near it is to torch."""

    folder: Path
    files: tuple[str, ...]
    parity: tuple[Parity, ...]


def export(
    recognizer: Recognizer,
    folder: str | Path,
    classes: Names | None = None,
    clips: FeatureSet | None = None,
) -> Exported:
    """Write `model.onnx`, `model.pt2`, the class embeddings and an example that needs no torch.

    Batch, number of classes and both numbers of tokens are free in either graph. Both are
    compared with torch on random inputs of several shapes, on clips that lack a modality, and
    on `clips`; a difference above 1e-4 is an error and nothing stays in the folder.

    Args:
        folder: a new or an empty one.
        classes: candidates whose class embeddings are written; None is all classes of the run.
            Other embeddings may be given to the graph later.
        clips: real features to compare on; the first is written as the example's clip.

    Raises:
        EzavError: the folder is not empty, a package of `ezav[export]` is missing, the method
            cannot be traced, the graph differs from torch, or `clips` have other dimensions than
            the run's features.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RefusedError(
            f"'{folder}' exists already", "choose another `folder`, or remove it first"
        )
    _check_packages()
    if clips is not None:
        recognizer.check_dims(clips)
    candidates = recognizer.candidates(classes)
    graph = Graph(recognizer.model.method.cpu(), recognizer.calibration).eval()
    vectors = _vectors(recognizer, candidates)
    dims = recognizer.model.method.dims
    random = [random_batch(dims, shape, seed) for seed, shape in enumerate(SHAPES)]
    real = real_batches(clips, vectors, candidates.seen) if clips is not None and len(clips) else []
    traced = _program(graph, random[0], recognizer.result.method)
    onnx, run_onnx = _onnx(traced, recognizer.result.method)
    program = _bytes(traced)
    parity = (
        compare("ONNX Runtime", graph, run_onnx, random + real),
        compare("torch.export", graph, _reload(program), random + real),
    )
    _write(
        folder,
        {ONNX: onnx, PROGRAM: program},
        {
            CLASSES: json.dumps(_classes(candidates), indent=2, ensure_ascii=False) + "\n",
            EXAMPLE: _example(),
            RECORD: json.dumps(_record(recognizer, parity, bool(real)), indent=2, allow_nan=False)
            + "\n",
        },
        vectors,
        real[-1] if real else random[2],
    )
    return Exported(folder=folder, files=FILES, parity=parity)


def _write(
    folder: Path, graphs: dict[str, bytes], texts: dict[str, str], vectors: Tensor, clip: Inputs
) -> None:
    for name, graph in graphs.items():
        with atomic_path(folder / name) as path:
            path.write_bytes(graph)
    with atomic_path(folder / EMBEDDINGS) as path, path.open("wb") as file:
        np.save(file, vectors.numpy(), allow_pickle=False)
    with atomic_path(folder / CLIP) as path, path.open("wb") as file:
        first = {name: value[:1].numpy() for name, value in zip(INPUTS[:6], clip)}
        np.savez(file, allow_pickle=False, **first)
    for name, text in texts.items():
        write_text(folder / name, text)


def _example() -> str:
    return (Path(__file__).parent / "example_without_torch.py").read_text(encoding="utf-8")


def _program(graph: Graph, example: Inputs, method: str) -> ExportedProgram:
    from torch.export import Dim
    from torch.export import export as trace

    batch, sound, picture, classes = (
        Dim(name) for name in ("batch", "sound", "picture", "classes")
    )
    shapes = (
        *({0: batch, 1: sound},) * 3,
        *({0: batch, 1: picture},) * 3,
        {0: classes},
        {0: classes},
    )
    try:
        # A trace that fails prints the graph so far to stderr.
        with torch.no_grad(), _quiet(), contextlib.redirect_stderr(io.StringIO()):
            program = trace(graph, example, dynamic_shapes=shapes, strict=False)
    except Exception as error:
        why = "ez_avgzl can; others only if scores take any sizes and do not branch on values"
        raise _refused(method, "traced", error, why) from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it would tell the paths of this machine
    return program


def _refused(method: str, step: str, error: Exception, why: str) -> EzavError:
    # Both libraries raise many kinds, none of them documented; the first line says what failed.
    first = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return EzavError(f"the method '{method}' cannot be {step}: {first}", why)


def _onnx(program: ExportedProgram, method: str) -> tuple[bytes, Runtime]:
    """The graph's bytes, and a runner of it in ONNX Runtime."""
    try:
        with _quiet():
            made = torch.onnx.export(
                program,
                input_names=list(INPUTS),
                output_names=list(OUTPUTS),
                opset_version=_OPSET,
                dynamo=True,
                verbose=False,
            )
            assert made is not None
            onnx = bytes(made.model_proto.SerializeToString())
            return onnx, _load_onnx(onnx)
    except Exception as error:
        why = "it uses an operator that ONNX lacks; ez_avgzl can be exported"
        raise _refused(method, "written as ONNX", error, why) from error


def _load_onnx(onnx: bytes) -> Runtime:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    wanted = {one.name for one in session.get_inputs()}

    def run(inputs: Inputs) -> list[Tensor]:
        named = {n: x.numpy() for n, x in zip(INPUTS, inputs) if n in wanted}
        return [torch.from_numpy(x) for x in session.run(list(OUTPUTS), named)]

    return run


def _bytes(program: ExportedProgram) -> bytes:
    file = io.BytesIO()
    # The example inputs would be saved as a pickle, the one thing in the file that is none.
    program.example_inputs = None
    with _quiet():
        torch.export.save(program, file)
    return file.getvalue()


def _reload(program: bytes) -> Runtime:
    """What a reader of the file gets, not what is in memory."""
    with _quiet():
        module = torch.export.load(io.BytesIO(program)).module()

    def run(inputs: Inputs) -> Sequence[Tensor]:
        with torch.no_grad():
            found: tuple[Tensor, Tensor] = module(*inputs)
        return found

    return run


def _vectors(recognizer: Recognizer, candidates: Candidates) -> Tensor:
    """Class embeddings `[C, d]` of the candidates, in their order."""
    every = torch.cat([recognizer.model.classes.vectors, candidates.new_vectors])
    return every[candidates.columns].contiguous()


def _classes(candidates: Candidates) -> list[dict[str, object]]:
    return [
        {"name": name, "words": readable_name(name), "kind": kind, "seen": seen}
        for name, kind, seen in zip(candidates.names, candidates.kinds, candidates.seen.tolist())
    ]


def _record(recognizer: Recognizer, parity: Sequence[Parity], real: bool) -> dict[str, object]:
    import onnxruntime

    result, dims = recognizer.result, recognizer.model.method.dims
    return {
        "method": result.method,
        "dataset": result.dataset,
        "dimensions": asdict(dims),
        "encoders": [e.model_dump() for e in recognizer.header.encoders if e.modality != "text"],
        "text_encoder": recognizer.text.encoder,
        "gamma": recognizer.calibration.gamma,
        "temperature": recognizer.calibration.temperature_,
        "none": recognizer.calibration.as_dict()["none_"],
        "percentages_withheld": recognizer.calibration.withheld,
        "reject_threshold": recognizer.calibration.as_dict()["reject_threshold_"],
        "inputs": list(INPUTS),
        "outputs": list(OUTPUTS),
        "compared_on": "random and real inputs" if real else "random inputs",
        "parity": [asdict(one) for one in parity],
        "versions": {
            **result.versions,
            "torch": str(torch.__version__),
            "onnxruntime": onnxruntime.__version__,
        },
    }


def _check_packages() -> None:
    import importlib.util

    for name in ("onnx", "onnxruntime", "onnxscript"):
        if importlib.util.find_spec(name) is None:
            hint = "pip install 'ezav[export]'"
            raise UnavailableError(f"export needs the package '{name}'", hint)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter talks on stdout, in warnings and in logs; what matters is raised."""
    import logging

    shapes = "torch.fx.experimental.symbolic_shapes"  # torch gives it a level of its own
    names = ("torch.onnx", "onnxscript", "torch.export", shapes)
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels):
                logger.setLevel(level)
