"""Serving the page: an address, a private folder for uploads, and no trace afterwards."""

from __future__ import annotations

import logging
import shutil
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ezav.errors import EzavError, UnavailableError
from ezav.private import private_folder
from ezav.recognizer import Recognizer
from ezav.web.settings import WebSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from ezav.web.reading import Reader
    from ezav.web.visitors import Visitors

log = logging.getLogger("ezav.web")

_LEAVING_SECONDS = 2
"""For visitors to get the end of their answers when the server ends."""
_START_SECONDS = 60


@contextmanager
def serving(
    recognizer: Recognizer,
    settings: WebSettings | None = None,
    examples: Sequence[Path] = (),
) -> Iterator[str]:
    """Serve the page while the block runs; gives its address.

    An upload lies in a private folder while it is read. What was read of it is kept in memory until
    the page is closed, or `keep_minutes` after it last said something. What a server that was
    killed has left is removed when the next one begins.

    Raises:
        EzavError: Starlette or uvicorn is not installed, the port is taken, an example is missing,
            or an encoder of the run is not available.
    """
    settings = settings or WebSettings()
    examples = example_files(examples)
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise EzavError("the page needs Starlette", "pip install 'ezav[web]'") from error
    from ezav.web.reading import Reader

    with ExitStack() as stack:
        folder = stack.enter_context(private_folder("serve"))
        listening = stack.enter_context(_listening(settings))
        reader = stack.enter_context(Reader(recognizer, settings))
        if not reader.cut_off:
            log.warning("this system cannot keep the processes that read files off the network")
        visitors = _visitors(recognizer, settings)
        stack.enter_context(visitors.sweeping())
        offered = _offered(examples, folder)
        app = _application(recognizer, settings, visitors, reader, folder, offered)
        stack.enter_context(_answering(app, listening, settings))
        host = "localhost" if settings.host == "0.0.0.0" else settings.host
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{listening.getsockname()[1]}/"


@contextmanager
def _listening(settings: WebSettings) -> Iterator[socket.socket]:
    """The address, taken before anything slow is done."""
    try:
        family, *_, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM
        )[0]
        # Not to be shared: another server there would be somebody else's.
        found = socket.create_server(address[:2], family=family, backlog=128)
    except (OSError, UnicodeError) as error:
        raise EzavError(
            f"cannot serve on {settings.host}:{settings.port}: {error}",
            "choose another `port`, or `port=0` for a free one",
        ) from error
    with found:
        yield found


def _visitors(recognizer: Recognizer, settings: WebSettings) -> Visitors:
    from ezav.web.bench import LISTED, Bench
    from ezav.web.visitors import Visitors

    listed = len(recognizer.classes) <= min(LISTED, settings.max_names)
    names = "\n".join(recognizer.classes) if listed else ""
    computing = threading.RLock()
    return Visitors(lambda: Bench(recognizer, settings, computing, names), settings)


def _application(
    recognizer: Recognizer,
    settings: WebSettings,
    visitors: Visitors,
    reader: Reader,
    folder: Path,
    examples: Sequence[Path],
) -> ASGIApp:
    """The page behind what guards it."""
    from ezav.web.app import Page
    from ezav.web.gate import Gate
    from ezav.web.guard import Guard
    from ezav.web.limits import RequestLimits
    from ezav.web.render import page

    gate = Gate(settings.workers, settings.waiting)
    shown = page(recognizer, settings, examples)
    app = Page(shown, visitors, reader, gate, folder, examples).app()
    limited = RequestLimits(app, settings, stored=visitors.kept, waiting=gate.waiting)
    hosts = {"localhost", socket.gethostname(), settings.host, *settings.allow_hosts}
    return Guard(limited, hosts, settings.token, settings.root_path)


@contextmanager
def _answering(app: ASGIApp, listening: socket.socket, settings: WebSettings) -> Iterator[None]:
    """Answer from a thread of its own while the block runs."""
    import uvicorn

    from ezav.web.connections import Connections

    proxies = [one.strip() for one in settings.proxy.split(",") if one.strip()]
    connections = Connections(settings.max_connections, settings.max_connections // 4, proxies)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=connections.protocol(),
            ws="none",
            log_level="error",
            access_log=False,
            lifespan="on",
            server_header=False,
            proxy_headers=bool(proxies),
            forwarded_allow_ips=proxies,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=_LEAVING_SECONDS,
            h11_max_incomplete_event_size=32 * 1024,
        )
    )
    thread = threading.Thread(
        target=server.run, args=([listening],), name="ezav-serve", daemon=True
    )
    thread.start()
    for _ in range(_START_SECONDS * 100):
        if server.started or not thread.is_alive():
            break
        thread.join(0.01)
    try:
        if not server.started:
            raise UnavailableError("the page could not be started", "the log says why")
        yield
    finally:
        server.should_exit = True
        thread.join()


def _offered(examples: Sequence[Path], folder: Path) -> list[Path]:
    """The examples where the page may give them from; one that is drawn here if there is none."""
    from ezav.web.example import CALLED, write_example

    inside = folder / "examples"
    inside.mkdir(mode=0o700)
    if not examples:
        return [write_example(inside / f"{CALLED}.mp4")]
    offered = []
    for number, path in enumerate(examples):
        (inside / str(number)).mkdir(mode=0o700)  # two may have one name
        offered.append(inside / str(number) / path.name)
        shutil.copyfile(path, offered[-1])
    return offered


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
