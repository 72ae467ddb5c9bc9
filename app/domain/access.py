"""Who asks, and what they may do.

A *capability* is one right; a *role* is a named set of them; a *principal* is whoever a credential proved to
be. Fields of the schema name capabilities, never roles, so a store can cut its roles as it likes.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Capability(StrEnum):
    """One right of staff or of a service. Customers need none for their own wallet."""

    WALLETS_READ = "WALLETS_READ"
    """See every wallet, its balance and its transactions."""
    WALLETS_ADJUST = "WALLETS_ADJUST"
    """Credit or debit a wallet by an adjustment."""
    WALLETS_FREEZE = "WALLETS_FREEZE"
    """Freeze and unfreeze a wallet."""
    CUSTOMERS_READ = "CUSTOMERS_READ"
    """See every customer's name, e-mail, birthday, roles and segments."""
    CUSTOMERS_WRITE = "CUSTOMERS_WRITE"
    """Register customers and change what is known of them."""
    WITHDRAWALS_REQUEST = "WITHDRAWALS_REQUEST"
    """Request or cancel a withdrawal on behalf of a customer."""
    WITHDRAWALS_REVIEW = "WITHDRAWALS_REVIEW"
    """Reject a withdrawal or mark it as paid."""
    PAYOUT_METHODS_WRITE = "PAYOUT_METHODS_WRITE"
    """Add and remove the payout methods of any wallet but one's own, where none is needed."""
    PAYOUT_DETAILS_READ = "PAYOUT_DETAILS_READ"
    """Read the details of a payout method in full, for a payment; each time is written down."""
    PAYOUTS_RECONCILE = "PAYOUTS_RECONCILE"
    """See what the ledger and payout providers don't agree on."""
    ORDERS_READ = "ORDERS_READ"
    """See every order, with its payments and refunds."""
    ORDERS_WRITE = "ORDERS_WRITE"
    """Record orders, announce renewals, and give a guest's order to a customer."""
    EVENTS_WRITE = "EVENTS_WRITE"
    """Tell of named events of customers, such as reviews."""
    TOP_UPS_WRITE = "TOP_UPS_WRITE"
    """Tell of money that customers paid in by the store's checkout."""
    PAYMENTS_WRITE = "PAYMENTS_WRITE"
    """Authorize and capture payments from any wallet, void them, and charge renewals."""
    REFUNDS_WRITE = "REFUNDS_WRITE"
    """Refund orders by the store's policy."""
    REFUNDS_REDIRECT = "REFUNDS_REDIRECT"
    """Send a refund elsewhere, or as another kind of value, than the store's policy says."""
    GIFT_CARDS_READ = "GIFT_CARDS_READ"
    """See every gift card and its history; never its code."""
    GIFT_CARDS_WRITE = "GIFT_CARDS_WRITE"
    """Issue gift cards, and see their codes once; activate, disable and enable them."""
    GIFT_CARDS_REDEEM = "GIFT_CARDS_REDEEM"
    """Redeem gift cards into any wallet."""
    PROMOTIONS_READ = "PROMOTIONS_READ"
    """See promotions, their coupon codes and who redeemed them."""
    PROMOTIONS_WRITE = "PROMOTIONS_WRITE"
    """Make and change promotions, and make coupon codes."""
    COUPONS_REDEEM = "COUPONS_REDEEM"
    """Redeem coupon codes into any wallet."""
    LEDGER_VERIFY = "LEDGER_VERIFY"
    """Verify the whole ledger."""
    FRAUD_READ = "FRAUD_READ"
    """See the signals of fraud."""
    SETTINGS_READ = "SETTINGS_READ"
    """See the store's settings."""
    SETTINGS_WRITE = "SETTINGS_WRITE"
    """Change the store's settings."""
    ROLES_READ = "ROLES_READ"
    """See the roles and what each of them may do."""
    ROLES_WRITE = "ROLES_WRITE"
    """Create, change and archive roles, with no more rights than one's own."""
    API_KEYS_READ = "API_KEYS_READ"
    """See the API keys of services; never their secrets."""
    API_KEYS_WRITE = "API_KEYS_WRITE"
    """Create, rotate and revoke API keys, with no more rights than one's own."""
    AUDIT_READ = "AUDIT_READ"
    """Read who froze, decided, set or allowed what, when and why."""
    WEBHOOKS_READ = "WEBHOOKS_READ"
    """See what came in from the store and what became of it."""
    WEBHOOKS_REPLAY = "WEBHOOKS_REPLAY"
    """Have messages of the store worked on again."""
    WEBHOOK_ENDPOINTS_READ = "WEBHOOK_ENDPOINTS_READ"
    """See who is told of what happens, and which messages were sent to them."""
    WEBHOOK_ENDPOINTS_WRITE = "WEBHOOK_ENDPOINTS_WRITE"
    """Say who is told of what happens, with no more than one may see oneself, and send messages again."""
    CASHBACK_READ = "CASHBACK_READ"
    """See every cashback rule, what it gives and why, and simulate rules over past orders."""
    CASHBACK_WRITE = "CASHBACK_WRITE"
    """Create and change cashback rules, start, pause and archive them."""


class PrincipalKind(StrEnum):
    """What sort of caller a credential proved."""

    ANONYMOUS = "ANONYMOUS"
    """Nobody signed in."""
    CUSTOMER = "CUSTOMER"
    """A customer of the store, who reaches their own wallet only."""
    STAFF = "STAFF"
    """A person who works for the store."""
    SERVICE = "SERVICE"
    """A program of the store: its back end, an importer."""


class ActorKind(StrEnum):
    """Who is written down as having done something."""

    CUSTOMER = "CUSTOMER"
    """The customer themself."""
    STAFF = "STAFF"
    """A person who works for the store."""
    SERVICE = "SERVICE"
    """A program of the store."""
    SYSTEM = "SYSTEM"
    """Coffer itself: the clock, a migration, the command line."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it, as it is kept with every movement: the kind and the store's own id."""

    kind: ActorKind
    id: str


ADMINISTRATOR = "administrator"
"""The role that holds every capability, those of later versions too; so nobody can be locked out for good."""

CUSTOMER = "customer"
"""The role of those who have no rights but over their own wallet; it can't be given any."""

SERVICE = "service"
"""The role that makes its bearer a program and not a person, unless there is another one beside it."""

ROLES: dict[str, frozenset[Capability]] = {
    ADMINISTRATOR: frozenset(Capability),
    "shop_manager": frozenset(Capability)
    - {
        Capability.SETTINGS_WRITE,
        Capability.ROLES_WRITE,
        Capability.API_KEYS_READ,
        Capability.API_KEYS_WRITE,
        Capability.WEBHOOK_ENDPOINTS_WRITE,
    },
    "finance": frozenset(
        {
            Capability.WALLETS_READ,
            Capability.CUSTOMERS_READ,
            Capability.WITHDRAWALS_REVIEW,
            Capability.PAYOUT_DETAILS_READ,
            Capability.PAYOUTS_RECONCILE,
            Capability.ORDERS_READ,
            Capability.GIFT_CARDS_READ,
            Capability.LEDGER_VERIFY,
            Capability.FRAUD_READ,
            Capability.SETTINGS_READ,
            Capability.AUDIT_READ,
            Capability.CASHBACK_READ,
        }
    ),
    "support": frozenset(
        {
            Capability.WALLETS_READ,
            Capability.CUSTOMERS_READ,
            Capability.WITHDRAWALS_REQUEST,
            Capability.ORDERS_READ,
            Capability.REFUNDS_WRITE,
            Capability.CASHBACK_READ,
            Capability.GIFT_CARDS_READ,
        }
    ),
    SERVICE: frozenset(
        {
            Capability.WALLETS_READ,
            Capability.CUSTOMERS_READ,
            Capability.CUSTOMERS_WRITE,
            Capability.WALLETS_ADJUST,
            Capability.WITHDRAWALS_REQUEST,
            Capability.PAYOUT_METHODS_WRITE,
            Capability.ORDERS_READ,
            Capability.ORDERS_WRITE,
            Capability.EVENTS_WRITE,
            Capability.TOP_UPS_WRITE,
            Capability.PAYMENTS_WRITE,
            Capability.REFUNDS_WRITE,
            Capability.REFUNDS_REDIRECT,
            Capability.CASHBACK_READ,
            Capability.GIFT_CARDS_READ,
            Capability.GIFT_CARDS_WRITE,
            Capability.GIFT_CARDS_REDEEM,
            Capability.COUPONS_REDEEM,
        }
    ),
    CUSTOMER: frozenset(),
}
"""The presets that a new database begins with: they mirror the roles that a store's software knows.

The database's roles are what counts (`domain.rights`). Whoever adds a capability here adds a migration that
grants it (`GrantCapabilities`); a test compares the two.
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a credential proved, before anybody asks what it may do: that can change while the proof stands."""

    subject: str
    words: tuple[str, ...] = ()
    """The names of roles that the credential claims: Coffer's own, or words that a role maps from."""
    expires_at: datetime | None = None
    customer_external_id: str | None = None
    vouched_as_customer: bool = True
    """Whether the credential may prove a customer, when none of its words is a role."""
    api_key_id: UUID | None = None
    """The API key that it is, if it is one; its rights are those of the key."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of one request, as its credential proved it.

    `subject` is the store's own id of the person or the name of the program. A person of the store who is
    also its customer has the same id in both places: that is how nobody adjusts their own wallet.
    `expires_at` is when the credential ends; live connections end with it.
    """

    kind: PrincipalKind
    subject: str
    roles: tuple[str, ...] = ()
    capabilities: frozenset[Capability] = frozenset()
    expires_at: datetime | None = None
    customer_external_id: str | None = None
    """The store's customer id that this principal owns the wallet of, if any."""
    identity: Identity | None = field(default=None, compare=False, repr=False)
    """What the rights were worked out from, so that they can be worked out again."""
    revision: int = field(default=0, compare=False, repr=False)
    """Of which revision of the roles and keys the rights are."""

    def may(self, capability: Capability) -> bool:
        """Tell whether the principal holds the capability."""
        return capability in self.capabilities

    def owns(self, customer_external_id: str) -> bool:
        """Tell whether the wallet of this customer is the principal's own."""
        return self.customer_external_id is not None and self.customer_external_id == customer_external_id

    @property
    def actor(self) -> Actor:
        """How the principal is written down beside what it did."""
        return Actor(ActorKind(self.kind.value), self.subject)


ANONYMOUS = Principal(PrincipalKind.ANONYMOUS, "")
"""The caller who showed no credential."""
