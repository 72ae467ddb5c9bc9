"""Made-up customers with months of history, for demos and for trying things out.

people     who they are
decisions  what can happen to a wallet
story      what happens to whom, and when
orders     what the demo customer orders, pays and gets back
gift_cards which of the store's gift cards are still to be redeemed
payouts    where customers are paid out to, and what they pay in
scale      a store of any size, loaded in bulk
plant      tells the story to the ledger's writer, day by day

Everything goes through the group-commit writer like any other command, with a clock that is moved along and with
idempotency keys of its own: telling the story again changes nothing, and an interrupted one is taken up again.
"""

from app.seed.people import DEMO_CUSTOMER
from app.seed.plant import Planted, is_planted, may_plant, plant
from app.seed.story import STAFF

__all__ = ["DEMO_CUSTOMER", "STAFF", "Planted", "is_planted", "may_plant", "plant"]
