"""Tokens of two sign-in services that other people wrote, held against `app.auth`: nothing here is signed by us."""

import asyncio
import json
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from subprocess import PIPE
from typing import Any

import httpx
import pytest

from app.auth import AuthConfig, AuthenticationError, Authenticator, Failure, issuer_config
from app.domain.access import Principal, PrincipalKind
from tests.e2e.store import open_store
from tests.ecosystem.conftest import HERE
from tests.issuers import b64

pytestmark = [pytest.mark.node, pytest.mark.slow]

ALGORITHMS = ["RS256", "ES256", "EdDSA"]
COOLDOWN_S = 1


class Providers:
    """The services, and what they are asked for."""

    def __init__(self, process: subprocess.Popen[str], mock: str, oidc: str) -> None:
        self._process = process
        self.mock = mock
        self.oidc = oidc

    async def told(self, wish: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(wish) + "\n")
        self._process.stdin.flush()
        return await asyncio.to_thread(read, self._process)

    async def mock_token(self, alg: str, *, kid: str | None = None, **claims: Any) -> str:
        """A token with these claims; None in the place of a claim leaves it out."""
        wish = {"alg": alg, "claims": {"sub": "1042", "aud": "coffer", **claims}}
        token: str = await self.told({"mock": wish if kid is None else wish | {"kid": kid}})
        return token

    async def oidc_token(self, alg: str, audience: str = "coffer") -> str:
        """An access token by the client credentials grant, as programs get theirs."""
        form = {"grant_type": "client_credentials", "resource": f"urn:{audience}:{alg}", "scope": "wallets"}
        async with httpx.AsyncClient(auth=("back-office", "known"), timeout=60) as client:
            answer = await client.post(f"{self.oidc}/token", data=form)
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token

    async def rotate(self) -> None:
        await self.told({"rotate": True})


def read(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the providers ended"
    return json.loads(line)


@pytest.fixture(scope="module")
def providers(tools: Path, node: str) -> Iterator[Providers]:
    assert tools.is_dir()
    command = [node, "providers.mjs"]
    with subprocess.Popen(
        command, cwd=HERE, text=True, stdin=PIPE, stdout=PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield Providers(process, **read(process))
        finally:
            process.kill()


@pytest.fixture
def authenticator(providers: Providers) -> Authenticator:
    """It finds the keys of both by OpenID Connect discovery."""
    issuers = [
        issuer_config({"issuer": url, "discovery": True, "audience": "coffer"})
        for url in (providers.mock, providers.oidc)
    ]
    config = AuthConfig(issuers=tuple(issuers), jwks_cooldown_s=COOLDOWN_S, cache_ttl_s=0)
    return Authenticator(config, now=lambda: datetime.now(UTC))


async def proved(authenticator: Authenticator, token: str) -> Principal:
    return await authenticator.principal(f"Bearer {token}")


async def refused(authenticator: Authenticator, token: str) -> Failure:
    with pytest.raises(AuthenticationError) as refusal:
        await proved(authenticator, token)
    return refusal.value.reason


@pytest.mark.parametrize("alg", ALGORITHMS)
async def test_both_are_believed(providers: Providers, authenticator: Authenticator, alg: str) -> None:
    customer = await proved(authenticator, await providers.mock_token(alg))
    assert (customer.kind, customer.subject) == (PrincipalKind.CUSTOMER, "1042")
    staff = await proved(authenticator, await providers.oidc_token(alg))
    assert (staff.kind, staff.roles) == (PrincipalKind.STAFF, ("shop_manager",))
    assert (staff.subject, staff.customer_external_id) == ("back-office", "1042")


async def test_keys_are_rotated_while_it_runs(providers: Providers, authenticator: Authenticator) -> None:
    before = [await providers.mock_token("ES256"), await providers.oidc_token("ES256")]
    for token in before:
        await proved(authenticator, token)
    await providers.rotate()
    await asyncio.sleep(COOLDOWN_S + 0.1)
    for token in [await providers.mock_token("ES256"), await providers.oidc_token("ES256")]:
        await proved(authenticator, token)
    # The first still publishes its old keys, as one does in an overlap; the second has withdrawn them.
    await proved(authenticator, before[0])
    assert await refused(authenticator, before[1]) is Failure.UNKNOWN_KEY


@pytest.mark.parametrize("alg", ALGORITHMS)
@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": "another shop"}, Failure.WRONG_AUDIENCE),
        ({"aud": ["another shop", "a third"]}, Failure.WRONG_AUDIENCE),
        ({"aud": None}, Failure.WRONG_AUDIENCE),
        ({"iss": "http://127.0.0.1:1"}, Failure.UNKNOWN_ISSUER),
        ({"exp": 1_700_000_000}, Failure.EXPIRED),
        ({"exp": None}, Failure.MISSING_CLAIM),
        ({"nbf": 4_000_000_000, "exp": 4_000_000_600}, Failure.NOT_YET_VALID),
        ({"sub": None}, Failure.MISSING_CLAIM),
    ],
)
async def test_genuine_tokens_that_are_not_for_here_and_now(
    providers: Providers, authenticator: Authenticator, alg: str, claims: dict[str, Any], reason: Failure
) -> None:
    assert await refused(authenticator, await providers.mock_token(alg, **claims)) is reason


async def test_a_token_for_another_api_of_the_same_provider(
    providers: Providers, authenticator: Authenticator
) -> None:
    for alg in ALGORITHMS:
        token = await providers.oidc_token(alg, audience="newsletter")
        assert await refused(authenticator, token) is Failure.WRONG_AUDIENCE


async def test_one_provider_cannot_speak_for_the_other(
    providers: Providers, authenticator: Authenticator
) -> None:
    token = await providers.mock_token("RS256", iss=providers.oidc)
    assert await refused(authenticator, token) is Failure.UNKNOWN_KEY


async def test_what_was_signed_is_what_counts(providers: Providers, authenticator: Authenticator) -> None:
    header, payload, signature = (await providers.mock_token("RS256")).split(".")
    forged = b64({"iss": providers.mock, "sub": "1043", "aud": "coffer", "exp": 4_000_000_000})
    assert await refused(authenticator, f"{header}.{forged}.{signature}") is Failure.BAD_SIGNATURE
    none = b64({"alg": "none", "typ": "JWT"})
    assert await refused(authenticator, f"{none}.{payload}.") is Failure.ALGORITHM_NOT_ALLOWED
    confused = b64({"alg": "HS256", "typ": "JWT"})
    assert await refused(authenticator, f"{confused}.{payload}.{signature}") is Failure.ALGORITHM_NOT_ALLOWED


@pytest.mark.parametrize("alg", ALGORITHMS)
async def test_the_server_believes_what_its_settings_name(
    providers: Providers, database_url: str, alg: str
) -> None:
    issuers = [
        {"issuer": url, "discovery": True, "audience": "coffer"} for url in (providers.mock, providers.oidc)
    ]
    viewer = {"query": "{ viewer { kind subject roles } }"}
    async with (
        open_store(database_url, auth_issuers=json.dumps(issuers)) as store,
        httpx.AsyncClient(timeout=60) as client,
    ):

        async def seen(token: str) -> Any:
            answer = await client.post(store.url, json=viewer, headers={"authorization": f"Bearer {token}"})
            return answer.json()

        customer = await seen(await providers.mock_token(alg))
        assert customer == {"data": {"viewer": {"kind": "CUSTOMER", "subject": "1042", "roles": []}}}
        staff = await seen(await providers.oidc_token(alg))
        assert staff["data"]["viewer"] == {
            "kind": "STAFF",
            "subject": "back-office",
            "roles": ["shop_manager"],
        }
        stranger = await seen(await providers.oidc_token(alg, audience="newsletter"))
        assert stranger["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
