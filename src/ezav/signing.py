"""Who made it: a signature over the manifest of a run or a store, and so over every file of it.

The signature is Ed25519 (RFC 8032), 64 bytes in `manifest.sig` over the bytes of `manifest.json`;
keys are PEM files, as OpenSSL has them. Whoever changes a file, adds one, or writes the manifest
anew needs the key to make it pass.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ezav.errors import DamagedError, EzavError, NotFoundError, RefusedError, UnavailableError
from ezav.manifest import (
    MANIFEST,
    SIGNATURE,
    differences,
    files_in,
    parse_manifest,
    read_manifest,
    write_manifest,
)
from ezav.safe_io import atomic_path
from ezav.small_files import read_small

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

_KEY_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Signature:
    """What :func:`sign` made.

    Attributes:
        files: how many it covers.
        fingerprint: of the public key (:func:`fingerprint`).
    """

    files: int
    fingerprint: str


def new_key(path: str | Path) -> Path:
    """Make a key: `path`, which nobody else may read, and `path.pub`, which everybody may have.

    Returns:
        The public one.

    Raises:
        RefusedError: one of the two is there already.
        UnavailableError: it cannot be written, or the package cryptography is missing.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     public = new_key(f"{folder}/mine.key")
        ...     public.name, oct(Path(f"{folder}/mine.key").stat().st_mode & 0o777)
        ('mine.key.pub', '0o600')
    """
    with _cryptography():
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    path = Path(path)
    public = path.with_name(f"{path.name}.pub")
    for one in (path, public):
        if os.path.lexists(one):
            raise RefusedError(f"'{one}' exists already: a key is not overwritten")
    key = Ed25519PrivateKey.generate()
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    _write_new(path, key.private_bytes(pem, *form), 0o600)
    told = serialization.PublicFormat.SubjectPublicKeyInfo
    _write_new(public, key.public_key().public_bytes(pem, told), 0o644)
    return public


def sign(folder: str | Path, key: str | Path) -> Signature:
    """Write the manifest of all files that lie in a folder, and the signature over it.

    Args:
        folder: a run, a saved recogniser or a store, as it is to be passed on.
        key: the private key, a PEM file.

    Raises:
        NotFoundError: there is no such folder or key.
        DamagedError: a file is not what the manifest that is there says.
        EzavError: the key cannot be used, or the folder not be written.
    """
    folder, private = Path(folder), _private(Path(key))
    if not folder.is_dir():
        raise NotFoundError(f"there is no folder '{folder}'")
    if wrong := differences(folder, read_manifest(folder) or {}):
        raise DamagedError(
            f"'{folder}' was changed after it was written: {wrong[0]}",
            f"sign what was made; if the change is yours and meant, remove its {MANIFEST}",
        )
    write_manifest(folder)
    data = read_small(folder / MANIFEST)
    with atomic_path(folder / SIGNATURE) as path:
        path.write_bytes(private.sign(data))
    files = parse_manifest(data, folder / MANIFEST)
    return Signature(len(files), _fingerprint(private.public_key()))


def require_signature(folder: str | Path, public: str | Path) -> str:
    """Refuse a folder unless all that lies in it was signed with a key.

    A file that was signed and is not there is none of it: downloads leave some out.

    Args:
        folder: of the run or store.
        public: the public key, a PEM file.

    Returns:
        The fingerprint of the key.

    Raises:
        RefusedError: it is not signed, or by another; a file was changed or added.
        EzavError: the key cannot be used.
    """
    from cryptography.exceptions import InvalidSignature

    folder, key = Path(folder), _public(Path(public))
    if not (folder / MANIFEST).is_file() or not (folder / SIGNATURE).is_file():
        raise RefusedError(f"refused '{folder}': it is not signed")
    data = read_small(folder / MANIFEST)
    try:
        key.verify(read_small(folder / SIGNATURE, _KEY_BYTES), data)
    except InvalidSignature:
        raise RefusedError(
            f"refused '{folder}': its signature is not one of '{public}' over its manifest"
        ) from None
    files = parse_manifest(data, folder / MANIFEST)
    if added := [name for name in files_in(folder) if name not in files]:
        raise RefusedError(f"refused '{folder}': '{added[0]}' was added after it was signed")
    if wrong := differences(folder, files):
        raise RefusedError(f"refused '{folder}': {wrong[0]}, and not what was signed")
    return _fingerprint(key)


def fingerprint(public: str | Path) -> str:
    """A public key in short, to be told and compared: `SHA256:` and 64 digits.

    Raises:
        EzavError: the key cannot be used.
    """
    return _fingerprint(_public(Path(public)))


class _cryptography:
    """Its imports, or one line that says what is missing."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ImportError):
            raise UnavailableError(
                "signatures need the package cryptography", "pip install 'ezav[sign]'"
            ) from error


def _private(path: Path) -> Ed25519PrivateKey:
    with _cryptography():
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    try:
        key = load_pem_private_key(read_small(path, _KEY_BYTES), None)
    except TypeError:
        raise EzavError(
            f"the key '{path}' is locked by a password", "openssl pkey -in KEY -out UNLOCKED"
        ) from None
    except Exception as error:
        raise _no_key(path, "private", error) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(path, "private")
    return key


def _public(path: Path) -> Ed25519PublicKey:
    with _cryptography():
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    try:
        key = load_pem_public_key(read_small(path, _KEY_BYTES))
    except Exception as error:
        raise _no_key(path, "public", error) from error
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(path, "public")
    return key


def _no_key(path: Path, kind: str, error: Exception | None = None) -> EzavError:
    if isinstance(error, EzavError):
        return error
    return EzavError(
        f"'{path}' is no {kind} Ed25519 key in a PEM file",
        "'ezav sign --new-key PATH' makes PATH (private) and PATH.pub (public)",
    )


def _fingerprint(key: Ed25519PublicKey) -> str:
    return f"SHA256:{hashlib.sha256(key.public_bytes_raw()).hexdigest()}"


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
    except OSError as error:
        raise UnavailableError(f"cannot write '{path}': {error.strerror}") from error
