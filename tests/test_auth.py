"""The door: what is let in, as whom, and everything that is not."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from app.auth import (
    AuthConfig,
    AuthenticationError,
    Authenticator,
    ConfigurationError,
    Failure,
    issue_token,
    issuer_config,
)
from app.auth.claims import claim_path
from app.auth.keys import jwk_key
from app.auth.token import check_issuer
from app.domain.access import ANONYMOUS, ROLES, Capability, Principal, PrincipalKind
from app.domain.rights import PRESET_RIGHTS, Rights
from tests.issuers import (
    SECRET,
    START,
    Clock,
    KeyServer,
    at,
    b64,
    ec_key,
    ed_key,
    jwk,
    key_server,
    pem,
    rsa_key,
    sign,
)

ISSUER = "https://id.store.example"


def door(*issuers: Mapping[str, object], clock: Clock | None = None, **limits: Any) -> Authenticator:
    chosen = issuers or ({"secret": SECRET},)
    config = AuthConfig(issuers=tuple(issuer_config(issuer) for issuer in chosen), **limits)
    return Authenticator(config, now=clock or Clock())


async def enter(authenticator: Authenticator, token: str) -> Principal:
    return await authenticator.principal(f"Bearer {token}")


async def refusal(authenticator: Authenticator, token: str) -> Failure:
    """Return why the token is refused, having looked that neither message nor log gives it away."""
    with capture_logs() as logs, pytest.raises(AuthenticationError) as caught:
        await enter(authenticator, token)
    said = str(caught.value) + repr(caught.value) + repr(logs)
    assert caught.value.message.endswith(".")
    for part in (token, *token.split(".")):
        assert len(part) < 8 or part not in said
    assert caught.value.__cause__ is None
    return caught.value.reason


# --- Who it is ----------------------------------------------------------------------------------------------


async def test_no_credential_is_nobody() -> None:
    for header in (None, "", "  "):
        assert await door().principal(header) is ANONYMOUS


@pytest.mark.parametrize(
    ("claims", "kind", "roles", "customer"),
    [
        ({"sub": "c1"}, PrincipalKind.CUSTOMER, (), "c1"),
        ({"sub": 42}, PrincipalKind.CUSTOMER, (), "42"),
        ({"sub": "auth|1", "customer_id": 7}, PrincipalKind.CUSTOMER, (), "7"),
        ({"sub": "c1", "roles": ["customer"]}, PrincipalKind.CUSTOMER, ("customer",), "c1"),
        ({"sub": "c1", "roles": ["wizard", "Administrator"]}, PrincipalKind.CUSTOMER, (), "c1"),
        ({"sub": "c1", "roles": "customer support"}, PrincipalKind.STAFF, ("customer", "support"), "c1"),
        ({"sub": "s1", "roles": ["support", "support"]}, PrincipalKind.STAFF, ("support",), "s1"),
        ({"sub": "s1", "roles": ["finance"], "customer_id": "9"}, PrincipalKind.STAFF, ("finance",), "9"),
        ({"sub": "erp", "roles": ["service"]}, PrincipalKind.SERVICE, ("service",), "erp"),
        ({"sub": "s1", "roles": ["service", "finance"]}, PrincipalKind.STAFF, ("service", "finance"), "s1"),
        (
            {"sub": "c1", "roles": {"support": True, "finance": False}},
            PrincipalKind.STAFF,
            ("support",),
            "c1",
        ),
        ({"sub": "c1", "roles": [1, None, ["administrator"], {"administrator": True}]}, "CUSTOMER", (), "c1"),
        ({"sub": "c1", "scope": "administrator service"}, PrincipalKind.CUSTOMER, (), "c1"),
        ({"sub": "c1", "roles": 5}, PrincipalKind.CUSTOMER, (), "c1"),
    ],
)
async def test_reads_who_it_is(
    claims: dict[str, object], kind: str, roles: tuple[str, ...], customer: str
) -> None:
    who = await enter(door(), sign(claims))
    assert (who.kind, who.roles, who.customer_external_id) == (kind, roles, customer)
    assert who.capabilities == frozenset().union(*(ROLES[role] for role in roles))
    assert who.expires_at == START + timedelta(seconds=600)


async def test_staff_own_the_wallet_of_their_own_id() -> None:
    who = await enter(door(), sign({"sub": "17", "roles": ["administrator"]}))
    assert who.owns("17")
    assert who.may(Capability.WALLETS_ADJUST)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({}, Failure.MISSING_CLAIM),
        ({"sub": None}, Failure.MISSING_CLAIM),
        ({"sub": ""}, Failure.MISSING_CLAIM),
        ({"sub": 0}, Failure.MISSING_CLAIM),
        ({"sub": "0"}, Failure.MISSING_CLAIM),
        ({"sub": ["c1"]}, Failure.MALFORMED_CLAIM),
        ({"sub": {"id": "c1"}}, Failure.MALFORMED_CLAIM),
        ({"sub": True}, Failure.MALFORMED_CLAIM),
        ({"sub": False}, Failure.MALFORMED_CLAIM),
        ({"sub": 1.5}, Failure.MALFORMED_CLAIM),
        ({"sub": -1}, Failure.MALFORMED_CLAIM),
        ({"sub": " c1"}, Failure.MALFORMED_CLAIM),
        ({"sub": "c\n1"}, Failure.MALFORMED_CLAIM),
        ({"sub": "c\x001"}, Failure.MALFORMED_CLAIM),
        ({"sub": "c\ud8001"}, Failure.MALFORMED_CLAIM),
        ({"sub": "c" * 129}, Failure.MALFORMED_CLAIM),
        ({"sub": 10**130}, Failure.MALFORMED_CLAIM),
        ({"sub": "c1", "customer_id": ["7"]}, Failure.MALFORMED_CLAIM),
    ],
)
async def test_refuses_tokens_that_name_nobody(claims: dict[str, object], reason: Failure) -> None:
    assert await refusal(door(), sign(claims)) is reason


async def test_unicode_ids_are_kept_as_they_are() -> None:
    assert (await enter(door(), sign({"sub": "müşteri-七"}))).subject == "müşteri-七"


async def test_an_issuer_of_staff_only_vouches_for_no_customer() -> None:
    staff = door({"secret": SECRET, "customers": False})
    assert await refusal(staff, sign({"sub": "c1"})) is Failure.NOT_ACCEPTED
    who = await enter(staff, sign({"sub": "1", "roles": ["support"]}))
    assert (who.kind, who.customer_external_id) == (PrincipalKind.STAFF, None)


async def test_an_issuer_of_customers_only_makes_nobody_staff() -> None:
    who = await enter(
        door({"secret": SECRET, "staff": False}), sign({"sub": "1", "roles": ["administrator", "customer"]})
    )
    assert (who.kind, who.roles, who.capabilities) == (PrincipalKind.CUSTOMER, ("customer",), frozenset())


async def test_scopes_count_where_the_settings_name_them() -> None:
    authenticator = door({"secret": SECRET, "scope_roles": {"coffer.write": "service"}})
    who = await enter(authenticator, sign({"sub": "erp", "scope": "openid coffer.write"}))
    assert who.kind is PrincipalKind.SERVICE


# --- Header and payload -------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["bearer {}", "BEARER {}", "Bearer  {}", " Bearer {} "])
async def test_reads_the_header_leniently(header: str) -> None:
    assert (await door().principal(header.format(sign({"sub": "c1"})))).subject == "c1"


@pytest.mark.parametrize("header", ["{}", "Basic {}", "Bearer", "Bearer ", "Bearer a {}", "Token {}"])
async def test_refuses_other_headers(header: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        await door().principal(header.format(sign({"sub": "c1"})))
    assert caught.value.reason is Failure.MALFORMED_HEADER


@pytest.mark.parametrize(
    "payload",
    [
        {"authorization": "Bearer {}"},
        {"Authorization": "Bearer {}"},
        {"AUTHORIZATION": "bearer {}"},
        {"headers": {"Authorization": "Bearer {}"}},
        {"headers": {"authorization": "Bearer {}", "x": 1}, "other": []},
        {"token": "{}"},
        {"token": "Bearer {}"},
        {"authorization": None, "token": "{}"},
    ],
)
async def test_reads_connection_payloads(payload: object) -> None:
    token = sign({"sub": "c1"})
    filled = json.loads(json.dumps(payload).replace("{}", token))
    assert (await door().principal_of_payload(filled)).subject == "c1"


@pytest.mark.parametrize(
    "payload",
    [
        None,
        {},
        {"authorization": None},
        {"authorization": ""},
        {"token": None},
        {"headers": {}},
        {"headers": 1},
    ],
)
async def test_connection_payload_of_nobody(payload: object) -> None:
    assert await door().principal_of_payload(payload) is ANONYMOUS


@pytest.mark.parametrize(
    "payload",
    [
        [],
        "Bearer x",
        1,
        {"authorization": 1},
        {"authorization": ["Bearer x"]},
        {"token": {}},
        {"token": "a b c"},
    ],
)
async def test_refuses_other_connection_payloads(payload: object) -> None:
    with pytest.raises(AuthenticationError) as caught:
        await door().principal_of_payload(payload)
    assert caught.value.reason is Failure.MALFORMED_HEADER


async def test_refuses_half_characters_in_a_payload() -> None:
    with pytest.raises(AuthenticationError) as caught:
        await door().principal_of_payload({"token": "a.\ud800.c"})
    assert caught.value.reason is Failure.MALFORMED_TOKEN


# --- Attacks on the form ------------------------------------------------------------------------------------

GOOD = {"sub": "c1", "exp": at(600)}


def unsigned(header: object, claims: object = GOOD, signature: str = "") -> str:
    return f"{b64(header)}.{b64(claims)}.{signature}"


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("undefined", Failure.MALFORMED_TOKEN),
        ("null", Failure.MALFORMED_TOKEN),
        ("a.b", Failure.MALFORMED_TOKEN),
        ("a.b.c", Failure.MALFORMED_TOKEN),
        ("..", Failure.MALFORMED_TOKEN),
        ("a.b.c.d.e", Failure.MALFORMED_TOKEN),
        ("é.é.é", Failure.MALFORMED_TOKEN),
        ("!!!!.????.####", Failure.MALFORMED_TOKEN),
        (unsigned([]), Failure.MALFORMED_TOKEN),
        (unsigned({"alg": "HS256"}, []), Failure.MALFORMED_TOKEN),
        (unsigned({"alg": "HS256"}, b"\xff\xfe"), Failure.MALFORMED_TOKEN),
        (unsigned({"alg": "HS256", "kid": 5}), Failure.MALFORMED_TOKEN),
        (unsigned({"alg": "HS256", "kid": ["a"]}), Failure.MALFORMED_TOKEN),
        (unsigned({"alg": "HS256"}, b"[" * 5000), Failure.MALFORMED_TOKEN),
        (unsigned({"alg": "HS256"}, b'{"a":' * 1500), Failure.MALFORMED_TOKEN),
        ("x" * 16_385, Failure.TOKEN_TOO_LARGE),
        (unsigned({"alg": "none"}), Failure.ALGORITHM_NOT_ALLOWED),
        (unsigned({"alg": "None"}), Failure.ALGORITHM_NOT_ALLOWED),
        (unsigned({"alg": "nOnE"}, signature="AAAA"), Failure.ALGORITHM_NOT_ALLOWED),
        (unsigned({"alg": ""}), Failure.ALGORITHM_NOT_ALLOWED),
        (unsigned({}), Failure.ALGORITHM_NOT_ALLOWED),
        (unsigned({"alg": None}), Failure.ALGORITHM_NOT_ALLOWED),
        (unsigned({"alg": ["HS256"]}), Failure.ALGORITHM_NOT_ALLOWED),
        (unsigned({"alg": {}}), Failure.ALGORITHM_NOT_ALLOWED),
        (unsigned({"alg": "ES256K"}), Failure.ALGORITHM_NOT_ALLOWED),
        (unsigned({"alg": "RS256"}), Failure.ALGORITHM_NOT_ALLOWED),
        (unsigned({"alg": "HS256", "typ": "logout+jwt"}), Failure.WRONG_TYPE),
        (unsigned({"alg": "HS256", "typ": "dpop+jwt"}), Failure.WRONG_TYPE),
        (unsigned({"alg": "HS256", "typ": None}), Failure.WRONG_TYPE),
        (unsigned({"alg": "HS256", "typ": ["JWT"]}), Failure.WRONG_TYPE),
        (unsigned({"alg": "HS256", "crit": ["b64"], "b64": True}), Failure.WRONG_TYPE),
        (unsigned({"alg": "HS256"}), Failure.BAD_SIGNATURE),
        (unsigned({"alg": "HS256"}, signature="AAAA"), Failure.BAD_SIGNATURE),
        (
            unsigned({"alg": "HS256", "jwk": {"kty": "oct", "k": "AAAA"}}, signature="AA"),
            Failure.BAD_SIGNATURE,
        ),
        (unsigned({"alg": "HS256", "jku": "http://127.0.0.1:1/"}, signature="AA"), Failure.BAD_SIGNATURE),
        (sign(GOOD, "another secret that is long enough to be one"), Failure.BAD_SIGNATURE),
        (sign(GOOD)[:-4] + "AAAA", Failure.BAD_SIGNATURE),
    ],
)
async def test_refuses_malformed_and_forged_tokens(token: str, reason: Failure) -> None:
    assert await refusal(door(), token) is reason


async def test_changed_claims_are_not_believed() -> None:
    header, _, signature = sign({"sub": "c1"}).split(".")
    forged = f"{header}.{b64({**GOOD, 'roles': ['administrator']})}.{signature}"
    assert await refusal(door(), forged) is Failure.BAD_SIGNATURE


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"])
async def test_accepts_the_types_of_access_tokens(kind: str) -> None:
    assert (await enter(door(), sign({"sub": "c1"}, typ=kind))).subject == "c1"


async def test_a_token_without_a_type_is_accepted() -> None:
    assert (await enter(door(), sign({"sub": "c1"}, typ=""))).subject == "c1"


async def test_a_key_bound_token_is_refused() -> None:
    assert await refusal(door(), sign({"sub": "c1", "cnf": {"jkt": "x"}})) is Failure.WRONG_TYPE


# --- Keys and algorithms ------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
async def test_shared_secrets(alg: str) -> None:
    assert (await enter(door(), sign({"sub": "c1"}, alg=alg))).subject == "c1"


async def test_two_secrets_let_a_store_change_them() -> None:
    old, new = "o" * 64, "n" * 64
    authenticator = door({"secrets": [old, new]})
    for secret in (old, new):
        assert (await enter(authenticator, sign({"sub": "c1"}, secret))).subject == "c1"
    assert await refusal(authenticator, sign({"sub": "c1"}, "x" * 64)) is Failure.BAD_SIGNATURE


async def test_a_secret_serves_only_the_algorithms_that_it_is_long_enough_for() -> None:
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = sign({"sub": "c1"}, "s" * 32, alg="HS512")
    assert await refusal(door({"secret": "s" * 32}), token) is Failure.ALGORITHM_NOT_ALLOWED


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        (rsa_key("a"), "RS256"),
        (rsa_key("a"), "RS512"),
        (rsa_key("a"), "PS256"),
        (ec_key("a"), "ES256"),
        (ed_key("a"), "EdDSA"),
    ],
    ids=["RS256", "RS512", "PS256", "ES256", "EdDSA"],
)
async def test_public_keys(key: Any, alg: str) -> None:
    token = sign({"sub": "c1"}, key, alg=alg)
    for given in (pem(key), jwk(key), [jwk(key)]):
        assert (await enter(door({"public_keys": given}), token)).subject == "c1"


async def test_algorithms_narrow_what_a_key_allows() -> None:
    narrow = door({"public_keys": pem(rsa_key("a")), "algorithms": ["RS256"]})
    assert (await enter(narrow, sign({"sub": "c1"}, rsa_key("a"), alg="RS256"))).subject == "c1"
    assert (
        await refusal(narrow, sign({"sub": "c1"}, rsa_key("a"), alg="RS512")) is Failure.ALGORITHM_NOT_ALLOWED
    )


def confused(key_text: str) -> str:
    """Sign with a public key as if it were a shared secret: the classic confusion. PyJWT refuses to, so by hand."""
    import hashlib  # noqa: PLC0415 - an attacker's tools stay in the attack
    import hmac  # noqa: PLC0415

    head = f"{b64({'alg': 'HS256', 'typ': 'JWT'})}.{b64(GOOD)}"
    return f"{head}.{b64(hmac.new(key_text.encode(), head.encode(), hashlib.sha256).digest())}"


async def test_a_public_key_is_no_shared_secret() -> None:
    key = rsa_key("a")
    for given in (pem(key), pem(key).strip(), json.dumps(jwk(key))):
        assert (
            await refusal(door({"public_keys": pem(key)}), confused(given)) is Failure.ALGORITHM_NOT_ALLOWED
        )


async def test_the_algorithm_must_fit_the_key() -> None:
    rsa_only = door({"public_keys": pem(rsa_key("a"))})
    assert (
        await refusal(rsa_only, sign({"sub": "c1"}, ec_key("a"), alg="ES256"))
        is Failure.ALGORITHM_NOT_ALLOWED
    )
    assert await refusal(rsa_only, sign({"sub": "c1"})) is Failure.ALGORITHM_NOT_ALLOWED
    assert (
        await refusal(door(), sign({"sub": "c1"}, rsa_key("a"), alg="RS256")) is Failure.ALGORITHM_NOT_ALLOWED
    )
    assert await refusal(rsa_only, sign({"sub": "c1"}, rsa_key("b"), alg="RS256")) is Failure.BAD_SIGNATURE


@pytest.mark.parametrize(
    "bad",
    [
        {"kty": "oct", "k": b64(b"x" * 32)},
        {"kty": "oct", "k": b64(b"x" * 32), "alg": "RS256"},
        jwk(rsa_key("a"), use="enc"),
        jwk(rsa_key("a"), key_ops=["sign"]),
        jwk(rsa_key("a"), key_ops="verify"),
        jwk(rsa_key("a"), alg="ES256"),
        jwk(rsa_key("a"), alg="HS256"),
        jwk(rsa_key("a"), alg="none"),
        jwk(rsa_key("a"), alg=["RS256"]) | {"alg": "RSA-OAEP"},
        jwk(ec_key("a"), alg="RS256"),
        jwk(ec_key("a"), kty="RSA"),
        jwk(ec_key("a"), kty="OKP"),
        jwk(ec_key("a"), crv="P-384"),
        jwk(ec_key("a"), x="AAAA"),
        jwk(ec_key("a"), x=5),
        jwk(ed_key("a"), crv="X25519"),
        jwk(rsa_key("weak", 1024)),
        jwk(ec.generate_private_key(ec.SECP256K1())),
        {"kty": "RSA"},
        {},
    ],
)
def test_refuses_keys_that_do_not_verify_signatures(bad: dict[str, object]) -> None:
    assert jwk_key(bad) is None


def test_a_key_that_names_its_algorithm_allows_that_one_only() -> None:
    key = jwk_key(jwk(rsa_key("a"), "k1", alg="RS256", use="sig", key_ops=["verify"]))
    assert key is not None
    assert (key.algorithms, key.kid) == (frozenset({"RS256"}), "k1")
    assert "material" not in repr(key)


# --- Claims -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({}, Failure.MISSING_CLAIM),
        ({"exp": None}, Failure.MISSING_CLAIM),
        ({"exp": "soon"}, Failure.MALFORMED_CLAIM),
        ({"exp": str(at(600))}, Failure.MALFORMED_CLAIM),
        ({"exp": True}, Failure.MALFORMED_CLAIM),
        ({"exp": [at(600)]}, Failure.MALFORMED_CLAIM),
        ({"exp": float("inf")}, Failure.MALFORMED_CLAIM),
        ({"exp": float("nan")}, Failure.MALFORMED_CLAIM),
        ({"exp": at(600) * 1000}, Failure.MALFORMED_CLAIM),
        ({"exp": -1}, Failure.MALFORMED_CLAIM),
        ({"exp": 10**400}, Failure.MALFORMED_CLAIM),
        ({"exp": 253_402_300_799}, Failure.MALFORMED_CLAIM),
        ({"exp": at(-30)}, Failure.EXPIRED),
        ({"exp": at(-29.5)}, None),
        ({"exp": at(0)}, None),
        ({"exp": 0}, Failure.EXPIRED),
        ({"exp": at(600), "nbf": at(30)}, None),
        ({"exp": at(600), "nbf": at(30.5)}, Failure.NOT_YET_VALID),
        ({"exp": at(600), "nbf": "x"}, Failure.MALFORMED_CLAIM),
        ({"exp": at(600), "iat": at(30)}, None),
        ({"exp": at(600), "iat": at(31)}, Failure.NOT_YET_VALID),
        ({"exp": at(600), "iat": {}}, Failure.MALFORMED_CLAIM),
        ({"exp": at(600), "iat": at(-(10**8))}, None),
    ],
)
async def test_times(claims: dict[str, object], reason: Failure | None) -> None:
    token = sign({"sub": "c1", **claims}, lasting_s=None)
    if reason is None:
        assert (await enter(door(), token)).subject == "c1"
    else:
        assert await refusal(door(), token) is reason


async def test_no_leeway_is_no_leeway() -> None:
    strict = door(leeway_s=0)
    assert await refusal(strict, sign({"sub": "c1"}, lasting_s=0)) is Failure.EXPIRED
    assert await refusal(strict, sign({"sub": "c1", "iat": at(1)})) is Failure.NOT_YET_VALID


@pytest.mark.parametrize(
    ("audience", "named", "reason"),
    [
        (None, None, None),
        (None, "", None),
        (None, "somebody", Failure.WRONG_AUDIENCE),
        (None, ["somebody"], Failure.WRONG_AUDIENCE),
        ("coffer", "coffer", None),
        ("coffer", ["other", "coffer"], None),
        (["coffer", "wallet"], "wallet", None),
        ("coffer", None, Failure.WRONG_AUDIENCE),
        ("coffer", "coffer2", Failure.WRONG_AUDIENCE),
        ("coffer", "Coffer", Failure.WRONG_AUDIENCE),
        ("coffer", [], Failure.WRONG_AUDIENCE),
        ("coffer", [["coffer"]], Failure.WRONG_AUDIENCE),
        ("coffer", {"coffer": 1}, Failure.WRONG_AUDIENCE),
        ("coffer", "coffer other", Failure.WRONG_AUDIENCE),
    ],
)
async def test_audiences(audience: object, named: object, reason: Failure | None) -> None:
    issuer = {"secret": SECRET} | ({} if audience is None else {"audience": audience})
    token = sign({"sub": "c1"} | ({} if named is None else {"aud": named}))
    if reason is None:
        assert (await enter(door(issuer), token)).subject == "c1"
    else:
        assert await refusal(door(issuer), token) is reason


@pytest.mark.parametrize(
    "named", [None, "", ISSUER + "/", "HTTPS://ID.STORE.EXAMPLE", "https://evil.example"]
)
async def test_refuses_other_issuers(named: str | None) -> None:
    token = sign({"sub": "c1"} | ({} if named is None else {"iss": named}))
    assert await refusal(door({"issuer": ISSUER, "secret": SECRET}), token) is Failure.UNKNOWN_ISSUER


@pytest.mark.parametrize("claims", [{}, {"iss": None}, {"iss": "https://evil.example"}, {"iss": [ISSUER]}])
def test_the_issuer_is_looked_at_again_once_it_is_proven(claims: dict[str, object]) -> None:
    check_issuer({"iss": ISSUER}, ISSUER)
    with pytest.raises(AuthenticationError):
        check_issuer(claims, ISSUER)


@pytest.mark.parametrize("named", [5, [ISSUER], {"a": 1}, True])
async def test_refuses_issuers_that_are_no_text(named: object) -> None:
    header, _, signature = sign({"sub": "c1"}).split(".")
    token = f"{header}.{b64({**GOOD, 'iss': named})}.{signature}"
    assert await refusal(door({"issuer": ISSUER, "secret": SECRET}), token) is Failure.MALFORMED_CLAIM


async def test_a_door_without_issuers_lets_nobody_in() -> None:
    authenticator = Authenticator(AuthConfig(), now=Clock())
    assert await authenticator.principal(None) is ANONYMOUS
    assert await refusal(authenticator, sign({"sub": "c1"})) is Failure.UNKNOWN_ISSUER


async def test_each_issuer_has_its_own_keys_and_claims() -> None:
    other = "https://staff.store.example"
    both = door(
        {"issuer": ISSUER, "secret": SECRET, "staff": False},
        {
            "issuer": other,
            "public_keys": pem(ec_key("a")),
            "customers": False,
            "roles": {"boss": "administrator"},
        },
    )
    customer = await enter(both, sign({"iss": ISSUER, "sub": "1", "roles": ["administrator"]}))
    boss = await enter(both, sign({"iss": other, "sub": "1", "roles": ["boss"]}, ec_key("a"), alg="ES256"))
    assert (customer.kind, boss.kind) == (PrincipalKind.CUSTOMER, PrincipalKind.STAFF)
    # Each other's key opens nothing.
    assert await refusal(both, sign({"iss": other, "sub": "1"})) is Failure.ALGORITHM_NOT_ALLOWED
    crossed = sign({"iss": ISSUER, "sub": "1"}, ec_key("a"), alg="ES256")
    assert await refusal(both, crossed) is Failure.ALGORITHM_NOT_ALLOWED


async def test_a_nameless_issuer_takes_what_no_other_claims() -> None:
    both = door({"issuer": ISSUER, "secret": "i" * 64}, {"secret": SECRET})
    assert (await enter(both, sign({"iss": "https://anything.example", "sub": "1"}))).subject == "1"
    assert await refusal(both, sign({"iss": ISSUER, "sub": "1"})) is Failure.BAD_SIGNATURE


# --- The memory of verified tokens --------------------------------------------------------------------------


class CountingKeys:
    """Counts how often a key is asked for, which is how often a token is verified."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.asked = 0

    async def keys(self, algorithm: str, kid: str | None) -> Any:
        self.asked += 1
        return await self.inner.keys(algorithm, kid)


def counted(authenticator: Authenticator) -> CountingKeys:
    counting = CountingKeys(authenticator._sources[None])
    authenticator._sources[None] = counting
    return counting


async def test_a_token_is_verified_once() -> None:
    clock = Clock()
    authenticator = door(clock=clock)
    counting = counted(authenticator)
    token = sign({"sub": "c1"})
    first = await enter(authenticator, token)
    assert (await enter(authenticator, token)).identity is first.identity
    assert counting.asked == 1
    clock.forward(60)
    assert await enter(authenticator, token) == first
    assert counting.asked == 2


async def test_a_remembered_token_still_expires() -> None:
    clock = Clock()
    authenticator = door(clock=clock, leeway_s=0)
    token = sign({"sub": "c1"}, lasting_s=10)
    await enter(authenticator, token)
    clock.forward(9.9)
    await enter(authenticator, token)
    clock.forward(0.1)
    assert await refusal(authenticator, token) is Failure.EXPIRED


async def test_a_clock_that_is_set_back_forgets() -> None:
    clock = Clock()
    authenticator = door(clock=clock)
    counting = counted(authenticator)
    token = sign({"sub": "c1", "nbf": at(-100)})
    await enter(authenticator, token)
    clock.forward(-60)
    await enter(authenticator, token)
    assert counting.asked == 2
    clock.forward(-100)
    assert await refusal(authenticator, token) is Failure.NOT_YET_VALID


async def test_the_memory_is_bounded_and_holds_no_token() -> None:
    authenticator = door(cache_entries_max=3)
    counting = counted(authenticator)
    tokens = [sign({"sub": f"c{number}"}) for number in range(5)]
    for token in tokens:
        await enter(authenticator, token)
    assert len(authenticator._verified) == 3
    assert {len(digest) for digest in authenticator._verified._entries} == {32}
    await enter(authenticator, tokens[4])
    assert counting.asked == 5
    await enter(authenticator, tokens[0])
    assert counting.asked == 6


async def test_tokens_that_nobody_shows_again_are_forgotten_in_time() -> None:
    clock = Clock()
    authenticator = door(clock=clock)
    tokens = [sign({"sub": f"c{number}"}) for number in range(5)]
    for token in tokens[:3]:
        await enter(authenticator, token)
    clock.forward(40)
    await enter(authenticator, tokens[3])
    assert len(authenticator._verified) == 4
    clock.forward(30)
    await enter(authenticator, tokens[4])
    assert len(authenticator._verified) == 2


async def test_forged_tokens_are_not_remembered() -> None:
    authenticator = door()
    for number in range(5):
        await refusal(authenticator, sign({"sub": f"c{number}"}, "x" * 64))
    assert len(authenticator._verified) == 0


@pytest.mark.parametrize("off", [{"cache_ttl_s": 0}, {"cache_entries_max": 0}])
async def test_the_memory_can_be_switched_off(off: dict[str, Any]) -> None:
    authenticator = door(**off)
    counting = counted(authenticator)
    token = sign({"sub": "c1"})
    await enter(authenticator, token)
    await enter(authenticator, token)
    assert counting.asked == 2


# --- Keys that an issuer publishes --------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with key_server() as running:
        running.publish(jwk(rsa_key("a"), "k1", alg="RS256", use="sig"))
        yield running


def published(server: KeyServer, clock: Clock, **limits: Any) -> Authenticator:
    return door({"jwks_url": server.url}, clock=clock, **({"cache_ttl_s": 0} | limits))


def rs256(name: str = "a", kid: str | None = "k1", lasting_s: int = 10**6) -> str:
    header = {} if kid is None else {"kid": kid}
    return sign({"sub": "c1"}, rsa_key(name), alg="RS256", lasting_s=lasting_s, **header)


async def test_keys_are_fetched_once_and_kept(server: KeyServer) -> None:
    clock = Clock()
    authenticator = published(server, clock)
    for _ in range(3):
        assert (await enter(authenticator, rs256())).subject == "c1"
    assert (await enter(authenticator, rs256(kid=None))).subject == "c1"
    assert server.requests == ["/keys"]
    clock.forward(600)
    await enter(authenticator, rs256())
    assert len(server.requests) == 2


async def test_each_kind_of_published_key(server: KeyServer) -> None:
    server.publish(jwk(rsa_key("a"), "r"), jwk(ec_key("a"), "e"), jwk(ed_key("a"), "d"))
    authenticator = published(server, Clock())
    for key, alg, kid in (
        (rsa_key("a"), "RS256", "r"),
        (ec_key("a"), "ES256", "e"),
        (ed_key("a"), "EdDSA", "d"),
    ):
        assert (
            await enter(authenticator, sign({"sub": "c1"}, key, alg=alg, kid=kid, typ="at+jwt"))
        ).subject == "c1"
    # A key id that belongs to a key of another kind does not help.
    crossed = sign({"sub": "c1"}, rsa_key("a"), alg="RS256", kid="e")
    assert await refusal(authenticator, crossed) is Failure.UNKNOWN_KEY


async def test_a_rotated_key_is_found_without_a_restart(server: KeyServer) -> None:
    clock = Clock()
    authenticator = published(server, clock)
    await enter(authenticator, rs256())
    server.publish(jwk(rsa_key("b"), "k2"))
    clock.forward(31)
    assert (await enter(authenticator, rs256("b", "k2"))).subject == "c1"
    # The key that was withdrawn is worth nothing any more.
    assert await refusal(authenticator, rs256()) is Failure.UNKNOWN_KEY


async def test_a_flood_of_unknown_keys_costs_one_fetch_per_interval(server: KeyServer) -> None:
    clock = Clock()
    authenticator = published(server, clock)
    await enter(authenticator, rs256())
    clock.forward(31)
    tokens = [rs256("b", f"unknown-{number}") for number in range(20)]
    results = await asyncio.gather(*(enter(authenticator, token) for token in tokens), return_exceptions=True)
    assert {r.reason for r in results if isinstance(r, AuthenticationError)} == {Failure.UNKNOWN_KEY}
    assert len(server.requests) == 2
    for token in tokens:
        await refusal(authenticator, token)
    assert len(server.requests) == 2
    clock.forward(30)
    await refusal(authenticator, tokens[0])
    assert len(server.requests) == 3


async def test_an_impossible_algorithm_costs_no_fetch(server: KeyServer) -> None:
    clock = Clock()
    authenticator = published(server, clock)
    await enter(authenticator, rs256())
    clock.forward(31)
    assert await refusal(authenticator, sign({"sub": "c1"}, kid="k1")) is Failure.ALGORITHM_NOT_ALLOWED
    assert await refusal(authenticator, confused(pem(rsa_key("a")))) is Failure.ALGORITHM_NOT_ALLOWED
    assert len(server.requests) == 1


BROKEN = {
    "error": (500, b""),
    "garbage": (200, b"<html>"),
    "binary": (200, b"\xff\xfe\x00"),
    "nested": (200, b"[" * 100_000),
    "array": (200, b"[]"),
    "no keys": (200, b"{}"),
    "odd keys": (200, b'{"keys": {"a": 1}}'),
    "odd members": (200, b'{"keys": [1, null, "a", [], {}, {"kty": "oct", "k": "AAAA"}]}'),
    "empty": (200, b'{"keys": []}'),
    # The right key is in it, so that nothing but the size can be what is refused.
    "oversized": (200, json.dumps({"keys": [jwk(rsa_key("a"), "k1")]}).encode() + b" " * 600_000),
    "redirect": (302, b""),
}


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_broken_issuer_takes_no_known_key_away(server: KeyServer, broken: str) -> None:
    clock = Clock()
    authenticator = published(server, clock)
    await enter(authenticator, rs256())
    server.status, server.answers["/keys"] = BROKEN[broken]
    server.headers["location"] = "/elsewhere"
    clock.forward(601)
    assert (await enter(authenticator, rs256())).subject == "c1"
    # Within the cooldown the issuer is left alone.
    await enter(authenticator, rs256())
    assert server.requests == ["/keys", "/keys"]
    clock.forward(86_400)
    assert await refusal(authenticator, rs256()) is Failure.KEYS_UNAVAILABLE
    server.publish(jwk(rsa_key("a"), "k1"))
    clock.forward(31)
    assert (await enter(authenticator, rs256())).subject == "c1"


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_broken_issuer_at_the_start_lets_nobody_in(server: KeyServer, broken: str) -> None:
    clock = Clock()
    server.status, server.answers["/keys"] = BROKEN[broken]
    authenticator = published(server, clock)
    with pytest.raises(AuthenticationError) as caught:
        await enter(authenticator, rs256())
    assert (caught.value.reason, caught.value.temporary) == (Failure.KEYS_UNAVAILABLE, True)
    await refusal(authenticator, rs256())
    assert len(server.requests) == 1
    # While nothing is known yet, the next try comes sooner.
    server.publish(jwk(rsa_key("a"), "k1"))
    clock.forward(5)
    assert (await enter(authenticator, rs256())).subject == "c1"


async def test_an_issuer_that_is_gone(server: KeyServer) -> None:
    gone = door({"jwks_url": "http://127.0.0.1:9/keys"})
    assert await refusal(gone, rs256()) is Failure.KEYS_UNAVAILABLE


async def test_a_compressed_answer_is_not_unpacked(server: KeyServer) -> None:
    server.headers["content-encoding"] = "gzip"
    assert await refusal(published(server, Clock()), rs256()) is Failure.KEYS_UNAVAILABLE


async def test_a_slow_issuer_costs_a_bounded_time(server: KeyServer) -> None:
    server.delay_s = 1.0
    authenticator = published(server, Clock(), jwks_timeout_s=0.1)
    async with asyncio.timeout(0.8):
        assert await refusal(authenticator, rs256()) is Failure.KEYS_UNAVAILABLE


async def test_callers_share_one_fetch_and_none_cancels_it(server: KeyServer) -> None:
    server.delay_s = 0.2
    authenticator = published(server, Clock())
    tasks = [asyncio.create_task(enter(authenticator, rs256())) for _ in range(5)]
    await asyncio.sleep(0.05)
    tasks[0].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert all(isinstance(result, Principal) for result in results[1:])
    assert len(server.requests) == 1


async def test_discovery(server: KeyServer) -> None:
    document = {"issuer": server.base, "jwks_uri": server.url}
    server.answers["/.well-known/openid-configuration"] = json.dumps(document).encode()
    authenticator = door({"issuer": server.base, "discovery": True})
    token = sign({"sub": "c1", "iss": server.base}, rsa_key("a"), alg="RS256", kid="k1")
    assert (await enter(authenticator, token)).subject == "c1"
    assert server.requests == ["/.well-known/openid-configuration", "/keys"]


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://other.example", "jwks_uri": "{base}/keys"},
        {"jwks_uri": "{base}/keys"},
        {"issuer": "{base}"},
        {"issuer": "{base}", "jwks_uri": 5},
        {"issuer": "{base}", "jwks_uri": "http://keys.example/"},
        {"issuer": "{base}", "jwks_uri": "file:///etc/passwd"},
        {"issuer": "{base}", "jwks_uri": "http://[half"},
    ],
)
async def test_discovery_documents_that_are_not_believed(
    server: KeyServer, document: dict[str, object]
) -> None:
    text = json.dumps(document).replace("{base}", server.base)
    server.answers["/.well-known/openid-configuration"] = text.encode()
    authenticator = door({"issuer": server.base, "discovery": True})
    token = sign({"sub": "c1", "iss": server.base}, rsa_key("a"), alg="RS256", kid="k1")
    assert await refusal(authenticator, token) is Failure.KEYS_UNAVAILABLE
    assert "/keys" not in server.requests


# --- Settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"secret": SECRET, "jwks_url": "https://a.example/keys"},
        {"secret": SECRET, "public_keys": pem(rsa_key("a"))},
        {"secret": "short"},
        {"secret": "supersecret"},
        {"secret": pem(rsa_key("a"))},
        {"secret": json.dumps(jwk(rsa_key("a")))},
        {"secret": SECRET, "algorithms": ["none"]},
        {"secret": SECRET, "algorithms": ["RS256"]},
        {"secret": SECRET, "audiance": "coffer"},
        {"secret": SECRET, "claims": {"subjekt": "sub"}},
        {"secret": SECRET, "claims": {"subject": "a..b"}},
        {"secret": SECRET, "claims": {"subject": [[]]}},
        {"secret": SECRET, "claims": []},
        {"secret": SECRET, "preset": "shopify"},
        {"secret": SECRET, "roles": {"boss": "The Emperor!"}},
        {"secret": SECRET, "roles": {"boss": 1}},
        {"secret": SECRET, "customers": "no"},
        {"secret": SECRET, "customers": False, "staff": False},
        {"secret": 5},
        {"public_keys": "no key"},
        {"public_keys": 5},
        {"public_keys": pem(rsa_key("weak", 1024))},
        {"public_keys": {"kty": "oct", "k": b64(b"x" * 64)}},
        {"public_keys": pem(ec_key("a")), "algorithms": ["RS256"]},
        {"jwks_url": "http://id.example/keys"},
        {"jwks_url": "ftp://127.0.0.1/keys"},
        {"jwks_url": "http://127.0.0.1.evil.example/keys"},
        {"jwks_url": "http://localhost@evil.example/keys"},
        {"jwks_url": "https://a.example/keys", "algorithms": ["HS256"]},
        {"discovery": True},
        {"discovery": True, "issuer": "http://id.example"},
        {"preset": "auth0", "issuer": ISSUER, "discovery": True},
        {"preset": "keycloak", "issuer": ISSUER, "discovery": True},
        {"preset": "cognito", "issuer": ISSUER, "discovery": True},
    ],
)
def test_refuses_settings_that_cannot_work(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        door(settings)
    secret = settings.get("secret")
    assert not isinstance(secret, str) or secret == "short" or secret not in str(caught.value)


def test_refuses_two_issuers_of_one_name() -> None:
    with pytest.raises(ConfigurationError):
        door({"secret": SECRET}, {"secret": "x" * 64})


def test_settings_do_not_show_secrets() -> None:
    assert SECRET not in repr(AuthConfig(issuers=(issuer_config({"secret": SECRET}),)))
    with pytest.raises(ConfigurationError):
        replace(AuthConfig(), leeway_s=-1)


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("sub", ("sub",)),
        ("data.user.id", ("data", "user", "id")),
        ("cognito:groups", ("cognito:groups",)),
        ("https://store.example/roles", ("https://store.example/roles",)),
        ('"https://store.example/roles"', ("https://store.example/roles",)),
        ('app."https://store.example/x".roles', ("app", "https://store.example/x", "roles")),
        ('resource_access."my.client".roles', ("resource_access", "my.client", "roles")),
        (["resource_access", "my.client", "roles"], ("resource_access", "my.client", "roles")),
    ],
)
def test_claim_paths(written: str | list[str], path: tuple[str, ...]) -> None:
    assert claim_path(written) == path


@pytest.mark.parametrize("written", ["", ".", "a.", ".a", "a..b", '"a', 'a"b"', [], ["a", ""], ["a", 1]])
def test_refuses_other_claim_paths(written: str | list[object]) -> None:
    with pytest.raises(ConfigurationError):
        claim_path(written)


# --- Tokens of Coffer's own ---------------------------------------------------------------------------------


async def test_issued_tokens_are_accepted() -> None:
    token = issue_token(
        SECRET,
        subject="anna",
        roles=["support"],
        ttl_s=60,
        now=START,
        customer_id="7",
        issuer=ISSUER,
        audience="coffer",
    )
    who = await enter(door({"issuer": ISSUER, "audience": "coffer", "secret": SECRET}), token)
    assert who == Principal(
        kind=PrincipalKind.STAFF,
        subject="anna",
        roles=("support",),
        capabilities=ROLES["support"],
        expires_at=START + timedelta(seconds=60),
        customer_external_id="7",
    )
    claims = jwt.decode(token, options={"verify_signature": False})
    assert set(claims) == {"sub", "roles", "iat", "nbf", "exp", "jti", "customer_id", "iss", "aud"}


def test_issued_tokens_differ() -> None:
    made = {issue_token(SECRET, subject="a", roles=[], ttl_s=60, now=START) for _ in range(3)}
    assert len(made) == 3


@pytest.mark.parametrize(("secret", "ttl_s"), [("short", 60), (SECRET, 0), (SECRET, -1)])
def test_refuses_to_issue_weak_tokens(secret: str, ttl_s: int) -> None:
    with pytest.raises(ConfigurationError):
        issue_token(secret, subject="a", roles=[], ttl_s=ttl_s, now=START)


# --- what was worked out a moment ago -----------------------------------------------------------------------


async def test_a_caller_is_worked_out_once_for_the_rights_of_the_moment() -> None:
    clock, rights = Clock(), [PRESET_RIGHTS]
    config = AuthConfig(issuers=(issuer_config({"secret": SECRET}),))
    authenticator = Authenticator(config, now=clock, rights=lambda: rights[-1])
    header = f"Bearer {sign({'sub': 's1', 'roles': ['support']})}"
    assert authenticator.known(header) is None
    proven = await authenticator.principal(header)
    first = authenticator.known(header)
    assert first == proven
    assert authenticator.known(header) is first
    for other in (header.lower(), f"{header}x", header.removeprefix("Bearer "), ""):
        assert authenticator.known(other) is None
    rights.append(Rights((), revision=PRESET_RIGHTS.revision + 1))
    changed = authenticator.known(header)
    assert changed is not None
    assert (changed.revision, changed.capabilities) == (PRESET_RIGHTS.revision + 1, frozenset())
    clock.forward(600)
    assert authenticator.known(header) is None


async def test_who_is_nobody_any_more_is_not_known() -> None:
    rights = [PRESET_RIGHTS]
    issuer = issuer_config({"secret": SECRET, "customers": False})
    authenticator = Authenticator(AuthConfig(issuers=(issuer,)), now=Clock(), rights=lambda: rights[-1])
    header = f"Bearer {sign({'sub': 's1', 'roles': ['support']})}"
    await authenticator.principal(header)
    rights.append(Rights((), revision=5))
    assert authenticator.known(header) is None
    with pytest.raises(AuthenticationError):
        await authenticator.principal(header)
