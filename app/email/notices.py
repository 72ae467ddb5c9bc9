"""Notices to those who run the store, as they read: what waits for a person, and where to do something about it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import escape

from app.domain.notice_kind import NoticeKind

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NoticeText:
    """A notice as it reads."""

    subject: str
    text: str
    html: str
    language: str = "en"


@dataclass(frozen=True, slots=True)
class _Words:
    """`said` makes the subject of what it is about; `then` is what to do next."""

    said: Callable[[Body], str]
    then: str


def _amount(body: Body) -> str:
    told = body["withdrawal"]["amount"]
    return f"{told['amount']} {told['currency']}"


def _disagreement(body: Body) -> str:
    if "payout" in body:
        told = body["payout"]
        return f"{told['provider']} tells of a payout that belongs to no withdrawal"
    return f"Withdrawal {body['withdrawal']['reference']} and its payout don't agree"


def _dead_message(body: Body) -> str:
    told = body["message"]
    what = "An e-mail" if told["channel"] == "EMAIL" else "A message to an endpoint"
    return f"{what} could not be delivered ({told['topic']})"


_WORDS: Mapping[NoticeKind, _Words] = {
    NoticeKind.WITHDRAWAL_WAITING: _Words(
        lambda body: (
            f"Withdrawal {body['withdrawal']['reference']} over {_amount(body)} waits for a decision"
        ),
        "Approve or reject it: approveWithdrawals, rejectWithdrawals.",
    ),
    NoticeKind.PAYOUT_DISAGREEMENT: _Words(
        _disagreement, "Compare both sides: payoutReconciliation lists what they don't agree on."
    ),
    NoticeKind.MESSAGE_DEAD: _Words(
        _dead_message,
        "It is not tried again by itself, and more may have gone the same way today. See outgoingWebhooks for what came "
        "back, put the receiver right, then replay them: replayOutgoingWebhooks.",
    ),
    NoticeKind.DELIVERY_DEAD: _Words(
        lambda body: f"A message of the store's could not be worked on ({body['delivery']['topic']})",
        "It is not tried again by itself, and more may have gone the same way today. See webhookDeliveries for why, then "
        "replay them: replayWebhookDeliveries.",
    ),
    NoticeKind.ENDPOINT_GONE: _Words(
        lambda _body: "A webhook endpoint answered 410 and was switched off",
        "What happens from now on is not told to it. See webhookEndpoints; enableWebhookEndpoint switches it on again.",
    ),
    NoticeKind.FRAUD_SIGNAL: _Words(
        lambda body: f"Something looked odd: {_word(body['signal']['kind'])}",
        "More of the same kind may have come within this hour. See fraudSignals.",
    ),
}


def notice_text(kind: NoticeKind, body: Body, *, store_name: str) -> NoticeText:
    """Return a notice in words, with the facts that it carries."""
    words = _WORDS[kind]
    subject = f"{store_name}: {words.said(body)}"
    facts = list(_facts(body))
    lines = "\n".join(f"{name}: {value}" for name, value in facts)
    rows = "".join(
        f"<tr><th align=left>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts
    )
    html = (
        f"<!doctype html><html lang=en><body><h1>{escape(words.said(body))}</h1><p>{escape(words.then)}</p>"
        f"<table>{rows}</table></body></html>"
    )
    return NoticeText(
        " ".join(subject.split())[:200], f"{words.said(body)}.\n\n{words.then}\n\n{lines}\n", html
    )


def _facts(body: Body) -> Iterator[tuple[str, str]]:
    for part in body.values():
        for name, value in part.items():
            if isinstance(value, Mapping):
                yield name, f"{value['amount']} {value['currency']}"
            elif isinstance(value, list):
                yield name, ", ".join(map(str, value))
            elif value is not None:
                yield name, str(value)


def _word(name: str) -> str:
    return name.lower().replace("_", " ")
