"""Where a token keeps what, and how to read it from there.

A *claim path* is a tuple of keys: `("data", "user", "id")`. Paths, not dotted strings, because the names of
namespaced claims are URLs and hold dots and slashes themselves.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.auth.errors import AuthenticationError, ConfigurationError, Failure

ClaimPath = tuple[str, ...]
ID_LENGTH_MAX = 128
"""As long as the columns that keep an id."""
ROLES_MAX = 256

_SEGMENT = re.compile(r'"([^"]+)"|([^."]+)')


def claim_path(value: str | Sequence[object]) -> ClaimPath:
    """Read a claim path as settings write it.

    `data.user.id` is nested; `resource_access."my.client".roles` quotes a key that holds dots; a list of keys is
    taken as it is; and a whole URL such as `https://store.example/roles` is one key, since nothing else would
    make sense.
    """
    keys: tuple[object, ...]
    if not isinstance(value, str):
        keys = tuple(value)
    elif "://" in value and '"' not in value:
        keys = (value,)
    else:
        matches = list(_SEGMENT.finditer(value))
        if ".".join(match.group(0) for match in matches) != value:
            raise ConfigurationError(
                f"{value!r} is not a claim path: write keys with dots, or a list of keys."
            )
        keys = tuple(match.group(1) or match.group(2) for match in matches)
    named = tuple(key for key in keys if isinstance(key, str) and key)
    if not named or len(named) != len(keys):
        raise ConfigurationError(f"{value!r} is not a claim path: each key must be text, and not empty.")
    return named


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimMap:
    """Where an issuer's tokens say who the caller is. The first path that holds something wins."""

    subject: tuple[ClaimPath, ...] = (("sub",),)
    """The store's own id of the person, or the name of the program."""
    customer_id: tuple[ClaimPath, ...] = ()
    """The store's customer id, where it is not the subject."""
    roles: tuple[ClaimPath, ...] = ()
    """All of these are read together. A claim that is `true` counts as a role of its own name."""
    scopes: tuple[ClaimPath, ...] = (("scope",),)
    """OAuth scopes; they count only where `scope_roles` names them."""
    audience: tuple[ClaimPath, ...] = (("aud",),)
    """Whom the token is for: one of these must name one of the issuer's configured audiences."""
    audience_required: bool = False
    """Whether the issuer serves other programs too, so that leaving its audience open would let theirs in."""
    required: Mapping[ClaimPath, frozenset[str]] = field(default_factory=dict)
    """Claims that must hold one of these values: they tell access tokens from refresh and identity tokens."""
    role_map: Mapping[str, str] = field(default_factory=dict)
    """The token's role → Coffer's role, or "" for none. A word that is not here stands for itself: it counts if a
    role has that name or maps from it."""
    scope_roles: Mapping[str, str] = field(default_factory=dict)
    """The token's scope → Coffer's role."""

    def filled(self, variables: Mapping[str, str]) -> "ClaimMap":
        """Return the map with `{client}` and the like put in; a path whose variable is not set falls away."""

        def fill(paths: tuple[ClaimPath, ...]) -> tuple[ClaimPath, ...]:
            return tuple(path for path in (_filled(path, variables) for path in paths) if path is not None)

        return replace(
            self,
            subject=fill(self.subject),
            customer_id=fill(self.customer_id),
            roles=fill(self.roles),
            scopes=fill(self.scopes),
        )


def _filled(path: ClaimPath, variables: Mapping[str, str]) -> ClaimPath | None:
    keys = []
    for key in path:
        for name, value in variables.items():
            placeholder = "{" + name + "}"
            if placeholder in key:
                if not value:
                    return None
                key = key.replace(placeholder, value.rstrip("/"))  # noqa: PLW2901 - the key, step by step
        keys.append(key)
    return tuple(keys)


def claim_at(claims: Mapping[str, object], path: ClaimPath) -> object:
    """Return what stands at the path, or None."""
    value: object = claims
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def id_at(claims: Mapping[str, object], paths: Sequence[ClaimPath]) -> str | None:
    """Return the first id that stands at one of the paths, as a string; refuse what is there but is no id."""
    for path in paths:
        value = claim_at(claims, path)
        # An empty string or a zero is how shops write "nobody" (WordPress' guests, Medusa's unfinished sign-ups).
        if value is None or value in ("", "0") or (value == 0 and not isinstance(value, bool)):
            continue
        # bool is an int in Python, and a float as an id would come out as "12.0": neither names anybody.
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            value = str(value)
        if not isinstance(value, str) or not _is_clean(value):
            raise AuthenticationError(
                Failure.MALFORMED_CLAIM,
                f"The claim {'.'.join(path)} must be a string or a whole number of at most {ID_LENGTH_MAX} "
                "characters: correct what the issuer puts there, or the claim path in the settings.",
            )
        return value
    return None


def _is_clean(value: str) -> bool:
    # Lone surrogates and NUL pass JSON and break databases and logs; isprintable() refuses both.
    return len(value) <= ID_LENGTH_MAX and value.isprintable() and value == value.strip()


def words_at(claims: Mapping[str, object], paths: Sequence[ClaimPath]) -> tuple[str, ...]:
    """Return the words at all of the paths, each once, in order: lists, space-separated strings, flags."""
    words: dict[str, None] = {}
    for path in paths:
        for word in _words(claim_at(claims, path), path[-1]):
            words[word] = None
            if len(words) >= ROLES_MAX:
                return tuple(words)
    return tuple(words)


def _words(value: object, name: str) -> Iterator[str]:
    if value is True:
        yield name
    elif isinstance(value, str):
        yield from value.split()
    elif isinstance(value, Sequence):
        yield from (word for word in value if isinstance(word, str))
    elif isinstance(value, Mapping):
        # WordPress keeps rights as {"shop_manager": true}.
        yield from (key for key, granted in value.items() if granted is True)
