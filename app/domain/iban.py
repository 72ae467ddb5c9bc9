"""International bank account numbers and bank identifiers: whether a text can be one."""

import re

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_BIC = re.compile(r"[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?")


def read_iban(text: str) -> str | None:
    """Return an IBAN without blanks, or `None` for a text that is none: its check digits (ISO 7064) must be right."""
    iban = "".join(text.split()).upper()
    if not _IBAN.fullmatch(iban):
        return None
    digits = "".join(str(int(character, 36)) for character in iban[4:] + iban[:4])
    return iban if int(digits) % 97 == 1 else None


def read_bic(text: str) -> str | None:
    """Return a BIC without blanks, or `None` for a text that is none."""
    bic = "".join(text.split()).upper()
    return bic if _BIC.fullmatch(bic) else None
