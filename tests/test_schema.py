"""The public contract: written down, described, and named in one way."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    get_named_type,
    is_non_null_type,
)

from app.domain.errors import ErrorCode
from app.execution.documents import core_schema
from app.schema.permissions import ACCESS, Anyone, Needs, SignedIn
from app.schema.schema import schema

WRITTEN = Path(__file__).parent.parent / "schema.graphql"
CORE = core_schema(schema)

OURS = {
    name: type_
    for name, type_ in CORE.type_map.items()
    if not name.startswith("__") and name not in {"String", "Int", "Float", "Boolean", "ID"}
}
SENTENCE = re.compile(r"^[\"A-Z“].*[.!?…)]$", re.DOTALL)
PASCAL = re.compile(r"^[A-Z][A-Za-z0-9]*$")
CAMEL = re.compile(r"^[a-z][A-Za-z0-9]*$")
CAPITALS = re.compile(r"^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$")

MONEY_OR_SEQUENCE = re.compile(
    r"amount|balance|available|held|withdrawable|sequence|limit|minor|version", re.I
)

Described = tuple[str, str | None]


def fields_of(type_: GraphQLNamedType) -> Iterator[tuple[str, object]]:
    """Its fields, and the arguments of those, each with its path."""
    if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
        for name, field in type_.fields.items():
            yield f"{type_.name}.{name}", field
            for argument_name, argument in field.args.items():
                yield f"{type_.name}.{name}({argument_name})", argument
    elif isinstance(type_, GraphQLInputObjectType):
        for name, input_field in type_.fields.items():
            yield f"{type_.name}.{name}", input_field
    elif isinstance(type_, GraphQLEnumType):
        for name, value in type_.values.items():
            yield f"{type_.name}.{name}", value


def everything() -> Iterator[Described]:
    """Each thing of the schema that can have a description, with it."""
    for name, type_ in OURS.items():
        yield name, type_.description
        for path, member in fields_of(type_):
            yield path, getattr(member, "description", None)


def test_it_is_written_down() -> None:
    assert WRITTEN.read_text(encoding="utf-8").strip() == schema.as_str().strip(), "run: make schema"


def test_everything_is_described_in_sentences() -> None:
    wanting = [
        f"{path}: {description!r}"
        for path, description in everything()
        if not description or not SENTENCE.match(description) or "  " in description
    ]
    assert wanting == []


def test_every_enumeration_says_more_than_its_names() -> None:
    for type_ in OURS.values():
        if isinstance(type_, GraphQLEnumType):
            said = [value.description for value in type_.values.values()]
            assert len(set(said)) == len(said), f"two values of {type_.name} are described alike"


def test_names() -> None:
    odd = []
    for name, type_ in OURS.items():
        if not PASCAL.match(name):
            odd.append(name)
        pattern = CAPITALS if isinstance(type_, GraphQLEnumType) else CAMEL
        odd += [path for path, _ in fields_of(type_) if not pattern.match(path.split(".")[1].split("(")[0])]
        odd += [
            path for path, _ in fields_of(type_) if "(" in path and not CAMEL.match(path[:-1].split("(")[1])
        ]
    assert odd == []


def test_the_house_names_things_in_one_way() -> None:
    """Inputs are called inputs; connections are made of edges; a mutation takes one input and gives one payload."""
    for name, field in CORE.type_map["Mutation"].fields.items():  # type: ignore[attr-defined]
        stem = name[0].upper() + name[1:]
        assert list(field.args) == ["input"], name
        assert str(field.args["input"].type) == f"{stem}Input!"
        assert str(field.type) == f"{stem}Payload!"
        payload = get_named_type(field.type).fields
        assert str(payload["userErrors"].type) == "[UserError!]!", name
        for part, member in payload.items():
            assert part in {"userErrors", "replayed"} or not is_non_null_type(member.type), f"{name}.{part}"
    for name, type_ in OURS.items():
        if name.endswith("Connection") and isinstance(type_, GraphQLObjectType):
            assert list(type_.fields) == ["edges", "nodes", "pageInfo", "totalCount", "totalCountIsExact"], (
                name
            )


def test_what_moves_money_demands_a_key() -> None:
    free = {
        *("freezeWallet", "unfreezeWallet", "registerCustomer", "updateCustomer", "updateSettings"),
        "updateNotificationPreferences",
        *("createRole", "updateRole", "createApiKey", "rotateApiKey", "revokeApiKey"),
        *("announceRenewal", "cancelRenewal"),
        *("updateCashbackRule", "activateCashbackRule", "pauseCashbackRule", "archiveCashbackRule"),
        *("announceRenewal", "cancelRenewal", "createPromotion", "updatePromotion"),
        "recordEvent",  # one that is told again is the same event, with or without a key
        "recordOrder",  # a snapshot that is told again moves nothing again, with or without a key
    }
    for name, field in CORE.type_map["Mutation"].fields.items():  # type: ignore[attr-defined]
        key = get_named_type(field.args["input"].type).fields["idempotencyKey"]
        # A cashback rule that is made twice would give twice.
        assert is_non_null_type(key.type) is (name not in free), name


def test_neither_money_nor_sequence_numbers_are_numbers_of_32_bits() -> None:
    small = [
        path
        for type_ in OURS.values()
        for path, member in fields_of(type_)
        if getattr(member, "type", None) is not None
        and get_named_type(member.type).name in {"Int", "Float"}  # type: ignore[attr-defined]
        and MONEY_OR_SEQUENCE.search(path.split(".")[1])
        and not path.endswith(("(first)", "(last)"))  # how many versions, not which
    ]
    assert small == []
    assert not any(
        getattr(member, "type", None) is not None and get_named_type(member.type).name == "Float"  # type: ignore[attr-defined]
        for type_ in OURS.values()
        for _, member in fields_of(type_)
    )


def test_counts_of_this_size_are_the_only_small_numbers() -> None:
    small = {
        path
        for type_ in OURS.values()
        for path, member in fields_of(type_)
        if getattr(member, "type", None) is not None and get_named_type(member.type).name == "Int"  # type: ignore[attr-defined]
    }
    names = {re.split(r"[.(]", path.rstrip(")"))[-1] for path in small}
    assert names == {
        "first",
        "last",
        "offset",
        "totalCount",
        "inactiveAfterMonths",
        "giftCardLifetimeMonths",
        "lifetimeMinutes",
        "paymentHoldMinutes",
        "payoutMethodWaitingHours",
        "refundGraceDays",
        "returnPeriodDays",
        "overlapHours",
        "count",
        "windowSeconds",
        "attempt",
        "attempts",
        "dayOfMonth",
        "declines",
        "topUpHours",
        "repeats",
        "sizeBytes",
        "priority",
        "n",
        "days",
        "daysSinceSignUpMin",
        "daysSinceSignUpMax",
        "weekdays",
        "minuteFrom",
        "minuteTo",
        "grantedForDays",
        "usesMax",
        "usesPerCustomer",
        "expiryReminderDays",
        "attemptCount",
        "number",
        "durationMs",
        "statusCode",
        "line",
        "waitingDays",
    }


def test_every_object_with_an_id_can_be_fetched_again() -> None:
    for name, type_ in OURS.items():
        if isinstance(type_, GraphQLObjectType) and "id" in type_.fields and name != "Actor":
            assert "Node" in {interface.name for interface in type_.interfaces}, name


def test_the_codes_of_refusals_are_those_of_the_domain() -> None:
    codes = OURS["UserErrorCode"]
    assert isinstance(codes, GraphQLEnumType)
    assert sorted(codes.values) == sorted(ErrorCode)


def test_scalars_are_few() -> None:
    scalars = sorted(name for name, type_ in OURS.items() if isinstance(type_, GraphQLScalarType))
    assert scalars == ["BigInt", "CurrencyCode", "Date", "DateTime", "Decimal"]


@pytest.mark.parametrize("root", ["Query", "Mutation", "Subscription"])
def test_every_root_field_says_who_may_ask(root: str) -> None:
    fields = schema.get_type_by_name(root).fields  # type: ignore[union-attr]
    assert fields
    for field in fields:
        access = field.metadata.get(ACCESS)
        assert isinstance(access, Anyone), f"{root}.{field.python_name} names no access"
        description = field.description or ""
        assert description.endswith(access.words), field.python_name
        if type(access) is Anyone:
            assert field.python_name in {
                "viewer",
                "cashback_offers",
                "preview_cashback",
                "check_coupon",
                "top_up_options",
            }
        if root == "Mutation":
            assert isinstance(access, SignedIn), field.python_name
        if isinstance(access, Needs):
            assert access.capability in description
