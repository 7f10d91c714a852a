"""Who may ask the page's server, and for what: asked before Gradio sees a request."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Collection
from html import escape
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_API = "/gradio_api"
_PATHS = re.compile(
    r"/(?:|config|theme\.css|favicon\.ico|robots\.txt|manifest\.json|pwa_icon(?:/\d+)?"
    r"|(?:assets|static|svelte)/.+"
    rf"|{_API[1:]}/(?:info|app_id|openapi\.json|queue/(?:join|data)|upload|upload_progress|cancel"
    r"|reset|startup-events|heartbeat/\w+|(?:call|run)/(?:v2/)?\w+(?:/\w+)?|file=.+))/?"
)
"""What the page and `gradio_client` ask for; Gradio has more, which nobody needs here."""
_FILE = f"{_API}/file="
_TOLD_BY_PROXIES = ("x-forwarded-", "x-gradio-server", "x-original-", "x-rewrite-", "forwarded")
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(self), geolocation=(), payment=(), usb=()",
}
_POLICY = (
    "default-src 'self'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; worker-src 'self' blob:; connect-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
"""Gradio styles elements as it goes, and makes functions of text (without `unsafe-eval` its page
does not answer); nothing comes from elsewhere."""
_POLICY_OF_FILES = "default-src 'none'; sandbox"
"""A visitor's file is shown in the page, never as one."""


class Guard:
    """An ASGI layer that refuses other sites, unknown hosts, and who has no token.

    Args:
        app: what is behind it.
        hosts: names by which the server may be called; addresses are always taken, since no name
            server of others gives them.
        files: the folder of uploads, from which alone files are given.
        token: what visitors must know; empty lets everybody in.
        root_path: the path under which a proxy has the page.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Collection[str],
        files: Path,
        token: str = "",
        root_path: str = "",
    ) -> None:
        self._app = app
        self._hosts = {host.lower() for host in hosts}
        self._files = f"{_FILE}{files}/"
        self._token = token
        self._root = root_path
        digest = hashlib.sha256(b"ezav " + token.encode()).hexdigest()
        self._cookie, self._pass = f"ezav-{digest[:8]}", digest[8:]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no websocket has business here
            await send({"type": "websocket.close", "code": 1008})
            return
        scope = self._plain(scope)
        nonce = secrets.token_urlsafe(16)
        policy = _POLICY.format(nonce=nonce)
        if scope["path"].startswith(_FILE):
            policy = _POLICY_OF_FILES
        app: ASGIApp = self._refusal(scope) or self._app
        headed = _headed(send, policy)
        if app is self._app and scope["path"] == "/" and scope["method"] == "GET":
            await app(scope, receive, _marked(headed, nonce))
        else:
            await app(scope, receive, headed)

    def _plain(self, scope: Scope) -> Scope:
        """The request without the proxy's path, and without what anybody may say of proxies."""
        headers = [
            (name, value)
            for name, value in scope["headers"]
            if not name.decode("latin-1").startswith(_TOLD_BY_PROXIES)
        ]
        path = scope["path"]
        if self._root and (path + "/").startswith(self._root + "/"):
            path = path[len(self._root) :] or "/"
        if path == "/":  # it is marked on its way out, and so must be legible
            headers = [(name, value) for name, value in headers if name != b"accept-encoding"]
        return {**scope, "headers": headers, "path": path, "raw_path": path.encode()}

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not _is_address(host) and _name(host) not in self._hosts:
            return PlainTextResponse("This server has another name (--allow-hosts).", 403)
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return PlainTextResponse("Requests of other sites are not answered.", 403)
        foreign = headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}
        if foreign and headers.get("sec-fetch-mode") != "navigate":
            return PlainTextResponse("Requests of other sites are not answered.", 403)
        if self._token and (asked := self._unknown(scope, headers)) is not None:
            return asked
        path = scope["path"]
        of_files = path.startswith(_FILE)
        if not _PATHS.fullmatch(path) or (of_files and not self._is_upload(path)):
            return PlainTextResponse("There is nothing here.", 404)
        return None

    def _is_upload(self, path: str) -> bool:
        return path.startswith(self._files) and ".." not in path.split("/") and "\0" not in path

    def _unknown(self, scope: Scope, headers: Headers) -> Response | None:
        """What a visitor without the token gets; None for one who has it."""
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and _same(given.strip(), self._token):
            return None
        request = Request(scope)
        if _same(request.cookies.get(self._cookie, ""), self._pass):
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        told = dict(query).get("token", "")
        if scope["method"] == "GET" and _same(told, self._token):
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            target = self._root + scope["path"] + (f"?{rest}" if rest else "")
            # Two slashes at the beginning would be another site.
            answer = RedirectResponse("/" + target.lstrip("/\\"), 303)
            answer.set_cookie(
                self._cookie,
                self._pass,
                path=self._root or "/",
                httponly=True,
                samesite="lax",
                secure=scope["scheme"] == "https",
            )
            return answer
        if "text/html" in headers.get("accept", ""):
            wrong = "<p><strong>That is not it.</strong></p>" if told else ""
            return HTMLResponse(_ASKED.format(wrong=wrong, action=escape(self._root) + "/"), 401)
        return PlainTextResponse("This page asks for its token.", 401)


_ASKED = """<!doctype html><meta charset="utf-8"><title>ezav</title>
<meta name="viewport" content="width=device-width">
<body style="font-family: system-ui, sans-serif; max-width: 30rem; margin: 15vh auto">
<h1>This page asks for its token</h1>{wrong}
<p>It is in the address that <code>ezav serve</code> printed when it began.</p>
<form action="{action}"><label>Token <input name="token" type="password" autofocus></label>
<button>Open</button></form>
"""


def _name(host: str) -> str:
    """The name of a Host header, without the port."""
    return host.rpartition(":")[0].lower() if re.search(r":\d+$", host) else host.lower()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(_name(host).strip("[]"))
    except ValueError:
        return False
    return True


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _headed(send: Send, policy: str) -> Send:
    """Answers that say what a browser may do with them."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update({**_HEADERS, "content-security-policy": policy})
            for name in [name for name in headers if name.startswith("access-control-")]:
                del headers[name]
        await send(message)

    return sent


def _marked(send: Send, nonce: str) -> Send:
    """The page with the mark of this answer on its scripts, which no text in it can know."""
    begun: list[Message] = []
    body = bytearray()

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            begun.append(message)
            return
        body.extend(message.get("body", b""))
        if message.get("more_body", False):
            return
        whole = bytes(body).replace(b"<script", f'<script nonce="{nonce}"'.encode())
        headers = MutableHeaders(scope=begun[0])
        headers["content-length"] = str(len(whole))
        headers["cache-control"] = "no-store"
        await send(begun[0])
        await send({"type": "http.response.body", "body": whole})

    return sent
