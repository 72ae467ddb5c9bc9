// Staff's view: find a wallet, see what is in it, adjust it with a note, and read why something is refused.
import { connect, day, element, isZero, money, signed } from "../coffer.js";
import { signIn } from "../sign-in.js";

const SEARCH_PAUSE_MS = 200;
const FIELDS_SHOWN = ["amount", "note"];

const WALLETS = `
  query ($search: String, $after: String) {
    wallets(first: 20, after: $after, search: $search, sort: { field: LAST_ACTIVITY_AT, direction: DESC }) {
      totalCount
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

const get = (id) => document.getElementById(id);
const coffer = connect(await signIn("staff member"));
const form = get("adjust");

let open = null; // the wallet on the right: { id, currency, newest, stop, endCursor }
let listCursor = null;
let searches = 0;
let corrects = null;
let idempotencyKey = crypto.randomUUID(); // one for each intention, kept until it was done

// --- the list -----------------------------------------------------------------------------------------------------

async function find({ more = false } = {}) {
  const turn = ++searches;
  const search = get("search").value.trim() || null;
  const { wallets } = await coffer.ask(WALLETS, { search, after: more ? listCursor : null });
  if (turn !== searches) return; // somebody typed on; a newer answer is on its way
  listCursor = wallets.pageInfo.endCursor;
  const items = wallets.nodes.map(itemOf);
  if (more) get("wallets").append(...items);
  else get("wallets").replaceChildren(...items);
  get("count").textContent = `${wallets.totalCount} ${wallets.totalCount === 1 ? "wallet" : "wallets"}`;
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
get("more").addEventListener("click", () => find({ more: true }));

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

get("history-more").addEventListener("click", loadHistory);

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

get("admin").hidden = false;
await find();
