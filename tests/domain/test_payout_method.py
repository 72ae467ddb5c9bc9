"""Payout methods: what each kind requires, what is shown of it, when it can be used."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from app.bank_accounts import check_account
from app.domain.access import Actor, ActorKind
from app.domain.audit import AuditAction, AuditEntry
from app.domain.errors import FieldInvalid, LimitReached, PayoutMethodNotUsable, PayoutMethodsClosed
from app.domain.fraud import Signal, SignalKind
from app.domain.payout_method import (
    IDENTIFYING,
    METHODS_MAX,
    OPTIONAL,
    REQUIRED,
    PayoutMethod,
    PayoutMethodKind as Kind,
    PayoutMethodStatus,
    add,
    check_details,
    identity,
    mask,
    remove,
    require_usable,
)
from tests.domain.book import START, Book

ADA = Actor(ActorKind.CUSTOMER, "ada")
IBAN = {"holder": "Ada King", "iban": "DE89 3704 0044 0532 0130 00"}
ACCOUNT = {"holder": "Ada King", "routingNumber": "021000021", "accountNumber": "000123456789"}

NORMAL = [
    (Kind.BANK_IBAN, IBAN, "DE•• •••• 3000"),
    (Kind.BANK_IBAN, IBAN | {"iban": "no93 8601 1117 947", "bic": "dnbanokk"}, "NO•• •••• 7947"),
    (Kind.BANK_ACCOUNT, ACCOUNT, "•••• 6789"),
    (Kind.BANK_ACCOUNT, ACCOUNT | {"accountNumber": "12-34"}, "•••• 4"),
    (Kind.PAYPAL, {"email": " Ada@Shop.Example "}, "a•••@shop.example"),
    (Kind.PROVIDER, {"token": "card_1KJ9x2abcd"}, "•••• abcd"),
    (Kind.PROVIDER, {"token": "ab", "account": "acct_1"}, "•••• "),
    (Kind.OTHER, {"instructions": "Cash at the counter,\nask for Ada"}, "••••"),
]


@pytest.mark.parametrize(("kind", "details", "shown"), NORMAL)
def test_what_is_right_is_taken_and_masked(kind: Kind, details: dict[str, str], shown: str) -> None:
    known = check_details(kind, details)
    check_account(kind, known)
    assert mask(kind, known) == shown


WRONG = [
    (Kind.BANK_IBAN, {"iban": IBAN["iban"]}, "holder"),
    (Kind.BANK_IBAN, IBAN | {"holder": "  "}, "holder"),
    (Kind.BANK_IBAN, IBAN | {"holder": "A\u0007da"}, "holder"),
    (Kind.BANK_IBAN, IBAN | {"holder": "A" * 501}, "holder"),
    (Kind.BANK_IBAN, IBAN | {"routingNumber": "021000021"}, "routingNumber"),
    (Kind.BANK_IBAN, IBAN | {"bic": "DNB"}, "bic"),
    (Kind.BANK_IBAN, IBAN | {"iban": "DE88 3704 0044 0532 0130 00"}, "iban"),
    (Kind.BANK_IBAN, IBAN | {"iban": "DE89 3704 0044 0532 0130 0"}, "iban"),
    (Kind.BANK_IBAN, IBAN | {"iban": "XX89 3704 0044 0532 0130 00"}, "iban"),
    (Kind.BANK_IBAN, IBAN | {"iban": "ДЕ89 3704 0044 0532 0130 00"}, "iban"),
    (Kind.BANK_ACCOUNT, ACCOUNT | {"routingNumber": "021000022"}, "routingNumber"),
    (Kind.BANK_ACCOUNT, ACCOUNT | {"routingNumber": "000000000"}, "routingNumber"),
    (Kind.BANK_ACCOUNT, ACCOUNT | {"routingNumber": "02100002"}, "routingNumber"),
    (Kind.BANK_ACCOUNT, ACCOUNT | {"accountNumber": "123"}, "accountNumber"),
    (Kind.BANK_ACCOUNT, ACCOUNT | {"accountNumber": "1" * 18}, "accountNumber"),
    (Kind.PAYPAL, {"email": "ada"}, "email"),
    (Kind.PAYPAL, {"email": "ada@shop"}, "email"),
    (Kind.PAYPAL, {"email": "ada@" + "s" * 250 + ".example"}, "email"),
    (Kind.PROVIDER, {}, "token"),
    (Kind.PROVIDER, {"token": "4111 1111 1111 1111"}, "token"),
    (Kind.OTHER, {"instructions": " "}, "instructions"),
]


@pytest.mark.parametrize(("kind", "details", "name"), WRONG)
def test_what_is_wrong_is_named(kind: Kind, details: dict[str, str], name: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        check_account(kind, check_details(kind, details))
    assert refused.value.field == ("details", name)
    value = details.get(name, "").strip()
    assert not value or value not in refused.value.message, "a refusal repeats no details"


@given(st.integers(0, 21), st.integers(1, 9))
def test_one_wrong_digit_of_an_iban_is_found(place: int, by: int) -> None:
    iban = "DE89370400440532013000"
    if not iban[place].isdigit():
        return
    wrong = iban[:place] + str((int(iban[place]) + by) % 10) + iban[place + 1 :]
    with pytest.raises(FieldInvalid):
        check_account(Kind.BANK_IBAN, {"holder": "Ada", "iban": wrong})


@given(
    st.sampled_from([kind for kind in Kind if kind is not Kind.PAYPAL]),
    st.text("0123456789abcdef@.", min_size=13, max_size=40),
)
def test_a_mask_never_tells_much(kind: Kind, text: str) -> None:
    details = dict.fromkeys((*REQUIRED[kind], *OPTIONAL.get(kind, ())), text)
    shown = mask(kind, details)
    assert len(shown.replace("•", "").replace(" ", "")) <= 6


def test_equal_places_have_equal_identities() -> None:
    one = check_details(Kind.BANK_IBAN, IBAN)
    other = check_details(Kind.BANK_IBAN, {"holder": "Somebody", "iban": "de89370400440532013000"})
    assert identity(Kind.BANK_IBAN, one) == identity(Kind.BANK_IBAN, other)
    assert identity(Kind.PROVIDER, {"token": "a", "account": "b"}) != identity(
        Kind.PROVIDER, {"token": "b", "account": "a"}
    )
    for kind in Kind:
        assert set(IDENTIFYING[kind]) <= {*REQUIRED[kind], *OPTIONAL.get(kind, ())}


def method(book: Book) -> PayoutMethod:
    return PayoutMethod(
        id=UUID(int=99),
        wallet_id=book.state.wallet.id,
        kind=Kind.BANK_IBAN,
        label="Giro",
        masked="DE•• •••• 3000",
        sealed=b"sealed",
        fingerprint=b"print",
        status=PayoutMethodStatus.ACTIVE,
        usable_from=START,
        created_by=ADA,
        created_at=START,
    )


@pytest.mark.parametrize("hours", [0, 24, 720])
def test_a_new_one_waits(hours: int) -> None:
    book = Book()
    book.settings = replace(book.settings, payout_method_waiting_hours=hours)
    added = book.do(lambda draft: add(draft, method(book), active=0, others=frozenset()))
    assert added.usable_from == START + timedelta(hours=hours)
    require_usable(added, added.usable_from)
    with pytest.raises(PayoutMethodNotUsable) as refused:
        require_usable(added, added.usable_from - timedelta(seconds=1))
    assert f"{added.usable_from:%Y-%m-%d %H:%M}" in refused.value.message


@pytest.mark.parametrize("hours", [-1, 721])
def test_how_long_it_waits_has_limits(hours: int) -> None:
    with pytest.raises(FieldInvalid):
        replace(Book().settings, payout_method_waiting_hours=hours)


def test_what_is_added_is_audited_without_details() -> None:
    book = Book()
    added = book.do(lambda draft: add(draft, method(book), active=0, others=frozenset()))
    (entry,) = [row for row in book.rows.values() if isinstance(row, AuditEntry)]
    assert (entry.action, entry.actor, entry.wallet_id) == (
        AuditAction.ADD_PAYOUT_METHOD,
        ADA,
        book.state.wallet.id,
    )
    assert entry.data == {
        "subject": str(added.id),
        "after": {"kind": "BANK_IBAN", "masked": "DE•• •••• 3000"},
    }


def test_one_that_others_have_is_a_signal() -> None:
    book = Book()
    book.do(lambda draft: add(draft, method(book), active=0, others=frozenset({UUID(int=7), UUID(int=8)})))
    (signal,) = [row for row in book.rows.values() if isinstance(row, Signal)]
    assert (signal.kind, signal.wallet_id, signal.count) == (
        SignalKind.SHARED_PAYOUT_METHOD,
        book.state.wallet.id,
        3,
    )


def test_there_are_so_many_and_no_more() -> None:
    book = Book()
    with pytest.raises(LimitReached):
        book.do(lambda draft: add(draft, method(book), active=METHODS_MAX, others=frozenset()))


def test_what_is_removed_stays_removed() -> None:
    book = Book()
    added = book.do(lambda draft: add(draft, method(book), active=0, others=frozenset()))
    removed = book.do(lambda draft: remove(draft, added, actor=ADA))
    assert (removed.status, removed.removed_at) == (PayoutMethodStatus.REMOVED, START)
    assert book.do(lambda draft: remove(draft, removed, actor=ADA)) == removed
    with pytest.raises(PayoutMethodNotUsable):
        require_usable(removed, removed.usable_from)


def test_a_server_without_a_key_says_what_to_do() -> None:
    assert "COFFER_SECRETS_KEY" in PayoutMethodsClosed().message
