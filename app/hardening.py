"""What every answer says to browsers, whoever gives it."""

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
"""An answer that has one of them (the page of GraphiQL) keeps its own."""


class SecurityHeadersMiddleware:
    """The outermost: it also answers for what broke further in, so that no answer goes without the headers."""

    def __init__(self, app: ASGIApp, *, hsts_max_age_s: int = 0) -> None:
        self._app = app
        headers = dict(HEADERS)
        if hsts_max_age_s:
            headers["strict-transport-security"] = f"max-age={hsts_max_age_s}; includeSubDomains"
        # Encoded once, not for every answer.
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                given = list(message.get("headers", ()))
                names = {name.lower() for name, _ in given}
                message["headers"] = given + [header for header in self._headers if header[0] not in names]
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            if not begun:
                await PlainTextResponse("Internal Server Error", 500)(scope, receive, send_with_headers)
            raise
