// A customer's own wallet in a storefront: the balance live, the history, what is held for orders, which renewals are
// coming up, and the request to be paid out.
import { connect, day, eachClick, element, isZero, money, signed } from "../coffer.js";
import { signIn } from "../sign-in.js";

const PAGE = 10;
const KINDS = { CASH: "Cash", PROMO: "Bonus", GIFT_CARD: "Gift cards" };

const MY_WALLET = `
  query ($first: Int!, $after: String) {
    viewer {
      subject
      customer { name }
      wallet {
        id
        transactions(first: $first, after: $after) {
          nodes {
            sequence createdAt direction note
            amount { amount currency } balanceAfter { amount currency }
          }
          pageInfo { hasNextPage endCursor }
        }
        withdrawals(first: 20, statuses: [REQUESTED]) {
          nodes { id reference requestedAt amount { amount currency } }
        }
        payments(first: 20, statuses: [AUTHORIZED, PARTIALLY_CAPTURED]) {
          nodes { id createdAt expiresAt held { amount currency } order { number } }
        }
        upcomingRenewals(first: 5) {
          nodes { id subscription description dueAt amount { amount currency } short { amount currency } }
        }
      }
    }
  }`;

const REQUEST = `
  mutation ($input: RequestWithdrawalInput!) {
    requestWithdrawal(input: $input) { withdrawal { reference } userErrors { message field } }
  }`;

const CANCEL = `
  mutation ($input: CancelWithdrawalInput!) {
    cancelWithdrawal(input: $input) { withdrawal { status } userErrors { message } }
  }`;

const get = (id) => document.getElementById(id);
const coffer = connect(await signIn("customer"));

let shown = null; // the wallet as it was last told
let endCursor = null;
let looks = 0; // how often it was looked at what is pending
let newest = 0; // the sequence number of the newest transaction on the page

// --- what is shown ------------------------------------------------------------------------------------------------

function showWallet(wallet) {
  shown = wallet;
  get("available").textContent = money(wallet.available);
  get("withdrawable").textContent = money(wallet.withdrawable);
  get("withdrawal-limit").textContent = money(wallet.withdrawable);
  get("held").textContent = isZero(wallet.held) ? "" : `${money(wallet.held)} more is held, as you see below`;
  get("frozen").hidden = wallet.status !== "FROZEN";
  get("withdraw").disabled = isZero(wallet.withdrawable);
  get("buckets").replaceChildren(...wallet.buckets.map(bucketOf));
  get("wallet").hidden = false;
}

function bucketOf({ bucket, balance, nextExpiryAt }) {
  return element(
    "li",
    { class: "card" },
    element("span", { class: `chip ${bucket.toLowerCase()}` }, KINDS[bucket]),
    element("strong", { class: "amount" }, money(balance)),
    element("span", { class: "small muted" }, nextExpiryAt ? `First expires ${day(nextExpiryAt)}` : "Does not expire"),
  );
}

function rowOf({ createdAt, direction, note, amount, balanceAfter }, attributes = {}) {
  return element(
    "li",
    attributes,
    element("span", { class: "what" }, note),
    element("span", { class: `amount ${direction.toLowerCase()}` }, signed({ direction, amount })),
    element("time", { class: "small muted", datetime: createdAt }, day(createdAt)),
    element("span", { class: "small muted amount" }, money(balanceAfter)),
  );
}

function pendingOf({ id, reference, requestedAt, amount }) {
  const cancel = () => cancelWithdrawal(id);
  return element(
    "li",
    {},
    element("span", {}, "Withdrawal ", element("code", {}, reference)),
    element("span", { class: "amount" }, money(amount)),
    element("time", { class: "small muted", datetime: requestedAt }, `Requested ${day(requestedAt)}`),
    element("button", { class: "plain small", type: "button", onclick: cancel }, "Take back"),
  );
}

function heldRowOf({ createdAt, expiresAt, held, order }) {
  return element(
    "li",
    {},
    element("span", { class: "what" }, `Held for order ${order.number}`),
    element("span", { class: "amount" }, money(held)),
    element("time", { class: "small muted", datetime: createdAt }, `Since ${day(createdAt)}`),
    element("span", { class: "small muted amount" }, expiresAt ? `Until ${day(expiresAt)}` : ""),
  );
}

function renewalOf({ subscription, description, dueAt, amount, short }) {
  const lacking = short && !isZero(short);
  return element(
    "li",
    {},
    element("span", { class: "what" }, description || `Subscription ${subscription}`),
    element("span", { class: "amount" }, money(amount)),
    element("time", { class: "small muted", datetime: dueAt }, `Renews ${day(dueAt)}`),
    element("span", { class: lacking ? "small chip promo" : "small muted amount" }, lacking ? `${money(short)} is missing` : "You have enough"),
  );
}

async function loadPage() {
  const look = ++looks;
  const { viewer } = await coffer.ask(MY_WALLET, { first: PAGE, after: endCursor });
  const { nodes, pageInfo } = viewer.wallet.transactions;
  newest = Math.max(newest, nodes[0]?.sequence ?? 0);
  endCursor = pageInfo.endCursor;
  get("history").append(...nodes.map((transaction) => rowOf(transaction)));
  get("more").hidden = !pageInfo.hasNextPage;
  if (look === looks) showPending(viewer.wallet);
  return viewer;
}

async function loadPending() {
  const look = ++looks;
  const { viewer } = await coffer.ask(MY_WALLET, { first: 1 });
  if (look === looks) showPending(viewer.wallet); // else something changed again, and a newer answer is on its way
}

function showPending({ withdrawals, payments, upcomingRenewals }) {
  showList("pending", withdrawals.nodes.map(pendingOf));
  showList("orders", payments.nodes.map(heldRowOf));
  showList("renewals", upcomingRenewals.nodes.map(renewalOf));
}

function showList(name, rows) {
  get(name).replaceChildren(...rows);
  get(`${name}-section`).hidden = rows.length === 0;
}

// --- what happens -------------------------------------------------------------------------------------------------

function onUpdate({ kind, wallet, transaction }) {
  const before = shown;
  showWallet(wallet);
  if (kind === "TRANSACTION" && transaction.sequence > newest) {
    newest = transaction.sequence;
    get("history").prepend(rowOf(transaction, { class: "arrived" }));
    get("news").textContent = `${signed(transaction)}: ${transaction.note}. Ready to spend: ${money(wallet.available)}`;
  }
  // What is held changes with withdrawals and orders; what a renewal lacks, with what is free.
  const moved = (name) => before && before[name].amount !== wallet[name].amount;
  if (moved("held") || moved("available")) loadPending();
}

function onStatus(status) {
  get("status").dataset.status = status;
  get("status").textContent = { live: "Live", connecting: "Connecting", offline: "Reconnecting" }[status];
}

const dialog = get("withdrawal");
const form = dialog.querySelector("form");
let idempotencyKey; // one for each intention: pressing the button twice, or again after a lost connection, asks once

get("withdraw").addEventListener("click", () => {
  idempotencyKey = crypto.randomUUID();
  form.reset();
  refuse("");
  dialog.showModal();
});
get("withdrawal-cancel").addEventListener("click", () => dialog.close());
eachClick(get("more"), loadPage);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  get("withdrawal-submit").disabled = true;
  try {
    const { amount, note } = Object.fromEntries(new FormData(form));
    const input = { amount: { amount: amount.trim(), currency: shown.balance.currency }, note, idempotencyKey };
    const { userErrors } = (await coffer.ask(REQUEST, { input })).requestWithdrawal;
    if (userErrors.length) return refuse(userErrors[0].message);
    dialog.close();
  } catch (error) {
    refuse(error.code ? error.message : "We could not reach the server. Try again: it will count only once.");
  } finally {
    get("withdrawal-submit").disabled = false;
  }
});

function refuse(message) {
  get("amount-refusal").textContent = message;
  form.elements.amount.setAttribute("aria-invalid", String(message !== ""));
}

async function cancelWithdrawal(withdrawalId) {
  await coffer.ask(CANCEL, { input: { withdrawalId, idempotencyKey: `cancel-${withdrawalId}` } });
  await loadPending();
}

const viewer = await loadPage();
get("greeting").textContent = `Hello, ${viewer.customer.name || viewer.subject}`;
// From the newest transaction on the page, so that none is lost between the page and the socket.
coffer.watchWallet({ id: viewer.wallet.id }, { afterSequence: newest, next: onUpdate, status: onStatus });
