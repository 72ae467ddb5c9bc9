"""Who may vouch for a caller: the operator's choice, as data.

`issuer_config` reads one issuer as settings write it (a JSON object) and refuses words that it does not know,
because a misspelt `audience` that nobody reads would be a hole, not a typo.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from app.auth.claims import ClaimMap, ClaimPath, claim_path
from app.auth.errors import ConfigurationError
from app.auth.presets import PRESETS
from app.domain.role import is_name


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerConfig:
    """One issuer: how its tokens are verified and what its claims mean. Exactly one kind of key is set."""

    issuer: str | None = None
    """What its tokens say in `iss`, letter for letter. None: the one issuer for tokens that name no other."""
    audience: tuple[str, ...] = ()
    """Whom its tokens must be for. Empty: they must not name an audience."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Shared secrets (HS256, HS384, HS512). Two at a time let a store change them without a gap."""
    public_keys: tuple[str | Mapping[str, object], ...] = ()
    """Public keys: PEM text, or JWKs."""
    jwks_url: str | None = None
    """Where the issuer publishes its keys."""
    discovery: bool = False
    """Whether to find that address by OpenID Connect discovery, from `issuer`."""
    algorithms: frozenset[str] = frozenset()
    """Narrows what the keys allow. Empty: all that fit the keys."""
    claims: ClaimMap = PRESETS["coffer"]
    """Where its tokens keep what."""
    customers: bool = True
    """Whether it vouches for customers. False: its subjects are not the store's customer ids."""
    staff: bool = True
    """Whether the roles in its tokens count."""

    def __post_init__(self) -> None:
        kinds = [bool(self.secrets), bool(self.public_keys), self.jwks_url is not None, self.discovery]
        if sum(kinds) != 1:
            raise ConfigurationError(
                f"{self.name}: set exactly one of secret, public_keys, jwks_url and discovery, because an issuer "
                "whose tokens can be signed in two ways is as weak as the weaker one."
            )
        if self.discovery and self.issuer is None:
            raise ConfigurationError("discovery needs the issuer's address: set issuer.")
        if self.claims.audience_required and not self.audience:
            raise ConfigurationError(
                f"{self.name}: set audience. This issuer serves other programs too, and without an audience their "
                "tokens would open wallets."
            )
        odd = sorted(role for role in self.role_names if not is_name(role))
        if odd:
            raise ConfigurationError(
                f"{self.name}: {', '.join(odd)} can't be the name of a role; names look like shop_manager."
            )
        if not (self.customers or self.staff):
            raise ConfigurationError(f"{self.name}: it vouches for nobody; leave it out.")

    @property
    def role_names(self) -> frozenset[str]:
        """Coffer's roles that the tables name; whether they are there, only the database knows."""
        return frozenset({*self.claims.role_map.values(), *self.claims.scope_roles.values()} - {""})

    @property
    def name(self) -> str:
        """How messages call the issuer."""
        return self.issuer or "the issuer without a name"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthConfig:
    """Everything that the authenticator needs to know."""

    issuers: tuple[IssuerConfig, ...] = ()
    leeway_s: int = 30
    """How far apart the issuer's clock and this one may be."""
    token_bytes_max: int = 16_384
    cache_entries_max: int = 10_000
    cache_ttl_s: int = 60
    """How long a verified token is remembered, and so how long a withdrawn key may still count. 0: never."""
    jwks_max_age_s: int = 600
    jwks_stale_max_s: int = 86_400
    """How long fetched keys still count while the issuer cannot be reached."""
    jwks_cooldown_s: int = 30
    """At most one fetch per issuer in this time, however many unknown keys are shown."""
    jwks_retry_s: int = 5
    """The same, while no keys have been fetched yet at all."""
    jwks_timeout_s: float = 5.0
    jwks_bytes_max: int = 524_288

    def __post_init__(self) -> None:
        names = [issuer.issuer for issuer in self.issuers]
        if len(set(names)) != len(names):
            raise ConfigurationError("Two issuers have the same name (or none); give each its own issuer.")
        for limit in fields(self):
            value = getattr(self, limit.name)
            if isinstance(value, int | float) and value < 0:
                raise ConfigurationError(f"{limit.name} must not be negative.")


_WORDS = frozenset(
    {
        "preset", "issuer", "audience", "secret", "secrets", "public_keys", "jwks_url", "discovery", "algorithms",
        "client", "namespace", "customers", "staff", "claims", "roles", "scope_roles",
    }
)  # fmt: skip
_CLAIM_WORDS = frozenset({"subject", "customer_id", "roles", "scopes", "audience", "required"})


def issuer_config(data: Mapping[str, object]) -> IssuerConfig:
    """Read one issuer as settings write it; see `docs/sign-in.md` for the words."""
    _refuse_unknown(data, _WORDS, "an issuer")
    preset = _text(data, "preset") or "coffer"
    if preset not in PRESETS:
        raise ConfigurationError(f"There is no preset {preset!r}; there are {', '.join(PRESETS)}.")
    variables = {"client": _text(data, "client") or "", "namespace": _text(data, "namespace") or ""}
    return IssuerConfig(
        issuer=_text(data, "issuer"),
        audience=_texts(data, "audience"),
        secrets=_texts(data, "secret") + _texts(data, "secrets"),
        public_keys=_public_keys(data),
        jwks_url=_text(data, "jwks_url"),
        discovery=_flag(data, "discovery", default=False),
        algorithms=frozenset(_texts(data, "algorithms")),
        claims=_claim_map(PRESETS[preset], data).filled(variables),
        customers=_flag(data, "customers", default=True),
        staff=_flag(data, "staff", default=True),
    )


def _claim_map(preset: ClaimMap, data: Mapping[str, object]) -> ClaimMap:
    """Lay the issuer's own claim paths and roles over the preset's."""
    own = _mapping(data, "claims")
    _refuse_unknown(own, _CLAIM_WORDS, "claims")
    required = {
        claim_path(path): frozenset(_words(values)) for path, values in _mapping(own, "required").items()
    }
    return replace(
        preset,
        subject=_paths(own, "subject") or preset.subject,
        customer_id=_paths(own, "customer_id") or preset.customer_id,
        roles=_paths(own, "roles") or preset.roles,
        scopes=_paths(own, "scopes") or preset.scopes,
        audience=_paths(own, "audience") or preset.audience,
        required={**preset.required, **required},
        role_map=_laid_over(preset.role_map, _table(data, "roles")),
        scope_roles=_laid_over(preset.scope_roles, _table(data, "scope_roles")),
    )


def _laid_over(preset: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Lay one table over another. An empty role stays: it says that the word means nothing, whatever its name."""
    return {**preset, **own}


def _paths(data: Mapping[str, object], word: str) -> tuple[ClaimPath, ...]:
    """Read one path, or a list of paths; a path that is itself a list of keys stands in a list of paths."""
    value = data.get(word)
    if value is None:
        return ()
    if isinstance(value, str):
        return (claim_path(value),)
    if not isinstance(value, Sequence) or not all(isinstance(path, str | list | tuple) for path in value):
        raise ConfigurationError(f"{word} must be a claim path or a list of claim paths.")
    return tuple(claim_path(path) for path in value)


def _public_keys(data: Mapping[str, object]) -> tuple[str | Mapping[str, object], ...]:
    value = data.get("public_keys")
    if value is None:
        return ()
    keys = (value,) if isinstance(value, str | Mapping) else value
    if not isinstance(keys, Sequence) or not all(isinstance(key, str | Mapping) for key in keys):
        raise ConfigurationError("public_keys must be PEM text, a JWK, or a list of those.")
    return tuple(keys)


def _refuse_unknown(data: Mapping[str, object], known: Iterable[str], where: str) -> None:
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise ConfigurationError(
            f"{', '.join(unknown)} means nothing in {where}; known: {', '.join(sorted(known))}."
        )


def _text(data: Mapping[str, object], word: str) -> str | None:
    value = data.get(word)
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"{word} must be text.")
    return value or None


def _texts(data: Mapping[str, object], word: str) -> tuple[str, ...]:
    value = data.get(word)
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Sequence) or not all(isinstance(item, str) and item for item in value):
        raise ConfigurationError(f"{word} must be text or a list of texts.")
    return tuple(value)


def _words(value: object) -> tuple[str, ...]:
    return _texts({"required": value}, "required")


def _flag(data: Mapping[str, object], word: str, *, default: bool) -> bool:
    value = data.get(word, default)
    if not isinstance(value, bool):
        raise ConfigurationError(f"{word} must be true or false.")
    return value


def _mapping(data: Mapping[str, object], word: str) -> Mapping[str, object]:
    value = data.get(word, {})
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{word} must be an object.")
    return value


def _table(data: Mapping[str, object], word: str) -> dict[str, str]:
    """Read a table from the token's words to Coffer's roles."""
    table = _mapping(data, word)
    if not all(isinstance(value, str) for value in table.values()):
        raise ConfigurationError(f"{word} must be a table from words of the token to names of roles.")
    return {key: str(value) for key, value in table.items()}
