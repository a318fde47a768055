"""Who may ask the page's server: whoever knows its token, by the name it was started under."""

import hmac
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page's content may do: load from its own server alone, run no inline script, be in no frame."""

_HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Gate:
    """Stands before an app and refuses what is not the page's own.

    A page of another site, whose name an attacker lets point to 127.0.0.1, sends its own name as host, and is refused.
    What lies under ``/api/`` needs the token in the header ``Authorization``, which no other site's page can set.

    Parameters
    ----------
    app : callable
        The app, by ASGI.
    token : str
        The token.
    hosts : collection of str
        The hosts under which the server is asked for, with their port.
    """

    def __init__(self, app: App, token: str, hosts: Collection[str]) -> None:
        self._app = app
        self._token = f"Bearer {token}".encode()
        self._hosts = frozenset(host.lower().encode() for host in hosts)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = {name for name, _ in _HEADERS}
                message["headers"] = [each for each in message.get("headers", ()) if each[0] not in ours] + _HEADERS
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send_guarded)
            return
        status, sentence = refusal
        await send_guarded(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-type", b"text/plain; charset=utf-8")],
            }
        )
        await send_guarded({"type": "http.response.body", "body": f"{sentence}\n".encode()})

    def _refusal(self, scope: Message) -> tuple[int, str] | None:
        if scope["type"] != "http":
            return 403, "This server speaks HTTP only."
        headers = [(name.lower(), value) for name, value in scope["headers"]]
        hosts = [value.lower() for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return 421, "Wrong host: open the address that `flower-dgan watch` printed."
        origins = [value.lower() for name, value in headers if name == b"origin"]
        if any(origin.partition(b"://")[2] not in self._hosts for origin in origins):
            return 403, "Wrong origin: a page of another site asked."
        if scope["path"].startswith("/api/"):
            given = [value for name, value in headers if name == b"authorization"]
            if len(given) != 1 or not hmac.compare_digest(given[0], self._token):
                return 401, "No token, or a wrong one: open the whole address that `flower-dgan watch` printed."
        return None
