"""The command line: python -m app serve · demo · migrate · seed · token · keys · gift-cards · sync · withdrawals · verify · schema ·
settings.

What a command is asked for goes to stdout, everything said beside it to stderr. Exit codes: 0 done, 1 `verify` found
faults, 2 it can't be done as things are (one sentence says why and what to do).

Commands import what they need themselves: a token should not wait for a web server to be loaded.
"""

import asyncio
import csv
import gc
import io
import os
import re
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial, wraps
from getpass import getuser
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, ParamSpec
from urllib.parse import unquote

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.domain.access import ROLES, Actor, ActorKind, Principal, PrincipalKind
from app.settings import Settings, SettingsError, environment_variable, load_settings, unknown_variables

if TYPE_CHECKING:
    # For annotations only: the commands that start a server load it when they run.
    import uvicorn
    from starlette.applications import Starlette

    from app.domain.payout_file import PayoutFileFormat
    from app.services.ledger.writer import Writer
    from app.services.verification import Report

DEMO_FOLDER = Path(".var")
DEMO_DATABASE = DEMO_FOLDER / "demo.sqlite3"
DEMO_TOKEN_TTL_S = 30 * 86_400
TTL_DEFAULT = "12h"
"""How long a token is good for unless the command says otherwise."""

_TTL = re.compile(r"([1-9][0-9]{0,8})([smhd]?)")
_TTL_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_FAULTS_SHOWN = 20
_COLLECT_AFTER = 50_000

# Addresses to listen on that a browser on the same machine reaches by this name.
_NAMED_LOCALHOST = frozenset({"127.0.0.1", "::1", "0.0.0.0", "::"})  # noqa: S104 - compared with, not bound

P = ParamSpec("P")

cli = typer.Typer(
    name="coffer",
    help="Coffer: a headless wallet server for online stores.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_aside = Console(stderr=True, highlight=False)


class CannotDo(Exception):
    """The command can't be done as things are; the message says what to do."""


def main() -> None:
    """Run the command line; an interrupted command ends without a stack."""
    # Starting makes some hundred thousand objects that stay: to look through them all again and again took a fifth of
    # the time. A server settles it anew once it has started (`app.serving`).
    gc.set_threshold(_COLLECT_AFTER)
    try:
        cli(prog_name="python -m app")
    except KeyboardInterrupt:
        sys.exit(130)


def _in_one_sentence(command: Callable[P, None]) -> Callable[P, None]:
    """Tell what an operator can put right in one sentence on stderr and exit with 2; defects keep their stack."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (SettingsError, CannotDo) as error:
            _fail(str(error))
        except Exception as error:
            if (sentence := _sentence_about(error)) is None:
                raise
            _fail(sentence)

    return run


def _sentence_about(error: Exception) -> str | None:
    import sqlite3

    import asyncpg
    from tortoise.exceptions import BaseORMException

    from app.auth import ConfigurationError
    from app.backends.patience import DatabaseBusy, DatabaseSlow
    from app.db import DatabaseError
    from app.services.ledger.writer import LedgerUnavailable

    if isinstance(error, DatabaseError | ConfigurationError | DatabaseBusy | DatabaseSlow):
        return str(error)
    if isinstance(error, LedgerUnavailable):
        return "The database keeps failing; what was done so far is kept. Try again."
    if isinstance(error, BaseORMException | sqlite3.Error | asyncpg.PostgresError | asyncpg.InterfaceError):
        return f"The database failed: {error}"
    return None


def _fail(message: str) -> None:
    _aside.print(message, style="red", markup=False, soft_wrap=True)
    raise typer.Exit(2)


def _warn(message: str) -> None:
    _aside.print(message, style="yellow", markup=False, soft_wrap=True)


# --- serve --------------------------------------------------------------------------------------------------


@cli.command()
@_in_one_sentence
def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on; 0 takes a free one.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Server processes; more than one needs PostgreSQL.")
    ] = None,
) -> None:
    """Serve the API."""
    given = {"host": host, "port": port, "workers": workers}
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    _require_usable(settings)
    _warn_of_unknown_variables()
    with _listening(settings) as listener:
        _aside.print(f"Coffer listens on {_address(settings, listener)}", markup=False)
        if settings.workers > 1:
            _serve_in_processes(settings, listener)
        else:
            from app.main import create_app

            _serve_here(settings, partial(create_app, settings), listener)


def application() -> Any:
    """Return the application of one of several server processes, which reads the environment itself."""
    from app.main import create_app

    settings = load_settings()
    _configure_logging(settings)
    return create_app(settings)


def _warn_of_unknown_variables() -> None:
    """Say which variables are no settings: a misspelled one would leave a server as it was, without a word."""
    for name, meant in unknown_variables(os.environ).items():
        hint = "" if meant is None else f"; perhaps {meant} was meant"
        _warn(f"{name} is no setting and changes nothing{hint}. All settings: python -m app settings")


def _require_usable(settings: Settings) -> None:
    """Find out now what a server would otherwise only say in a stack, in the middle of its start."""
    from app.auth.settings import auth_config
    from app.db import dialect, open_database, require_migrated, require_writable

    if settings.workers > 1 and dialect(settings.database_url) == "sqlite":
        raise CannotDo(
            f"SQLite serves one process, and {settings.workers} were asked for. Set "
            f"{environment_variable('workers')}=1, or use PostgreSQL ({environment_variable('database_url')})."
        )

    auth_config(settings)

    async def check() -> str | None:
        from app.services.wallet import first_currency

        async with open_database(settings):
            await require_migrated()
            await require_writable()
            return await first_currency()

    kept_in = asyncio.run(check())
    if kept_in not in {None, settings.currency}:
        variable = environment_variable("currency")
        _warn(
            f"Wallets are kept in {kept_in} here, and {variable} is {settings.currency}: new ones would be in another "
            f"currency than those that are there. If that is not meant, set {variable}={kept_in}."
        )


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """Take the port before anything is said about it; uvicorn would say so only in its log."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        raise CannotDo(
            f"Port {settings.port} of {settings.host} can't be used: {error.strerror or error}. "
            "Choose another one with --port."
        ) from None
    with listener:
        # The workers of several processes are started anew, and take the socket along.
        listener.set_inheritable(True)
        yield listener


def _address(settings: Settings, listener: socket.socket) -> str:
    host = "localhost" if settings.host in _NAMED_LOCALHOST else settings.host
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def _uvicorn_config(settings: Settings, application: Any, **options: Any) -> "uvicorn.Config":
    import uvicorn

    from app.execution.limits import Limits
    from app.serving import WORKER_HEALTHCHECK_TIMEOUT_S

    return uvicorn.Config(
        application,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http="app.serving:BoundedProtocol",
        ws="app.sockets:SocketProtocol",
        # What is too large is refused before all of it has come.
        ws_max_size=Limits().message_bytes_max,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_keep_alive=round(settings.keep_alive_s),
        timeout_worker_healthcheck=WORKER_HEALTHCHECK_TIMEOUT_S,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_grace_s)),
        **options,
    )


def _serve_here(settings: Settings, make: "Callable[[], Starlette]", listener: socket.socket) -> None:
    from app.serving import DrainingServer

    # Before the application is made: what it finds wrong then belongs into the log in the form that was asked for.
    _configure_logging(settings)
    server = DrainingServer(_uvicorn_config(settings, make()))
    # Uvicorn hands the signal on once it has shut down in good order: that is the end, not an accident.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    if not server.started:
        raise typer.Exit(3)


def _serve_in_processes(settings: Settings, listener: socket.socket) -> None:
    from app.serving import serve_in_processes

    _configure_logging(settings)
    config = _uvicorn_config(settings, "app.cli:application", factory=True, workers=settings.workers)
    with TemporaryDirectory(prefix="coffer-metrics-") as folder, suppress(KeyboardInterrupt):
        # The processes read the environment themselves.
        os.environ.setdefault(environment_variable("metrics_folder"), folder)
        serve_in_processes(config, [listener])


def _configure_logging(settings: Settings) -> None:
    from app.observability import configure_logging

    configure_logging(json=settings.log_format == "json", level=settings.log_level)


# --- demo ---------------------------------------------------------------------------------------------------


@cli.command()
@_in_one_sentence
def demo(
    port: Annotated[int | None, typer.Option(help="The port to listen on; 0 takes a free one.")] = None,
) -> None:
    """Serve a store with made-up customers, and print tokens to try it with."""
    settings = _demo_settings(port)
    with _listening(settings) as listener:
        _migrate(settings)
        _seed(settings, only_if_empty=True)
        tokens = _demo_tokens(settings)
        _print_welcome(_address(settings, listener), tokens)
        from app.main import create_app

        _serve_here(settings, partial(create_app, settings, demo_tokens=tokens), listener)


def _demo_settings(port: int | None) -> Settings:
    overrides: dict[str, Any] = {"environment": "development", "workers": 1}
    if port is not None:
        overrides["port"] = port
    if "database_url" not in load_settings(**overrides).model_fields_set:
        DEMO_FOLDER.mkdir(exist_ok=True)
        overrides["database_url"] = f"sqlite:///{DEMO_DATABASE}"
    settings = load_settings(**overrides)
    if settings.jwt_secret is None:
        overrides["jwt_secret"] = _kept_secret(_secret_file(settings))
    return load_settings(**overrides)


def _secret_file(settings: Settings) -> Path:
    """Where a secret is kept that was made up: beside the database's file, or else in the demo's folder."""
    scheme, _, path = settings.database_url.partition(":///")
    if scheme.lower() != "sqlite":
        return DEMO_FOLDER / "jwt-secret"
    database = Path(unquote(path))
    return database.with_name(f"{database.stem}.jwt-secret")


def _kept_secret(file: Path) -> str:
    """Return the secret in the file, which is made when it is missing and read by its owner only."""
    file.parent.mkdir(exist_ok=True)
    with suppress(FileExistsError):
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as new:
            new.write(secrets.token_hex(32))
    return file.read_text(encoding="ascii").strip()


def _demo_tokens(settings: Settings) -> dict[str, str]:
    from app.seed import DEMO_CUSTOMER, STAFF

    return {
        "customer": _token(settings, DEMO_CUSTOMER, ["customer"], DEMO_TOKEN_TTL_S, customer=DEMO_CUSTOMER),
        "staff": _token(settings, STAFF[0].id, ["shop_manager"], DEMO_TOKEN_TTL_S),
        "administrator": _token(settings, "admin", ["administrator"], DEMO_TOKEN_TTL_S),
    }


def _print_welcome(address: str, tokens: dict[str, str]) -> None:
    out = Console(highlight=False)
    out.print()
    out.rule("[bold]Coffer is ready", align="left")
    out.print(f"\n  GraphiQL   [bold link={address}/graphql]{address}/graphql[/]   open it and run a tab")
    out.print(f"  Endpoint   {address}/graphql   by POST, WebSocket or SSE")
    out.print("\nTokens, good for 30 days. Send one as the header   Authorization: Bearer <token>")
    for caller, token in tokens.items():
        out.print(f"\n[bold]{_CALLERS[caller]}")
        # Never wrapped, so that it can be pasted as it stands.
        out.print(token, markup=False, soft_wrap=True)
    out.print(f"\n[bold]A gift card to redeem, once[/]\n{_demo_gift_card()}")
    out.print("\nStop it with Ctrl-C.\n")


def _demo_gift_card() -> str:
    from app.domain.gift_card import printed
    from app.seed.gift_cards import code_of_demo

    return printed(code_of_demo(0))


_CALLERS = {
    "customer": "Customer demo-customer (Nora Lindqvist)",
    "staff": "Staff member mira (shop_manager)",
    "administrator": "Administrator admin",
}


# --- the database -------------------------------------------------------------------------------------------


@cli.command()
@_in_one_sentence
def migrate() -> None:
    """Bring the database's tables up to date."""
    if not _migrate(load_settings()):
        typer.echo("The database is up to date.")


def _migrate(settings: Settings) -> list[str]:
    from app import db

    return asyncio.run(db.migrate(settings, lambda name: typer.echo(f"Applied migration {name}")))


@cli.command()
@_in_one_sentence
def seed(
    scale: Annotated[
        int | None,
        typer.Option(
            min=1, help="Make so many wallets instead, with ten transactions each; interrupted, it goes on."
        ),
    ] = None,
    number: Annotated[
        int | None, typer.Option("--seed", help="Another number, another store; with --scale.")
    ] = None,
) -> None:
    """Make up some 200 customers with months of history. Repeating it changes nothing."""
    settings = load_settings()
    if not settings.in_development:
        raise CannotDo(
            "Made-up customers have no place in production. "
            f"Set {environment_variable('environment')}=development if this is not your shop."
        )
    if scale is not None:
        asyncio.run(_grow(settings, scale, number))
    elif number is not None:
        raise CannotDo("The story of the 200 customers is always the same: give --seed with --scale.")
    else:
        _seed(settings)


async def _grow(settings: Settings, wallets: int, number: int | None) -> None:
    from tortoise.connection import get_connection

    from app.db import READER, open_database, require_migrated
    from app.seed.people import SEED
    from app.seed.scale import NotTheSameStore, Scale, grow

    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    wanted = Scale(wallets, midnight, SEED if number is None else number, settings.currency)
    async with open_database(settings):
        await require_migrated()
        (row,) = await get_connection(READER).execute_query_dict(
            "SELECT COUNT(*) AS n FROM (SELECT 1 FROM customers LIMIT 1000) AS c"
        )
        with _progress() as bar:
            task = bar.add_task("Making up wallets", total=wallets)
            try:
                grown = await grow(
                    wanted,
                    customers=row["n"],
                    on_progress=lambda done, total: bar.update(task, completed=done, total=total),
                    settings=settings,
                )
            except NotTheSameStore as error:
                raise CannotDo(str(error)) from None
    typer.echo(f"{grown.done:,} wallets were made now, {grown.known:,} had been made before.")


def _seed(settings: Settings, *, only_if_empty: bool = False) -> None:
    asyncio.run(_seed_open(settings, only_if_empty=only_if_empty))


async def _seed_open(settings: Settings, *, only_if_empty: bool) -> None:
    from app.auth.gift_card import code_keys
    from app.db import open_database, require_migrated
    from app.sealing import sealer_of
    from app.seed import is_planted, may_plant, plant

    async with open_database(settings):
        await require_migrated()
        if only_if_empty and (await is_planted() or not await may_plant()):
            return
        with _progress() as bar:
            task = bar.add_task("Making up a year of history", total=None)
            planted = await plant(
                currency=settings.currency,
                now=datetime.now(UTC),
                batch_size_max=settings.batch_size_max,
                keys=code_keys(settings),
                sealer=sealer_of(settings),
                on_progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
    typer.echo(
        f"{planted.customers} customers; {planted.done} events happened now, {planted.known} had happened before."
    )


# --- token --------------------------------------------------------------------------------------------------


@cli.command()
@_in_one_sentence
def token(
    customer: Annotated[str | None, typer.Option(help="The store's id of the customer who signs in.")] = None,
    role: Annotated[str | None, typer.Option(help=f"A role of staff: {', '.join(ROLES)}.")] = None,
    subject: Annotated[
        str | None, typer.Option(help="Who signs in with the role; the role's name if unset.")
    ] = None,
    ttl: Annotated[str, typer.Option(help="How long it is good for: 900, 15m, 12h, 30d.")] = TTL_DEFAULT,
) -> None:
    """Print a token for a customer or a role, and nothing else."""
    if (customer is None) == (role is None):
        raise CannotDo("Say for whom the token is: either --customer ID or --role NAME.")
    if role is not None and role not in ROLES:
        raise CannotDo(f"There is no role {role!r}. Choose from: {', '.join(ROLES)}.")
    if customer is not None and (subject is not None or not customer.strip()):
        raise CannotDo("A customer's token names the customer alone: --customer ID without --subject.")
    settings = load_settings()
    if customer is not None:
        typer.echo(_token(settings, customer, ["customer"], _seconds(ttl), customer=customer))
    else:
        typer.echo(_token(settings, subject or str(role), [str(role)], _seconds(ttl)))


def _seconds(ttl: str) -> int:
    match = _TTL.fullmatch(ttl.strip().lower())
    if match is None:
        raise CannotDo(f"{ttl!r} is no length of time. Write it like 900, 15m, 12h or 30d.")
    return int(match.group(1)) * _TTL_UNITS_S[match.group(2)]


def _token(
    settings: Settings, subject: str, roles: list[str], ttl_s: int, *, customer: str | None = None
) -> str:
    from app.auth import issue_token

    if settings.jwt_preset not in (None, "coffer"):
        raise CannotDo(
            f"The tokens of {environment_variable('jwt_preset')}={settings.jwt_preset} are made by the store's own "
            "sign-in: take one from there."
        )
    return issue_token(
        _secret(settings),
        subject=subject,
        roles=roles,
        ttl_s=ttl_s,
        now=datetime.now(UTC),
        customer_id=customer,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
    )


def _secret(settings: Settings) -> str:
    if settings.jwt_secret is not None:
        return settings.jwt_secret.get_secret_value()
    demo_secret = DEMO_DATABASE.with_name(f"{DEMO_DATABASE.stem}.jwt-secret")
    if settings.in_development and "database_url" not in settings.model_fields_set and demo_secret.exists():
        # Beside a running demo, tokens are for the demo.
        return _kept_secret(demo_secret)
    name = environment_variable("jwt_secret")
    raise CannotDo(f"{name} is not set: tokens are signed with it. Make one with: openssl rand -hex 32")


# --- keys ---------------------------------------------------------------------------------------------------

keys_cli = typer.Typer(help="API keys of services.", no_args_is_help=True)
cli.add_typer(keys_cli, name="keys")

Why = Annotated[str, typer.Option("--note", help="Why, for those who ask later.")]


@keys_cli.command("create")
@_in_one_sentence
def create_key(
    name: Annotated[str, typer.Argument(help="The name of the service.")],
    role: Annotated[str | None, typer.Option(help="The role whose rights it has.")] = None,
    capability: Annotated[
        list[str] | None, typer.Option(help="A capability of its own; may be repeated.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="How long it is good for, such as 90d; until revoked if unset.")
    ] = None,
    note: Why = "Made at the command line",
) -> None:
    """Make a key and print it, this once, and nothing else."""
    from app.domain.access import Capability
    from app.domain.api_key import KeyRequest
    from app.services import api_key as keys

    if unknown := sorted(set(capability or ()) - set(Capability.__members__)):
        raise CannotDo(f"There is no capability {unknown[0]}. Choose from: {', '.join(Capability)}.")
    capabilities = frozenset(map(Capability, capability)) if capability else None

    async def create(desk: "_KeyDesk") -> str | None:
        role_id = None if role is None else await keys.role_id_of(role)
        if role is not None and role_id is None:
            raise CannotDo(f"There is no role {role!r}.")
        request = KeyRequest(name, role_id, capabilities, _after(expires))
        done = await keys.create(desk.writer, desk.actor, request, note=note, idempotency_key=None)
        return done.text

    typer.echo(_at_keys(create))


@keys_cli.command("list")
@_in_one_sentence
def list_keys(
    ended: Annotated[bool, typer.Option("--all", help="Also those that are revoked or expired.")] = False,
) -> None:
    """Print the keys, newest first: prefix, name, rights, end, last use."""
    from app.services import api_key as keys

    async def listed(_desk: "_KeyDesk") -> str:
        found = await keys.keys(datetime.now(UTC), ended=ended).order_by("-created_at").select_related("role")
        lines = []
        for key in found:
            rights = key.role.name if key.role else ",".join(key.capabilities or ())
            end = "revoked" if key.revoked_at else _day(key.expires_at, "no end")
            columns = (f"cof_{key.prefix}", key.name, rights, end, _day(key.last_used_at, "never used"))
            lines.append("\t".join(columns))
        return "\n".join(lines)

    if text := _at_keys(listed):
        typer.echo(text)


@keys_cli.command("rotate")
@_in_one_sentence
def rotate_key(
    key: Annotated[str, typer.Argument(help="The name of the service, or the prefix of its key.")],
    overlap: Annotated[int, typer.Option(help="Hours for which the old key stays good.")] = 24,
    expires: Annotated[
        str | None, typer.Option(help="How long the new key is good for; as long as the old one if unset.")
    ] = None,
    note: Why = "Rotated at the command line",
) -> None:
    """Replace a key and print the new one, this once, and nothing else."""
    from app.services import api_key as keys

    async def rotate(desk: "_KeyDesk") -> str | None:
        newest = (await _found(key))[0]
        done = await keys.rotate(
            desk.writer,
            desk.actor,
            newest.id,
            overlap_h=overlap,
            expires_at=_after(expires),
            note=note,
            idempotency_key=None,
        )
        return done.text

    typer.echo(_at_keys(rotate))


@keys_cli.command("revoke")
@_in_one_sentence
def revoke_key(
    key: Annotated[str, typer.Argument(help="The name of the service, or the prefix of its key.")],
    note: Why = "Revoked at the command line",
) -> None:
    """End a key now; by a name, all keys of that name."""
    from app.services import api_key as keys

    async def revoke(desk: "_KeyDesk") -> str:
        ended = await _found(key)
        for one in ended:
            await keys.revoke(desk.writer, desk.actor, one.id, note=note, idempotency_key=None)
        return "\n".join(f"Revoked cof_{one.prefix} ({one.name})" for one in ended)

    typer.echo(_at_keys(revoke))


class _KeyDesk(NamedTuple):
    """The writer of an open database, and who is written down as having done it."""

    writer: "Writer"
    actor: Actor


def _at_keys(work: Callable[[_KeyDesk], Awaitable[str | None]]) -> str:
    """Do something with the database open and the writer running; a server beside it notices."""
    from app.domain.errors import DomainError

    try:
        return asyncio.run(_at_open_keys(load_settings(), work)) or ""
    except DomainError as error:
        raise CannotDo(error.message) from None


async def _at_open_keys(settings: Settings, work: Callable[[_KeyDesk], Awaitable[str | None]]) -> str | None:
    async with _open_ledger(settings) as writer:
        return await work(_KeyDesk(writer, Actor(ActorKind.SYSTEM, f"cli:{getuser()}"[:128])))


@asynccontextmanager
async def _open_ledger(settings: Settings) -> AsyncIterator["Writer"]:
    """Open the database with a writer of this process, beside whatever server runs."""
    from app.db import open_database, require_migrated
    from app.domain.mailing import is_mailed
    from app.services.ledger.mint import RandomMint
    from app.services.ledger.writer import Writer
    from app.services.live import telling

    process = RandomMint().id().hex
    async with open_database(settings), telling(settings, process=process) as tell:
        await require_migrated()
        writer = Writer(
            currency=settings.currency,
            mint=RandomMint(),
            process=process,
            tell=tell,
            clock=lambda: datetime.now(UTC),
            # What happens here is told by e-mail too, by the server's workers.
            also_heard=None if settings.smtp_url is None else is_mailed,
        )
        writer.start()
        try:
            yield writer
        finally:
            await writer.stop()


async def _found(text: str) -> list[Any]:
    from app.services import api_key as keys

    found = await keys.found(text, datetime.now(UTC))
    if not found:
        raise CannotDo(f"There is no key {text} that is still good. List them with: python -m app keys list")
    return found


def _after(ttl: str | None) -> datetime | None:
    return None if ttl is None else datetime.now(UTC) + timedelta(seconds=_seconds(ttl))


def _day(time: datetime | None, otherwise: str) -> str:
    return otherwise if time is None else f"{time:%Y-%m-%d %H:%M}"


# --- verify -------------------------------------------------------------------------------------------------


@cli.command()
@_in_one_sentence
def verify(
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    wallet: Annotated[
        str | None,
        typer.Option(help="Verify this wallet only: its id, its customer's, or the store's own customer id."),
    ] = None,
) -> None:
    """Re-derive every balance, sequence, allocation and hash; exit with 1 when something is wrong."""
    settings = load_settings()
    report = asyncio.run(_verify_open(settings, wallet))
    if as_json:
        import orjson

        typer.echo(orjson.dumps(report.as_data(), option=orjson.OPT_INDENT_2).decode())
    else:
        _print_report(report)
    if not report.is_clean:
        raise typer.Exit(1)


async def _verify_open(settings: Settings, wallet: str | None) -> "Report":
    from app.db import open_database, require_migrated
    from app.services import verification, wallet as wallets

    names = {
        verification.Phase.WALLETS: "Balances, lots and hashes",
        verification.Phase.HOLDS: "Holds",
        verification.Phase.PAYMENTS: "Payments",
        verification.Phase.ORDERS: "Orders",
        verification.Phase.WITHDRAWALS: "Withdrawals",
        verification.Phase.PAYOUTS: "Payouts",
        verification.Phase.TOP_UPS: "Top-ups",
        verification.Phase.AWARDS: "Awards",
        verification.Phase.GIFT_CARDS: "Gift cards",
        verification.Phase.REFERENCES: "References",
        verification.Phase.KEYS: "Idempotency keys",
    }
    async with open_database(settings, may_be_standby=True):
        await require_migrated()
        wallet_id = None if wallet is None else await wallets.named(wallet)
        if wallet is not None and wallet_id is None:
            raise CannotDo(
                f"There is no wallet {wallet!r}. Give its id, its customer's id, or the store's own id of the customer."
            )
        with _progress() as bar:
            tasks = {phase: bar.add_task(name, total=None, visible=False) for phase, name in names.items()}

            def on_progress(at: verification.Progress) -> None:
                bar.update(tasks[at.phase], completed=at.done, total=max(at.total, at.done), visible=True)

            return await verification.verify(wallet_id=wallet_id, on_progress=on_progress)


def _print_report(report: "Report") -> None:
    from app.domain.money import currency_of

    for fault in report.faults[:_FAULTS_SHOWN]:
        wallet = f"Wallet {fault.wallet_id}" if fault.wallet_id else "No wallet"
        place = "" if fault.sequence is None else f", transaction {fault.sequence}"
        typer.echo(f"{wallet}{place}: {fault.invariant}: {fault.message}.")
    if len(report.faults) > _FAULTS_SHOWN:
        typer.echo(f"… and {len(report.faults) - _FAULTS_SHOWN} more; --json lists them all.")
    for total in report.totals:
        display = currency_of(total.currency).display
        typer.echo(
            f"{total.currency}: wallets {display(total.wallets_minor)}, counter accounts "
            f"{display(total.difference_minor - total.wallets_minor)}, together {display(total.difference_minor)}."
        )
    speed = report.transactions / report.duration_s if report.duration_s else 0
    verdict = "The ledger is clean" if report.is_clean else f"{len(report.faults)} fault(s) found"
    typer.echo(
        f"{verdict}: {report.wallets:,} wallets and {report.transactions:,} transactions verified "
        f"in {report.duration_s:.1f} s ({speed:,.0f} a second)."
    )


def _progress() -> Progress:
    """Return a bar on stderr, which only a terminal shows."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=_aside,
        transient=True,
        disable=not _aside.is_terminal,
    )


# --- gift cards ---------------------------------------------------------------------------------------------

gift_cards_cli = typer.Typer(help="Gift cards.", no_args_is_help=True)
cli.add_typer(gift_cards_cli, name="gift-cards")


@gift_cards_cli.callback()
def _gift_cards() -> None:
    """Keep `issue` a command of its own while it is the only one."""


@gift_cards_cli.command("issue")
@_in_one_sentence
def issue_gift_cards(  # noqa: PLR0917 — a command's options
    amount: Annotated[str | None, typer.Option(help="What each card is worth, such as 25.00.")] = None,
    count: Annotated[int | None, typer.Option(help="How many cards of this amount.")] = None,
    from_csv: Annotated[
        Path | None,
        typer.Option("--csv", help="A list of cards instead: amount, and perhaps expires_at, label, note."),
    ] = None,
    label: Annotated[str, typer.Option(help="What staff find the cards by.")] = "",
    inactive: Annotated[
        bool, typer.Option("--inactive", help="To be activated later, when they are sold.")
    ] = False,
    promotional: Annotated[
        bool, typer.Option("--promotional", help="The store gives them away, instead of selling them.")
    ] = False,
    note: Why = "Issued at the command line",
) -> None:
    """Issue gift cards and print them with their codes as CSV, this once."""
    from app.domain.errors import DomainError
    from app.services.gift_card import IssueRequest

    settings = load_settings()
    request = IssueRequest(
        amount=amount,
        currency=settings.currency,
        count=count,
        csv=None if from_csv is None else _text_of(from_csv),
        expires_at=None,
        label=label,
        note=note,
        active=not inactive,
        promotional=promotional,
        idempotency_key=None,
    )
    try:
        typer.echo(asyncio.run(_issue_open(settings, request)), nl=False)
    except DomainError as error:
        raise CannotDo(error.message) from None


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise CannotDo(f"{file} can't be read as UTF-8 text: {error}.") from None


async def _issue_open(settings: Settings, request: Any) -> str:
    from app.auth.gift_card import code_keys
    from app.domain.money import currency_of
    from app.services import gift_card as gift_cards

    async with _open_ledger(settings) as writer:
        actor = Actor(ActorKind.SYSTEM, f"cli:{getuser()}"[:128])
        issued = await gift_cards.issue(writer, code_keys(settings), actor, request)
    printed = io.StringIO()
    lines = csv.writer(printed, lineterminator="\n")
    lines.writerow(["code", "reference", "amount", "currency", "expires_at", "label"])
    for card, code in zip(issued.cards, issued.codes or (), strict=True):
        amount = currency_of(card.currency).format(card.initial_minor)
        expires_at = "" if card.expires_at is None else card.expires_at.isoformat()
        lines.writerow([code, card.reference, amount, card.currency, expires_at, card.label])
    return printed.getvalue()


# --- sync ---------------------------------------------------------------------------------------------------

sync_cli = typer.Typer(help="Ask the store for what its webhooks lost.", no_args_is_help=True)
cli.add_typer(sync_cli, name="sync")


@sync_cli.command("woocommerce")
@_in_one_sentence
def sync_woocommerce(
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            help="Read all orders modified from this time (UTC) on, instead of from where the last run ended.",
        ),
    ] = None,
) -> None:
    """Read products, customers and orders that changed since the last run; may be interrupted and repeated."""
    settings = load_settings()
    if settings.woocommerce_url is None:
        raise CannotDo(
            "No store is named. Set COFFER_WOOCOMMERCE_URL, COFFER_WOOCOMMERCE_KEY and COFFER_WOOCOMMERCE_SECRET; "
            "docs/doors.md says where they come from."
        )
    asyncio.run(_sync_open(settings, since and since.replace(tzinfo=UTC)))


async def _sync_open(settings: Settings, since: datetime | None) -> None:
    from app.services import order as orders
    from app.webhooks.handlers import Handlers
    from app.webhooks.polling import poller_of
    from app.webhooks.rest import SyncError
    from app.webhooks.sync import Progress as Read

    async with _open_ledger(settings) as writer:
        handlers = Handlers(writer, orders).by_event()
        poller = poller_of(settings, writer, handlers, lambda: datetime.now(UTC))
        if poller is None:
            raise CannotDo("No store is named.")
        with _progress() as bar:
            task = bar.add_task("Reading the store", total=None)

            def on_progress(at: Read) -> None:
                until = f" until {at.modified_at:%Y-%m-%d %H:%M}" if at.modified_at else ""
                done = at.orders + at.customers + at.products
                bar.update(task, completed=done, description=f"Reading the store{until}")

            try:
                done = await poller.run(since=since, progress=on_progress)
            except SyncError as error:
                raise CannotDo(str(error)) from None
    if done is None:
        raise CannotDo("Another process is reading the store now. Try again when it is done.")
    typer.echo(
        f"{done.orders} orders, {done.customers} customers, {done.products} products; {done.refused} refused."
    )


# --- withdrawals --------------------------------------------------------------------------------------------

withdrawals_cli = typer.Typer(
    help="Send approved withdrawals to the bank, and take its results.", no_args_is_help=True
)
cli.add_typer(withdrawals_cli, name="withdrawals")


@withdrawals_cli.command("export")
@_in_one_sentence
def export_withdrawals(
    file_format: Annotated[str, typer.Option("--format", help="csv or pain.001.")] = "csv",
    method: Annotated[
        list[str] | None, typer.Option(help="Only of this method, such as BANK_TRANSFER; may be repeated.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(help="An idempotency key: repeated with it, the same batch is printed again."),
    ] = None,
) -> None:
    """Mark all approved withdrawals as processing, the oldest 1000 at most, and print them as one file for the bank."""
    from app.domain.payout_file import PayoutFileFormat

    known = {"csv": PayoutFileFormat.CSV, "pain.001": PayoutFileFormat.PAIN_001}
    if file_format not in known:
        raise CannotDo(f"There is no format {file_format}. Choose csv or pain.001.")
    asyncio.run(
        _export_open(load_settings(), known[file_format], tuple(method or ()), key or secrets.token_hex(16))
    )


async def _export_open(
    settings: Settings, file_format: "PayoutFileFormat", methods: tuple[str, ...], key: str
) -> None:
    from app.domain.errors import DomainError
    from app.sealing import sealer_of
    from app.services import payout_batch, payout_method, settings as store_settings
    from app.services.withdrawal import WithdrawalFilter, withdrawals

    wanted = WithdrawalFilter(methods=methods or None)
    async with _open_ledger(settings) as writer:
        try:
            done = await payout_batch.export(
                writer,
                _at_command_line(),
                withdrawal_ids=None,
                found=withdrawals(wanted),
                file_format=file_format,
                terms=(await store_settings.in_force()).settings.withdrawals,
                idempotency_key=key,
                request={"filter": repr(wanted)},
                now=datetime.now(UTC),
                open_details=partial(payout_method.opened, sealer_of(settings)),
            )
        except DomainError as error:
            raise CannotDo(error.message) from None
    for row in done.rows:
        if row.refusal is not None:
            _aside.print(f"{row.withdrawal_id}: {row.refusal.message}", style="yellow")
    if done.file is None:
        raise CannotDo("No approved withdrawal could be exported.")
    _aside.print(f"Batch {done.file.reference}: {done.file.count} withdrawals. Key: {key}")
    typer.echo(done.file.content, nl=False)


@withdrawals_cli.command("import")
@_in_one_sentence
def import_results(
    file: Annotated[
        Path, typer.Argument(help="CSV: reference,outcome,bank_reference,note", exists=True, dir_okay=False)
    ],
) -> None:
    """Take the bank's results: line by line, and as often as one likes."""
    try:
        content = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CannotDo("The file is not in UTF-8. Save it in UTF-8 first.") from None
    asyncio.run(_import_open(load_settings(), content))


async def _import_open(settings: Settings, content: str) -> None:
    from app.domain.errors import DomainError
    from app.services import payout_batch

    # The key follows from the content: a file that is taken twice is taken once.
    key = f"import:{sha256(content.encode()).hexdigest()}"
    async with _open_ledger(settings) as writer:
        try:
            done = await payout_batch.take_results(writer, _at_command_line(), content, idempotency_key=key)
        except DomainError as error:
            raise CannotDo(error.message) from None
    refused = [row for row in done.rows if row.refusal is not None]
    for row in refused:
        _aside.print(
            f"Line {row.line.line}, {row.line.reference}: {row.refusal and row.refusal.message}",
            style="yellow",
        )
    typer.echo(f"{len(done.rows) - len(refused)} results taken, {len(refused)} refused.")


def _at_command_line() -> Principal:
    return Principal(PrincipalKind.SERVICE, f"cli:{getuser()}"[:128])


# --- what documents are made of -----------------------------------------------------------------------------


@cli.command()
@_in_one_sentence
def schema() -> None:
    """Print the GraphQL schema (SDL)."""
    from app.schema.schema import schema as graphql_schema

    typer.echo(graphql_schema.as_str())


@cli.command("settings")
def print_settings() -> None:
    """Print all settings as a Markdown table."""
    typer.echo(settings_table())


def settings_table() -> str:
    """Return all settings as a Markdown table; the README's is compared with it."""
    lines = ["| Variable | Default | What it does |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        lines.append(f"| `{environment_variable(name)}` | {_default(field.default)} | {field.description} |")
    return "\n".join(lines)


def _default(value: object) -> str:
    if value is None or value == ():
        return "-"
    return f"`{value}`"
