"""The command line, as a person and as a script meet it: in a process of its own.

Some of the processes are started from nothing (`cold`), so that each command that loads much is once seen to load all it
needs; the others are forked from one that has loaded the program (tests/fork_server.py).
"""

import base64
import csv
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import httpx
import jwt
import pytest
from typer.testing import CliRunner

from app.cli import _uvicorn_config, cli, settings_table
from app.domain.gift_card import normal_form
from app.domain.global_id import global_id
from app.execution.limits import Limits
from app.services import wallet as wallets
from app.services.ledger.mint import RandomMint
from app.services.ledger.writer import Writer
from app.settings import Settings, environment_variable
from tests.databases import settings_for
from tests.fork_server import Forked, fork_server
from tests.ledger import Clock, credit
from tests.payouts.till import IBANS, Till, stands
from tests.services.tampering import build, tamper, writer

PROJECT = Path(__file__).parent.parent
SECRET = "0123456789abcdef0123456789abcdef"
STARTS_WITHIN_S = 60


class Done(NamedTuple):
    """How a command ended and what it said."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]
needs_the_server = pytest.mark.skipif(find_spec("app.main") is None, reason="app.main is not there yet")


def environment(**variables: str) -> dict[str, str]:
    """The environment of a command: nothing of Coffer's but these."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COFFER_")}
    return (
        clean
        | {"PYTHONPATH": str(PROJECT)}
        | {environment_variable(name): v for name, v in variables.items()}
    )


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command as a script would: in a process of its own, in an empty directory."""

    def ran(*arguments: str, **variables: str) -> Done:
        done = fork_server().run(
            "app",
            *arguments,
            cwd=tmp_path,
            environment=environment(**variables),
            timeout_s=STARTS_WITHIN_S,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return ran


@pytest.fixture
def cold(tmp_path: Path) -> Run:
    """Run a command as `run` does, and let it load all that it needs."""

    def ran(*arguments: str, **variables: str) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "app", *arguments], cwd=tmp_path, env=environment(**variables),
            capture_output=True, text=True, timeout=STARTS_WITHIN_S, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    return ran


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process, which is quicker; commands that use a database need a test without a loop."""
    monkeypatch.chdir(tmp_path)

    def called(*arguments: str, **variables: str) -> Done:
        changes: dict[str, str | None] = {name: None for name in os.environ if name.startswith("COFFER_")}
        changes |= {environment_variable(name): value for name, value in variables.items()}
        done = CliRunner().invoke(cli, arguments, env=changes)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return Done(done.exit_code, done.stdout, done.stderr)

    return called


def refused(done: Done, *words: str) -> None:
    """One plain sentence on stderr, nothing on stdout, exit code 2."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


# --- token --------------------------------------------------------------------------------------------------


def test_a_customers_token_and_nothing_else(cold: Run) -> None:
    done = cold("token", "--customer", "42", jwt_secret=SECRET)
    assert done.returncode == 0
    assert done.stderr == ""
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", done.stdout)
    claims = jwt.decode(done.stdout.strip(), SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["customer_id"], claims["roles"]) == ("42", "42", ["customer"])


def test_a_roles_token(call: Run) -> None:
    done = call(
        "token", "--role", "finance", "--subject", "ada", "--ttl", "30d", jwt_secret=SECRET, jwt_issuer="shop", jwt_audience="coffer"
    )  # fmt: skip
    claims = jwt.decode(done.stdout.strip(), SECRET, algorithms=["HS256"], audience="coffer", issuer="shop")
    assert (claims["sub"], claims["roles"]) == ("ada", ["finance"])
    assert "customer_id" not in claims
    lasts_s = claims["exp"] - datetime.now(UTC).timestamp()
    assert 30 * 86_400 - 60 < lasts_s <= 30 * 86_400


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((), "either --customer ID or --role NAME"),
        (("--customer", "1", "--role", "finance"), "either --customer ID or --role NAME"),
        (("--role", "king"), "no role 'king'"),
        (("--customer", "1", "--subject", "x"), "without --subject"),
        (("--customer", " "), "--customer ID"),
        (("--customer", "1", "--ttl", "soon"), "no length of time"),
        (("--customer", "1", "--ttl", "0"), "no length of time"),
    ],
)
def test_tokens_that_mean_nothing(call: Run, arguments: tuple[str, ...], word: str) -> None:
    refused(call("token", *arguments, jwt_secret=SECRET), word)


def test_a_token_needs_a_secret(call: Run) -> None:
    refused(call("token", "--customer", "1"), "COFFER_JWT_SECRET is not set")


# --- the database -------------------------------------------------------------------------------------------


def test_migrate_says_what_it_did(call: Run, empty_database_url: str) -> None:
    first = call("migrate", database_url=empty_database_url)
    again = call("migrate", database_url=empty_database_url)
    assert first.returncode == again.returncode == 0
    assert "Applied migration 0001_initial" in first.stdout
    assert again.stdout == "The database is up to date.\n"


@pytest.mark.parametrize("command", ["seed", "verify", "serve"])
@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_database_that_is_behind_is_told(call: Run, empty_database_url: str, command: str) -> None:
    refused(call(command, database_url=empty_database_url), "python -m app migrate")


@pytest.mark.parametrize(
    ("variables", "word"),
    [
        ({"database_url": "mysql://shop"}, "COFFER_DATABASE_URL"),
        ({"database_url": "sqlite:///no/such/folder/x.sqlite3"}, "There is no directory"),
        ({"database_url": "postgresql://nobody@127.0.0.1:1/shop"}, "can't be opened"),
        ({"currency": "DOLLARS"}, "COFFER_CURRENCY"),
        ({"jwt_secret": "short"}, "COFFER_JWT_SECRET"),
    ],
)
@pytest.mark.parametrize("command", ["migrate", "verify"])
def test_settings_and_databases_that_are_wrong(
    call: Run, command: str, variables: dict[str, str], word: str
) -> None:
    refused(call(command, **variables), word)


def test_seeding_is_refused_in_production(call: Run) -> None:
    refused(call("seed", environment="production", jwt_secret=SECRET), "no place in production")


@pytest.mark.slow
def test_gift_cards_are_printed_once(call: Run, tmp_path: Path) -> None:
    database_url = f"sqlite:///{tmp_path / 'coffer.sqlite3'}"
    assert call("migrate", database_url=database_url).returncode == 0
    issue = ("gift-cards", "issue", "--note", "For the shop window")
    done = call(
        *issue, "--amount", "25.00", "--count", "3", "--label", "Window, left", database_url=database_url
    )
    assert (done.returncode, done.stderr) == (0, "")
    head, *cards = csv.reader(done.stdout.splitlines())
    assert head == ["code", "reference", "amount", "currency", "expires_at", "label"]
    assert [card[2:4] + card[5:] for card in cards] == [["25.00", "USD", "Window, left"]] * 3
    assert all(normal_form(card[0]) for card in cards)
    wanted = tmp_path / "cards.csv"
    wanted.write_text("amount,label\n10.00,Ada\n-1,Bob\n", encoding="utf-8")
    refused(call(*issue, "--csv", str(wanted), database_url=database_url), "Line 3")
    refused(call(*issue, "--csv", str(tmp_path / "missing.csv"), database_url=database_url), "can't be read")
    refused(call(*issue, database_url=database_url), "Give an amount")
    keyless = {"environment": "production", "database_url": database_url}
    refused(call(*issue, "--amount", "5.00", **keyless), "COFFER_GIFT_CARD_KEYS")
    assert call("verify", database_url=database_url).returncode == 0


@pytest.mark.slow
async def test_verify(run: Run, cold: Run, database: object, database_url: str) -> None:
    to = writer()
    to.start()
    ledger = await build(to)
    await to.stop()

    clean = cold("verify", database_url=database_url)
    assert (clean.returncode, clean.stderr) == (0, "")
    assert "The ledger is clean: 4 wallets and 16 transactions" in clean.stdout

    await tamper(database_url, [f"UPDATE wallets SET posted_minor = 1 WHERE id = '{ledger.rich}'"])
    faulty = run("verify", database_url=database_url)
    assert faulty.returncode == 1
    assert f"Wallet {ledger.rich}: BALANCE: the wallet says 1, its transactions 8100." in faulty.stdout

    report = run("verify", "--json", "--wallet", str(ledger.rich), database_url=database_url)
    assert report.returncode == 1
    (fault,) = json.loads(report.stdout)["faults"]
    assert (fault["wallet_id"], fault["invariant"]) == (str(ledger.rich), "BALANCE")

    other = run("verify", "--wallet", str(ledger.overdrawn), database_url=database_url)
    assert other.returncode == 0
    for unknown in ("nobody", "00000000-0000-0000-0000-000000000000", global_id("Wallet", UUID(int=0)), ""):
        refused(run("verify", "--wallet", unknown, database_url=database_url), "There is no wallet")


async def test_names_of_a_wallet(database: object) -> None:
    to = writer()
    to.start()
    rich = (await to.submit(credit("rich", 100))).wallet
    assert rich is not None
    # A store may call a customer just as another's wallet is called here; the id of a wallet is meant then.
    await to.submit(credit(str(rich.id), 100))
    uuids = (await to.submit(credit(str(UUID(int=7)), 100))).wallet
    await to.stop()
    assert uuids is not None
    for text in (
        "rich",
        *(str(rich.id), rich.id.hex, global_id("Wallet", rich.id)),
        *(str(rich.customer_id), global_id("Customer", rich.customer_id)),
    ):
        assert await wallets.named(text) == rich.id
    assert await wallets.named(str(UUID(int=7))) == uuids.id
    for text in (global_id("Lot", rich.id), global_id("Customer", rich.id), "ric", "RICH", "%"):
        assert await wallets.named(text) is None


# --- withdrawals --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_withdrawals_go_to_the_bank_and_come_back(
    run: Run, cold: Run, database: object, database_url: str, tmp_path: Path
) -> None:
    to = Writer(currency="USD", mint=RandomMint(), clock=lambda: datetime.now(UTC))
    to.start()
    till = await Till(to, Clock(datetime.now(UTC))).open()
    paid, kept = [await stands(await till.approved(who)) for who in ("ada", "bob")]
    await to.stop()
    key = base64.b64encode(bytes(range(32))).decode()
    here = {"database_url": database_url, "secrets_key": key}
    export = ("withdrawals", "export", "--key", "monday")

    refused(run(*export, "--format", "xlsx", **here), "There is no format xlsx", "pain.001")
    refused(run(*export, "--format", "pain.001", **here), "own account", "payerIban")
    refused(run(*export, "--method", "PAYPAL", **here), "No approved withdrawal")
    exported = cold("withdrawals", "export", "--method", "BANK_IBAN", "--key", "tuesday", **here)
    assert exported.returncode == 0
    assert "2 withdrawals. Key: tuesday" in exported.stderr
    rows = {row["reference"]: row for row in csv.DictReader(exported.stdout.splitlines())}
    assert set(rows) == {paid.reference, kept.reference}
    assert (rows[paid.reference]["iban"], rows[paid.reference]["amount"]) == (IBANS[0], "9.93")
    assert IBANS[0] not in exported.stderr
    again = run("withdrawals", "export", "--method", "BANK_IBAN", "--key", "tuesday", **here)
    assert again.stdout == exported.stdout

    results = tmp_path / "results.csv"
    results.write_text(
        f"reference,outcome,bank_reference,note\n{paid.reference},PAID,B-1,\nWD-0000-0000-0000,PAID,,\n"
    )
    for _ in range(2):
        taken = run("withdrawals", "import", str(results), **here)
        assert (taken.returncode, taken.stdout) == (0, "1 results taken, 1 refused.\n")
        assert "Line 3, WD-0000-0000-0000" in taken.stderr
    assert [(await stands(one.id)).status for one in (paid, kept)] == ["PAID", "PROCESSING"]
    results.write_bytes(b"reference,outcome\n\xff,PAID\n")
    refused(run("withdrawals", "import", str(results), **here), "UTF-8")
    results.write_text("WD-1 was paid")
    refused(run("withdrawals", "import", str(results), **here), "The first line must name the columns")


# --- serve and demo -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_many_workers_need_postgresql(call: Run, database_url: str) -> None:
    refused(call("serve", "--workers", "4", database_url=database_url), "SQLite serves one process")


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_port_that_is_taken(call: Run, database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused(call("serve", "--port", port, database_url=database_url), f"Port {port}", "--port")


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_another_currency_than_the_wallets(call: Run, database_url: str) -> None:
    assert call("seed", "--scale", "2", database_url=database_url).returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as taken:
        arguments = ["serve", "--port", str(taken.getsockname()[1])]
        warned = call(*arguments, database_url=database_url, currency="EUR").stderr
        assert "Wallets are kept in USD here, and COFFER_CURRENCY is EUR" in warned
        assert "set COFFER_CURRENCY=USD" in warned
        assert "Wallets are kept" not in call(*arguments, database_url=database_url).stderr


def started(
    arguments: list[str], folder: Path, *, is_cold: bool = True, **variables: str
) -> tuple[subprocess.Popen[bytes] | Forked, str]:
    """Start a server and return it with its address, once it answers."""
    server: subprocess.Popen[bytes] | Forked
    with (folder / "output").open("wb") as output:
        if is_cold:
            server = subprocess.Popen(
                [sys.executable, "-m", "app", *arguments], cwd=folder, env=environment(**variables),
                stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        else:
            server = fork_server().start(
                "app", *arguments, cwd=folder, environment=environment(**variables), stdout=output, stderr=output
            )  # fmt: skip
    patience_ends = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < patience_ends:
        said = (folder / "output").read_text(encoding="utf-8")
        assert server.poll() is None, said
        if (address := re.search(r"http://localhost:\d+", said)) and "startup complete" in said:
            return server, address.group()
        time.sleep(0.1)
    server.kill()
    raise AssertionError((folder / "output").read_text(encoding="utf-8"))


def stopped(server: subprocess.Popen[bytes] | Forked, folder: Path) -> str:
    """Stop a server by Ctrl-C and return what it said."""
    server.send_signal(signal.SIGINT)
    assert server.wait(timeout=30) == 0
    said = (folder / "output").read_text(encoding="utf-8")
    assert "Traceback" not in said
    return said


def asked(address: str, query: str, token: str) -> object:
    """What the API answers."""
    answer = httpx.post(
        f"{address}/graphql",
        json={"query": query},
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
    )
    assert "server" not in answer.headers
    return answer.json()


@needs_the_server
@pytest.mark.slow
def test_the_demo_serves_its_tokens(tmp_path: Path, run: Run) -> None:
    server, address = started(["demo", "--port", "0"], tmp_path)
    try:
        said = (tmp_path / "output").read_text(encoding="utf-8")
        tokens = re.findall(r"^(eyJ[\w-]+\.[\w-]+\.[\w-]+)$", said, re.MULTILINE)
        assert len(tokens) == 3
        assert "Nora Lindqvist" in said
        for token in [*tokens, run("token", "--role", "finance").stdout.strip()]:
            assert asked(address, "{ __typename }", token) == {"data": {"__typename": "Query"}}
        secret = tmp_path / ".var" / "demo.jwt-secret"
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        kept = secret.read_text(encoding="ascii")
    finally:
        stopped(server, tmp_path)

    server, address = started(["demo", "--port", "0"], tmp_path, is_cold=False)
    said = stopped(server, tmp_path)
    assert secret.read_text(encoding="ascii") == kept
    assert "events happened" not in said, "a second demo has its history already"


@needs_the_server
@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.postgres)])
def test_serve(tmp_path: Path, request: pytest.FixtureRequest, cold: Run, run: Run, workers: str) -> None:
    if workers == "1":
        database_url = f"sqlite:///{tmp_path / 'shop.sqlite3'}"
    else:
        server_of_tests = request.getfixturevalue("postgres_server")
        server_of_tests.create_database("cli_serve")
        database_url = server_of_tests.url("cli_serve")
    assert cold("migrate", database_url=database_url).returncode == 0
    token = run("token", "--role", "administrator", jwt_secret=SECRET).stdout.strip()

    arguments = ["serve", "--port", "0", "--workers", workers]
    server, address = started(
        arguments,
        tmp_path,
        database_url=database_url,
        jwt_secret=SECRET,
        log_format="json",
        email_templates=str(tmp_path / "nowhere"),
        prt="9000",
    )
    try:
        assert asked(address, "{ __typename }", token) == {"data": {"__typename": "Query"}}
    finally:
        warning, listens, *lines = stopped(server, tmp_path).splitlines()
    assert warning.startswith("COFFER_PRT is no setting and changes nothing; perhaps COFFER_PORT was meant.")
    assert listens == f"Coffer listens on {address}"
    logged = [json.loads(line) for line in lines]
    assert any("is no folder" in line.get("problem", "") for line in logged)
    assert not any("color_message" in line for line in logged)


# --- what documents are made of -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(find_spec("app.schema.schema") is None, reason="the schema is not there yet")
def test_schema(cold: Run) -> None:
    done = cold("schema")
    assert done.returncode == 0, done.stderr
    assert "type Query" in done.stdout


def test_settings_are_all_in_the_table(call: Run) -> None:
    done = call("settings")
    assert done.stdout == settings_table() + "\n"
    for name in Settings.model_fields:
        assert f"| `{environment_variable(name)}` |" in done.stdout


def test_help_names_every_command(call: Run) -> None:
    done = call("--help")
    for command in ("serve", "demo", "migrate", "seed", "token", "verify", "schema", "settings"):
        assert command in done.stdout


def test_an_unknown_command(run: Run) -> None:
    done = run("dance")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_socket_takes_no_more_in_than_a_message_may_have() -> None:
    config = _uvicorn_config(settings_for("sqlite:///none"), None)
    assert config.ws_max_size == Limits().message_bytes_max
