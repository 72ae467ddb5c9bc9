"""Every mutation, by the table in `mutations.py`: done, refused, repeated, and asked by everybody."""

import asyncio
from copy import deepcopy
from itertools import chain

import pytest

from app.domain.errors import ErrorCode
from tests.api.mutations import MUTATIONS, Mutation, Refusal
from tests.api.store import (
    ANONYMOUS,
    EXPIRED,
    FORGED,
    STAFF,
    Caller,
    JsonObject,
    Store,
    assert_helpful,
    document,
    fresh,
    root_fields,
)

# Breadth, not depth: the fast loop leaves it to `make test`.
pytestmark = pytest.mark.slow

NOT_YET = {
    "HOLD_NOT_OPEN": "holds get mutations of their own with the checkout",
    "LIMIT_REACHED": "has tests in tests/domain",
    "NOT_CONFIGURED": "needs a server without a key: has a test of its own in test_webhook_endpoints.py",
    "PAYOUT_METHODS_CLOSED": "follows from the server's settings: has tests in tests/payouts",
    "RENEWAL_NOT_CHARGED": "follows from the settings: has a test of its own in test_renewals.py",
    "WITHDRAWALS_DISABLED": "follows from the settings: has a test of its own in test_withdrawals.py",
    "WITHDRAWAL_OUT_OF_LIMITS": "follows from the settings: has a test of its own in test_withdrawals.py",
    "IDEMPOTENCY_KEY_REUSED": "has a test of its own, for every mutation",
}
EVERY = pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)


def test_no_mutation_is_left_out() -> None:
    assert sorted(mutation.name for mutation in MUTATIONS) == sorted(root_fields("Mutation"))


def test_no_refusal_is_left_out() -> None:
    met = {refusal.code for mutation in MUTATIONS for refusal in mutation.refusals}
    assert sorted(met | set(NOT_YET)) == sorted(ErrorCode)


@EVERY
async def test_done(api: Store, mutation: Mutation) -> None:
    scene = await mutation.prepare(api)
    before = await api.digest()
    payload = await api.done(mutation.name, scene.input, scene.caller)
    assert await api.digest() != before
    objects = {name: value for name, value in payload.items() if name not in {"userErrors", "replayed"}}
    assert all(value is not None for value in objects.values())
    assert payload.get("replayed", False) is False


@pytest.mark.parametrize(
    ("mutation", "refusal"),
    [
        pytest.param(mutation, refusal, id=f"{mutation.name}-{refusal.name.replace(' ', '_')}")
        for mutation in MUTATIONS
        for refusal in mutation.refusals
    ],
)
async def test_refused(api: Store, mutation: Mutation, refusal: Refusal) -> None:
    scene = await mutation.prepare(api)
    await refusal.change(api, scene)
    before = await api.digest()
    payload = await api.mutate(mutation.name, scene.input, scene.caller)
    assert await api.digest() == before, "a refused request left a trace"
    (error,) = payload.pop("userErrors")
    assert (error["code"], tuple(error["field"])) == (refusal.code, refusal.path)
    assert not any(payload.values()), "a refusal answers with nothing else"


@EVERY
async def test_repeated_with_the_same_key(api: Store, mutation: Mutation) -> None:
    scene = await mutation.prepare(api)
    first = await api.done(mutation.name, scene.input, scene.caller)
    before = await api.digest()
    again = await api.done(mutation.name, scene.input, scene.caller)
    assert await api.digest() == before
    assert without_replayed(again) == without_replayed(first)
    assert again.get("replayed", True) is True


@EVERY
async def test_a_refusal_does_not_use_up_the_key(api: Store, mutation: Mutation) -> None:
    scene = await mutation.prepare(api)
    key = scene.input["idempotencyKey"]
    refusal = next(one for one in mutation.refusals if one.path != ("idempotencyKey",))
    wrong = deepcopy(scene)
    await refusal.change(api, wrong)
    payload = await api.mutate(mutation.name, {**wrong.input, "idempotencyKey": key}, wrong.caller)
    assert [error["code"] for error in payload["userErrors"]] == [refusal.code]
    payload = await api.done(mutation.name, scene.input, scene.caller)
    assert payload.get("replayed", False) is False


@EVERY
async def test_same_key_other_input(api: Store, mutation: Mutation) -> None:
    scene = await mutation.prepare(api)
    await api.done(mutation.name, scene.input, scene.caller)
    other = {**scene.input, **mutation.other_input}
    if not mutation.other_input:
        other = (await mutation.prepare(api)).input | {"idempotencyKey": scene.input["idempotencyKey"]}
    before = await api.digest()
    payload = await api.mutate(mutation.name, other, scene.caller)
    assert await api.digest() == before
    (error,) = payload["userErrors"]
    assert (error["code"], error["field"]) == ("IDEMPOTENCY_KEY_REUSED", ["idempotencyKey"])


@EVERY
async def test_same_key_another_mutation(api: Store, mutation: Mutation) -> None:
    """A key stands for one request, not for one of each kind."""
    scene = await mutation.prepare(api)
    await api.done(mutation.name, scene.input, scene.caller)
    other = next(one for one in MUTATIONS if one.name not in {mutation.name, "updateSettings"})
    theirs = await other.prepare(api)
    before = await api.digest()
    payload = await api.mutate(other.name, {**theirs.input, "idempotencyKey": scene.input["idempotencyKey"]})
    assert [error["code"] for error in payload["userErrors"]] == ["IDEMPOTENCY_KEY_REUSED"]
    assert await api.digest() == before


@EVERY
async def test_two_at_once_with_the_same_key(api: Store, mutation: Mutation) -> None:
    scene = await mutation.prepare(api)
    both = await asyncio.gather(
        *(api.done(mutation.name, scene.input, scene.caller) for _ in range(2)),
    )
    assert without_replayed(both[0]) == without_replayed(both[1])
    assert sorted(payload.get("replayed", index == 1) for index, payload in enumerate(both)) == [False, True]
    again = await api.done(mutation.name, scene.input, scene.caller)
    assert without_replayed(again) == without_replayed(both[0])


async def test_keys_belong_to_their_callers(api: Store) -> None:
    customer = await api.customer()
    key = fresh("key")
    for name in ("shop_manager", "administrator", "service"):
        payload = await api.adjust(customer, "1.00", idempotencyKey=key, caller=STAFF[name])
        assert payload["replayed"] is False
    assert (await api.wallet(customer))["balance"]["amount"] == "3.00"


def without_replayed(payload: JsonObject) -> JsonObject:
    """All of an answer that must be the same when it is repeated; secrets are shown once."""
    return {name: value for name, value in payload.items() if name not in {"replayed", "secret", "codes"}}


# --- everybody ----------------------------------------------------------------------------------------------

CALLERS = ("anonymous", "expired", "forged", "owner", "another_customer", *STAFF)


def expected(mutation: Mutation, caller: str) -> str:
    """The code that the caller gets; empty for those who are served."""
    if caller in {"anonymous", "expired", "forged"}:
        return "UNAUTHENTICATED"
    if caller == "owner":
        return mutation.owner
    return "" if caller in mutation.may else mutation.others


@EVERY
@pytest.mark.parametrize("caller", CALLERS)
async def test_who_may(api: Store, mutation: Mutation, caller: str) -> None:
    scene = await mutation.prepare(api)
    who = {
        "anonymous": ANONYMOUS,
        "expired": EXPIRED,
        "forged": FORGED,
        "owner": Caller(scene.customer.get("storeCustomerId", "somebody")),
        "another_customer": Caller((await api.customer())["storeCustomerId"]),
        **STAFF,
    }[caller]
    before = await api.digest()
    answer = await api.execute(document(mutation.name), {"input": scene.input}, who)
    moved = await api.digest() != before
    payload = (answer.body.get("data") or {}).get(mutation.name) or {"userErrors": []}
    codes = [*answer.codes, *(error["code"] for error in payload["userErrors"])]
    code = expected(mutation, caller)
    assert (codes, moved) == ([code] if code else [], not code)
    for message in chain(answer.errors, payload["userErrors"]):
        assert_helpful(message["message"])


@EVERY
async def test_who_may_not_learns_nothing_from_what_they_send(api: Store, mutation: Mutation) -> None:
    """Refusals of the caller come before those of the input: a guess is never confirmed."""
    scene = await mutation.prepare(api)
    stranger = Caller(fresh("stranger"))
    codes = set()
    for refusal in mutation.refusals:
        if refusal.code in {"NOT_FOUND", "WITHDRAWAL_NOT_OPEN", "OWN_WALLET", "WALLET_FROZEN"}:
            other = deepcopy(scene)
            if refusal.change.__qualname__.startswith("sends"):
                await refusal.change(api, other)
            answer = await api.execute(document(mutation.name), {"input": other.input}, stranger)
            payload = (answer.body.get("data") or {}).get(mutation.name) or {"userErrors": []}
            codes |= {*answer.codes, *(error["code"] for error in payload["userErrors"])}
    assert codes <= {mutation.others}
