"""What the tokens of well-known sign-ins look like. Data only; `docs/sign-in.md` shows the settings for each.

`{client}` and `{namespace}` stand for the issuer's settings of the same names. A preset maps a store's roles
onto Coffer's as carefully as it can. Settings can name more; a word that nobody names counts only if a role in
the database has that name or maps from it.
"""

from app.auth.claims import ClaimMap
from app.domain.access import ROLES

_SAME_NAMES = {role: role for role in ROLES}
"""Coffer's role names are those that shops use, so a store that names its roles alike needs no table."""

COFFER = ClaimMap(
    customer_id=(("customer_id",),),
    roles=(("roles",),),
    role_map=_SAME_NAMES,
)
"""What `coffer token` issues, and what a store that makes its own tokens should copy: `sub`, `roles`."""

WORDPRESS = ClaimMap(
    subject=(("data", "user", "id"), ("data", "user", "ID"), ("id",)),
    roles=(
        ("data", "user", "roles"),
        ("data", "user", "role"),
        ("data", "user", "capabilities"),
        ("roles",),
        ("role",),
    ),
    role_map=_SAME_NAMES,
)
"""The JWT plugins for WordPress and WooCommerce. None of them writes roles by itself: the page of documentation
has the filter of six lines that adds them."""

MEDUSA = ClaimMap(
    subject=(("actor_id",),),
    roles=(("actor_type",),),
    # Other actor types are the store's own inventions (vendors, couriers), and those are not its customers.
    required={("actor_type",): frozenset({"customer", "user"})},
    role_map={"customer": "customer", "user": "administrator"},
)
"""Medusa 2. Its admin users (`actor_type` "user") may do everything there, and so they may here."""

SALEOR = ClaimMap(
    subject=(("user_id",),),
    roles=(("is_staff",), ("permissions",)),
    # A refresh token bears the same signature, and a third-party token was handed to an app.
    required={("type",): frozenset({"access"})},
    role_map={
        "is_staff": "support",
        "MANAGE_USERS": "support",
        "HANDLE_PAYMENTS": "finance",
        "MANAGE_GIFT_CARD": "shop_manager",
    },
)
"""Saleor. The id stays the opaque one of its GraphQL API, which is also what its webhooks send."""

KEYCLOAK = ClaimMap(
    customer_id=(("customer_id",),),
    roles=(("realm_access", "roles"), ("resource_access", "{client}", "roles")),
    audience_required=True,
    required={("typ",): frozenset({"Bearer"})},
    role_map=_SAME_NAMES,
)
"""Keycloak: realm roles, and those of one client, `{client}`. Its identity tokens bear the same signature and
are told apart by the claim `typ`."""

AUTH0 = ClaimMap(
    customer_id=(("{namespace}/customer_id",),),
    roles=(("{namespace}/roles",),),
    audience_required=True,
    role_map=_SAME_NAMES,
)
"""Auth0 lets custom claims in only under a namespace of one's own, a URL: `{namespace}`."""

COGNITO = ClaimMap(
    customer_id=(("custom:customer_id",), ("customer_id",)),
    roles=(("cognito:groups",),),
    # Access tokens carry the app client in `client_id` and, by default, no `aud`.
    audience=(("aud",), ("client_id",)),
    audience_required=True,
    required={("token_use",): frozenset({"access"})},
    role_map=_SAME_NAMES,
)
"""Amazon Cognito's access tokens."""

PRESETS: dict[str, ClaimMap] = {
    "coffer": COFFER,
    "wordpress": WORDPRESS,
    "medusa": MEDUSA,
    "saleor": SALEOR,
    "keycloak": KEYCLOAK,
    "auth0": AUTH0,
    "cognito": COGNITO,
}
