"""What a note must be so that a review, a year later, still learns something from it."""

import re
import unicodedata

from app.domain.errors import FieldInvalid, NoteNotMeaningful, NoteTooLong, NoteTooShort, TextNotAllowed

NOTE_MIN = 10
"""Characters that a note has at least."""
NOTE_MAX = 1000
"""Characters that a note has at most."""

GOOD_NOTE = "Parcel of order 1042 arrived broken, customer keeps it, refunded half on the phone"
"""The example that refusals show."""

_BARE_WORDS = frozenset(
    [
        "a",
        "about",
        "account",
        "add",
        "added",
        "adding",
        "adjust",
        "adjusted",
        "adjusting",
        "adjustment",
        "adjustments",
        "again",
        "amount",
        "an",
        "and",
        "as",
        "at",
        "back",
        "balance",
        "bonus",
        "bonuses",
        "by",
        "cash",
        "cashback",
        "change",
        "changed",
        "charge",
        "charged",
        "compensate",
        "compensation",
        "correct",
        "corrected",
        "correction",
        "credit",
        "credited",
        "credits",
        "customer",
        "customers",
        "debit",
        "debited",
        "debits",
        "deduct",
        "deducted",
        "discount",
        "do",
        "done",
        "extra",
        "fee",
        "fix",
        "fixed",
        "for",
        "free",
        "from",
        "funds",
        "general",
        "gift",
        "give",
        "given",
        "giving",
        "goodwill",
        "in",
        "into",
        "is",
        "it",
        "making",
        "manual",
        "manually",
        "me",
        "misc",
        "miscellaneous",
        "money",
        "more",
        "na",
        "no",
        "none",
        "note",
        "of",
        "on",
        "or",
        "other",
        "our",
        "out",
        "paid",
        "payment",
        "per",
        "please",
        "point",
        "points",
        "promo",
        "promotion",
        "promotional",
        "reason",
        "refund",
        "refunded",
        "refunding",
        "refunds",
        "reimburse",
        "reimbursement",
        "remove",
        "removed",
        "request",
        "requested",
        "return",
        "returned",
        "reward",
        "store",
        "take",
        "taken",
        "test",
        "the",
        "their",
        "them",
        "this",
        "to",
        "top",
        "topup",
        "transaction",
        "update",
        "updated",
        "us",
        "user",
        "users",
        "via",
        "voucher",
        "wallet",
        "was",
        "we",
        "with",
        "withdraw",
        "withdrawal",
        "xx",
        "xxx",
        "your",
    ]
)
_DIRECTION_OVERRIDES = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_NORMALISED_MAX = 3
"""Characters that one character becomes at most when it is normalised (Unicode keeps that stable for NFC)."""
_WORD = re.compile(r"[^\W_]+", re.UNICODE)


def check_text(text: str, *, field: str, length_max: int, lines: bool = False) -> str:
    """Return the text without outer white space, or refuse what can't be shown or stored.

    Control characters, lone surrogates and text directions that hide what is written are refused;
    with `lines`, line breaks and tabs are fine. `field` is the path of the input, with dots.
    """
    if len(text) > length_max:
        # Checked before anything walks the text, so that megabytes cost nothing.
        raise _too_long(field, length_max)
    # What is printable holds none of them; almost every text is, and need not be walked.
    for character in "" if text.isprintable() else text:
        category = unicodedata.category(character)
        if category in ("Cc", "Cs") or character in _DIRECTION_OVERRIDES:
            if lines and character in "\n\r\t":
                continue
            raise TextNotAllowed(
                "The text has characters that can't be shown, such as control characters. Remove them and try again.",
                field=tuple(field.split(".")),
            )
    kept = unicodedata.normalize("NFC", text).strip()
    if len(kept) > length_max:
        # A few characters (U+FB2C is one) become two or three when they are normalised.
        raise _too_long(field, length_max)
    return kept


def _too_long(field: str, length_max: int) -> FieldInvalid:
    message = f"This text is too long: at most {length_max} characters. Shorten it and try again."
    return FieldInvalid(message, field=tuple(field.split(".")))


def check_remark(text: str, *, field: str = "note") -> str:
    """Return a note that nothing is demanded of but that it can be kept, or raise `NoteTooLong`."""
    if len(text) > NOTE_MAX:
        raise _note_too_long(field)
    kept = check_text(text, field=field, length_max=_NORMALISED_MAX * NOTE_MAX, lines=True)
    if len(kept) > NOTE_MAX:
        raise _note_too_long(field)
    return kept


def _note_too_long(field: str) -> NoteTooLong:
    return NoteTooLong(
        f"The note is too long: at most {NOTE_MAX} characters. Keep what a review needs.",
        field=tuple(field.split(".")),
    )


def check_reason(note: str, *, field: str = "note") -> str:
    """Return why something was changed that moves no money, or raise `NoteTooShort` or `NoteTooLong`."""
    kept = check_remark(note, field=field)
    if len(kept) < NOTE_MIN:
        raise NoteTooShort("The note is too short. Say in a few words why this changes.", field=(field,))
    return kept


def check_note(note: str, *, field: str = "note") -> str:
    """Return the note as it is kept, or raise `NoteTooShort`, `NoteTooLong` or `NoteNotMeaningful`.

    A note is meaningful when at least two of its words, or one word and a number, are more than a bare
    category ("credit", "bonus", "refund") or filler.
    """
    kept = check_remark(note, field=field)
    hint = f'Say what happened and for which order, for example: "{GOOD_NOTE}".'
    if len(kept) < NOTE_MIN:
        raise NoteTooShort(f"The note is too short: at least {NOTE_MIN} characters. {hint}", field=(field,))
    words = {word.casefold() for word in _WORD.findall(kept)}
    telling = {word for word in words - _BARE_WORDS if len(word) > 1 and not word.isdigit()}
    if len(telling) >= 2:
        return kept
    # Scripts that don't put spaces between words write a whole sentence as one.
    unspaced = any(not word.isascii() and len(word) >= NOTE_MIN for word in telling)
    numbers = {word for word in words if any(character.isdigit() for character in word)}
    if (telling and numbers - telling) or unspaced:
        return kept
    raise NoteNotMeaningful(f"This note does not say why the balance changes. {hint}", field=(field,))
