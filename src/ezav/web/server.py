"""Serving the page: an address, a private folder for uploads, and no trace afterwards."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ezav.errors import EzavError, UnavailableError
from ezav.recognizer import Recognizer
from ezav.web.settings import WebSettings
from ezav.web.uploads import Uploads, private_folder

if TYPE_CHECKING:
    from gradio import Blocks
    from starlette.types import ASGIApp

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

    Uploads live in a private folder. They are removed when their page is closed, after
    `keep_minutes` at the latest, and with the folder when the server ends; what a server that was
    killed has left, when the next one begins.

    Raises:
        EzavError: Gradio is not installed, the port is taken, an example is missing, or an
            encoder of the run is not available.
    """
    settings = settings or WebSettings()
    # Read when Gradio is imported, and again when blocks are made.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    examples = example_files(examples)
    with ExitStack() as stack:
        folder = stack.enter_context(private_folder())
        # Gradio makes folders there as it is imported.
        stack.enter_context(_environment("GRADIO_TEMP_DIR", str(folder)))
        try:
            import gradio  # noqa: F401
        except ImportError as error:
            raise EzavError("the page needs Gradio", "pip install 'ezav[web]'") from error
        from ezav.web.answers import Answers
        from ezav.web.page import build
        from ezav.web.reading import Reader

        listening = stack.enter_context(_listening(settings))
        reader = stack.enter_context(Reader(recognizer, settings))
        if not reader.cut_off:
            log.warning("this system cannot keep the processes that read files off the network")
        uploads = Uploads(folder, settings.keep_minutes * 60)
        answers = Answers(recognizer, reader, settings, folder)
        offered = _offered(examples, folder)
        page = build(answers, settings, offered, uploads.forget, uploads.remember)
        app = _application(page, settings, uploads)
        stack.enter_context(_answering(app, listening, settings))
        stack.callback(page.close, verbose=False)
        uploads.keep_what_is_there()
        stack.enter_context(uploads.sweeping())
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


def _application(page: Blocks, settings: WebSettings, uploads: Uploads) -> ASGIApp:
    """Gradio's page behind what guards it."""
    import gradio
    from fastapi import FastAPI

    from ezav.web.guard import Guard
    from ezav.web.limits import RequestLimits
    from ezav.web.page import STYLE, theme

    # Not open: a request must wait its turn like all others.
    page.queue(
        max_size=settings.waiting, default_concurrency_limit=settings.workers, api_open=False
    )
    app = gradio.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        page,
        path="/",
        root_path=settings.root_path or None,
        server_name=settings.host,
        server_port=settings.port,
        show_error=False,
        max_file_size=int(settings.max_megabytes * 1e6),
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        footer_links=["api"],
        theme=theme(),
        css=STYLE,
    )
    page.has_launched = True  # without it Gradio checks no path of a file, in or out

    def waiting(client: str) -> int:
        from ezav.web.connections import client_of

        queues = page._queue.event_queue_per_concurrency_id.values()
        events = [event for queue in queues for event in queue.queue]
        return sum(client_of(event.request.scope) == client for event in events)

    limited = RequestLimits(app, settings, stored=uploads.size, waiting=waiting)
    hosts = {"localhost", socket.gethostname(), settings.host, *settings.allow_hosts}
    return Guard(limited, hosts, uploads.folder, settings.token, settings.root_path)


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
