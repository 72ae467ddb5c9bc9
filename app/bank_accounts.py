"""Whether the number of a bank account can exist, by the registries that python-stdnum carries."""

import re
from collections.abc import Mapping

from stdnum import iban
from stdnum.exceptions import ValidationError
from stdnum.us import rtn

from app.domain.errors import FieldInvalid
from app.domain.payout_method import PayoutMethodKind

_DISTRICT = re.compile(r"0[1-9]|1[0-2]|2[1-9]|3[0-2]|6[1-9]|7[0-2]|80")
"""How routing numbers of the districts begin, those of thrifts, of electronic payments and of traveller's cheques."""


def check_account(kind: PayoutMethodKind, details: Mapping[str, str]) -> None:
    """Raise `FieldInvalid` for an IBAN (ISO 13616) or a routing number (ABA) that can't exist.

    The details are in their normal form. Whether the account is really there is known to its bank alone.
    """
    if kind is PayoutMethodKind.BANK_IBAN:
        try:
            iban.validate(details["iban"], check_country=False)
        except ValidationError:
            raise FieldInvalid(
                "This IBAN can't be right: its check digits or its length don't fit. Check it against a statement.",
                field=("details", "iban"),
            ) from None
    if kind is PayoutMethodKind.BANK_ACCOUNT:
        try:
            if not _DISTRICT.match(rtn.validate(details["routingNumber"])):
                raise ValidationError
        except ValidationError:
            raise FieldInvalid(
                "This routing number can't be right: it has nine digits, and the last one checks them. Check it "
                "against a cheque or your bank's site.",
                field=("details", "routingNumber"),
            ) from None
