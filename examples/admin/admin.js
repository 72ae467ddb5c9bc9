// Staff's view: find a wallet, see what is in it, adjust it with a note, refund its orders, and read why something is
// refused. What the store told and Coffer could not follow is listed, and can be worked on again.
import { connect, day, eachClick, element, isZero, money, signed } from "../coffer.js";
import { signIn } from "../sign-in.js";

const SEARCH_PAUSE_MS = 200;
const FIELDS_SHOWN = ["amount", "note"];

const WALLETS = `
  query ($search: String, $after: String) {
    wallets(first: 20, after: $after, search: $search, sort: { field: LAST_ACTIVITY_AT, direction: DESC }) {
      totalCount totalCountIsExact
      nodes { id status balance { amount currency } customer { name email storeCustomerId } }
      pageInfo { hasNextPage endCursor }
    }
  }`;

const DETAILS = `
  query ($id: ID!, $after: String) {
    wallet(by: { id: $id }) {
      id
      createdAt
      customer { name email storeCustomerId }
      transactions(first: 15, after: $after) {
        nodes {
          id sequence reference createdAt kind direction reason note
          amount { amount currency } balanceAfter { amount currency }
          actor { kind id } corrects { reference }
        }
        pageInfo { hasNextPage endCursor }
      }
    }
  }`;

const ADJUST = `
  mutation ($input: AdjustBalanceInput!) {
    adjustBalance(input: $input) {
      transaction { reference direction amount { amount currency } }
      userErrors { code message field }
    }
  }`;

const ORDERS = `
  query ($id: ID!) {
    wallet(by: { id: $id }) {
      orders(first: 10) {
        nodes {
          id number paymentState refundState total { amount currency } shortfall { amount currency } placedAt createdAt
          payments { reference status held { amount currency } captured { amount currency } returned { amount currency } }
          refunds {
            reference note withdrawnAt amount { amount currency }
            toWallet { amount currency } credited { amount currency } toOthers { amount currency }
          }
        }
      }
    }
  }`;

const REFUND = `
  mutation ($input: RefundOrderInput!) {
    refundOrder(input: $input) {
      refund { reference amount { amount currency } toOthers { amount currency } }
      userErrors { message field }
    }
  }`;

const FAILURES = `
  query {
    webhookDeliveries(first: 50, filter: { statuses: [FAILED, DEAD] }) {
      totalCount
      nodes { id door topic status attempts error receivedAt }
    }
  }`;

const REPLAY = `
  mutation ($input: ReplayWebhookDeliveriesInput!) {
    replayWebhookDeliveries(input: $input) { deliveries { id } userErrors { message } }
  }`;

const get = (id) => document.getElementById(id);
const coffer = connect(await signIn("staff member"));
const form = get("adjust");

let open = null; // the wallet on the right: { id, currency, newest, stop, endCursor }
let listCursor = null;
let searches = 0;
let corrects = null;
let idempotencyKey = crypto.randomUUID(); // one for each intention, kept until it was done

// --- the list -----------------------------------------------------------------------------------------------------

// What an index finds: a word of three letters, or two of Chinese, Japanese or Korean writing. Until then the list stays.
const canBeFound = (text) => /\S{3}|[\u2e80-\u{10ffff}]{2}/u.test(text);

async function find({ more = false } = {}) {
  const search = get("search").value.trim() || null;
  if (search && !canBeFound(search)) return;
  const turn = ++searches;
  const { wallets } = await coffer.ask(WALLETS, { search, after: more ? listCursor : null });
  if (turn !== searches) return; // somebody typed on; a newer answer is on its way
  listCursor = wallets.pageInfo.endCursor;
  const items = wallets.nodes.map(itemOf);
  if (more) get("wallets").append(...items);
  else get("wallets").replaceChildren(...items);
  const counted = wallets.totalCountIsExact ? wallets.totalCount : `more than ${wallets.totalCount}`;
  get("count").textContent = `${counted} ${counted === 1 ? "wallet" : "wallets"}`;
  get("more").hidden = !wallets.pageInfo.hasNextPage;
}

function itemOf({ id, status, balance, customer }) {
  const item = element(
    "button",
    { type: "button", onclick: () => show(id), "aria-current": String(open?.id === id) },
    element("strong", {}, customer.name || customer.storeCustomerId),
    element("span", { class: "amount" }, money(balance)),
    element("span", { class: "small muted" }, customer.email),
    status === "FROZEN" ? element("span", { class: "chip frozen" }, "Frozen") : null,
  );
  item.dataset.wallet = id;
  return element("li", {}, item);
}

let pause;
get("search").addEventListener("input", () => {
  clearTimeout(pause);
  pause = setTimeout(find, SEARCH_PAUSE_MS);
});
eachClick(get("more"), () => find({ more: true }));

// --- one wallet ---------------------------------------------------------------------------------------------------

async function show(id) {
  open?.stop();
  const opening = (open = { id, newest: 0, endCursor: null, stop: () => {} });
  const wallet = await loadHistory();
  if (open !== opening) return;
  get("customer").textContent = wallet.customer.name || wallet.customer.storeCustomerId;
  get("contact").textContent = [wallet.customer.email, `customer ${wallet.customer.storeCustomerId}`, `since ${day(wallet.createdAt)}`]
    .filter(Boolean)
    .join(" · ");
  clearForm();
  get("done").textContent = "";
  get("refunded").textContent = "";
  await loadOrders();
  if (open !== opening) return;
  get("details").hidden = false;
  get("empty").hidden = true;
  get("customer").focus();
  for (const item of document.querySelectorAll("[data-wallet]")) item.setAttribute("aria-current", String(item.dataset.wallet === id));
  opening.stop = coffer.watchWallet({ id }, { afterSequence: opening.newest, next: onUpdate, status: onStatus });
}

async function loadHistory() {
  const { id, endCursor } = open;
  const { wallet } = await coffer.ask(DETAILS, { id, after: endCursor });
  if (open.id !== id) return wallet;
  const rows = wallet.transactions.nodes.map((transaction) => rowOf(transaction));
  if (endCursor === null) {
    open.newest = wallet.transactions.nodes[0]?.sequence ?? 0;
    get("history").replaceChildren(...rows);
  } else {
    get("history").append(...rows);
  }
  open.endCursor = wallet.transactions.pageInfo.endCursor;
  get("history-more").hidden = !wallet.transactions.pageInfo.hasNextPage;
  return wallet;
}

function onUpdate({ kind, wallet, transaction }) {
  if (wallet.id !== open.id) return;
  open.currency = wallet.balance.currency;
  get("tiles").replaceChildren(
    tileOf("Balance", wallet.balance),
    tileOf("Held", wallet.held),
    tileOf("Available", wallet.available),
    tileOf("Withdrawable", wallet.withdrawable),
  );
  get("buckets").replaceChildren(...wallet.buckets.map(chipOf));
  get("frozen").hidden = wallet.status !== "FROZEN";
  const balance = document.querySelector(`[data-wallet="${CSS.escape(wallet.id)}"] .amount`);
  if (balance) balance.textContent = money(wallet.balance);
  if (kind === "TRANSACTION" && transaction.sequence > open.newest) {
    open.newest = transaction.sequence;
    get("history").prepend(rowOf(transaction, { class: "arrived" }));
  }
  if (kind !== "SNAPSHOT") loadOrders();
}

function tileOf(name, value) {
  const shade = isZero(value) ? "amount muted" : "amount";
  return element("div", { class: "card" }, element("dt", {}, name), element("dd", { class: shade }, money(value)));
}

const BUCKETS = { CASH: "cash", PROMO: "bonus", GIFT_CARD: "gift cards" };

function chipOf({ bucket, balance, nextExpiryAt }) {
  const expiry = nextExpiryAt ? `, the first of it until ${day(nextExpiryAt)}` : "";
  return element("li", { class: `chip ${bucket.toLowerCase()}` }, `${money(balance)} ${BUCKETS[bucket]}${expiry}`);
}

function rowOf(transaction, attributes = {}) {
  const { id, reference, createdAt, kind, direction, note, balanceAfter, actor } = transaction;
  const time = day(createdAt, { dateStyle: "medium", timeStyle: "short" });
  const correct = () => beginCorrection(id, reference, direction);
  return element(
    "li",
    attributes,
    element("span", {}, note),
    element("span", { class: `amount ${direction.toLowerCase()}` }, signed(transaction)),
    element(
      "span",
      { class: "small muted meta" },
      element("time", { datetime: createdAt }, time),
      element("span", {}, `${kind.toLowerCase().replaceAll("_", " ")} by ${actor.id ?? actor.kind.toLowerCase()}`),
      element("code", {}, reference),
      transaction.corrects ? element("span", {}, "puts right ", element("code", {}, transaction.corrects.reference)) : null,
    ),
    element(
      "span",
      { class: "small muted amount" },
      element("button", { class: "plain small", type: "button", onclick: correct, "aria-label": `Correct ${reference}` }, "Correct"),
      money(balanceAfter),
    ),
  );
}

function onStatus(status) {
  get("status").dataset.status = status;
  get("status").textContent = { live: "Live", connecting: "Connecting", offline: "Reconnecting" }[status];
}

eachClick(get("history-more"), loadHistory);

// --- the adjustment -----------------------------------------------------------------------------------------------

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { direction, amount, reason, note } = Object.fromEntries(new FormData(form));
  get("submit").disabled = true;
  get("done").textContent = "";
  try {
    const { adjustBalance } = await coffer.ask(ADJUST, {
      input: {
        wallet: { id: open.id },
        direction,
        amount: { amount: amount.trim() || "0", currency: open.currency },
        reason,
        note,
        corrects,
        idempotencyKey,
      },
    });
    if (adjustBalance.userErrors.length) return refuse(adjustBalance.userErrors);
    const { transaction } = adjustBalance;
    clearForm();
    get("done").textContent = `Done: ${signed(transaction)}, reference ${transaction.reference}`;
  } catch (error) {
    // The same key goes along with the next attempt: whatever became of this one, it counts once.
    refuse([{ message: error.code ? error.message : "The server could not be reached. Try again." }]);
  } finally {
    get("submit").disabled = false;
  }
});

function refuse(errors) {
  clearRefusals();
  for (const { message, field } of errors) {
    const name = FIELDS_SHOWN.find((shown) => field?.includes(shown));
    get(`${name ?? "form"}-refusal`).textContent = message;
    if (name) form.elements[name].setAttribute("aria-invalid", "true");
  }
  form.querySelector("[aria-invalid=true]")?.focus();
}

function clearRefusals() {
  for (const line of form.querySelectorAll(".refusal")) line.textContent = "";
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
}

function clearForm() {
  form.reset();
  clearRefusals();
  endCorrection();
  idempotencyKey = crypto.randomUUID();
}

function beginCorrection(id, reference, direction) {
  corrects = id;
  get("corrects").textContent = reference;
  get("corrects-line").hidden = false;
  form.elements.direction.value = direction === "CREDIT" ? "DEBIT" : "CREDIT";
  form.elements.reason.value = "CORRECTION";
  form.elements.amount.focus();
}

function endCorrection() {
  corrects = null;
  get("corrects-line").hidden = true;
}

get("corrects-clear").addEventListener("click", endCorrection);

// --- orders -------------------------------------------------------------------------------------------------------

const STATES = {
  UNPAID: "Not paid",
  AUTHORIZED: "Held",
  PARTIALLY_PAID: "Partly paid",
  PAID: "Paid",
  RETURNED: "Paid back",
  PARTIALLY_REFUNDED: "Partly refunded",
  REFUNDED: "Refunded",
};

async function loadOrders() {
  const { id } = open;
  const { wallet } = await coffer.ask(ORDERS, { id });
  if (open.id !== id) return;
  const orders = wallet.orders?.nodes ?? []; // null for those who may not see orders
  get("orders").replaceChildren(...orders.map(orderOf));
  get("orders-section").hidden = orders.length === 0;
}

function orderOf(order) {
  const { number, paymentState, refundState, total, shortfall, placedAt, createdAt, payments, refunds } = order;
  const isRefundable = ["PAID", "PARTIALLY_PAID"].includes(paymentState) && refundState !== "REFUNDED" && total;
  const state = refundState === "NONE" ? paymentState : refundState;
  return element(
    "li",
    { class: "order" },
    element("strong", {}, `Order ${number}`),
    element("span", { class: "amount" }, total ? money(total) : ""),
    element(
      "span",
      { class: "small muted meta" },
      element("span", { class: state === "PAID" ? "chip" : "chip promo" }, STATES[state]),
      isZero(shortfall) ? null : element("span", { class: "chip alarm" }, `${money(shortfall)} short`),
      element("time", { datetime: placedAt ?? createdAt }, day(placedAt ?? createdAt)),
      isRefundable
        ? element("button", { class: "plain small", type: "button", onclick: () => beginRefund(order), "aria-label": `Refund order ${number}` }, "Refund")
        : null,
    ),
    element("ul", { class: "parts small muted" }, ...payments.map(paymentOf), ...refunds.map(refundOf)),
  );
}

function part(words, reference, amount) {
  return element("li", {}, element("span", {}, words, " ", element("code", {}, reference)), element("span", { class: "amount" }, amount));
}

function paymentOf({ reference, status, held, captured, returned }) {
  const words = `Payment ${status.toLowerCase().replaceAll("_", " ")}${isZero(returned) ? "" : `, ${money(returned)} given back`}`;
  return part(words, reference, money(isZero(captured) ? held : captured));
}

function refundOf({ reference, note, withdrawnAt, amount, toWallet, credited, toOthers }) {
  const shares = [
    [toWallet, "to the wallet"],
    [credited, "as new credit"],
    [toOthers, "to other methods"],
  ].filter(([share]) => !isZero(share));
  const where = shares.map(([share, name]) => `${money(share)} ${name}`).join(", ");
  return part(`${withdrawnAt ? "Refund taken back" : "Refund"}: ${note || where}${note && where ? ` (${where})` : ""}`, reference, money(amount));
}

const refundDialog = get("refund");
const refundForm = refundDialog.querySelector("form");
let refunding = null; // which order, and the key of this one refund

function beginRefund({ id, number, total }) {
  refunding = { id, currency: total.currency, idempotencyKey: crypto.randomUUID() };
  get("refund-title").textContent = `Refund order ${number}`;
  get("refund-help").textContent = `It cost ${money(total)}. Where the money goes follows from the store’s settings.`;
  refundForm.reset();
  refuseRefund([]);
  refundDialog.showModal();
}

function refuseRefund(errors) {
  for (const name of ["amount", "note"]) {
    const found = errors.find(({ field }) => (field?.includes("note") ? "note" : "amount") === name);
    get(`refund-${name}-refusal`).textContent = found?.message ?? "";
    refundForm.elements[name].setAttribute("aria-invalid", String(Boolean(found)));
  }
}

refundForm.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { id, currency, idempotencyKey } = refunding;
  const { amount, note } = Object.fromEntries(new FormData(refundForm));
  get("refund-submit").disabled = true;
  try {
    const input = { order: { id }, amount: { amount: amount.trim() || "0", currency }, note, idempotencyKey };
    const { refund, userErrors } = (await coffer.ask(REFUND, { input })).refundOrder;
    if (userErrors.length) return refuseRefund(userErrors);
    refundDialog.close();
    const rest = isZero(refund.toOthers) ? "" : ` Send ${money(refund.toOthers)} of it to the other payment method.`;
    get("refunded").textContent = `Refunded ${money(refund.amount)}, reference ${refund.reference}.${rest}`;
    await loadOrders();
  } catch (error) {
    refuseRefund([{ message: error.code ? error.message : "The server could not be reached. Try again: it counts once." }]);
  } finally {
    get("refund-submit").disabled = false;
  }
});
get("refund-cancel").addEventListener("click", () => refundDialog.close());

// --- messages of the store that failed ------------------------------------------------------------------------------

const deliveries = get("deliveries");
const REPLAYED_MS = 800; // a message is worked on again within moments

async function loadFailures() {
  const { webhookDeliveries } = await coffer.ask(FAILURES);
  const { totalCount, nodes } = webhookDeliveries;
  get("failures").hidden = totalCount === 0;
  get("failures").textContent = `${totalCount} ${totalCount === 1 ? "message" : "messages"} of the store failed`;
  get("deliveries-list").replaceChildren(...nodes.map(deliveryOf));
  get("deliveries-list").hidden = totalCount === 0;
  get("deliveries-none").hidden = totalCount > 0;
}

function deliveryOf({ id, door, topic, status, attempts, error, receivedAt }) {
  const idempotencyKey = crypto.randomUUID();
  const replay = async ({ target }) => {
    target.disabled = true;
    const { userErrors } = (await coffer.ask(REPLAY, { input: { deliveryIds: [id], idempotencyKey } })).replayWebhookDeliveries;
    get("deliveries-refusal").textContent = userErrors[0]?.message ?? "";
    setTimeout(loadFailures, REPLAYED_MS);
  };
  return element(
    "li",
    { class: "failure" },
    element("span", {}, element("code", {}, topic), ` from ${door.toLowerCase()}`),
    element("button", { class: "small", type: "button", onclick: replay, "aria-label": `Replay ${topic}` }, "Replay"),
    element("span", { class: "refusal" }, error ?? ""),
    element(
      "span",
      { class: "small muted" },
      `${day(receivedAt, { dateStyle: "medium", timeStyle: "short" })}, ${status === "DEAD" ? "given up" : "tried again soon"} after ${attempts} ${attempts === 1 ? "attempt" : "attempts"}`,
    ),
  );
}

get("failures").addEventListener("click", () => {
  deliveries.showModal();
  get("deliveries-title").focus();
});
get("deliveries-close").addEventListener("click", () => deliveries.close());

get("admin").hidden = false;
await find();
const { viewer } = await coffer.ask("{ viewer { capabilities } }");
if (viewer.capabilities.includes("WEBHOOKS_READ")) await loadFailures();
