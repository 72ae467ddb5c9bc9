"""From a credential to a principal: the one door that every request and every socket comes through."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from app.auth.api_key import is_api_key
from app.auth.cache import VerifiedTokens
from app.auth.claims import id_at, words_at
from app.auth.config import AuthConfig, IssuerConfig
from app.auth.errors import AuthenticationError, ConfigurationError, Failure
from app.auth.jwks import FetchLimits, PublishedKeys
from app.auth.keys import KeySource, public_keys, secret_keys
from app.auth.token import (
    check_audience,
    check_issuer,
    check_required,
    check_times,
    read_unverified,
    verified_claims,
)
from app.domain.access import ANONYMOUS, CUSTOMER, Identity, Principal
from app.domain.rights import PRESET_RIGHTS, End, Ended, Rights

_HEADER = "authorization"
_KEY_HEADER = "x-api-key"
_BEARER = "Bearer "
_ENDED = {
    End.REVOKED: (
        Failure.REVOKED,
        "This API key was revoked: use the one that replaced it, or create another.",
    ),
    End.EXPIRED: (
        Failure.EXPIRED,
        "This API key has expired: use the one that replaced it, or create another.",
    ),
    End.NOT_ACCEPTED: (
        Failure.NOT_ACCEPTED,
        "This issuer vouches for staff only, and the token holds no role that Coffer knows: map its roles.",
    ),
}


async def _no_keys(_text: str) -> Identity:
    raise AuthenticationError(Failure.INVALID_API_KEY, "This server knows no API keys.")


class Authenticator:
    """Tells who shows a credential. One per process: it holds fetched keys and verified tokens.

    `rights` gives the roles and keys that count at this moment, `prove_key` tells whose an API key is, and `known_key`
    where nothing has to be waited for.
    """

    def __init__(
        self,
        config: AuthConfig,
        *,
        now: Callable[[], datetime],
        rights: Callable[[], Rights] = lambda: PRESET_RIGHTS,
        prove_key: Callable[[str], Awaitable[Identity]] = _no_keys,
        known_key: Callable[[str], Identity | None] = lambda _text: None,
    ) -> None:
        self._config = config
        self._now = now
        self._rights = rights
        self._prove_key = prove_key
        self._known_key = known_key
        self._issuers = {issuer.issuer: issuer for issuer in config.issuers}
        self._sources = {issuer.issuer: _key_source(issuer, config, now) for issuer in config.issuers}
        self._verified = VerifiedTokens(entries_max=config.cache_entries_max, ttl_s=config.cache_ttl_s)

    def known(self, authorization: str | None) -> Principal | None:
        """Return whom a header proves where nothing has to be waited for; None where `principal` has to see.

        That is nobody, an API key of these rights, and a token that was verified a moment ago.
        """
        if authorization is None:
            return ANONYMOUS
        if not authorization.startswith(_BEARER):
            return None
        credential, rights, now = authorization[len(_BEARER) :], self._rights(), self._now()
        try:
            if not is_api_key(credential):
                return self._verified.principal(credential, rights, now)
            identity = self._known_key(credential)
            return None if identity is None else rights.principal(identity, now)
        except Ended:
            return None

    async def principal(self, authorization: str | None) -> Principal:
        """Return whom an `Authorization` header proves; no header is nobody, a bad one an `AuthenticationError`."""
        # A blank header is nobody too: that is what the usual snippet for GraphQL clients sends after a sign-out.
        if authorization is None or not authorization.strip(" \t"):
            return ANONYMOUS
        scheme, _, token = authorization.strip(" \t").partition(" ")
        token = token.strip(" \t")
        if scheme.lower() != "bearer" or not token or " " in token:
            raise _malformed_header()
        identity = await self._prove_key(token) if is_api_key(token) else await self._identity_of(token)
        return principal_now(identity, self._rights(), self._now())

    async def principal_of_payload(self, payload: object) -> Principal:
        """Return whom the payload of a websocket's `connection_init` proves.

        Understood are `{"authorization": "Bearer …"}` in any capitalisation, `{"headers": {"authorization": …}}`
        and `{"token": "…"}`; `x-api-key` may stand in either place of `authorization`. No payload, or one without
        any of these, is nobody.
        """
        if payload is None:
            return ANONYMOUS
        if not isinstance(payload, Mapping):
            raise _malformed_header()
        headers = payload.get("headers")
        found = _header_in(payload)
        if found is None and isinstance(headers, Mapping):
            found = _header_in(headers)
        token = payload.get("token")
        if found is None and token not in (None, ""):
            found = f"Bearer {token}" if isinstance(token, str) and " " not in token else token
        if found is not None and not isinstance(found, str):
            raise _malformed_header()
        return await self.principal(found)

    async def _identity_of(self, token: str) -> Identity:
        if len(token) > self._config.token_bytes_max:
            raise AuthenticationError(
                Failure.TOKEN_TOO_LARGE,
                f"The token is longer than {self._config.token_bytes_max} bytes: have the issuer put less into it.",
            )
        known = self._verified.get(token, self._now())
        if known is not None:
            return known
        unverified = read_unverified(token)
        issuer = self._issuer_of(unverified.issuer)
        keys = await self._sources[issuer.issuer].keys(unverified.algorithm, unverified.kid)
        claims = verified_claims(unverified, keys)
        # Fetching keys may have taken seconds: ask the clock again.
        now = self._now()
        expires_at = check_claims(claims, issuer, now=now, leeway_s=self._config.leeway_s)
        identity = identity_from(claims, issuer, expires_at=expires_at)
        self._verified.put(token, identity, now=now, expires_at=expires_at)
        return identity

    def _issuer_of(self, name: str | None) -> IssuerConfig:
        # An issuer without a name takes whatever no other has claimed: its key is what decides.
        issuer = self._issuers.get(name) or self._issuers.get(None)
        if issuer is None:
            raise AuthenticationError(
                Failure.UNKNOWN_ISSUER,
                "The token comes from an issuer that this server does not trust: compare its claim iss, letter for "
                "letter, with the issuers in the settings."
                if self._issuers
                else "This server trusts no issuer yet: name the store's sign-in in the settings.",
            )
        return issuer


def check_claims(
    claims: Mapping[str, object], issuer: IssuerConfig, *, now: datetime, leeway_s: int
) -> datetime:
    """Refuse genuine tokens that are not for here and now; return when this one ends."""
    check_issuer(claims, issuer.issuer)
    expires_at = check_times(claims, now=now, leeway_s=leeway_s)
    check_audience(claims, issuer.claims.audience, issuer.audience, required=issuer.claims.audience_required)
    check_required(claims, issuer.claims.required)
    return expires_at


def identity_from(claims: Mapping[str, object], issuer: IssuerConfig, *, expires_at: datetime) -> Identity:
    """Read from verified claims who the caller is."""
    subject = id_at(claims, issuer.claims.subject)
    if subject is None:
        raise AuthenticationError(
            Failure.MISSING_CLAIM,
            "The token names nobody: have the issuer put the person's id into "
            f"{' or '.join('.'.join(path) for path in issuer.claims.subject)}, or set claims.subject.",
        )
    customer_id = id_at(claims, issuer.claims.customer_id)
    # The subject stands in for a customer id, also for staff, so that nobody adjusts their own wallet; but the
    # ids of an issuer that knows no customers may be equal to customers' ids by chance only.
    if customer_id is None and issuer.customers:
        customer_id = subject
    return Identity(
        subject=subject,
        words=_words(claims, issuer),
        expires_at=expires_at,
        customer_external_id=customer_id,
        vouched_as_customer=issuer.customers,
    )


def principal_now(identity: Identity, rights: Rights, now: datetime) -> Principal:
    """Return who that is and what they may do now; an `AuthenticationError` if it is nobody any more."""
    try:
        return rights.principal(identity, now)
    except Ended as ended:
        raise AuthenticationError(*_ENDED[ended.reason]) from None


def _words(claims: Mapping[str, object], issuer: IssuerConfig) -> tuple[str, ...]:
    of_roles = (issuer.claims.role_map.get(word, word) for word in words_at(claims, issuer.claims.roles))
    of_scopes = (issuer.claims.scope_roles.get(word, "") for word in words_at(claims, issuer.claims.scopes))
    words = tuple(dict.fromkeys(word for word in (*of_roles, *of_scopes) if word))
    return words if issuer.staff else tuple(word for word in words if word == CUSTOMER)


def _key_source(issuer: IssuerConfig, config: AuthConfig, now: Callable[[], datetime]) -> KeySource:
    try:
        return _keys_of(issuer, config, now)
    except ConfigurationError as error:
        raise ConfigurationError(f"{issuer.name}: {error}") from None


def _keys_of(issuer: IssuerConfig, config: AuthConfig, now: Callable[[], datetime]) -> KeySource:
    if issuer.secrets:
        return secret_keys(issuer.secrets, issuer.algorithms)
    if issuer.public_keys:
        return public_keys(issuer.public_keys, issuer.algorithms)
    limits = FetchLimits(
        max_age_s=config.jwks_max_age_s,
        stale_max_s=config.jwks_stale_max_s,
        cooldown_s=config.jwks_cooldown_s,
        retry_s=config.jwks_retry_s,
        timeout_s=config.jwks_timeout_s,
        bytes_max=config.jwks_bytes_max,
    )
    return PublishedKeys(
        limits=limits,
        now=now,
        url=issuer.jwks_url,
        discover=issuer.issuer if issuer.discovery else None,
        algorithms=issuer.algorithms,
    )


def _header_in(fields: Mapping[object, object]) -> object:
    for name, value in fields.items():
        if isinstance(name, str) and name.lower() == _HEADER:
            return value
        if isinstance(name, str) and name.lower() == _KEY_HEADER:
            return f"Bearer {value}" if isinstance(value, str) and value else value or None
    return None


def _malformed_header() -> AuthenticationError:
    return AuthenticationError(
        Failure.MALFORMED_HEADER,
        'The credential must be written "Bearer <token>"; leave it out altogether to come as nobody.',
    )
