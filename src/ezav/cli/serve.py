"""A web page to try a run on: upload or record a clip, type any class names, see the answer.

With --frozen no run is needed: any names, nothing trained. Listens on this machine only unless
--host says otherwise. Nothing is fetched from the internet, and no uploaded file stays behind.
"""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.text import Text

from ezav.cli.common import (
    Command,
    FrozenOptions,
    Importing,
    check_frozen,
    frozen_recognizer,
    load_recognizer,
    progress,
)
from ezav.errors import EzavError
from ezav.web.settings import WebSettings


@dataclass(frozen=True)
class Served:
    """What `ezav serve` did: the address the page had."""

    address: str


@dataclass(kw_only=True)
class ServeCommand(FrozenOptions, Command):
    run_folder: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")] = ""
    """A run folder, a saved recogniser, or a hub id 'owner/name'; none with --frozen."""
    web: Annotated[WebSettings, tyro.conf.arg(name="")] = field(default_factory=WebSettings)
    """The address, and what one request may cost."""
    examples: tuple[Path, ...] = ()
    """Clips that the page offers for a try: files, or folders of them."""
    device: str = "cpu"
    """cpu, cuda, or auto."""
    import_code: Importing = False

    def run(self) -> Served:
        from ezav.web.server import serving

        check_frozen(self)
        if self.frozen and self.run_folder:
            raise EzavError("--frozen takes no run", f"leave '{self.run_folder}' out")
        if not self.frozen and not self.run_folder:
            raise EzavError("no run is given", "name one, or --frozen")
        recognizer = (
            frozen_recognizer(self, self.device, must=False)
            if self.frozen
            else load_recognizer(self.run_folder, self.device, self.import_code)
        )
        over = threading.Event()
        # A service manager ends with SIGTERM, a terminal that is closed with SIGHUP: leave no
        # upload behind then either. What is ignored stays so (nohup).
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda *_: over.set())
        with serving(recognizer, self.web, self.examples) as address:
            progress.print("the page is at", Text(address, "bold"), " (Ctrl-C ends it)")
            if self.web.host not in {"127.0.0.1", "localhost", "::1"}:
                progress.print(f"anyone who reaches {self.web.host} may use it")
            if recognizer.caution:
                progress.print(Text(f"this run: {recognizer.caution}", "bold red"), soft_wrap=True)
            try:
                over.wait()
            except KeyboardInterrupt:
                progress.print("ended; uploads are removed")
        return Served(address)

    def show(self, result: Served) -> None:
        del result


CLI = ServeCommand

__all__ = ["CLI", "ServeCommand"]
