"""What a writer keeps of wallets from batch to batch has a bound, however many wallets or lots there are."""

from collections.abc import Sequence
from uuid import UUID

from hypothesis import given, strategies as st

from app.domain.bucket import Bucket
from app.domain.customer import Customer
from app.domain.ledger import Lot, WalletState
from app.services.ledger.batch import Known
from app.services.ledger.command import WalletRef
from tests.ledger import START

WALLETS_MAX, LOTS_MAX = 4, 10


def state(number: int, lots: int) -> WalletState:
    customer = Customer(UUID(int=100 + number), f"c{number}", "", "", START, START)
    opened = WalletState.opened(UUID(int=number), customer, "EUR", START)
    opened.lots = [
        Lot(
            UUID(int=1000 * number + place),
            opened.wallet.id,
            Bucket.CASH,
            place,
            1,
            1,
            0,
            None,
            START,
        )
        for place in range(lots)
    ]
    return opened


def kept(known: Known) -> dict[int, int]:
    """Which wallets are known by their customers, and how many lots each has."""
    assumed = {number: known.assumed(WalletRef(external_id=f"c{number}")) for number in range(8)}
    return {number: len(found.lots) for number, found in assumed.items() if found is not None}


wallets = st.integers(0, 7)
steps = st.one_of(
    st.tuples(st.just("keep"), wallets, st.integers(0, 14)),
    st.tuples(st.just("change"), wallets, st.integers(0, 14)),
    st.tuples(st.just("forget"), wallets, st.just(0)),
)


@given(st.lists(steps, max_size=40))
def test_the_last_ones_used_are_known_as_far_as_there_is_room(
    played: Sequence[tuple[str, int, int]],
) -> None:
    known = Known(WALLETS_MAX, lots_max=LOTS_MAX)
    states = {number: state(number, 0) for number in range(8)}
    expected: dict[int, int] = {}
    for step, number, lots in played:
        if step == "forget":
            known.forget([UUID(int=number)])
            expected.pop(number, None)
            continue
        # As a batch does that changes a state in place, or one that read it anew.
        if step == "keep":
            states[number] = state(number, lots)
        else:
            states[number].lots = state(number, lots).lots
        known.keep([states[number]])
        expected.pop(number, None)
        expected[number] = lots
        while len(expected) > WALLETS_MAX or sum(expected.values()) > LOTS_MAX:
            expected.pop(next(iter(expected)))
        assert kept(known) == expected
    assert kept(known) == expected


def test_a_wallet_of_more_lots_than_there_is_room_for_is_read_for_each_batch() -> None:
    known = Known(WALLETS_MAX, lots_max=LOTS_MAX)
    known.keep([state(1, 3), state(2, LOTS_MAX + 1)])
    assert kept(known) == {}
    known.keep([state(1, 3)])
    assert kept(known) == {1: 3}
