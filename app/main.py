"""The application: a constructor call with a list of routes; nothing registers itself by being imported."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from app import jobs
from app.auth import AuthenticationError, Authenticator, ConfigurationError
from app.auth.settings import auth_config
from app.context import Context, Runtime, unauthenticated
from app.db import dialect, open_database, require_migrated
from app.domain.access import Principal
from app.execution.endpoint import GraphQLEndpoint
from app.execution.limits import Limits
from app.execution.persisted import ManifestError, PersistedDocuments, read_manifest
from app.graphiql import graphiql_routes, load_examples, render_graphiql
from app.live import PostgresListener, SqliteWatcher
from app.observability import AccessLogMiddleware, RequestIdMiddleware, current_request_id, new_request_id
from app.schema.schema import schema
from app.services.access import Directory
from app.services.ledger.mint import RandomMint
from app.services.ledger.writer import Writer
from app.services.live import live_hub
from app.settings import Settings, SettingsError, environment_variable

log = structlog.get_logger("coffer")


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
            async with (
                runtime.access.running(),
                runtime.hub.running(listener),
                jobs.running(runtime),
            ):
                _warn_of_unknown_roles(settings, runtime)
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
    access = Directory(dialect(settings.database_url), clock=now)
    hub, listener = live_hub(settings, process=process, clock=now, hear_rights=access.invalidate)
    writer = Writer(
        currency=settings.currency,
        mint=mint,
        clock=now,
        publish=hub.publish,
        publish_rights=access.invalidate,
        batch_size_max=settings.batch_size_max,
        queue_max=settings.batch_queue_max,
        process=process,
    )
    return Runtime(settings=settings, writer=writer, hub=hub, clock=now, access=access), listener


def _endpoint(settings: Settings, runtime: Runtime, demo_tokens: Mapping[str, str] | None) -> GraphQLEndpoint:
    def get_context(principal: Principal, connection: HTTPConnection, request_id: str) -> Context:
        # A socket's principal is as old as the socket; what it may do is looked up for each operation and event.
        try:
            principal = runtime.access.current(principal)
        except AuthenticationError as error:
            raise unauthenticated(error) from None
        connection.state.principal = principal  # the access log tells what kind of caller it was
        return Context(principal=principal, request_id=request_id, runtime=runtime)

    tabs = load_examples(demo_tokens) if _graphiql_enabled(settings) else []

    async def page(_connection: HTTPConnection) -> Response:
        return render_graphiql(tabs)

    return GraphQLEndpoint(
        schema,
        get_context=get_context,
        authenticate=_authenticate(settings, runtime),
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


def _authenticate(
    settings: Settings, runtime: Runtime
) -> Callable[[str | None, Mapping[str, Any] | None], Any]:
    access = runtime.access
    try:
        authenticator = Authenticator(
            auth_config(settings), now=now, rights=lambda: access.rights, prove_key=access.prove_key
        )
    except ConfigurationError as error:
        setting = "auth_issuers" if settings.auth_issuers else "jwt_secret"
        raise SettingsError(f"{environment_variable(setting)}: {error}") from None

    async def authenticate(authorization: str | None, payload: Mapping[str, Any] | None) -> Principal:
        try:
            await access.fresh()
            if authorization is None and payload is not None:
                return await authenticator.principal_of_payload(payload)
            return await authenticator.principal(authorization)
        except AuthenticationError as error:
            raise unauthenticated(error) from None

    return authenticate


def _warn_of_unknown_roles(settings: Settings, runtime: Runtime) -> None:
    """A role that the settings name and the database lacks grants nothing: a typing error, or one still to be made."""
    named = frozenset().union(*(issuer.role_names for issuer in auth_config(settings).issuers))
    if unknown := sorted(named - runtime.access.rights.names):
        log.warning(
            "the settings of sign-in map to roles that there are not; they grant nothing", roles=unknown
        )


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
                allow_headers=["authorization", "content-type", "x-api-key", "x-request-id"],
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
