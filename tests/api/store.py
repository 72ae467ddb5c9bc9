"""A store that is driven from outside: the whole application in this process, and everybody who may call it."""

import asyncio
import hashlib
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import count
from typing import Any

import httpx
from graphql import (
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    get_named_type,
    is_input_object_type,
)
from tortoise.connection import get_connection

from app.auth import issue_token
from app.context import Runtime
from app.domain.access import Actor, ActorKind
from app.domain.delivery import Door
from app.execution.documents import core_schema
from app.main import create_app
from app.schema.schema import schema
from app.schema.types.node import encode_id
from app.services.delivery import keep, settle, take
from app.settings import Settings
from tests.databases import ROWS, settings_for
from tests.entrance import EntranceTransport

SECRET = "the store's own secret, known to nobody else"
ANOTHER_SECRET = "some other secret that this store never used"
TABLES = tuple(ROWS)
BY_TEST = Actor(ActorKind.SYSTEM, "test")
NOTE = "Parcel of order 1042 arrived broken"
WHY = "Agreed with the owner in May"

JsonObject = dict[str, Any]

CORE = core_schema(schema)


# --- callers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Caller:
    """Somebody who calls: nobody signed in when there is no subject."""

    subject: str | None
    roles: tuple[str, ...] = ()
    secret: str = SECRET
    expired: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """The headers that prove it."""
        return {} if self.subject is None else {"authorization": f"Bearer {_token(self)}"}


@lru_cache(maxsize=4096)
def _token(caller: Caller) -> str:
    issued_at = datetime.now(UTC) - (timedelta(days=2) if caller.expired else timedelta())
    return issue_token(
        caller.secret, subject=caller.subject or "", roles=caller.roles, ttl_s=86_400, now=issued_at
    )


ANONYMOUS = Caller(None)
SUPPORT = Caller("sue", ("support",))
FINANCE = Caller("finn", ("finance",))
MANAGER = Caller("max", ("shop_manager",))
ADMINISTRATOR = Caller("ann", ("administrator",))
SERVICE = Caller("shop-backend", ("service",))
EXPIRED = Caller("ann", ("administrator",), expired=True)
FORGED = Caller("ann", ("administrator",), secret=ANOTHER_SECRET)

STAFF = {
    "support": SUPPORT,
    "finance": FINANCE,
    "shop_manager": MANAGER,
    "administrator": ADMINISTRATOR,
    "service": SERVICE,
}


# --- answers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What came back: the status and the body."""

    status: int
    body: JsonObject

    @property
    def data(self) -> JsonObject:
        """What was asked for; the answer must be free of errors."""
        assert "errors" not in self.body, self.body
        data: JsonObject = self.body["data"]
        return data

    @property
    def errors(self) -> list[JsonObject]:
        """The top-level errors."""
        errors: list[JsonObject] = self.body.get("errors", [])
        return errors

    @property
    def codes(self) -> list[str]:
        """The codes of the top-level errors."""
        return [error["extensions"]["code"] for error in self.errors]

    @property
    def code(self) -> str | None:
        """The code of the only top-level error."""
        assert len(self.errors) <= 1, self.body
        return self.codes[0] if self.errors else None

    @property
    def message(self) -> str:
        """The message of the only top-level error."""
        assert len(self.errors) == 1, self.body
        return str(self.errors[0]["message"])


# What a refusal tells people to do begins with one of these words.
ADVICE = re.compile(
    r"\b(Adjust|Ask|Ask for|Check|Choose|Give|Keep|Leave|Name|Reload|Remove|Repeat|Round|Say|Send|Shorten|Sign|Start|"
    r"Take|Try|Use|Write)\b|use `|Send one|Write|refresh it|sign in again"
)


def assert_helpful(message: str) -> None:
    """A refusal is whole sentences, and one of them says what to do."""
    assert message.endswith((".", '".')), message
    assert message[0].isupper() or message[0] in "'\"`", message
    assert ADVICE.search(message), f"does not say what to do: {message}"


def assert_path(type_: Any, path: tuple[str, ...], arguments: Mapping[str, Any] | None = None) -> None:
    """The path leads to an input field that exists, so that a form can show the refusal beside it."""
    fields: Mapping[str, Any] = arguments or {}
    if arguments is None:
        named = get_named_type(type_)
        assert isinstance(named, GraphQLInputObjectType)
        fields = named.fields
    assert path[0] in fields, f"{path} is nothing that was sent; there is {sorted(fields)}"
    if len(path) > 1:
        # A number is the place in a list, also in one of plain values.
        rest = path[2:] if path[1].isdigit() and is_list(fields[path[0]].type) else path[1:]
        if rest:
            inner = get_named_type(fields[path[0]].type)
            assert is_input_object_type(inner), path
            assert_path(inner, rest)


def root_fields(kind: str) -> dict[str, Any]:
    """The fields of a root type, by name."""
    type_ = CORE.type_map[kind]
    assert isinstance(type_, GraphQLObjectType)
    return dict(type_.fields)


def type_text(type_: Any) -> str:
    """How a type is written in a document."""
    return str(type_)


def is_list(type_: Any) -> bool:
    """Whether it is a list, or one that can't be null."""
    return isinstance(type_.of_type if isinstance(type_, GraphQLNonNull) else type_, GraphQLList)


# --- the store ----------------------------------------------------------------------------------------------

_numbers = count(1)
_moments = count(1)


def fresh(prefix: str = "c") -> str:
    """A name that nothing else has: each test brings its own customers and keys."""
    return f"{prefix}-{next(_numbers):05d}"


MONEY = "{ amount currency }"
WALLET = (
    f"{{ id status sequence currency balance {MONEY} held {MONEY} available {MONEY} withdrawable {MONEY} "
    f"buckets {{ bucket balance {MONEY} held {MONEY} nextExpiryAt }} customer {{ id storeCustomerId name email }} }}"
)
TRANSACTION = (
    f"{{ id reference sequence kind direction amount {MONEY} balanceAfter {MONEY} counterAccount reason note "
    f"actor {{ kind id }} createdAt hash allocations {{ bucket amount {MONEY} expiresAt }} corrects {{ id }} }}"
)
WITHDRAWAL = (
    f"{{ id reference status amount {MONEY} note requestedBy {{ kind id }} requestedAt decidedBy {{ kind id }} "
    f"decidedAt decisionNote payoutReference transaction {{ id kind }} wallet {{ id }} fee {MONEY} feePayer sent {MONEY} "
    "method provider providerReference batchReference problem "
    "steps { number fromStatus toStatus actor { kind id } note providerReference at } "
    f"transactions {{ id kind direction amount {MONEY} }} }}"
)
SETTINGS = (
    f"{{ currency storeName negativeBalanceEnabled negativeBalanceLimit {MONEY} inactiveAfterMonths "
    f"highBalance {MONEY} paymentHoldMinutes captureOn refundDestination refundBucket refundGraceDays renewalPolicy "
    "walletPaymentMethods orderStatuses { storeStatus means } timeZone returnPeriodDays shortfallPolicy giftCardsRedeemable "
    "giftCardPartialRedemption giftCardLifetimeMonths giftCardCheckByAnyone expiryReminderDays topUpsEnabled "
    f"topUpMinimum {MONEY} topUpMaximum {MONEY} topUpDayMaximum {MONEY} walletBalanceMaximum {MONEY} "
    f"topUpSuggested {MONEY} topUpMethods topUpProducts topUpHours emailKinds emailLanguage noticeEmails noticeKinds payoutMethodWaitingHours "
    f"withdrawals {{ enabled minimum {MONEY} maximum {MONEY} maximumPerDay {MONEY} maximumPerWeek {MONEY} "
    f"maximumPerMonth {MONEY} feeFixed {MONEY} feePercent feePayer waitingDays methods autoApproveBelow {MONEY} "
    "payerName payerIban payerBic } version updatedAt updatedBy note }"
)
PAYOUT_METHOD = "{ id kind label masked status usableFrom addedBy { kind id } createdAt }"
ROLE = "{ id name description capabilities mapsFrom protected archivedAt createdAt updatedAt }"
API_KEY = (
    "{ id name prefix status role { id name } capabilities expiresAt revokedAt lastUsedAt createdBy { kind id } "
    "createdAt replaces { id } }"
)
PROMOTION = (
    f"{{ id name description status isRunning amount {MONEY} percent cap {MONEY} minimumSpend {MONEY} "
    "lines { categories products skus exceptCategories exceptProducts exceptSkus } firstTimeOnly startsAt endsAt usesMax "
    f"usesPerCustomer budget {MONEY} grantedForDays grantedToEndOfMonth uses granted {MONEY} createdAt updatedAt }}"
)
REDEMPTION = (
    f"{{ id code status problem message amount {MONEY} takenBack {MONEY} expiresAt createdBy {{ kind id }} createdAt "
    "transaction { id kind } order { id externalId } wallet { id } promotion { id } }"
)
PAYMENT = (
    f"{{ id reference origin captureMethod status authorized {MONEY} captured {MONEY} returned {MONEY} held {MONEY} "
    f"discount {MONEY} tender {MONEY} buckets expiresAt endedBy createdBy {{ kind id }} createdAt updatedAt "
    f"transactions {{ nodes {{ id kind direction amount {MONEY} note actor {{ kind id }} }} }} "
    "order { id externalId } wallet { id } }"
)
REFUND = (
    f"{{ id reference storeRefundId destination bucket amount {MONEY} shipping {MONEY} tax {MONEY} toWallet {MONEY} "
    f"credited {MONEY} toOthers {MONEY} note lines {{ lineId quantity amount {MONEY} tax {MONEY} }} processedAt "
    "createdBy { kind id } createdAt withdrawnAt order { id externalId } wallet { id } }"
)
ORDER = (
    "{ id source externalId number status storeStatus isDeleted customer { id storeCustomerId } guestEmail "
    f"total {MONEY} tax {MONEY} shipping {MONEY} discount {MONEY} paidOtherwise {MONEY} paymentMethod "
    f"lines {{ lineId name sku productId variationId categories quantity subtotal {MONEY} total {MONEY} tax {MONEY} }} "
    f"coupons {{ code discount {MONEY} }} subscription {{ reference isRenewal }} placedAt modifiedAt createdAt updatedAt "
    f"wallet {{ id }} problem shortfall {MONEY} paymentState refundState leftToPay {MONEY} walletAuthorized {MONEY} "
    f"walletPaid {MONEY} walletReturned {MONEY} walletDiscount {MONEY} walletTender {MONEY} walletCredited {MONEY} "
    f"couponRedemptions {REDEMPTION} refunded {MONEY} payments {PAYMENT} "
    f"refunds {REFUND} transactions {{ totalCount nodes {{ id kind direction amount {MONEY} note actor {{ kind id }} }} }} }}"
)
RENEWAL = (
    f"{{ id source subscription description amount {MONEY} dueAt status short {MONEY} createdBy {{ kind id }} "
    "createdAt updatedAt wallet { id } }"
)
CASHBACK_TERMS = (
    "version name description status currency priority sentence startsAt endsAt "
    f"trigger {{ kind milestone n spend {MONEY} event }} "
    f"conditions {{ minimum {MONEY} maximum {MONEY} base {{ tax shipping beforeDiscounts walletPaid }} ofMatchingLines "
    "lines { categoriesIn categoriesOut productsIn productsOut skusIn skusOut saleOut couponedOut } paymentMethodsIn "
    "paymentMethodsOut rolesIn rolesOut segmentsIn segmentsOut weekdays minuteFrom minuteTo daysSinceSignUpMin "
    "daysSinceSignUpMax expression } "
    f"reward {{ kind percent amount {MONEY} per base {{ tax shipping beforeDiscounts walletPaid }} rounding bucket }} "
    f"caps {{ order {MONEY} periods {{ period amount {MONEY} }} customer {MONEY} budget {MONEY} }} "
    "vesting { kind days } expiry { days endOfMonth } stacking { mode group }"
)
CASHBACK_RULE = (
    f"{{ id {CASHBACK_TERMS} createdAt updatedAt "
    f"versions {{ totalCount nodes {{ {CASHBACK_TERMS} actor {{ kind id }} note createdAt }} }} }}"
)
GIFT_CARD = (
    f"{{ id reference lastCharacters status initialAmount {MONEY} balance {MONEY} fundedBy batchId label note expiresAt "
    "createdBy { kind id } createdAt activatedBy { kind id } activatedAt updatedAt "
    f"history {{ totalCount nodes {{ sequence kind amount {MONEY} balanceAfter {MONEY} account actor {{ kind id }} note "
    "createdAt hash transaction { id } } } }"
)
GIFT_CARD_BALANCE = f"{{ reference lastCharacters status initialAmount {MONEY} balance {MONEY} expiresAt }}"
EVENT = "{ id event eventId occurredAt createdBy { kind id } createdAt wallet { id } }"
TOP_UP = (
    f"{{ id reference source externalId paid {MONEY} faceValue {MONEY} credited {MONEY} shortfall {MONEY} paymentMethod "
    f"paidAt createdBy {{ kind id }} createdAt updatedAt transaction {{ id kind counterAccount amount {MONEY} "
    f"correctedBy {{ id kind direction amount {MONEY} note }} }} wallet {{ id }} }}"
)
PREFERENCES = "notificationPreferences { kind enabled canSwitchOff }"
CUSTOMER = f"{{ id storeCustomerId name email birthday roles segments signedUpAt language {PREFERENCES} }}"

ENDPOINT = "{ id url description events status disabledBy capabilities failingSince createdBy { kind id } createdAt updatedAt }"
OUTGOING = (
    f"{{ id webhookId event endpoint {ENDPOINT} status attemptCount attempts {{ number startedAt durationMs statusCode error "
    "answer } nextAttemptAt error statusCode createdAt doneAt payload }"
)
TOP_UP_INTENT = (
    f"{{ id reference amount {MONEY} paymentMethod status expiresAt createdBy {{ kind id }} createdAt updatedAt "
    f"topUp {{ id credited {MONEY} }} wallet {{ id }} }}"
)
AUTO_TOP_UP = (
    f"{{ id kind threshold {MONEY} dayOfMonth amount {MONEY} paymentMethod status declines nextAttemptAt "
    "createdBy { kind id } createdAt updatedAt }"
)
AUTO_TOP_UP_CHARGE = (
    f"{{ id reference amount {MONEY} paymentMethod paymentToken attempt status problem createdAt updatedAt "
    f"topUp {{ id credited {MONEY} }} wallet {{ id }} }}"
)
TOP_UP_OPTIONS = (
    f"{{ isPossible obstacles minimum {MONEY} maximum {MONEY} leftToday {MONEY} room {MONEY} suggested {MONEY} "
    "paymentMethods }"
)
ERRORS = "userErrors { code message field }"

PAYLOADS = {
    "adjustBalance": f"wallet {WALLET} transaction {TRANSACTION} customerNotified replayed {ERRORS}",
    "addPayoutMethod": f"wallet {WALLET} payoutMethod {PAYOUT_METHOD} replayed {ERRORS}",
    "removePayoutMethod": f"payoutMethod {PAYOUT_METHOD} replayed {ERRORS}",
    "revealPayoutMethod": f"payoutMethod {PAYOUT_METHOD} details {{ name value }} replayed {ERRORS}",
    "freezeWallet": f"wallet {WALLET} {ERRORS}",
    "unfreezeWallet": f"wallet {WALLET} {ERRORS}",
    "registerCustomer": f"customer {CUSTOMER} wallet {WALLET} {ERRORS}",
    "updateCustomer": f"customer {CUSTOMER} wallet {WALLET} {ERRORS}",
    "updateNotificationPreferences": f"customer {CUSTOMER} {ERRORS}",
    "recordEvent": f"wallet {WALLET} event {EVENT} replayed {ERRORS}",
    "recordTopUp": f"wallet {WALLET} topUp {TOP_UP} replayed {ERRORS}",
    "startTopUp": f"wallet {WALLET} topUpIntent {TOP_UP_INTENT} replayed {ERRORS}",
    "cancelTopUp": f"wallet {WALLET} topUpIntent {TOP_UP_INTENT} replayed {ERRORS}",
    "setAutoTopUp": f"wallet {WALLET} autoTopUp {AUTO_TOP_UP} replayed {ERRORS}",
    "pauseAutoTopUp": f"wallet {WALLET} autoTopUp {AUTO_TOP_UP} replayed {ERRORS}",
    "cancelAutoTopUp": f"wallet {WALLET} autoTopUp {AUTO_TOP_UP} replayed {ERRORS}",
    "reportAutoTopUpCharge": f"wallet {WALLET} autoTopUpCharge {AUTO_TOP_UP_CHARGE} replayed {ERRORS}",
    "requestWithdrawal": f"wallet {WALLET} withdrawal {WITHDRAWAL} replayed {ERRORS}",
    "cancelWithdrawal": f"wallet {WALLET} withdrawal {WITHDRAWAL} replayed {ERRORS}",
    "rejectWithdrawal": f"wallet {WALLET} withdrawal {WITHDRAWAL} replayed {ERRORS}",
    "markWithdrawalPaid": f"wallet {WALLET} withdrawal {WITHDRAWAL} replayed {ERRORS}",
    **dict.fromkeys(
        (
            "reviewWithdrawal",
            "approveWithdrawal",
            "markWithdrawalProcessing",
            "markWithdrawalFailed",
            "markWithdrawalReturned",
            "resolveWithdrawalProblem",
        ),
        f"wallet {WALLET} withdrawal {WITHDRAWAL} replayed {ERRORS}",
    ),
    "approveWithdrawals": f"results {{ withdrawalId withdrawal {WITHDRAWAL} {ERRORS} }} replayed {ERRORS}",
    "rejectWithdrawals": f"results {{ withdrawalId withdrawal {WITHDRAWAL} {ERRORS} }} replayed {ERRORS}",
    "exportWithdrawals": f"file {{ batchReference name mediaType content count total {MONEY} }} "
    f"results {{ withdrawalId withdrawal {WITHDRAWAL} {ERRORS} }} replayed {ERRORS}",
    "importWithdrawalResults": f"results {{ line reference withdrawal {WITHDRAWAL} {ERRORS} }} replayed {ERRORS}",
    "authorizePayment": f"wallet {WALLET} payment {PAYMENT} replayed {ERRORS}",
    "payOrder": f"wallet {WALLET} payment {PAYMENT} replayed {ERRORS}",
    "capturePayment": f"wallet {WALLET} payment {PAYMENT} replayed {ERRORS}",
    "voidPayment": f"wallet {WALLET} payment {PAYMENT} replayed {ERRORS}",
    "recordOrder": f"order {ORDER} replayed {ERRORS}",
    "claimOrder": f"order {ORDER} replayed {ERRORS}",
    "refundOrder": f"wallet {WALLET} refund {REFUND} replayed {ERRORS}",
    "chargeRenewal": f"wallet {WALLET} order {ORDER} taken {MONEY} shortfall {MONEY} replayed {ERRORS}",
    "announceRenewal": f"renewal {RENEWAL} replayed {ERRORS}",
    "cancelRenewal": f"renewal {RENEWAL} replayed {ERRORS}",
    "issueGiftCards": f"giftCards {GIFT_CARD} codes replayed {ERRORS}",
    "activateGiftCard": f"giftCard {GIFT_CARD} replayed {ERRORS}",
    "disableGiftCard": f"giftCard {GIFT_CARD} replayed {ERRORS}",
    "enableGiftCard": f"giftCard {GIFT_CARD} replayed {ERRORS}",
    "redeemGiftCard": f"wallet {WALLET} giftCard {GIFT_CARD_BALANCE} transaction {TRANSACTION} replayed {ERRORS}",
    "createPromotion": f"promotion {PROMOTION} replayed {ERRORS}",
    "updatePromotion": f"promotion {PROMOTION} replayed {ERRORS}",
    "createCouponCodes": f"promotion {PROMOTION} codes csv replayed {ERRORS}",
    "redeemCoupon": f"wallet {WALLET} redemption {REDEMPTION} replayed {ERRORS}",
    "updateSettings": f"settings {SETTINGS} {ERRORS}",
    "createRole": f"role {ROLE} replayed {ERRORS}",
    **{
        f"{verb}CashbackRule": f"cashbackRule {CASHBACK_RULE} replayed {ERRORS}"
        for verb in ("create", "update", "activate", "pause", "archive")
    },
    "updateRole": f"role {ROLE} replayed {ERRORS}",
    "createApiKey": f"apiKey {API_KEY} secret replayed {ERRORS}",
    "rotateApiKey": f"apiKey {API_KEY} secret replayed {ERRORS}",
    "replayWebhookDeliveries": f"deliveries {{ id door topic status attempts error }} replayed {ERRORS}",
    "revokeApiKey": f"apiKey {API_KEY} replayed {ERRORS}",
    "createWebhookEndpoint": f"webhookEndpoint {ENDPOINT} secret replayed {ERRORS}",
    "updateWebhookEndpoint": f"webhookEndpoint {ENDPOINT} replayed {ERRORS}",
    "rotateWebhookSecret": f"webhookEndpoint {ENDPOINT} secret replayed {ERRORS}",
    "enableWebhookEndpoint": f"webhookEndpoint {ENDPOINT} replayed {ERRORS}",
    "disableWebhookEndpoint": f"webhookEndpoint {ENDPOINT} replayed {ERRORS}",
    "sendTestWebhook": f"outgoingWebhook {OUTGOING} replayed {ERRORS}",
    "replayOutgoingWebhooks": f"outgoingWebhooks {OUTGOING} replayed {ERRORS}",
}


def named(told: Mapping[str, Any]) -> JsonObject:
    """What the store calls an order of which it told."""
    return {"source": told["source"], "externalId": told["externalId"]}


def later() -> str:
    """A time that is later than all that were asked for before."""
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(_moments))).isoformat()


def document(mutation: str) -> str:
    """The document of a mutation, asking for all that it answers."""
    input_type = root_fields("Mutation")[mutation].args["input"].type
    return f"mutation ($input: {input_type}) {{ {mutation}(input: $input) {{ {PAYLOADS[mutation]} }} }}"


@dataclass
class Store:
    """The application, open on a database."""

    client: httpx.AsyncClient
    app: Any
    dialect: str
    file: sqlite3.Connection | None
    currency: str = "USD"
    requests: int = field(default=0)
    _seen: tuple[int, str] = (-1, "")
    _endpoint: str = ""

    async def execute(
        self, query: str, variables: Mapping[str, Any] | None = None, caller: Caller = ADMINISTRATOR
    ) -> Answer:
        """Send an operation. Whatever comes back, it is never a defect."""
        response = await self.client.post(
            "/graphql", json={"query": query, "variables": variables}, headers=caller.headers
        )
        return self.checked(response)

    def checked(self, response: httpx.Response) -> Answer:
        """The answer in a response, which is JSON and tells of no defect."""
        self.requests += 1
        assert response.status_code < 500, response.text
        answer = Answer(response.status_code, response.json())
        assert "INTERNAL_SERVER_ERROR" not in answer.codes, (answer.body, response.request.content[-400:])
        return answer

    async def mutate(
        self, mutation: str, input_: Mapping[str, Any], caller: Caller = ADMINISTRATOR
    ) -> JsonObject:
        """Send a mutation that reaches its resolver; the answer is its payload."""
        answer = await self.execute(document(mutation), {"input": input_}, caller)
        payload: JsonObject = answer.data[mutation]
        for error in payload["userErrors"]:
            assert_helpful(error["message"])
            if error["field"] is not None:
                assert_path(root_fields("Mutation")[mutation].args["input"].type, tuple(error["field"]))
        return payload

    async def done(
        self, mutation: str, input_: Mapping[str, Any], caller: Caller = ADMINISTRATOR
    ) -> JsonObject:
        """Send a mutation that must not be refused."""
        payload = await self.mutate(mutation, input_, caller)
        assert payload["userErrors"] == []
        return payload

    async def digest(self) -> str:
        """What all tables hold, as one text: equal before and after means that nothing moved."""
        if self.dialect == "postgres":
            connection = get_connection("default")
            # Added up by the server in one statement: the rows of a whole module would take their time to fetch.
            sums = (
                f"SELECT '{table}' AS name, count(*) AS rows, sum(hashtextextended(t::text, 0)) AS content FROM {table} t"
                for table in TABLES
            )
            return repr(await connection.execute_query_dict(" UNION ALL ".join(sums)))
        # Read beside the application, since each of its statements would go to another thread and back; all pages
        # as they are, and only if somebody has committed since: the rows of a whole module take their time.
        assert self.file is not None
        (version,) = self.file.execute("PRAGMA data_version").fetchone()
        if version != self._seen[0]:
            self._seen = (version, hashlib.sha256(self.file.serialize()).hexdigest())
        return self._seen[1]

    def money(self, amount: str) -> JsonObject:
        """An amount in the store's currency."""
        return {"amount": amount, "currency": self.currency}

    # --- things to begin with ---

    async def customer(self, **known: str) -> JsonObject:
        """A new customer with their wallet at zero."""
        payload = await self.done("registerCustomer", {"storeCustomerId": fresh(), **known})
        return {**payload["customer"], "wallet": payload["wallet"]}

    async def adjust(self, customer: JsonObject | str, amount: str, **more: Any) -> JsonObject:
        """Credit (or with a minus, debit) a customer's wallet."""
        name = customer if isinstance(customer, str) else customer["storeCustomerId"]
        input_ = {
            "wallet": {"storeCustomerId": name},
            "direction": "DEBIT" if amount.startswith("-") else "CREDIT",
            "amount": self.money(amount.removeprefix("-")),
            "reason": "GOODWILL",
            "note": NOTE,
            "idempotencyKey": fresh("key"),
        }
        caller = more.pop("caller", ADMINISTRATOR)
        return await self.done("adjustBalance", {**input_, **more}, caller)

    async def funded(self, amount: str = "100.00", **known: str) -> JsonObject:
        """A new customer with money in their wallet."""
        customer = await self.customer(**known)
        payload = await self.adjust(customer, amount)
        return {**customer, "wallet": payload["wallet"], "transaction": payload["transaction"]}

    async def payout_method(self, customer: JsonObject, **more: Any) -> JsonObject:
        """A payout method of the customer's, added by staff."""
        details = {"holder": "Ada King", "iban": "DE89370400440532013000"}
        input_ = {
            "wallet": {"storeCustomerId": customer["storeCustomerId"]},
            "kind": "BANK_IBAN",
            "details": details,
            "idempotencyKey": fresh("key"),
        }
        payload = await self.done("addPayoutMethod", {**input_, **more})
        method: JsonObject = payload["payoutMethod"]
        return method

    async def pay_out(self) -> None:
        """Have the store switch withdrawals on, as far as it has not yet."""
        input_ = {"withdrawals": {"enabled": True}, "note": WHY, "idempotencyKey": "switched-on-by-the-tests"}
        await self.done("updateSettings", input_)

    async def withdrawal(self, customer: JsonObject, amount: str = "10.00") -> JsonObject:
        """A request of the customer's to be paid out."""
        input_ = {"amount": self.money(amount), "idempotencyKey": fresh("key")}
        payload = await self.done("requestWithdrawal", input_, Caller(customer["storeCustomerId"]))
        withdrawal: JsonObject = payload["withdrawal"]
        return withdrawal

    async def steps_on(self, withdrawal_id: str, mutation: str, **more: Any) -> JsonObject:
        """Have staff take a step of a withdrawal; its payload."""
        input_ = {"withdrawalId": withdrawal_id, "idempotencyKey": fresh("key"), **more}
        return await self.done(mutation, input_)

    async def freeze(self, customer: JsonObject) -> None:
        """Have staff stop the customer's wallet."""
        input_ = {"wallet": {"id": customer["wallet"]["id"]}, "note": "Odd sign-ins from abroad today"}
        await self.done("freezeWallet", input_)

    async def wallet(self, customer: JsonObject | str) -> JsonObject:
        """The customer's wallet as it is now."""
        name = customer if isinstance(customer, str) else customer["storeCustomerId"]
        answer = await self.execute(
            f"query ($name: String!) {{ wallet(by: {{storeCustomerId: $name}}) {WALLET} }}", {"name": name}
        )
        wallet: JsonObject = answer.data["wallet"]
        return wallet

    async def role(self, *capabilities: str, **more: Any) -> JsonObject:
        """A new role."""
        input_ = {"name": fresh("role").replace("-", "_"), "capabilities": capabilities, "note": WHY}
        role: JsonObject = (await self.done("createRole", {**input_, **more}))["role"]
        return role

    async def cashback_rule(self, *, active: bool = True, **more: Any) -> JsonObject:
        """A new cashback rule: five percent of completed orders, unless told otherwise."""
        wanted = {
            "name": fresh("Five percent"),
            "trigger": {"kind": "ORDER_COMPLETED"},
            "reward": {"kind": "PERCENT", "percent": "5"},
            "currency": self.currency,
        }
        input_ = {"rule": {**wanted, **more}, "note": WHY, "idempotencyKey": fresh("key")}
        rule: JsonObject = (await self.done("createCashbackRule", input_))["cashbackRule"]
        if active:
            started = await self.done("activateCashbackRule", {"ruleId": rule["id"], "note": WHY})
            rule = started["cashbackRule"]
        return rule

    async def api_key(self, *capabilities: str, **more: Any) -> JsonObject:
        """A new API key, with its secret."""
        input_: JsonObject = {"name": fresh("service"), "note": WHY}
        if capabilities:
            input_["capabilities"] = capabilities
        payload = await self.done("createApiKey", {**input_, **more})
        return {**payload["apiKey"], "secret": payload["secret"]}

    async def promotion(self, **terms: Any) -> JsonObject:
        """A promotion that is running: 5.00 for everybody, once each, unless its terms are others."""
        input_ = {"name": fresh("promo"), "status": "ACTIVE", "amount": self.money("5.00"), "note": WHY}
        promotion: JsonObject = (await self.done("createPromotion", {**input_, **terms}))["promotion"]
        return promotion

    async def change_promotion(self, promotion: JsonObject, **changes: Any) -> JsonObject:
        """Change a promotion."""
        input_ = {"promotionId": promotion["id"], **changes, "note": WHY}
        changed: JsonObject = (await self.done("updatePromotion", input_))["promotion"]
        return changed

    async def coupon(self, promotion: JsonObject, **more: Any) -> str:
        """A new code of a promotion."""
        input_ = {"promotionId": promotion["id"], "code": fresh("code"), "idempotencyKey": fresh("key")}
        code: str = (await self.done("createCouponCodes", {**input_, **more}))["codes"][0]
        return code

    async def redeem_coupon(self, customer: JsonObject, code: str, **more: Any) -> JsonObject:
        """Redeem a code as its customer; the payload."""
        caller = more.pop("caller", Caller(customer["storeCustomerId"]))
        return await self.mutate(
            "redeemCoupon", {"code": code, "idempotencyKey": fresh("key"), **more}, caller
        )

    async def webhook_endpoint(self, *, enabled: bool = True, **more: Any) -> JsonObject:
        """A new endpoint with its secret; the one before it is switched off, since there may be so many at a time."""
        why = {"note": WHY, "idempotencyKey": fresh("key")}
        if self._endpoint:
            await self.done("disableWebhookEndpoint", {"webhookEndpointId": self._endpoint, **why})
        input_ = {"url": f"https://shop.example/{fresh('hook')}", "events": ["*"], **why, **more}
        payload = await self.done("createWebhookEndpoint", {**input_, "idempotencyKey": fresh("key")})
        endpoint: JsonObject = {**payload["webhookEndpoint"], "secret": payload["secret"]}
        self._endpoint = endpoint["id"]
        if not enabled:
            self._endpoint = ""
            off = {"webhookEndpointId": endpoint["id"], "note": WHY, "idempotencyKey": fresh("key")}
            await self.done("disableWebhookEndpoint", off)
        return endpoint

    async def outgoing_webhook(self) -> JsonObject:
        """A message to a new endpoint, still to be sent."""
        endpoint = await self.webhook_endpoint()
        input_ = {"webhookEndpointId": endpoint["id"], "idempotencyKey": fresh("key")}
        sent: JsonObject = (await self.done("sendTestWebhook", input_))["outgoingWebhook"]
        return sent

    async def delivery(
        self,
        body: bytes | None = None,
        *,
        topic: str = "order.updated",
        error: str | None = "It was refused.",
    ) -> str:
        """The id of a message of the store, given up with this error or, without one, just received."""
        writer, now = self.app.state.runtime.writer, datetime.now(UTC)
        content = fresh("message").encode() if body is None else body
        kept = await keep(writer, Door.WOOCOMMERCE, topic, content, external_id="b7c1", now=now)
        if error is not None:
            taken = await take(writer, BY_TEST, kept.delivery.id, timedelta(seconds=60))
            assert taken is not None
            await settle(writer, BY_TEST, taken, lambda found, now: found.dead(error, now))
        return encode_id("WebhookDelivery", kept.delivery.id)

    # --- gift cards ---

    async def gift_card(self, amount: str = "25.00", **more: Any) -> JsonObject:
        """A new gift card, with its code."""
        worth = {"amount": amount, "currency": more.pop("currency", self.currency)}
        input_ = {"amount": worth, "note": WHY, "idempotencyKey": fresh("key")}
        caller = more.pop("caller", ADMINISTRATOR)
        payload = await self.done("issueGiftCards", {**input_, **more}, caller)
        return {**payload["giftCards"][0], "code": payload["codes"][0]}

    async def redeem(self, customer: JsonObject, card: JsonObject, **more: Any) -> JsonObject:
        """Redeem a card into the customer's wallet, asked by the customer unless there is another `caller`."""
        caller = more.pop("caller", None) or Caller(customer["storeCustomerId"])
        input_ = {
            "wallet": {"storeCustomerId": customer["storeCustomerId"]},
            "code": card["code"],
            "idempotencyKey": fresh("key"),
        }
        return await self.done("redeemGiftCard", {**input_, **more}, caller)

    async def found_card(self, card: JsonObject, caller: Caller = ADMINISTRATOR) -> JsonObject:
        """A card as it is now."""
        query = f"query ($id: ID!) {{ giftCard(by: {{id: $id}}) {GIFT_CARD} }}"
        found: JsonObject = (await self.execute(query, {"id": card["id"]}, caller)).data["giftCard"]
        return found

    # --- orders ---

    def order(self, customer: JsonObject | None = None, total: str = "100.00", **more: Any) -> JsonObject:
        """What the store tells of a new order: of a customer, or of a guest."""
        told: JsonObject = {
            "source": "shop",
            "externalId": fresh("order"),
            "modifiedAt": later(),
            "status": "PENDING",
            "currency": self.currency,
            "total": total,
        }
        if customer is not None:
            told["customer"] = {"storeCustomerId": customer["storeCustomerId"]}
        return {**told, **more}

    async def record(self, told: Mapping[str, Any], **more: Any) -> JsonObject:
        """Tell of an order, as of a moment after all that was told before; what came of it."""
        order: JsonObject = (await self.done("recordOrder", {**told, "modifiedAt": later(), **more}))["order"]
        return order

    async def authorize(
        self, customer: JsonObject, told: JsonObject, amount: str | None = None, **more: Any
    ) -> JsonObject:
        """Hold value of the customer's for an order, asked by the customer unless there is another `caller`."""
        return await self._pays("authorizePayment", customer, told, amount, **more)

    async def pay(
        self, customer: JsonObject, told: JsonObject, amount: str | None = None, **more: Any
    ) -> JsonObject:
        """Pay an order at once, asked by the store's back end: a customer pays what the store has told of."""
        more.setdefault("caller", ADMINISTRATOR)
        return await self._pays("payOrder", customer, told, amount, **more)

    async def _pays(
        self, mutation: str, customer: JsonObject, told: JsonObject, amount: str | None, **more: Any
    ) -> JsonObject:
        caller = more.pop("caller", None) or Caller(customer["storeCustomerId"])
        input_: JsonObject = {
            "wallet": {"storeCustomerId": customer["storeCustomerId"]},
            "order": named(told) | {"total": self.money(told["total"])},
            "amount": None if amount is None else self.money(amount),
            "idempotencyKey": fresh("key"),
        }
        payment: JsonObject = (await self.done(mutation, {**input_, **more}, caller))["payment"]
        return payment

    async def capture(self, payment: JsonObject, amount: str | None = None, **more: Any) -> JsonObject:
        """Capture a payment, all of it or a part."""
        input_ = {
            "paymentId": payment["id"],
            "amount": None if amount is None else self.money(amount),
            "idempotencyKey": fresh("key"),
        }
        captured: JsonObject = (await self.done("capturePayment", {**input_, **more}))["payment"]
        return captured

    async def void(self, payment: JsonObject, caller: Caller = ADMINISTRATOR) -> JsonObject:
        """Give back what a payment holds."""
        input_ = {"paymentId": payment["id"], "idempotencyKey": fresh("key")}
        voided: JsonObject = (await self.done("voidPayment", input_, caller))["payment"]
        return voided

    async def refund(self, told: JsonObject, amount: str | None = None, **more: Any) -> JsonObject:
        """Refund an order, all that is left of it or an amount."""
        input_ = {
            "order": {"storeOrder": named(told)},
            "amount": None if amount is None else self.money(amount),
            "note": NOTE,
            "idempotencyKey": fresh("key"),
        }
        caller = more.pop("caller", ADMINISTRATOR)
        refund: JsonObject = (await self.done("refundOrder", {**input_, **more}, caller))["refund"]
        return refund

    async def found(self, told: JsonObject, caller: Caller = ADMINISTRATOR) -> JsonObject:
        """An order as it is now."""
        query = f"query ($order: StoreOrderInput!) {{ order(by: {{storeOrder: $order}}) {ORDER} }}"
        order: JsonObject = (await self.execute(query, {"order": named(told)}, caller)).data["order"]
        return order

    @contextmanager
    def moved(self, **time: float) -> Iterator[Runtime]:
        """Let this time pass for whatever is decided while the block runs; wallets that it touches stay in that future."""
        runtime: Runtime = self.app.state.runtime
        clock = runtime.clock

        def then() -> datetime:
            return clock() + timedelta(**time)

        runtime.writer._clock = then
        try:
            yield replace(runtime, clock=then)
        finally:
            runtime.writer._clock = clock

    async def set_settings(self, **changes: Any) -> None:
        """Change the store's settings."""
        await self.done("updateSettings", {**changes, "note": "Agreed with finance in May"})


@asynccontextmanager
async def opened(database_url: str, dialect: str, **overrides: Any) -> AsyncIterator[Store]:
    """Serve a store on this database while the block runs."""
    # The crawls ask for everything at once; what that costs is limited, and the limits are tested, elsewhere. So is the
    # wait for a connection, which grows with what else the machine does.
    unlimited = {
        "database_acquire_timeout_s": 30,
        "query_cost_max": 1_000_000,
        "query_tokens_max": 20_000,
        "cost_restored_per_s": 0,
        "balance_reads_per_minute_max": 1_000_000,
        "gift_card_guesses_per_hour_max": 1_000_000,
        # What is replayed stays as it is, so that it can be compared.
        "deliveries_at_once": 0,
        # Tests have the clock's work done when they want it.
        "clock_jobs": False,
        "outbox_at_once": 0,
    }
    settings: Settings = settings_for(database_url, jwt_secret=SECRET, **{**unlimited, **overrides})
    app = create_app(settings)
    ready, over = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        # A task of its own, as a server has it: what the lifespan keeps in context variables ends where it began.
        async with app.router.lifespan_context(app):
            ready.set()
            await over.wait()

    life = asyncio.create_task(live())
    began = asyncio.create_task(ready.wait())
    await asyncio.wait({life, began}, return_when=asyncio.FIRST_COMPLETED)
    if life.done():
        began.cancel()
        await life
    transport = EntranceTransport(app, app.entrances)
    async with httpx.AsyncClient(transport=transport, base_url="http://store", timeout=30) as client:
        with ExitStack() as files:
            file = None
            if dialect == "sqlite":
                path = database_url.removeprefix("sqlite:///")
                file = files.enter_context(closing(sqlite3.connect(path)))
            store = Store(client, app, dialect, file, currency=settings.currency)
            await store.pay_out()
            yield store
    over.set()
    await life
