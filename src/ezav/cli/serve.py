"""A web page: type class names, give clips, see a table of answers, correct and teach it.

With --frozen no run is needed: any names, nothing trained. What a visitor teaches changes only
that visitor's answers; the page gives the taught recogniser, and the table, as files.

Listens on this machine only unless --host says otherwise, and then asks for a token, which it
prints once (--open lets everybody in). Nothing is fetched from the internet, and no uploaded file
stays behind.
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
    Signed,
    check_frozen,
    frozen_recognizer,
    load_recognizer,
    progress,
)
from ezav.errors import EzavError
from ezav.system import ENDINGS
from ezav.web.settings import WebSettings


@dataclass(frozen=True)
class Served:
    """What `ezav serve` did: the address the page had."""

    address: str


@dataclass(kw_only=True)
class ServeCommand(FrozenOptions, Command):
    run_folder: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")] = ""
    """Use this run folder, saved recogniser, or hub id 'owner/name'; with --frozen give none."""
    web: Annotated[WebSettings, tyro.conf.arg(name="")] = field(default_factory=WebSettings)
    """The address, and what one request may cost."""
    examples: tuple[Path, ...] = ()
    """Offer these clips on the page for a try: files, or folders of them."""
    device: str = "cpu"
    """Compute on this device: `cpu`, `cuda`, or `auto`, which is a GPU if there is one."""
    import_code: Importing = False
    require_signature: Signed = None

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
            else load_recognizer(
                self.run_folder,
                self.device,
                self.import_code,
                require_signature=self.require_signature,
            )
        )
        over = threading.Event()
        # A service manager ends with SIGTERM, a terminal that is closed with SIGHUP: leave no
        # upload behind then either. What is ignored stays so (nohup).
        for number in ENDINGS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda *_: over.set())
        with serving(recognizer, self.web, self.examples) as address:
            # Once, and to whoever started it: as a link, so that it is a click there.
            link = f"{address}?token={self.web.token}" if self.web.token else address
            progress.print(
                "the page is at", Text(link, "bold"), " (Ctrl-C ends it)", soft_wrap=True
            )
            if self.web.token:
                progress.print("only who has the token may use it (or give --open)")
            elif not self.web.local:
                progress.print(f"anyone who reaches {self.web.host} may use it")
            if recognizer.caution:
                progress.print(Text(f"this run: {recognizer.caution}", "bold red"), soft_wrap=True)
            try:
                over.wait()
            except KeyboardInterrupt:
                progress.print("ended; nothing is kept")
        return Served(address)

    def show(self, result: Served) -> None:
        del result


CLI = ServeCommand

__all__ = ["CLI", "ServeCommand"]
