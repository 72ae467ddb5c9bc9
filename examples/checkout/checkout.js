// A checkout that is paid with store credit, a card, or both.
//
// The page authorizes with the customer's own token: that holds the amount. The store's back end (store.mjs) captures it
// when the order is placed. Going back and choosing another amount authorizes anew, which takes the place of the first.
import { connect, CofferError, day, element, isZero, money, signed } from "../coffer.js";
import { signIn } from "../sign-in.js";

const FOLLOW_MS = [0, 300, 700, 1500, 3000, 6000];

const ORDER = `
  query ($order: StoreOrderInput!) {
    viewer { customer { name } wallet { id } }
    order(by: { storeOrder: $order }) {
      paymentState refundState
      walletPaid { amount currency } walletReturned { amount currency } walletCredited { amount currency }
      payments { id status reference expiresAt held { amount currency } }
      transactions(first: 50) { nodes { id createdAt direction note amount { amount currency } } }
    }
  }`;

const AUTHORIZE = `
  mutation ($input: AuthorizePaymentInput!) {
    authorizePayment(input: $input) { payment { id status } userErrors { code message field } }
  }`;

const VOID = `
  mutation ($input: VoidPaymentInput!) { voidPayment(input: $input) { payment { id } userErrors { code message } } }`;

const STATES = {
  UNPAID: "Not paid",
  AUTHORIZED: "Held",
  PARTIALLY_PAID: "Being paid",
  PAID: "Paid",
  RETURNED: "Paid back",
  PARTIALLY_REFUNDED: "Partly refunded",
  REFUNDED: "Refunded",
};

const get = (id) => document.getElementById(id);
const given = await signIn("customer");
const coffer = connect(given);

let order = null; // as the store has it
let told = null; // the same order as Coffer has it
let wallet = null; // the wallet as it was last told
let takesAll = true; // "as much as there is", until another amount is typed
let key = crypto.randomUUID(); // one for each intention: kept until it was answered, new when something else is chosen
let following = 0;
let looks = 0; // how often the order was looked at
let seen = 0; // which of these looks `order` and `told` are from

// --- the store ----------------------------------------------------------------------------------------------------

async function store(path, body) {
  const answer = await fetch(`/api${path}`, {
    method: body ? "POST" : "GET",
    headers: { authorization: `Bearer ${given.token}`, ...(body && { "content-type": "application/json" }) },
    body: body && JSON.stringify(body),
  });
  const said = await answer.json();
  if (!answer.ok) throw new CofferError(said.message, said.code ?? String(answer.status));
  return said;
}

// --- money as whole numbers of the smallest unit --------------------------------------------------------------------

const decimals = () => order.total.amount.split(".")[1]?.length ?? 0;
const minor = ({ amount }) => BigInt(amount.replace(".", ""));

function amountOf(units) {
  const digits = String(units).padStart(decimals() + 1, "0");
  const amount = decimals() ? `${digits.slice(0, -decimals())}.${digits.slice(-decimals())}` : digits;
  return { amount, currency: order.total.currency };
}

/** What somebody typed, or null while it is no amount. */
function typed(text) {
  const found = /^(\d{1,12})(?:[.](\d*))?$/.exec(text.trim());
  const part = found?.[2] ?? "";
  return found && part.length <= decimals() ? BigInt(found[1] + part.padEnd(decimals(), "0")) : null;
}

const least = (one, other) => (one < other ? one : other);

// --- what is shown ------------------------------------------------------------------------------------------------

const held = () => told?.payments.find(({ status }) => status === "AUTHORIZED") ?? null;

/** What can be used here: what is free, and what this order holds already. */
function usable() {
  if (!wallet || wallet.status === "FROZEN") return 0n;
  const free = minor(wallet.available);
  return (free > 0n ? free : 0n) + (held() ? minor(held().held) : 0n);
}

function line(name, value, attributes = {}) {
  return element("div", attributes, element("dt", {}, name), element("dd", { class: "amount" }, value));
}

function showSummary() {
  get("number").textContent = order.number;
  get("goods").replaceChildren(
    ...order.lines.map(({ name, quantity, total }) =>
      element("li", {}, element("span", {}, quantity > 1 ? `${quantity} × ${name}` : name), element("span", { class: "amount" }, money(total))),
    ),
  );
  get("sums").replaceChildren(line("Shipping", money(order.shipping)), line("Total", money(order.total), { class: "total" }));
}

function showPay() {
  const total = minor(order.total);
  const most = least(usable(), total);
  const on = get("use-credit").checked && usable() > 0n;
  get("available").textContent = money(amountOf(usable()));
  get("use-credit").disabled = usable() === 0n;
  get("frozen").hidden = wallet?.status !== "FROZEN";
  get("credit").hidden = !on;
  if (takesAll) get("amount").value = amountOf(most).amount;
  const part = on ? typed(get("amount").value) : 0n;
  const rest = part === null || part > most ? null : total - part;
  get("all").hidden = takesAll;
  get("amount-help").textContent = !rest ? "" : `Your card pays the rest: ${money(amountOf(rest))}`;
  get("card-part").textContent = rest === null ? "—" : money(amountOf(rest));
  get("cards").hidden = rest === 0n;
  get("covered").hidden = rest !== 0n;
}

function showReview() {
  const payment = held();
  const { unanswered } = order;
  // What was placed already stays as it was placed, whatever is held by now.
  const part = unanswered ? minor(unanswered.fromWallet) : payment ? minor(payment.held) : 0n;
  const rest = minor(order.total) - part;
  const chosen = unanswered ? `[value=${CSS.escape(unanswered.card)}]` : ":checked";
  const card = document.querySelector(`[name=card]${chosen}`).parentElement.querySelector("span").textContent;
  get("split").replaceChildren(
    ...(part > 0n ? [line("Store credit", money(amountOf(part)), { class: "spent" })] : []),
    ...(rest > 0n ? [line(`Card ${card}`, money(amountOf(rest)))] : []),
    line("Total", money(order.total), { class: "total" }),
  );
  get("back").hidden = Boolean(unanswered);
  get("held-until").textContent = unanswered
    ? "We could not find out yet whether this went through. Place it again: it counts once."
    : payment
    ? `Your store credit is held for this order until ${day(payment.expiresAt, { dateStyle: "medium", timeStyle: "short" })}. It is spent when you place the order.`
    : "";
  get("place").textContent = `Place order and pay ${money(order.total)}`;
}

function showDone() {
  const state = told.refundState === "NONE" ? told.paymentState : told.refundState;
  get("state").dataset.state = state;
  get("state").textContent = STATES[state];
  const ended = { CANCELLED: `Order ${order.number} is cancelled`, REFUNDED: `Order ${order.number} is refunded` };
  get("done-title").textContent = ended[order.status] ?? `Thank you! Order ${order.number} is placed`;
  const back = minor(told.walletReturned) + minor(told.walletCredited);
  get("paid").replaceChildren(
    line("Paid with store credit", money(told.walletPaid)),
    ...(back ? [line("Given back to your store credit", money(amountOf(back)), { class: "spent" })] : []),
    line("Paid by card", money(order.card)),
  );
  const rows = told.transactions?.nodes ?? [];
  get("history").replaceChildren(...rows.map(rowOf));
  get("history-empty").hidden = rows.length > 0;
  get("cancel").hidden = order.status !== "PAID" || order.refunds.length > 0;
}

function rowOf({ createdAt, direction, note, amount }) {
  return element(
    "li",
    {},
    element("span", { class: "what" }, note),
    element("span", { class: `amount ${direction.toLowerCase()}` }, signed({ direction, amount })),
    element("time", { class: "small muted", datetime: createdAt }, day(createdAt, { dateStyle: "medium", timeStyle: "short" })),
  );
}

const SHOW = { pay: showPay, review: showReview, done: showDone };
const TITLES = { pay: "Checkout", review: "Review your order", done: "Your order" };

const stepNow = () => new URLSearchParams(location.search).get("step") ?? "pay";

/** Which step can be shown: an order that is placed is done, and only what is held can be reviewed. */
function possible(step) {
  if (!order.isPayable) return "done";
  if (order.unanswered) return "review";
  return step === "review" ? "review" : "pay";
}

function show({ focus = false } = {}) {
  const step = possible(stepNow());
  showSummary();
  SHOW[step]();
  for (const name of Object.keys(SHOW)) get(name).hidden = name !== step;
  const reached = Object.keys(SHOW).indexOf(step);
  for (const [place, item] of [...document.querySelectorAll(".steps li")].entries()) {
    item.classList.toggle("reached", place <= reached);
    if (place === reached) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  }
  get("checkout").dataset.step = step;
  get("title").textContent = TITLES[step];
  get("checkout").hidden = false;
  if (focus) get("title").focus();
}

function complain(message = "") {
  get("problem").textContent = message;
  get("problem").hidden = !message;
}

function refuse(message = "") {
  get("amount-refusal").textContent = message;
  get("amount").setAttribute("aria-invalid", String(message !== ""));
}

// --- what happens -------------------------------------------------------------------------------------------------

/** Read the order again, from the store and from Coffer. An answer that a later look has overtaken is older: it is let go. */
async function load() {
  const look = ++looks;
  const [fresh, answer] = await Promise.all([
    store(`/orders/${order.id}`),
    coffer.ask(ORDER, { order: { source: order.source, externalId: order.id } }),
  ]);
  if (look > seen) {
    seen = look;
    order = fresh;
    told = answer.order;
  }
  return answer.viewer;
}

/** Have the store change the order: what was looked at before is older than its answer. */
async function change(what, body) {
  order = await store(`/orders/${order.id}/${what}`, body);
  seen = ++looks;
}

function go(step, how = "pushState") {
  history[how]({}, "", `?order=${order.id}&step=${step}`);
}

/** The store's message to Coffer takes a moment: look again until it has arrived. */
async function follow() {
  const turn = ++following;
  for (const pause of FOLLOW_MS) {
    await new Promise((resume) => setTimeout(resume, pause));
    if (turn !== following) return;
    await load();
    show();
    const wanted = order.status === "CANCELLED" ? ["RETURNED", "UNPAID"] : ["PAID"];
    if (wanted.includes(told?.paymentState)) return;
  }
}

/** Hold what was chosen, or give back what is held when nothing was chosen. */
async function choose() {
  const currency = order.total.currency;
  const payment = held();
  if (!get("use-credit").checked || usable() === 0n) {
    if (payment) await coffer.ask(VOID, { input: { paymentId: payment.id, idempotencyKey: `void-${payment.id}` } });
    return true;
  }
  const { authorizePayment } = await coffer.ask(AUTHORIZE, {
    input: {
      order: { source: order.source, externalId: order.id, total: order.total },
      // Left out, it is as much as there is at that moment, which is never refused for a cent.
      ...(takesAll ? {} : { amount: { amount: get("amount").value.trim() || "0", currency } }),
      idempotencyKey: key,
    },
  });
  key = crypto.randomUUID(); // answered, whatever the answer is
  const [refused] = authorizePayment.userErrors;
  if (!refused) return true;
  if (refused.field?.includes("amount")) {
    refuse(refused.message);
    get("amount").focus();
  } else {
    complain(refused.message);
  }
  return false;
}

/** Let one thing happen at a time, and say what went wrong. */
async function once(button, work) {
  if (button.disabled) return;
  button.disabled = true;
  complain();
  refuse();
  try {
    await work();
  } catch (error) {
    // The same key goes along with the next attempt: whatever became of this one, it counts once.
    complain(error instanceof CofferError ? error.message : "We could not reach the server. Try again: it will count only once.");
  } finally {
    button.disabled = false;
  }
}

get("pay").addEventListener("submit", (event) => {
  event.preventDefault();
  once(get("continue"), async () => {
    if (!(await choose())) return;
    await load();
    go("review");
    show({ focus: true });
  });
});

get("place").addEventListener("click", () =>
  once(get("place"), async () => {
    const card = document.querySelector("[name=card]:checked").value;
    try {
      await change("place", { paymentId: held()?.id ?? null, card });
    } catch (error) {
      if (!(error instanceof CofferError) || error.code === "UNANSWERED") {
        await load();
        show();
        throw error;
      }
      // It was not placed: begin with the payment again, and say why.
      await load();
      go("pay", "replaceState");
      show({ focus: true });
      throw error;
    }
    go("done", "replaceState");
    await load();
    show({ focus: true });
    await follow();
  }),
);

get("cancel").addEventListener("click", () =>
  once(get("cancel"), async () => {
    await change("cancel", {});
    await follow();
  }),
);

get("again").addEventListener("click", () => location.assign(location.pathname));
get("back").addEventListener("click", () => {
  go("pay");
  show({ focus: true });
});
addEventListener("popstate", () => {
  complain();
  show({ focus: true });
});

get("amount").addEventListener("input", () => {
  takesAll = false;
  chosenAnew();
});
get("use-credit").addEventListener("change", chosenAnew);
get("all").addEventListener("click", () => {
  takesAll = true;
  chosenAnew();
  get("amount").focus();
});

function chosenAnew() {
  key = crypto.randomUUID();
  refuse();
  complain();
  showPay();
}

async function onUpdate({ wallet: now, kind, transaction }) {
  wallet = now;
  if (kind === "TRANSACTION") get("news").textContent = `${signed(transaction)}: ${transaction.note}`;
  try {
    await load(); // held for this order or for another one? Only the order itself can tell
  } catch {
    return; // what is shown is a little old; the next update looks again
  }
  if (!get("continue").disabled && !get("place").disabled) show();
}

function onStatus(status) {
  get("status").dataset.status = status;
  get("status").textContent = { live: "Live", connecting: "Connecting", offline: "Reconnecting" }[status];
}

const asked = new URLSearchParams(location.search).get("order");
order = await (asked ? store(`/orders/${asked}`).catch(() => store("/cart")) : store("/cart"));
go(possible(stepNow()), "replaceState");
const viewer = await load();
complain();
const payment = held();
if (payment) {
  // Somebody who comes back finds what they had chosen.
  takesAll = false;
  get("amount").value = payment.held.amount;
}
get("greeting").textContent = viewer.customer?.name ? `Hello, ${viewer.customer.name}` : "";
coffer.watchWallet({ id: viewer.wallet.id }, { next: onUpdate, status: onStatus });
if (isZero(order.total)) get("cards").hidden = true;
if (!order.isPayable) follow().catch((error) => complain(error.message));
