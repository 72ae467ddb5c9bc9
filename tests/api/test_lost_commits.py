"""What is shown once is shown although the answer of its COMMIT was lost: the writer tries again and finds its own key."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from app.services.ledger import writer as writer_module
from tests.api.mutations import MUTATIONS
from tests.api.store import Store, fresh

SHOWN_ONCE = {
    "createApiKey": "secret",
    "rotateApiKey": "secret",
    "createWebhookEndpoint": "secret",
    "rotateWebhookSecret": "secret",
    "issueGiftCards": "codes",
}


@contextmanager
def one_commit_is_lost(api: Store, monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    """Lose the answer of the first commit of such a command."""
    writer = api.app.state.runtime.writer
    transact, lost = writer._transact, list[str]()

    async def lose_once(commands: Any) -> Any:
        done = await transact(commands)
        if not lost and any(command.name == name for command in commands):
            lost.append(name)
            raise ConnectionResetError("after the commit, before its answer")
        return done

    with monkeypatch.context() as patched:
        patched.setattr(writer_module, "RETRY_DELAY_S", 0.001)
        patched.setattr(writer, "_transact", lose_once)
        yield
    assert lost, "nothing was lost"


@pytest.mark.parametrize(("name", "shown"), SHOWN_ONCE.items())
async def test_what_is_shown_once_is_shown(
    api: Store, monkeypatch: pytest.MonkeyPatch, name: str, shown: str
) -> None:
    (mutation,) = (one for one in MUTATIONS if one.name == name)
    scene = await mutation.prepare(api)
    scene.input["idempotencyKey"] = fresh("key")
    with one_commit_is_lost(api, monkeypatch, name):
        payload = await api.done(name, scene.input, scene.caller)
    assert (bool(payload[shown]), payload["replayed"]) == (True, False)
    again = await api.done(name, scene.input, scene.caller)
    assert (again[shown], again["replayed"]) == (None, True)


async def test_an_export_by_filter_takes_what_is_approved(
    api: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was marked when the key was stored, and no second request with it would mark anything."""
    customer = await api.funded("70.00")
    approved = await api.withdrawal(customer, "33.34")
    await api.steps_on(approved["id"], "approveWithdrawal")
    input_ = {
        "filter": {"amount": {"min": "33.34", "max": "33.34"}},
        "format": "CSV",
        "idempotencyKey": fresh("key"),
    }
    with one_commit_is_lost(api, monkeypatch, "exportWithdrawals"):
        payload = await api.done("exportWithdrawals", input_)
    assert ([row["withdrawalId"] for row in payload["results"]], payload["replayed"]) == (
        [approved["id"]],
        False,
    )
    again = await api.done("exportWithdrawals", input_)
    assert (again["file"], again["replayed"]) == (payload["file"], True)
