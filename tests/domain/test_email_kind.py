"""Who gets which e-mails, in which language, and which e-mails follow from what happened."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from app.domain.email_kind import (
    TRANSACTIONAL,
    Absence,
    EmailKind,
    Preference,
    absence,
    check_language,
    read_kinds,
    switched_off,
)
from app.domain.errors import FieldInvalid
from app.domain.event_catalogue import EventType
from app.domain.mailing import email_of
from app.domain.outgoing import OutboxEvent
from app.domain.settings import StoreSettings

ID = UUID("00000000-0000-7000-8000-000000000001")
OPTIONAL = sorted(set(EmailKind) - TRANSACTIONAL)


def event(kind: str, **data: object) -> OutboxEvent:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    return OutboxEvent(ID, kind, 1, ID, None, ID, {"customer": {"id": "x"}, "walletId": "y", **data}, now)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("", ""),
        ("DE", "de"),
        (" pt_br ", "pt-BR"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("fil", "fil"),
    ],
)
def test_languages_are_kept_in_one_form(given: str, kept: str) -> None:
    assert check_language(given) == kept
    assert check_language(kept) == kept


@pytest.mark.parametrize("given", ["d", "deutsch", "de-", "../de", "de/at", "de at", "dé", "de-" + "x" * 40])
def test_what_is_no_language_is_refused(given: str) -> None:
    with pytest.raises(FieldInvalid):
        check_language(given)


@given(off=st.sets(st.sampled_from(OPTIONAL)), on=st.sets(st.sampled_from(OPTIONAL)))
def test_preferences_add_up(off: set[EmailKind], on: set[EmailKind]) -> None:
    after = switched_off(tuple(off), [Preference(kind, enabled=True) for kind in on])
    assert set(after) == off - on
    again = switched_off(after, [Preference(kind, enabled=False) for kind in on])
    assert set(again) == off | on


@pytest.mark.parametrize("kind", sorted(TRANSACTIONAL))
def test_what_warns_stays_on(kind: EmailKind) -> None:
    with pytest.raises(FieldInvalid, match="Leave it on"):
        switched_off((), [Preference(kind, enabled=False)])
    assert switched_off((), [Preference(kind, enabled=True)]) == ()
    # What was stored before a kind came to warn does not count.
    assert absence(kind, kinds=[kind], switched_off=[kind], address="a@b") is None


@pytest.mark.parametrize(
    ("kinds", "off", "address", "why"),
    [
        ([EmailKind.REFUND], [], "a@b", None),
        ([EmailKind.REFUND], [], "", Absence.NO_ADDRESS),
        ([EmailKind.REFUND], [EmailKind.REFUND], "a@b", Absence.CUSTOMER),
        ([EmailKind.TOP_UP], [], "a@b", Absence.STORE),
        ([], [EmailKind.REFUND], "", Absence.STORE),
    ],
)
def test_who_gets_none(
    kinds: list[EmailKind], off: list[EmailKind], address: str, why: Absence | None
) -> None:
    assert absence(EmailKind.REFUND, kinds=kinds, switched_off=off, address=address) is why


def test_kinds_of_a_newer_program_are_left_out() -> None:
    assert read_kinds(["TOP_UP", "PARTY", "REFUND"]) == (EmailKind.REFUND, EmailKind.TOP_UP)
    settings = StoreSettings.from_data({"email_kinds": ["PARTY"], "email_language": "de"})
    assert (settings.email_kinds, settings.email_language) == ((), "de")
    assert StoreSettings.from_data(settings.as_data()) == settings


def posted(kind: str, direction: str = "CREDIT") -> dict[str, object]:
    return {"transaction": {"kind": kind, "direction": direction}}


@pytest.mark.parametrize(
    ("happened", "kind"),
    [
        (event(EventType.TRANSACTION_POSTED, **posted("REFUND")), EmailKind.REFUND),
        (event(EventType.TRANSACTION_POSTED, **posted("REFUND", "DEBIT")), None),
        (event(EventType.TRANSACTION_POSTED, **posted("TOP_UP", "DEBIT")), None),
        (event(EventType.TRANSACTION_POSTED, **posted("PURCHASE", "DEBIT")), None),
        (event(EventType.TRANSACTION_POSTED, **posted("ADJUSTMENT")), None),
        (event(EventType.TRANSACTION_POSTED, **posted("CASHBACK")), None),
        (event(EventType.CASHBACK_AWARDED, award={"status": "PENDING"}), EmailKind.CASHBACK_PENDING),
        (event(EventType.CASHBACK_AWARDED, award={"status": "VESTED"}), None),
        (event(EventType.CASHBACK_VESTED, award={"status": "VESTED"}), EmailKind.CASHBACK_EARNED),
        (event(EventType.VALUE_EXPIRING, expiry={}), EmailKind.EXPIRY_REMINDER),
        (event(EventType.WALLET_FROZEN, wallet={}), EmailKind.WALLET_FROZEN),
        (
            event(EventType.WITHDRAWAL_REQUESTED, withdrawal={"status": "APPROVED"}),
            EmailKind.WITHDRAWAL_REQUESTED,
        ),
        (
            event(EventType.WITHDRAWAL_APPROVED, withdrawal={"status": "APPROVED"}),
            EmailKind.WITHDRAWAL_APPROVED,
        ),
        (event(EventType.WITHDRAWAL_IN_REVIEW, withdrawal={"status": "IN_REVIEW"}), None),
        (event(EventType.WITHDRAWAL_UPDATED, withdrawal={"status": "PAID"}), None),
        (
            event(EventType.WITHDRAWAL_RETURNED, withdrawal={"status": "RETURNED"}),
            EmailKind.WITHDRAWAL_FAILED,
        ),
        (event(EventType.WITHDRAWAL_PAID, withdrawal={"status": "PAID"}), EmailKind.WITHDRAWAL_PAID),
        (event(EventType.SETTINGS_CHANGED, settings={}), None),
        (event("party.begun"), None),
    ],
)
def test_which_email_follows(happened: OutboxEvent, kind: EmailKind | None) -> None:
    found = email_of(happened)
    assert (None if found is None else found[0]) == kind
    if found is not None:
        assert not {"customer", "walletId"} & set(found[1])
