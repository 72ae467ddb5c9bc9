"""The application: a constructor call with a list of routes; nothing registers itself by being imported."""

import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from app import jobs
from app.auth import AuthConfig, AuthenticationError, Authenticator, Failure, issuer_config
from app.context import Context, Runtime
from app.db import open_database, require_migrated
from app.domain.access import Principal
from app.execution.endpoint import GraphQLEndpoint
from app.execution.errors import ApiError, ErrorCode
from app.execution.limits import Limits
from app.execution.persisted import ManifestError, PersistedDocuments, read_manifest
from app.graphiql import graphiql_routes, load_examples, render_graphiql
from app.live import PostgresListener, SqliteWatcher
from app.observability import AccessLogMiddleware, RequestIdMiddleware, current_request_id, new_request_id
from app.schema.schema import schema
from app.services.ledger.mint import RandomMint
from app.services.ledger.writer import Writer
from app.services.live import live_hub
from app.settings import Settings, SettingsError, environment_variable


def now() -> datetime:
    """Return the time; the one clock that everything is handed."""
    return datetime.now(UTC)


def create_app(settings: Settings, *, demo_tokens: Mapping[str, str] | None = None) -> Starlette:
    """Return the server for these settings.

    `demo_tokens` (customer, staff, administrator) are shown in GraphiQL's tabs: for the demo only, since
    whoever opens the page can read them.
    """
    runtime, listener = _runtime(settings)
    endpoint = _endpoint(settings, runtime, demo_tokens)
    show_graphiql = _graphiql_enabled(settings)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with open_database(settings, for_all_tasks=True):
            await require_migrated()
            runtime.writer.start()
            async with runtime.hub.running(listener), jobs.running(runtime):
                yield
                await endpoint.drain()
                await runtime.writer.stop()

    app = Starlette(
        routes=[
            *graphiql_routes(enabled=show_graphiql),
            *endpoint.routes("/graphql"),
            Route("/livez", _alive),
            *([Route("/", _to_graphiql)] if show_graphiql else []),
        ],
        middleware=_middleware(settings),
        lifespan=lifespan,
    )
    app.state.runtime = runtime
    app.state.endpoint = endpoint
    return app


def _runtime(settings: Settings) -> tuple[Runtime, PostgresListener | SqliteWatcher]:
    mint = RandomMint()
    process = mint.id().hex
    hub, listener = live_hub(settings, process=process, clock=now)
    writer = Writer(
        currency=settings.currency,
        mint=mint,
        clock=now,
        publish=hub.publish,
        batch_size_max=settings.batch_size_max,
        queue_max=settings.batch_queue_max,
        process=process,
    )
    return Runtime(settings=settings, writer=writer, hub=hub, clock=now), listener


def _endpoint(settings: Settings, runtime: Runtime, demo_tokens: Mapping[str, str] | None) -> GraphQLEndpoint:
    def get_context(principal: Principal, connection: HTTPConnection, request_id: str) -> Context:
        connection.state.principal = principal  # the access log tells what kind of caller it was
        return Context(principal=principal, request_id=request_id, runtime=runtime)

    tabs = load_examples(demo_tokens) if _graphiql_enabled(settings) else []

    async def page(_connection: HTTPConnection) -> Response:
        return render_graphiql(tabs)

    return GraphQLEndpoint(
        schema,
        get_context=get_context,
        authenticate=_authenticate(settings),
        limits=Limits(
            body_bytes_max=settings.body_size_max_bytes,
            depth_max=settings.query_depth_max,
            aliases_max=settings.query_aliases_max,
            tokens_max=settings.query_tokens_max,
        ),
        allowed_origins=settings.cors_origins,
        graphiql=page if _graphiql_enabled(settings) else None,
        introspection=_is_on(settings.introspection, settings),
        persisted=_persisted(settings),
        get_request_id=lambda _connection: current_request_id() or new_request_id(),
        principal_key=lambda principal: (principal.kind, principal.subject) if principal.subject else None,
    )


def _persisted(settings: Settings) -> PersistedDocuments:
    file = settings.trusted_documents_file
    if file is None:
        return PersistedDocuments()
    try:
        trusted = read_manifest(file.read_bytes())
        return PersistedDocuments(trusted=trusted, only_trusted=settings.only_trusted_documents)
    except (OSError, ManifestError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(
            f"{environment_variable('trusted_documents_file')}: {file} can't be used as the manifest of trusted "
            f"documents: {reason}."
        ) from None


def _authenticate(settings: Settings) -> Callable[[str | None, Mapping[str, Any] | None], Any]:
    authenticator = Authenticator(_auth_config(settings), now=now)

    async def authenticate(authorization: str | None, payload: Mapping[str, Any] | None) -> Principal:
        try:
            if authorization is None and payload is not None:
                return await authenticator.principal_of_payload(payload)
            return await authenticator.principal(authorization)
        except AuthenticationError as error:
            away = error.reason is Failure.KEYS_UNAVAILABLE
            code = ErrorCode.SERVICE_UNAVAILABLE if away else ErrorCode.UNAUTHENTICATED
            raise ApiError(code, error.message, extra={"reason": error.reason.value}) from None

    return authenticate


def _auth_config(settings: Settings) -> AuthConfig:
    secret = settings.jwt_secret.get_secret_value() if settings.jwt_secret else ""
    if not secret:
        if settings.environment == "production":
            raise SettingsError(
                f"{environment_variable('jwt_secret')} is not set, so nobody could sign in. "
                "Give it the secret (32 bytes at least) that your store signs its tokens with."
            )
        # In development a server without a secret still starts; nobody can sign in until one is set.
        secret = secrets.token_urlsafe(48)
    issuer: dict[str, object] = {"secret": secret}
    if settings.jwt_issuer:
        issuer["issuer"] = settings.jwt_issuer
    if settings.jwt_audience:
        issuer["audience"] = settings.jwt_audience
    return AuthConfig(issuers=(issuer_config(issuer),), leeway_s=settings.jwt_leeway_s)


def _middleware(settings: Settings) -> list[Middleware]:
    found = [
        Middleware(RequestIdMiddleware),
        Middleware(AccessLogMiddleware, quiet_paths=frozenset({"/livez"})),
    ]
    if settings.cors_origins:
        found.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(settings.cors_origins),
                allow_methods=["GET", "POST"],
                allow_headers=["authorization", "content-type", "x-request-id"],
                expose_headers=["x-request-id"],
            )
        )
    return found


def _graphiql_enabled(settings: Settings) -> bool:
    return _is_on(settings.graphiql, settings)


def _is_on(switch: bool | None, settings: Settings) -> bool:
    return settings.environment == "development" if switch is None else switch


async def _alive(_request: HTTPConnection) -> Response:
    return PlainTextResponse("ok\n")


async def _to_graphiql(_request: HTTPConnection) -> Response:
    return RedirectResponse("graphql")
