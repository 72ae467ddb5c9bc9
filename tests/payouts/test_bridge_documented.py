"""What docs/payouts.md says of a bridge: its JSON Schema, its examples, and the bridge to copy, which keeps its word."""

import json
import re
from datetime import UTC, datetime
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import jsonschema_rs
import pytest

from app.domain.money import currency_of
from app.domain.payout_method import PayoutMethodKind
from app.payouts.bridge import BridgeProvider
from app.payouts.provider import Knowledge, PayoutOrder
from app.services.ledger.mint import RandomMint
from tests.stores import STANDARD_SECRET

PROJECT = Path(__file__).parents[2]
TEXT = (PROJECT / "docs" / "payouts.md").read_text(encoding="utf-8")
SCHEMA = json.loads((PROJECT / "docs" / "payouts.schema.json").read_text(encoding="utf-8"))
ID = UUID("0199aaaa-0000-7000-8000-00000000000a")


def order(withdrawal_id: UUID = ID) -> PayoutOrder:
    return PayoutOrder(
        withdrawal_id,
        "WD-1",
        2_500,
        currency_of("EUR"),
        PayoutMethodKind.BANK_IBAN,
        {"holder": "Ada King", "iban": "DE89370400440532013000"},
        datetime.now(UTC),
    )


def bridge(handler: httpx.AsyncBaseTransport) -> BridgeProvider:
    return BridgeProvider(
        "http://bridge/payouts",
        [STANDARD_SECRET],
        clock=lambda: datetime.now(UTC),
        mint=RandomMint().id,
        timeout_s=5,
        client=httpx.AsyncClient(transport=handler),
    )


def test_the_examples_follow_the_schema() -> None:
    validator = jsonschema_rs.validator_for(SCHEMA)
    examples = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]
    assert len(examples) == 2
    for example in examples:
        validator.validate(example)
    assert not validator.is_valid({**examples[1], "status": "lost"})
    assert not validator.is_valid({**examples[0], "amount": 25})


async def test_what_is_sent_follows_the_schema() -> None:
    sent: list[dict[str, Any]] = []

    def keep(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return httpx.Response(503)

    provider = bridge(httpx.MockTransport(keep))
    await provider.send(order())
    await provider.outcome(order())
    assert [message["type"] for message in sent] == ["payout.create", "payout.get"]
    for message in sent:
        jsonschema_rs.validator_for(SCHEMA).validate(message)
    assert sent[0]["amount"] == {"amount": "25.00", "currency": "EUR"}
    await provider.close()


async def test_the_bridge_to_copy_pays_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_SECRET", STANDARD_SECRET)
    monkeypatch.setenv("BRIDGE_FILE", str(tmp_path / "bridge.sqlite3"))
    spec = spec_from_file_location("payout_bridge", PROJECT / "examples" / "payout_bridge.py")
    assert spec is not None
    assert spec.loader is not None
    example = module_from_spec(spec)
    spec.loader.exec_module(example)
    paid: list[str] = []
    monkeypatch.setattr(example, "send_by_the_bank", lambda message: paid.append(message["id"]))
    provider = bridge(httpx.ASGITransport(example.app))
    assert (await provider.outcome(order())).knowledge is Knowledge.NO_SUCH_PAYOUT
    for _ in range(2):
        answer = await provider.send(order())
        assert (answer.knowledge, answer.outcome and str(answer.outcome.kind)) == (Knowledge.TOLD, "ACCEPTED")
    assert paid == [str(ID)]
    told: list[httpx.Request] = []

    def post(url: str, *, content: str, headers: dict[str, str]) -> httpx.Response:
        told.append(httpx.Request("POST", url, content=content, headers=headers))
        return httpx.Response(200, request=told[-1])

    monkeypatch.setattr(example.httpx, "post", post)
    example.tell(str(ID), "paid")
    message = provider.translate(told[0].headers.multi_items(), told[0].content, datetime.now(UTC))
    assert message is not None
    assert (message.withdrawal_id, str(message.outcome.kind)) == (ID, "PAID")
    jsonschema_rs.validator_for(SCHEMA).validate(json.loads(told[0].content))
    example.payouts.close()
    await provider.close()
