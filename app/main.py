"""The application: a constructor call with a list of routes; nothing registers itself by being imported."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from datetime import UTC, datetime
from ipaddress import IPv6Address, ip_network
from typing import Any
from uuid import UUID

import structlog
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from app.auth import AuthenticationError, Authenticator, ConfigurationError
from app.auth.gift_card import code_keys
from app.auth.settings import auth_config
from app.backends.patience import hurry
from app.context import Context, Runtime, unauthenticated
from app.db import dialect, open_database, require_migrated
from app.domain.access import Principal, PrincipalKind
from app.domain.fraud import GuessLimits
from app.domain.mailing import is_mailed
from app.email.message import Envelope
from app.email.smtp import Smtp
from app.email.templates import Templates
from app.execution.cost import Costs
from app.execution.endpoint import GraphQLEndpoint
from app.execution.gate import COST_HEADER
from app.execution.limits import Limits
from app.execution.persisted import ManifestError, PersistedDocuments, read_manifest
from app.execution.throttle import Allowance, Budget
from app.expressions import Cel
from app.front import ENTRANCES, Application, Front
from app.graphiql import graphiql_routes, load_examples, render_graphiql
from app.jobs import JOBS, Job, Jobs
from app.live import Exchange
from app.observability import request_id_of
from app.onlooker import Onlooker
from app.operations.door import QUIET_PATHS, Operations, gauges_of, is_loopback
from app.operations.metrics import Metrics
from app.operations.observer import Observer
from app.operations.readiness import Readiness
from app.operations.tracing import Tracing, otlp_tracing
from app.outbox.client import Poster
from app.outbox.mailing import EmailSender
from app.outbox.notices import NoticeSender
from app.outbox.webhooks import WebhookSender
from app.outbox.worker import OutboxWorker
from app.payouts.choice import provider_of
from app.payouts.processing import Payouts
from app.payouts.receiving import PayoutDoor
from app.schema.schema import schema
from app.sealing import sealer_of
from app.services import order as orders
from app.services.access import Directory
from app.services.cashback.book import RuleBooks
from app.services.fraud import BalanceReads
from app.services.ledger.mint import RandomMint
from app.services.ledger.writer import Writer
from app.services.live import live_hub
from app.services.outbox import Bell, Sender
from app.settings import Settings, SettingsError, environment_variable, mailbox, smtp_server
from app.webhooks.doors import DIALECTS, TRANSLATORS
from app.webhooks.handlers import Handlers
from app.webhooks.polling import Poller, poller_of
from app.webhooks.processing import Handler, Processor
from app.webhooks.receiving import Receiving

log = structlog.get_logger("coffer")


def now() -> datetime:
    """Return the time; the one clock that everything is handed."""
    return datetime.now(UTC)


def create_app(settings: Settings, *, demo_tokens: Mapping[str, str] | None = None) -> Application:
    """Return the server for these settings.

    `demo_tokens` (customer, staff, administrator) are shown in GraphiQL's tabs: for the demo only, since
    whoever opens the page can read them.
    """
    metrics = Metrics(
        names=settings.metrics_operation_names,
        liabilities_interval_s=settings.metrics_liabilities_interval_s,
        folder=settings.metrics_folder,
    )
    tracing = otlp_tracing() if settings.tracing else None
    runtime, listener = _runtime(settings, metrics)
    endpoint = _endpoint(settings, runtime, Observer(metrics, tracing), demo_tokens)
    payouts = _payouts(settings, runtime)
    jobs = Jobs(runtime, _jobs(settings, payouts))
    handlers = Handlers(runtime.writer, orders).by_event()
    processor = _processor(settings, runtime, handlers)
    outbox = _outbox(settings, runtime, payouts)
    poller = poller_of(settings, runtime.writer, handlers, now)
    operations = Operations(
        endpoint,
        Readiness(runtime, listener, jobs, processor, outbox),
        metrics,
        metrics_token=settings.metrics_token,
        drain_delay_s=settings.drain_delay_s,
    )
    metrics.watch(gauges_of(runtime, endpoint, listener, jobs, processor=processor, outbox=outbox))

    app = Application(
        at_once={"/graphql": endpoint.door},
        routes=[
            # First, because by far the most requests are for it.
            *endpoint.routes("/graphql"),
            *_pages(settings),
            *_doors(settings, runtime, metrics),
            *_payout_door(settings, runtime, payouts),
            *operations.routes(),
        ],
        middleware=_middleware(settings),
        lifespan=_lifespan(
            settings,
            runtime,
            listener=listener,
            jobs=jobs,
            processor=processor,
            outbox=outbox,
            poller=poller,
            payouts=payouts,
            operations=operations,
            metrics=metrics,
            tracing=tracing,
        ),
    )
    app.state.runtime = runtime
    app.state.payouts = payouts
    app.state.endpoint = endpoint
    app.state.drain = operations.drain
    return app


def _lifespan(
    settings: Settings,
    runtime: Runtime,
    *,
    listener: Exchange,
    jobs: Jobs,
    processor: Processor,
    outbox: OutboxWorker,
    poller: Poller | None,
    payouts: Payouts,
    operations: Operations,
    metrics: Metrics,
    tracing: Tracing | None,
) -> Callable[[Application], AbstractAsyncContextManager[Mapping[str, Any]]]:
    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[Mapping[str, Any]]:
        async with open_database(settings, for_all_tasks=True):
            await require_migrated()
            runtime.writer.start()
            async with metrics.shared(), runtime.access.running(), runtime.hub.running(listener):
                _warn_of_unknown_roles(settings, runtime)
                polling = nullcontext() if poller is None else poller.running()
                async with payouts.running(), jobs.running(), processor.running(), outbox.running(), polling:
                    yield {ENTRANCES: app.entrances}
                    await operations.drain()
                await runtime.writer.stop()
        if tracing is not None:
            await asyncio.to_thread(tracing.close)

    return lifespan


def _pages(settings: Settings) -> list[BaseRoute]:
    shown = _graphiql_enabled(settings)
    return [*graphiql_routes(enabled=shown), *([Route("/", _to_graphiql)] if shown else [])]


UNAUTHENTIC = Budget(60, 1.0)
"""How many messages that are not authentic an address may send to the doors at once, and each second after that."""


def _doors(settings: Settings, runtime: Runtime, metrics: Metrics) -> list[Route]:
    receiving = Receiving(
        settings,
        writer=runtime.writer,
        inbox=runtime.inbox,
        clock=now,
        dialects=DIALECTS,
        allowance=Allowance(UNAUTHENTIC),
        address_of=_address,
        count=metrics.observe_webhook,
    )
    return receiving.routes()


def _payouts(settings: Settings, runtime: Runtime) -> Payouts:
    mint = RandomMint().id
    return Payouts(
        provider_of(settings, clock=now, mint=mint),
        writer=runtime.writer,
        sealer=runtime.sealer,
        clock=now,
        mint=mint,
    )


def _jobs(settings: Settings, payouts: Payouts) -> Sequence[Job]:
    if not settings.clock_jobs:
        return ()
    if not payouts.provider.kinds or not settings.payout_interval_s:
        return JOBS
    return (*JOBS, payouts.job(settings.payout_interval_s))


def _payout_door(settings: Settings, runtime: Runtime, payouts: Payouts) -> list[Route]:
    door = PayoutDoor(
        payouts,
        writer=runtime.writer,
        clock=now,
        allowance=Allowance(UNAUTHENTIC),
        address_of=_address,
        body_timeout_s=settings.body_timeout_s,
    )
    return door.routes()


def _processor(settings: Settings, runtime: Runtime, handlers: Mapping[type[Any], Handler]) -> Processor:
    return Processor(
        writer=runtime.writer,
        inbox=runtime.inbox,
        clock=now,
        translators=TRANSLATORS,
        handlers=handlers,
        at_once=settings.deliveries_at_once,
        interval_s=settings.deliveries_interval_s,
    )


def _outbox(settings: Settings, runtime: Runtime, payouts: Payouts) -> OutboxWorker:
    return OutboxWorker(
        writer=runtime.writer,
        bell=runtime.outbox,
        clock=now,
        senders=_senders(settings, runtime, payouts),
        at_once=settings.outbox_at_once,
        at_once_each=settings.outbox_at_once_each,
        interval_s=settings.outbox_interval_s,
    )


def _senders(settings: Settings, runtime: Runtime, payouts: Payouts) -> list[Sender]:
    """Return the channels by which something leaves the program: a new one is a line here."""
    poster = Poster(
        timeout_s=settings.webhook_timeout_s,
        answer_size_max_bytes=settings.webhook_answer_size_max_bytes,
        private=settings.webhook_private_addresses,
    )
    webhooks = WebhookSender(writer=runtime.writer, sealer=runtime.sealer, poster=poster, clock=now)
    emails = _email_sender(settings, runtime)
    senders: list[Sender] = [webhooks]
    if emails is not None:
        senders += [emails, NoticeSender(emails.smtp, emails.envelope, emails.store_name)]
    if payouts.provider.kinds:
        senders.append(payouts)
    return senders


def _email_sender(settings: Settings, runtime: Runtime) -> EmailSender | None:
    server = settings.smtp_url
    if server is None or settings.email_from is None:
        return None
    envelope = Envelope(
        sender=mailbox(settings.email_from),
        reply_to=None if settings.email_reply_to is None else mailbox(settings.email_reply_to),
        preferences_url=settings.email_preferences_url,
    )
    smtp = Smtp(smtp_server(server.get_secret_value()), settings.smtp_timeout_s)
    return EmailSender(smtp, envelope, runtime.emails, settings.store_name)


def _emails(settings: Settings) -> Templates:
    """Read the templates of e-mails; what is wrong with the store's is told, and Coffer's own are used."""
    templates = Templates.load(settings.email_templates, currency=settings.currency)
    for problem in templates.problems:
        log.error("a template of e-mails can't be used; Coffer's own is used instead", problem=problem)
    return templates


def _runtime(settings: Settings, metrics: Metrics) -> tuple[Runtime, Exchange]:
    mint = RandomMint()
    process = mint.id().hex
    access = Directory(dialect(settings.database_url), clock=now)

    def outdate(wallet_id: UUID, version: int) -> None:
        # The writer is made of what listens, so it is there only when something is heard.
        writer.outdate(wallet_id, version)

    hub, listener = live_hub(
        settings, process=process, clock=now, hear_rights=access.invalidate, hear_version=outdate
    )
    bell = Bell()
    writer = Writer(
        currency=settings.currency,
        mint=mint,
        clock=now,
        publish=hub.publish,
        publish_rights=access.invalidate,
        publish_outgoing=bell.ring,
        tell=listener.tell,
        also_heard=None if settings.smtp_url is None else is_mailed,
        batch_size_max=settings.batch_size_max,
        queue_max=settings.batch_queue_max,
        wait_max_s=settings.batch_wait_max_s,
        process=process,
        on_batch=metrics.observe_batch,
        expressions=Cel(),
    )
    reads = BalanceReads(now, most=settings.balance_reads_per_minute_max)
    runtime = Runtime(
        settings=settings,
        writer=writer,
        hub=hub,
        clock=now,
        balance_reads=reads,
        access=access,
        rule_books=RuleBooks(Cel()),
        gift_card_keys=code_keys(settings),
        emails=_emails(settings),
        guesses=GuessLimits(settings.gift_card_guesses_per_hour_max),
        outbox=bell,
        sealer=sealer_of(settings),
    )
    return runtime, listener


def _endpoint(
    settings: Settings, runtime: Runtime, observer: Observer, demo_tokens: Mapping[str, str] | None
) -> GraphQLEndpoint:
    def present(principal: Principal) -> Principal:
        # A socket's principal is as old as the socket; what it may do is looked up for each operation and event.
        try:
            return runtime.access.current(principal)
        except AuthenticationError as error:
            raise unauthenticated(error) from None

    def get_context(principal: Principal, connection: HTTPConnection, request_id: str) -> Context:
        principal = present(principal)
        # The access log tells what kind of caller it was.
        connection.scope.setdefault("state", {})["principal"] = principal
        return Context(
            principal=principal, request_id=request_id, runtime=runtime, address=_address(connection)
        )

    tabs = load_examples(demo_tokens) if _graphiql_enabled(settings) else []

    async def page(_connection: HTTPConnection) -> Response:
        return render_graphiql(tabs)

    return GraphQLEndpoint(
        schema,
        get_context=get_context,
        authenticate=_authenticate(settings, runtime),
        limits=_limits(settings),
        allowed_origins=settings.cors_origins,
        graphiql=page if _graphiql_enabled(settings) else None,
        introspection=_is_on(settings.introspection, settings),
        persisted=_persisted(settings),
        get_request_id=request_id_of,
        principal_key=lambda principal: (principal.kind, principal.subject) if principal.subject else None,
        address_of=_address,
        budget_of=_budgets(settings),
        costs=Costs(weights=WEIGHTS),
        observe=observer,
        hurry=hurry,
        prepared=settings.prepared_operations,
        onlook=Onlooker if settings.shared_events else None,
        present=present,
    )


WEIGHTS = {
    # Verifying reads the whole ledger.
    "Query.verifyLedger": 500,
    # Simulations read all past orders.
    "Query.cashbackSimulation": 500,
    "Subscription.simulateCashbackRule": 500,
    # Every rule in force is asked.
    "Query.previewCashback": 20,
    # Anybody may ask, so whoever tries codes out spends what they may ask for in a while.
    "Query.checkCoupon": 20,
    # A count walks all rows that the filter finds, not a page of them.
    "*.totalCount": 10,
    "*.totalCountIsExact": 10,
    # A frame around what is paid for already.
    "*.pageInfo": 0,
    "*.edges": 0,
    "*.userErrors": 0,
}
"""Fields that cost another number than the rule says (`app.execution.cost`)."""


def _limits(settings: Settings) -> Limits:
    per_address = Budget(settings.requests_per_address_burst, settings.requests_per_address_per_s)
    return Limits(
        body_bytes_max=settings.body_size_max_bytes,
        body_timeout_s=settings.body_timeout_s,
        depth_max=settings.query_depth_max,
        aliases_max=settings.query_aliases_max,
        tokens_max=settings.query_tokens_max,
        cost_max=settings.query_cost_max,
        cost_shown=settings.query_cost_shown,
        operation_timeout_s=settings.operation_timeout_s,
        long_root_fields=frozenset({"verifyLedger", "cashbackSimulation"}),
        requests_per_address=per_address if per_address.restore_per_s else None,
        sockets_per_principal_max=settings.sockets_per_principal_max,
        subscriptions_per_principal_max=settings.subscriptions_per_principal_max,
        drain_timeout_s=settings.shutdown_grace_s,
    )


def _budgets(settings: Settings) -> Callable[[Principal], Budget | None]:
    if not settings.cost_restored_per_s:
        return lambda _principal: None
    people = Budget(settings.cost_budget, settings.cost_restored_per_s)
    factor = settings.cost_service_factor
    services = Budget(people.capacity * factor, people.restore_per_s * factor)
    return lambda principal: services if principal.kind is PrincipalKind.SERVICE else people


def _address(connection: HTTPConnection) -> str | None:
    """Return what an address is counted by: nothing for this machine, and the network for IPv6, where a caller has
    as many addresses as they like.
    """
    client = connection.scope.get("client")
    host = client[0] if client else ""
    if ":" in host:
        with suppress(ValueError):
            address = IPv6Address(host.partition("%")[0])
            if address.ipv4_mapped is None:
                return None if address.is_loopback else str(ip_network((address, 64), strict=False))
            # All that there is of IPv4 would be one network: a proxy that listens on both writes it so.
            host = str(address.ipv4_mapped)
    return None if not host or is_loopback(host) else host


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
            auth_config(settings),
            now=now,
            rights=lambda: access.rights,
            prove_key=access.prove_key,
            known_key=access.known_key,
        )
    except ConfigurationError as error:
        setting = "auth_issuers" if settings.auth_issuers else "jwt_secret"
        raise SettingsError(f"{environment_variable(setting)}: {error}") from None

    def authenticate(
        authorization: str | None, payload: Mapping[str, Any] | None
    ) -> Principal | Awaitable[Principal]:
        # Nearly always: somebody who is known, and rights that are fresh.
        if (authorization is not None or payload is None) and access.is_fresh():
            known = authenticator.known(authorization)
            if known is not None:
                return known
        return prove(authorization, payload)

    async def prove(authorization: str | None, payload: Mapping[str, Any] | None) -> Principal:
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
        Middleware(Front, hsts_max_age_s=settings.hsts_max_age_s, quiet_paths=QUIET_PATHS),
    ]
    if settings.cors_origins:
        found.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(settings.cors_origins),
                allow_methods=["GET", "POST"],
                allow_headers=["authorization", "content-type", "x-api-key", "x-request-id", COST_HEADER],
                expose_headers=["x-request-id", "retry-after"],
            )
        )
    return found


def _graphiql_enabled(settings: Settings) -> bool:
    return _is_on(settings.graphiql, settings)


def _is_on(switch: bool | None, settings: Settings) -> bool:
    return settings.environment == "development" if switch is None else switch


async def _to_graphiql(_request: HTTPConnection) -> Response:
    return RedirectResponse("graphql")
