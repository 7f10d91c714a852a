"""Serving the page: an address, a private folder for uploads, and no trace afterwards."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ezav.errors import EzavError
from ezav.recognizer import Recognizer
from ezav.web.settings import WebSettings

if TYPE_CHECKING:
    from gradio import Blocks
    from starlette.middleware import Middleware

_SWEEP_SECONDS = 5.0


@contextmanager
def serving(
    recognizer: Recognizer,
    settings: WebSettings | None = None,
    examples: Sequence[Path] = (),
) -> Iterator[str]:
    """Serve the page while the block runs; gives its address.

    Uploads live in a private folder. They are removed when their page is closed, after
    `keep_minutes` at the latest, and with the folder when the server ends.

    Raises:
        EzavError: Gradio is not installed, the port is taken, an example is missing, or an
            encoder of the run is not available.
    """
    settings = settings or WebSettings()
    # Read when Gradio is imported, and again when blocks are made.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    examples = example_files(examples)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ezav-serve-")))
        # Gradio makes folders there as it is imported.
        stack.enter_context(_environment("GRADIO_TEMP_DIR", str(folder)))
        try:
            import gradio  # noqa: F401
        except ImportError as error:
            raise EzavError("the page needs Gradio", "pip install 'ezav[web]'") from error
        from starlette.middleware import Middleware

        from ezav.web.answers import Answers
        from ezav.web.limits import RequestLimits
        from ezav.web.page import build
        from ezav.web.reading import Reader

        reader = stack.enter_context(Reader(recognizer, settings))
        uploads = Uploads(folder, settings.keep_minutes * 60)
        answers = Answers(recognizer, reader, settings, folder)
        page = build(answers, settings, examples, uploads.forget, uploads.remember)
        limits = Middleware(
            RequestLimits,
            upload=settings.max_upload,
            other=settings.max_request,
            kept=int(settings.max_kept),
            stored=uploads.size,
        )
        # Gradio asks its own address whether it is there; a proxy does not know this machine.
        for name, hosts in without_proxy(settings.host).items():
            stack.enter_context(_environment(name, hosts))
        address = _launch(page, settings, limits)
        stack.callback(page.close, verbose=False)
        uploads.keep_what_is_there()
        stack.enter_context(uploads.sweeping())
        yield address


def _launch(page: Blocks, settings: WebSettings, limits: Middleware) -> str:
    """Serve the page from a thread of its own; its address."""
    from ezav.web.page import STYLE, theme

    page.queue(max_size=settings.waiting, default_concurrency_limit=settings.workers)
    try:
        _, address, _ = page.launch(
            # An IPv6 address is part of the page's address.
            server_name=f"[{settings.host}]" if ":" in settings.host else settings.host,
            server_port=settings.port or free_port(settings.host),
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            show_error=False,
            max_file_size=int(settings.max_megabytes * 1e6),
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            mcp_server=False,
            pwa=False,
            footer_links=["api"],
            app_kwargs={"middleware": [limits]},
            theme=theme(),
            css=STYLE,
        )
    except (OSError, UnicodeError) as error:
        raise EzavError(
            f"cannot serve on {settings.host}:{settings.port}: {error}",
            "choose another `port`, or `port=0` for a free one",
        ) from error
    return str(address)


def example_files(paths: Sequence[Path]) -> list[Path]:
    """The files themselves, and those inside of the folders.

    Raises:
        EzavError: there is none.
    """
    found: list[Path] = []
    for path in paths:
        inside = [path]
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.is_file() and p.name[0] != ".")
        if not inside or not inside[0].is_file():
            raise EzavError(f"no example at '{path}'", "give video files, or a folder of them")
        found += inside
    return found


class Uploads:
    """Which visitor's files are in the folder, and when they go.

    Args:
        folder: where uploads are kept.
        seconds: how long at most.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder.resolve()
        self._seconds = seconds
        self._lock = threading.Lock()
        self._of: dict[str, set[Path]] = defaultdict(set)
        self._kept: set[Path] = set()

    def remember(self, session: str, upload: str) -> None:
        """A session uses a file."""
        path = Path(upload).resolve()
        if path.is_relative_to(self._folder):
            with self._lock:
                self._of[session].add(path)

    def forget(self, session: str) -> None:
        """Remove the files of a session, but for those that another one uses."""
        with self._lock:
            mine = self._of.pop(session, set())
            others = set().union(*self._of.values()) if self._of else set()
        for path in mine - others - self._kept:
            path.unlink(missing_ok=True)

    def keep_what_is_there(self) -> None:
        """What is the page's own (examples) stays until the server ends."""
        self._kept |= set(self._folder.rglob("*"))

    def size(self) -> int:
        """Bytes of all uploads that are there."""
        total = 0
        for path in list(self._folder.rglob("*")):
            try:
                if path.is_file() and path not in self._kept:
                    total += path.stat().st_size
            except FileNotFoundError:
                continue
        return total

    def sweep(self, now: float | None = None) -> None:
        """Remove files that were uploaded too long ago, whoever uses them, and empty folders."""
        limit = (time.time() if now is None else now) - self._seconds
        for path in list(self._folder.rglob("*")):
            try:
                if path in self._kept or path.stat().st_mtime >= limit:
                    continue
                if path.is_dir():
                    path.rmdir()
                else:
                    path.unlink()
            except OSError:  # gone meanwhile, or a folder that holds a newer file
                continue

    @contextmanager
    def sweeping(self) -> Iterator[None]:
        """Sweep every few seconds while the block runs."""
        over = threading.Event()

        def run() -> None:
            while not over.wait(_SWEEP_SECONDS):
                self.sweep()

        thread = threading.Thread(target=run, name="ezav-sweep", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def without_proxy(host: str) -> dict[str, str]:
    """Variables of the environment by which requests to this machine go through no proxy.

    Args:
        host: where the page is served.

    Example:
        >>> os.environ.pop("NO_PROXY", None) and None
        >>> with _environment("no_proxy", "example.org"):
        ...     without_proxy("127.0.0.1")["no_proxy"]
        'example.org,localhost,127.0.0.1,::1'
    """
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = [one.strip() for one in given.split(",") if one.strip()]
    more = ["localhost", "127.0.0.1", "::1", host]
    joined = ",".join(dict.fromkeys([*hosts, *more]))
    return {"no_proxy": joined, "NO_PROXY": joined}


def free_port(host: str) -> int:
    """A port that nobody listens on.

    Raises:
        OSError, UnicodeError: no such host here.
    """
    import socket

    family, *_, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    with socket.socket(family) as probe:
        probe.bind(address)
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before
