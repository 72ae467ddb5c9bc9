"""A payout bridge: it answers Coffer's signed messages and keeps one payout for one id. See docs/payouts.md.

    BRIDGE_SECRET=whsec_… uvicorn payout_bridge:app --port 9100
    COFFER_PAYOUT_PROVIDER=http COFFER_PAYOUT_HTTP_URL=http://127.0.0.1:9100/payouts COFFER_PAYOUT_HTTP_SECRETS=whsec_…

Put your bank in the place of `send_by_the_bank`, and call `tell` when it says what became of a payout.
"""

import json
import os
import sqlite3
from datetime import UTC, datetime

import httpx
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

SECRET = os.environ["BRIDGE_SECRET"]
COFFER = os.environ.get("COFFER_URL", "http://127.0.0.1:8000")
FILE = os.environ.get("BRIDGE_FILE", "bridge.sqlite3")

payouts = sqlite3.connect(FILE, isolation_level=None, check_same_thread=False)
payouts.execute("CREATE TABLE IF NOT EXISTS payouts (id TEXT PRIMARY KEY, status TEXT NOT NULL)")


def send_by_the_bank(message: dict) -> None:
    """Your bank's own call; give it the id too, if it takes one."""
    print("send", message["amount"], "for", message["reference"])


def state(payout_id: str) -> dict:
    """How a payout stands."""
    row = payouts.execute("SELECT status FROM payouts WHERE id = ?", (payout_id,)).fetchone()
    return {"id": payout_id, "status": row[0] if row else "unknown", "reference": payout_id if row else None}


def signed(message_id: str, body: str) -> dict:
    """The headers of a signed message."""
    now = datetime.now(UTC)
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign(message_id, now, body),
    }


async def answer(request: Request) -> Response:
    """Answer one message of Coffer's."""
    body = await request.body()
    try:
        message = Webhook(SECRET).verify(body, dict(request.headers))
    except WebhookVerificationError:
        return Response(status_code=401)
    if message["type"] == "payout.create":
        # Written down first: if this dies before the bank answers, nobody sends it a second time.
        new = payouts.execute("INSERT OR IGNORE INTO payouts VALUES (?, 'accepted')", (message["id"],))
        if new.rowcount:
            send_by_the_bank(message)
    text = json.dumps(state(message["id"]))
    return Response(text, headers=signed(request.headers["webhook-id"], text))


def tell(payout_id: str, status: str) -> None:
    """The bank said what became of a payout: write it down and tell Coffer, until it says 200."""
    payouts.execute("UPDATE payouts SET status = ? WHERE id = ?", (status, payout_id))
    text = json.dumps({"type": "payout.updated", **state(payout_id)})
    told = httpx.post(f"{COFFER}/payouts/http", content=text, headers=signed(f"{payout_id}.{status}", text))
    told.raise_for_status()


app = Starlette(routes=[Route("/payouts", answer, methods=["POST"])])
