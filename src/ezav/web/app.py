"""What the page asks its server: clips in, rows of a table out; and one function for programs."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
)
from starlette.routing import Route

from ezav.errors import EzavError
from ezav.naming import shown
from ezav.web import render
from ezav.web.bench import Bench
from ezav.web.connections import client_of
from ezav.web.gate import Gate
from ezav.web.reading import Looked, Reader
from ezav.web.uploads import arrived
from ezav.web.visitors import Visitors

log = logging.getLogger("ezav.web")

_HERE = Path(__file__).parent
STATIC = {
    "style.css": "text/css",
    "page.js": "text/javascript",
    "record.js": "text/javascript",
    "table.js": "text/javascript",
    "teach.js": "text/javascript",
    "server.js": "text/javascript",
}
VISITOR = "ezav-visitor"
"""The header by which a page says whose it is: no page of another site can send it."""
_WHO = re.compile(r"[A-Za-z0-9_-]{22,64}")
_PLACE = re.compile(r"(?<![\w.])/(?:[^/\s'\"]+/)+")
"""Where a file lies on this machine, which is told to nobody."""

Answering = Callable[[Request], Awaitable[Response]]


_NO_ROOM = "The server has no room for files at present: come back in some minutes."


class Page:
    """The page's server behind its guard.

    Args:
        page: the HTML of it.
        visitors: whose workbenches these are.
        reader: reads uploads.
        gate: whose turn it is.
        folder: for uploads, each for as long as it is read.
        examples: clips that are offered for a try.
    """

    def __init__(
        self,
        page: str,
        visitors: Visitors,
        reader: Reader,
        gate: Gate,
        folder: Path,
        examples: Sequence[Path],
    ) -> None:
        self._page = page
        self._visitors, self._reader, self._gate = visitors, reader, gate
        self._folder, self._examples = folder, examples

    def app(self) -> Starlette:
        """As an ASGI application."""
        api = {
            "/api/predict": ("POST", self._predict),
            "/api/state": ("GET", self._state),
            "/api/names": ("PUT", self._names),
            "/api/clips": ("POST", self._clip),
            "/api/clips/remove": ("POST", self._remove),
            "/api/clips/{number:int}": ("GET", self._details),
            "/api/clips/{number:int}/correct": ("PUT", self._correct),
            "/api/corrections": ("POST", self._corrections),
            "/api/teach": ("POST", self._teach),
            "/api/undo": ("POST", self._undo),
            "/api/unlearn": ("POST", self._unlearn),
            "/api/rename": ("POST", self._rename),
            "/api/answers.csv": ("GET", self._table),
            "/api/recogniser.zip": ("GET", self._archive),
            "/api/here": ("POST", self._here),
            "/api/leave": ("POST", self._leave),
            "/api/examples/{number:int}": ("GET", self._example),
        }
        routes = [
            Route(path, _in_words(done), methods=[method]) for path, (method, done) in api.items()
        ]
        routes += [
            Route("/", self._front, methods=["GET"]),
            Route("/static/{name}", _static, methods=["GET"]),
        ]
        made = Starlette(routes=routes)
        # It would build an address of what anybody writes into a request.
        made.router.redirect_slashes = False
        return made

    async def _front(self, request: Request) -> Response:
        return HTMLResponse(self._page)

    def _bench(self, request: Request) -> Bench:
        who = request.headers.get(VISITOR, "")
        if not _WHO.fullmatch(who):
            raise HTTPException(400, f"A page says in the header {VISITOR} whose it is.")
        return self._visitors.bench(who, client_of(request.scope))

    async def _turn(self, request: Request, done: Callable[[], Any]) -> Any:
        """What is computed, when it is its turn."""
        async with self._gate.turn(client_of(request.scope)):
            return await self._gate.run(done)

    async def _with_upload(
        self, request: Request, file: str, done: Callable[[Path], dict[str, Any]]
    ) -> Response:
        """What is made of an upload when it is its turn; the file goes at once."""
        async with (
            arrived(request.stream(), self._folder, file) as path,
            self._gate.turn(client_of(request.scope)),
        ):
            return JSONResponse(await self._gate.run(done, path))

    async def _predict(self, request: Request) -> Response:
        asked = request.query_params
        file, explain = asked.get("name", "clip"), asked.get("explain", "0") == "1"

        def answer(path: Path) -> dict[str, Any]:
            bench = self._visitors.alone()
            bench.ask("\n".join(asked.getlist("class")))
            one = bench.add(file, self._reader.read(path), explain=explain)
            if one.found is None:
                raise EzavError(one.error or "there are no names to choose from", "give `class`")
            return replace(one.found, clip=one.file).as_dict()

        return await self._with_upload(request, file, answer)

    async def _state(self, request: Request) -> Response:
        return await _state_of(self._bench(request))

    async def _names(self, request: Request) -> Response:
        bench, body = self._bench(request), await request.body()
        self._visitors.check_room(client_of(request.scope))
        names = body.decode("utf-8", "replace")
        await self._turn(request, lambda: bench.ask(names))
        return await _state_of(bench)

    async def _clip(self, request: Request) -> Response:
        bench = self._bench(request)
        self._visitors.check_room(client_of(request.scope))
        bench.check_room()
        file = request.query_params.get("name", "clip")
        shows = request.query_params.get("shows", "")

        def put(path: Path) -> dict[str, Any]:
            try:
                looked: Looked | EzavError = self._reader.read(path)
            except EzavError as error:
                looked = EzavError(without_places(error))
            return bench.add(file, looked, shows).row()

        return await self._with_upload(request, file, put)

    async def _remove(self, request: Request) -> Response:
        bench, said = self._bench(request), await _told(request)
        numbers = said.get("clips")
        some = numbers if isinstance(numbers, list) else list(bench.clips)
        await run_in_threadpool(bench.remove, [one for one in some if type(one) is int])
        return await _state_of(bench)

    async def _details(self, request: Request) -> Response:
        bench, number = self._bench(request), request.path_params["number"]
        why = request.query_params.get("why", "") == "1"
        if why:
            one, found = await self._turn(request, lambda: bench.explained(number))
        else:
            one = bench.clip(number)
            found = one.found
        made = await run_in_threadpool(render.details, one, found, why)
        return JSONResponse({"html": made})

    async def _correct(self, request: Request) -> Response:
        bench, said = self._bench(request), await _told(request)
        number, name = request.path_params["number"], str(said.get("name", ""))
        one = await run_in_threadpool(bench.correct, number, name)
        return await _state_of(bench, rows=False, row=one.row())

    async def _corrections(self, request: Request) -> Response:
        bench, body = self._bench(request), await request.body()
        count = await run_in_threadpool(bench.take_corrections, body)
        said = f"{count} corrections are taken over; nothing is learned yet"
        return await _state_of(bench, said=[said])

    async def _teach(self, request: Request) -> Response:
        bench = self._bench(request)
        self._visitors.check_room(client_of(request.scope))
        said = await self._turn(request, bench.teach)
        return await _state_of(bench, said=[str(one) for one in said])

    async def _undo(self, request: Request) -> Response:
        bench = self._bench(request)
        what = await self._turn(request, bench.undo)
        return await _state_of(bench, said=[f"Undone: {what}"])

    async def _unlearn(self, request: Request) -> Response:
        bench, said = self._bench(request), await _told(request)
        name = str(said.get("name", ""))
        await self._turn(request, lambda: bench.unlearn(name))
        return await _state_of(bench, said=[f"{shown(name)}: its clips are forgotten"])

    async def _rename(self, request: Request) -> Response:
        bench, said = self._bench(request), await _told(request)
        old, new = str(said.get("name", "")), str(said.get("to", ""))
        await self._turn(request, lambda: bench.rename(old, new))
        return await _state_of(bench, said=[f"{shown(old)}: now {shown(new)}"])

    async def _table(self, request: Request) -> Response:
        made = await run_in_threadpool(self._bench(request).table)
        return Response(made, media_type="text/csv")

    async def _archive(self, request: Request) -> Response:
        made = await self._turn(request, self._bench(request).archive)
        return Response(made, media_type="application/zip")

    async def _here(self, request: Request) -> Response:
        return JSONResponse({"clips": len(self._bench(request).clips)})

    async def _leave(self, request: Request) -> Response:
        self._visitors.leave(request.headers.get(VISITOR, ""))
        return Response(status_code=204)

    async def _example(self, request: Request) -> Response:
        number = request.path_params["number"]
        if number >= len(self._examples):
            raise HTTPException(404, "There is no such example.")
        return FileResponse(self._examples[number])


async def _state_of(bench: Bench, rows: bool = True, **more: Any) -> Response:
    state = await run_in_threadpool(bench.state, rows)
    return JSONResponse({**state, **more})


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        raise HTTPException(404, "There is nothing here.")
    return FileResponse(_HERE / name, media_type=STATIC[name])


async def _told(request: Request) -> dict[str, Any]:
    """The JSON object of a request."""
    try:
        said = json.loads(await request.body())
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise HTTPException(400, "The request holds no JSON object.")
    return said


def _in_words(done: Answering) -> Answering:
    """A visitor's own mistake as status 422 and one line; anything else as 500, without details."""

    async def answer(request: Request) -> Response:
        try:
            return await done(request)
        except HTTPException:
            raise
        except ClientDisconnect:
            return PlainTextResponse("The request was cut off.", 400)
        except OSError as error:  # where uploads are put: no room, or a fault of the disk
            log.error("a request failed: %s", error)
            return PlainTextResponse(_NO_ROOM, 507)
        except Exception as error:
            status = 422 if isinstance(error, EzavError) else 500
            return PlainTextResponse(in_words(error), status)

    return answer


def without_places(error: EzavError) -> str:
    """What went wrong, in words, and not where on this machine."""
    return _PLACE.sub("", str(error))


def in_words(error: Exception) -> str:
    """A visitor's own mistake as it is; anything else goes to the log, without details outside."""
    if isinstance(error, EzavError):
        text = without_places(error)
        return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?")) else ".")
    log.error("a request failed", exc_info=error)
    return "Something went wrong on the server; the owner finds it in the log."
