"""What docs/doors.md shows is true: its message is taken, and its sender's proof holds."""

import json
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import jsonschema_rs
import pytest

from app.webhooks import shopify, woocommerce
from app.webhooks.events import OrderSeen
from app.webhooks.standard import translate, verify
from tests.stores import NOW, STANDARD_SECRET

DOCS = Path(__file__).parents[2] / "docs"
DOORS = (DOCS / "doors.md").read_text(encoding="utf-8")


def test_the_message_that_is_shown_is_taken() -> None:
    shown = re.search(r"```json\n(.*?)```", DOORS, re.DOTALL)
    assert shown is not None
    jsonschema_rs.validator_for(
        json.loads((DOCS / "doors.schema.json").read_text(encoding="utf-8"))
    ).validate(json.loads(shown[1]))
    (event,) = translate("", shown[1].encode(), received_at=NOW)
    assert isinstance(event, OrderSeen)
    assert event.snapshot.total_minor == 5990


def test_the_tables_of_statuses_are_whole() -> None:
    for name, status in {**woocommerce.STATUSES, **shopify.FINANCIAL_STATUSES}.items():
        assert re.search(rf"^\|.*`{name}`.*\| .*`{status}`", DOORS, re.MULTILINE), (name, status)


SCRIPT = """
import { proof, tell, amount, fromMinor } from "./coffer.mjs";
const [secret, body, url] = process.argv.slice(2);
await tell("customer.recorded", { id: "ü" }, { url, secret, attempts: 1 }).catch(() => {});
console.log(JSON.stringify({
  proof: proof(body, { secret, id: "msg_é", at: new Date("2026-11-21T12:00:00.900Z") }),
  amounts: [amount(59.9), amount(null), fromMinor(5990), fromMinor(-5), fromMinor(7, 0), fromMinor(12345, 3)],
}));
"""


@pytest.mark.usefixtures("node")
def test_the_sender_that_is_shown_is_authentic(tmp_path: Path) -> None:
    sender = re.search(r"<!-- file: coffer\.mjs -->\n```js\n(.*?)```", DOORS, re.DOTALL)
    assert sender is not None
    (tmp_path / "coffer.mjs").write_text(sender[1], encoding="utf-8")
    (tmp_path / "main.mjs").write_text(SCRIPT, encoding="utf-8")
    body = '{"type": "order.recorded", "text": "Größe 5 €"}'
    done = subprocess.run(
        ["node", "main.mjs", STANDARD_SECRET, body, "http://127.0.0.1:9/"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        timeout=30,
    )
    told = json.loads(done.stdout)
    assert told["amounts"] == ["59.9", "0", "59.90", "-0.05", "7", "12.345"]
    at = datetime(2026, 11, 21, 12, tzinfo=UTC)
    verify(list(told["proof"].items()), body.encode(), [STANDARD_SECRET], at)
