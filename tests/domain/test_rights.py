"""Roles, keys, and principals that are worked out from them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from app.domain import api_key as key_rules, role as role_rules
from app.domain.access import ROLES, Actor, ActorKind, Capability, Identity, Principal, PrincipalKind
from app.domain.api_key import ACTIVE_MAX, ApiKey, KeyRequest, Secret
from app.domain.errors import LimitReached, RightsExceeded
from app.domain.ledger import Desk, Row
from app.domain.rights import PRESET_RIGHTS, End, Ended, Rights
from app.domain.role import ROLES_MAX, Role, RoleChange
from app.domain.settings import StoreSettings

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ANN = Actor(ActorKind.STAFF, "ann")
ALL = frozenset(Capability)
READ = frozenset({Capability.WALLETS_READ})


class Mint:
    """Ids that count."""

    def __init__(self) -> None:
        self.number = 1000

    def id(self) -> UUID:
        self.number += 1
        return UUID(int=self.number)

    def reference(self, prefix: str) -> str:
        raise AssertionError(prefix)


def role(number: int, name: str, capabilities: frozenset[Capability] = READ, **more: object) -> Role:
    made = Role(UUID(int=number), name, "", capabilities, (), None, NOW, NOW)
    return replace(made, **more)  # type: ignore[arg-type]


def key(number: int, **more: object) -> ApiKey:
    made = ApiKey(UUID(int=number), f"p{number}", b"h", f"key {number}", None, READ, None, None, ANN, NOW)
    return replace(made, **more)  # type: ignore[arg-type]


def desk(*rows: Row) -> Desk:
    tables: dict[type[Row], dict[UUID, Row]] = {
        Role: {row.id: row for row in rows if isinstance(row, Role)},
        ApiKey: {row.id: row for row in rows if isinstance(row, ApiKey)},
    }
    return Desk(now=NOW, mint=Mint(), settings=StoreSettings(), tables=tables)


def who(*words: str, **more: object) -> Identity:
    return replace(Identity("s1", words), **more)  # type: ignore[arg-type]


def test_words_add_up_and_unknown_ones_grant_nothing() -> None:
    def granted(*words: str) -> frozenset[Capability]:
        return PRESET_RIGHTS.principal(who(*words), NOW).capabilities

    assert granted() == frozenset()
    assert granted("owner", "ADMINISTRATOR", "", "customer") == frozenset()
    assert granted("finance", "support", "owner") == ROLES["finance"] | ROLES["support"]


def test_an_administrator_may_what_no_row_grants() -> None:
    rights = Rights([role(1, "administrator", frozenset())])
    assert rights.principal(who("administrator"), NOW).capabilities == ALL


def test_several_roles_map_from_one_word() -> None:
    rights = Rights(
        [
            role(1, "buyer", maps_from=("editor",)),
            role(2, "seller", frozenset({Capability.WALLETS_ADJUST}), maps_from=("editor",)),
            role(3, "old", ALL, maps_from=("editor",), archived_at=NOW),
        ]
    )
    found = rights.principal(who("editor", "buyer", "old"), NOW)
    assert found.roles == ("buyer", "seller")
    assert found.capabilities == READ | {Capability.WALLETS_ADJUST}
    assert rights.names == {"buyer", "seller"}


def test_a_word_that_is_no_role_proves_a_customer_only_where_the_issuer_knows_them() -> None:
    assert PRESET_RIGHTS.principal(who("x"), NOW).kind is PrincipalKind.CUSTOMER
    with pytest.raises(Ended) as ended:
        PRESET_RIGHTS.principal(who("x", vouched_as_customer=False), NOW)
    assert ended.value.reason is End.NOT_ACCEPTED


def test_keys_end() -> None:
    good = key(1, expires_at=NOW + timedelta(seconds=1))
    rights = Rights([], [good, key(2, revoked_at=NOW)])
    identity = Identity("key 1", api_key_id=good.id)
    assert rights.principal(identity, NOW).capabilities == READ
    for gone, moment, reason in (
        (good.id, NOW + timedelta(seconds=1), End.EXPIRED),
        (UUID(int=2), NOW, End.REVOKED),
        (UUID(int=3), NOW, End.REVOKED),
    ):
        lost = Identity("key", api_key_id=gone)
        with pytest.raises(Ended) as ended:
            rights.principal(lost, moment)
        assert ended.value.reason is reason
        held = Principal(PrincipalKind.SERVICE, "key", capabilities=ALL, identity=lost)
        assert rights.held_by(held, moment) == frozenset()


def test_there_are_only_so_many_roles() -> None:
    rows = [role(number, f"role_{number}") for number in range(1, ROLES_MAX)]
    role_rules.create(desk(*rows), "last", RoleChange(), ALL, "Why not", ANN)
    with pytest.raises(LimitReached):
        role_rules.create(desk(*rows, role(ROLES_MAX, "full")), "last", RoleChange(), ALL, "Why not", ANN)


def test_there_are_only_so_many_keys() -> None:
    rows = [key(number) for number in range(1, ACTIVE_MAX + 1)]
    wanted = KeyRequest("one more", None, READ, None)
    with pytest.raises(LimitReached):
        key_rules.create(desk(*rows), wanted, Secret("p", b"h"), ALL, "Why not", ANN)
    with pytest.raises(LimitReached):
        key_rules.rotate(desk(*rows), rows[0].id, Secret("p", b"h"), 1, None, ALL, "Why not", ANN)
    ended = [replace(row, revoked_at=NOW) for row in rows]
    key_rules.create(desk(*ended), wanted, Secret("p", b"h"), ALL, "Why not", ANN)


@pytest.mark.parametrize(
    "change", [RoleChange(description="x"), RoleChange(archived=True), RoleChange(maps_from=("me",))]
)
def test_a_role_is_changed_by_those_who_have_all_of_it(change: RoleChange) -> None:
    strong = role(1, "strong", READ | {Capability.WALLETS_ADJUST})
    with pytest.raises(RightsExceeded) as refused:
        role_rules.update(desk(strong), strong.id, change, READ | {Capability.ROLES_WRITE}, "Why not", ANN)
    assert refused.value.missing == ("WALLETS_ADJUST",)
    changed = role_rules.update(desk(strong), strong.id, change, strong.capabilities, "Why not", ANN)
    assert changed != strong


def test_the_overlap_never_makes_a_key_last_longer() -> None:
    old = key(1, expires_at=NOW + timedelta(hours=1), created_at=NOW - timedelta(days=1))
    at = desk(old)
    new = key_rules.rotate(at, old.id, Secret("p", b"h"), 24, None, ALL, "Why not", ANN)
    ending = next(row for row in at.rows if row.id == old.id)
    assert isinstance(ending, ApiKey)
    assert ending.expires_at == NOW + timedelta(hours=1)
    assert new.expires_at == NOW + timedelta(days=1, hours=1)
