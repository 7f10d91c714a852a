"""Who may ask the page's server, and for what: asked before the page sees a request."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Collection
from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_TOLD_BY_PROXIES = ("x-forwarded-", "x-original-", "x-rewrite-", "forwarded")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Scripts are files of the server's own; bars have their widths in attributes; clips are played
from what the browser has of them."""
_HEADERS = {
    "content-security-policy": _POLICY,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(self), geolocation=(), payment=(), usb=()",
}


class Guard:
    """An ASGI layer that refuses other sites, unknown hosts, and who has no token.

    Args:
        app: what is behind it.
        hosts: names by which the server may be called; addresses are always taken, since no name
            server of others gives them.
        token: what visitors must know; empty lets everybody in.
        root_path: the path under which a proxy has the page.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Collection[str],
        token: str = "",
        root_path: str = "",
    ) -> None:
        self._app = app
        self._hosts = {host.lower() for host in hosts}
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
        await (self._refusal(scope) or self._app)(scope, receive, _headed(send))

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
        return {**scope, "headers": headers, "path": path, "raw_path": path.encode()}

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not _is_address(host) and _name(host) not in self._hosts:
            return PlainTextResponse("This server has another name (--allow-hosts).", 403)
        origin = headers.get("origin")
        if origin is not None and _site(origin) != host.lower():
            return PlainTextResponse("Requests of other sites are not answered.", 403)
        foreign = headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}
        if foreign and headers.get("sec-fetch-mode") != "navigate":
            return PlainTextResponse("Requests of other sites are not answered.", 403)
        if self._token and (asked := self._unknown(scope, headers)) is not None:
            return asked
        return None

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


def _site(origin: str) -> str:
    """Name and port of an Origin header; empty where it is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


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


def _headed(send: Send) -> Send:
    """Answers that say what a browser may do with them."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(_HEADERS)
        await send(message)

    return sent
