"""Who made a run or a feature store? A signature says it, for whoever has your public key.

It covers the manifest, and so every file that lies there. Sign what you pass on; others check it
with `--require-signature` of `ezav verify`, `predict`, `scan`, `serve`, `inspect` and `export`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.text import Text

from ezav.cli.common import Command, output
from ezav.errors import EzavError, NotFoundError


@dataclass(frozen=True)
class SignResult:
    """What was made: a key, or the signature over some files."""

    public: Path | None
    path: Path | None
    files: int
    fingerprint: str


@dataclass(kw_only=True)
class SignCommand(Command):
    path: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|STORE")] = None
    """Sign this run, saved recogniser, or feature store, as it is to be passed on."""
    key: Path | None = None
    """Sign with this private key, a PEM file (Ed25519)."""
    new_key: Path | None = None
    """Make a key instead: this file, to be kept to yourself, and the same with .pub for others."""

    def run(self) -> SignResult:
        from ezav.features.index import INDEX_FILE
        from ezav.protocol.files import RESULT
        from ezav.signing import fingerprint, new_key, sign

        if self.new_key is not None:
            if self.path is not None or self.key is not None:
                raise EzavError("--new-key only makes a key", "sign with it afterwards")
            public = new_key(self.new_key)
            return SignResult(public, None, 0, fingerprint(public))
        if self.path is None or self.key is None:
            raise EzavError(
                "a signature needs RUN|STORE and --key", "--new-key PATH makes a key once"
            )
        if not any((self.path / name).is_file() for name in (RESULT, INDEX_FILE)):
            raise NotFoundError(
                f"there is neither a run nor a feature store at '{self.path}'", "name its folder"
            )
        made = sign(self.path, self.key)
        return SignResult(None, self.path, made.files, made.fingerprint)

    def show(self, result: SignResult) -> None:
        if result.public is not None:
            private = result.public.with_suffix("")
            output.print(f"{private} is yours alone; give {result.public} to others")
        else:
            output.print(Text(f"{result.path}: {result.files} files signed"))
        output.print(f"key {result.fingerprint}")


CLI = SignCommand
