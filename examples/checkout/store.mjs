// The back end of a small store, with nothing but Node.js 20: it keeps orders in memory, serves the pages under
// examples/, and shows how a store works with Coffer safely. Its card is pretended; the rest is meant to be copied.
//
//     COFFER_SERVICE_TOKEN=… COFFER_WEBHOOK_SECRET=whsec_… node examples/checkout/store.mjs
//
// Who does what: the customer's page authorizes with the customer's own token. This program captures, voids and refunds
// with the service's key, which never leaves it, and tells Coffer of the order by a signed message whenever it changed.
import { createHmac, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize, sep } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const COFFER = new URL(process.env.COFFER_URL ?? "http://localhost:8000").origin;
const SERVICE_TOKEN = needed("COFFER_SERVICE_TOKEN");
const WEBHOOK_SECRET = needed("COFFER_WEBHOOK_SECRET");
const PORT = Number(process.env.PORT ?? 5173);
const SOURCE = "example"; // the name of this store in Coffer: orders are named by it and their own id
const CURRENCY = process.env.STORE_CURRENCY ?? "USD";
const PAGES = fileURLToPath(new URL("..", import.meta.url));
const BODY_MAX = 10_000;
const ASK_ATTEMPTS = 4;
const TELL_ATTEMPTS = 8;
const PAUSE_FIRST_MS = 200;
const PAUSE_MAX_MS = 30_000;
const ASK_TIMEOUT_MS = 5_000;

function needed(name) {
  if (process.env[name]) return process.env[name];
  console.error(`Set ${name}; docs/checkout.md says where it comes from.`);
  process.exit(2);
}

/** What the caller is told instead of what was asked for. */
class Refusal extends Error {
  constructor(message, status = 409, code = undefined) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Nobody knows whether it happened: the answer did not come. Asking again with the same key finds out. */
class Unanswered extends Refusal {
  constructor() {
    super("The wallet did not answer in time. Try again: nothing is paid twice.", 503, "UNANSWERED");
  }
}

// --- Coffer -------------------------------------------------------------------------------------------------------

const pauseAfter = (attempt) => sleep(Math.min(PAUSE_FIRST_MS * 2 ** (attempt - 1), PAUSE_MAX_MS));

/**
 * Ask Coffer. Whatever moves money carries an idempotency key in its input, so a lost answer is asked for again with
 * the very same request: what was done is answered, what was not is done now.
 */
async function ask(query, variables = {}, authorization = `Bearer ${SERVICE_TOKEN}`) {
  for (let attempt = 1; attempt <= ASK_ATTEMPTS; attempt++) {
    if (attempt > 1) await pauseAfter(attempt - 1);
    try {
      const response = await fetch(`${COFFER}/graphql`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization },
        body: JSON.stringify({ query, variables }),
        signal: AbortSignal.timeout(ASK_TIMEOUT_MS),
      });
      const { data, errors } = await response.json();
      if (!errors) return data;
      const { message, extensions } = errors[0];
      if (extensions?.code === "UNAUTHENTICATED") throw new Refusal(message, 401, extensions.code);
      if (!RETRIED.has(extensions?.code)) throw new Error(message);
    } catch (error) {
      if (error instanceof Refusal || error.name === "Error") throw error;
      console.error(`Coffer was asked ${attempt} times:`, error.message);
    }
  }
  throw new Unanswered();
}

const RETRIED = new Set(["SERVICE_UNAVAILABLE", "OVERLOADED", "TIMEOUT", "RATE_LIMITED", "INTERNAL_SERVER_ERROR"]);

/** Do a mutation; a refusal keeps Coffer's own sentence, which is written for people. */
async function change(mutation, input) {
  const [answer] = Object.values(await ask(mutation, { input }));
  const [refused] = answer.userErrors;
  if (refused) throw new Refusal(refused.message, 409, refused.code);
  return answer;
}

const PAYMENT = `
  query ($id: ID!) {
    payment(by: { id: $id }) { id status held { amount } captured { amount } order { source externalId } }
  }`;

const CAPTURE = `
  mutation ($input: CapturePaymentInput!) {
    capturePayment(input: $input) { payment { id captured { amount } discount { amount } tender { amount } } userErrors { code message } }
  }`;

const VOID = `
  mutation ($input: VoidPaymentInput!) {
    voidPayment(input: $input) { payment { id } userErrors { code message } }
  }`;

const REFUND = `
  mutation ($input: RefundOrderInput!) {
    refundOrder(input: $input) {
      refund { reference toWallet { amount } credited { amount } toOthers { amount } }
      userErrors { code message }
    }
  }`;

/** Sign a message as Standard Webhooks says. */
function signed(id, body) {
  const seconds = Math.floor(Date.now() / 1000);
  const key = Buffer.from(WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");
  const signature = createHmac("sha256", key).update(`${id}.${seconds}.${body}`).digest("base64");
  return { "webhook-id": id, "webhook-timestamp": String(seconds), "webhook-signature": `v1,${signature}` };
}

/**
 * Tell Coffer how an order stands now. The customer doesn't wait for it. Messages may arrive late, twice and in any
 * order: each is the whole order, and the newest counts. (A real store keeps them in its database until they arrived.)
 */
async function tell(order) {
  const body = JSON.stringify({ type: "order.recorded", timestamp: new Date().toISOString(), data: snapshotOf(order) });
  const id = `msg_${randomUUID()}`; // the same for every attempt
  for (let attempt = 1; attempt <= TELL_ATTEMPTS; attempt++) {
    try {
      const response = await fetch(`${COFFER}/webhooks/standard`, {
        method: "POST",
        headers: { "content-type": "application/json", ...signed(id, body) },
        body,
        signal: AbortSignal.timeout(ASK_TIMEOUT_MS),
      });
      if (response.ok) return;
      console.error(`Coffer answered ${response.status} to order ${order.number}`);
    } catch (error) {
      console.error(`Coffer was not told of order ${order.number}:`, error.message);
    }
    await pauseAfter(attempt);
  }
}

function snapshotOf(order) {
  const placed = order.fromWallet !== null;
  return {
    source: SOURCE,
    externalId: order.id,
    number: order.number,
    modifiedAt: order.modifiedAt.toISOString(),
    placedAt: order.placedAt?.toISOString(),
    status: order.status,
    currency: CURRENCY,
    total: text(order.total),
    shipping: text(order.shipping),
    // What the card gave is said to the cent: it is how Coffer knows what the wallet's part is.
    paidOtherwise: text(placed ? order.total - order.fromWallet : 0),
    paymentMethod: placed && order.fromWallet === order.total ? "wallet" : "card",
    customer: order.customer,
    lines: order.lines.map(({ id, name, sku, quantity, total }) => ({ id, name, sku, quantity: String(quantity), total: text(total) })),
    refunds: order.refunds.map(({ id, amount, reason, reference, createdAt }) => ({ id, amount: text(amount), reason, reference, createdAt })),
  };
}

// --- money: whole cents here, decimal texts outside; a float never comes near it ----------------------------------------

const text = (cents) => `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, "0")}`;
const cents = (amount) => Number(amount.replace(".", ""));
const money = (amount) => ({ amount: text(amount), currency: CURRENCY });

function centsOf(typed) {
  if (!/^\d{1,7}(\.\d{2})?$/.test(String(typed))) throw new Refusal("Write an amount such as 12.50.", 400);
  return typed.includes(".") ? cents(typed) : Number(typed) * 100;
}

// --- the pretended card provider ------------------------------------------------------------------------------------

/** Like a real one it reserves first, charges then, and knows a request by its key. */
const cards = {
  done: new Map(), // by key: how far it is, so that a repeated request does nothing
  authorize(key, card, amount) {
    if (card === "declined") throw new Refusal("Your card was declined.", 402, "CARD_DECLINED");
    if (!this.done.has(key)) this.done.set(key, { card, amount, charged: 0, refunded: new Map() });
  },
  charge(key) {
    const done = this.done.get(key);
    if (done.card === "fails-late") throw new Refusal("Your bank stopped the payment.", 402, "CARD_DECLINED");
    done.charged = done.amount;
  },
  release(key) {
    this.done.delete(key);
  },
  refund(key, refundKey, amount) {
    this.done.get(key)?.refunded.set(refundKey, amount);
  },
  balance(key) {
    const { charged = 0, refunded = new Map() } = this.done.get(key) ?? {};
    return charged - [...refunded.values()].reduce((sum, amount) => sum + amount, 0);
  },
};

// --- orders -----------------------------------------------------------------------------------------------------------

const orders = new Map();
let lastNumber = 1041;

/** The cart becomes an order as soon as the checkout begins, so that there is something to authorize for. */
function begin(customer) {
  const lines = [
    { id: "1", name: "Ethiopia Guji, 1 kg", sku: "GUJI-1000", quantity: 1, total: 3490 },
    { id: "2", name: "Stoneware cup", sku: "CUP-250", quantity: 2, total: 2800 },
  ];
  const shipping = 490;
  const order = {
    id: randomUUID(),
    number: String(++lastNumber),
    customer,
    lines,
    shipping,
    total: lines.reduce((sum, line) => sum + line.total, shipping),
    status: "PENDING",
    fromWallet: null, // what was captured; null until it was placed
    books: null, // of that, what promotional money paid (a discount, before tax) and what other money did (a tender)
    attempt: null, // a placing that is under way, or whose outcome nobody knows yet
    busy: Promise.resolve(),
    refunds: [],
    modifiedAt: new Date(0),
    placedAt: null,
  };
  orders.set(order.id, order);
  changed(order, "PENDING");
  return order;
}

/** Write down that it changed, later than ever before, and tell Coffer. */
function changed(order, status) {
  order.status = status;
  order.modifiedAt = new Date(Math.max(Date.now(), order.modifiedAt.getTime() + 1));
  tell(order);
}

/** One thing after the other for each order: of two clicks the second finds what the first has done. */
function inTurn(order, work) {
  const turn = order.busy.then(work, work);
  order.busy = turn.catch(() => {});
  return turn;
}

const isPayable = (order) => order.status === "PENDING" || order.status === "FAILED";

/**
 * Place an order: reserve the card, capture the wallet, charge the card, tell Coffer.
 *
 * Neither is taken before the other is sure. `attempt` outlives a lost answer: whoever asks again goes on where it
 * stopped, with the same payment, the same card and the same keys, whatever their page shows by then.
 */
async function place(order, { paymentId = null, card = "good" }) {
  if (!isPayable(order)) {
    if (order.status === "CANCELLED") throw new Refusal("This order was cancelled. Begin a new one.");
    return order; // the second click: it is placed already
  }
  order.attempt ??= { paymentId, card, key: `place-${randomUUID()}`, amount: await heldFor(order, paymentId) };
  const { attempt } = order;
  const forCard = order.total - attempt.amount;
  try {
    if (forCard) cards.authorize(attempt.key, attempt.card, forCard);
    if (attempt.paymentId) order.books = await capture(attempt);
  } catch (error) {
    if (error instanceof Unanswered) throw error; // it may have been captured: the attempt stays as it is
    cards.release(attempt.key);
    order.attempt = null;
    if (error.code !== "CARD_DECLINED") throw error;
    await giveBack(attempt);
    throw sorry(error, attempt);
  }
  order.attempt = null;
  order.cardKey = attempt.key;
  order.fromWallet = attempt.amount;
  order.placedAt = new Date();
  try {
    if (forCard) cards.charge(attempt.key);
  } catch (error) {
    // It was captured already, so nothing is left to void: the order failed, and Coffer gives all of it back.
    order.fromWallet = null;
    changed(order, "FAILED");
    throw sorry(error, attempt);
  }
  changed(order, "PAID");
  return order;
}

/** What a payment holds for this order. The page only names it; what it is worth is Coffer's to say. */
async function heldFor(order, paymentId) {
  if (!paymentId) return 0;
  const { payment } = await ask(PAYMENT, { id: paymentId });
  if (payment?.order.source !== SOURCE || payment.order.externalId !== order.id) {
    throw new Refusal("This payment is for another order. Reload the page.", 400);
  }
  // Nothing is held any more: Coffer refuses in its own words, and no card is asked for more than was agreed.
  if (payment.status !== "AUTHORIZED") await capture({ paymentId });
  // An order that has become cheaper since takes no more than it costs; a final capture gives the rest back.
  return Math.min(cents(payment.held.amount), order.total);
}

/** Capture by the payment's id: another payment of the order, from another tab, is not the one that was agreed to. */
async function capture({ paymentId, amount }) {
  const input = { paymentId, idempotencyKey: `capture-${paymentId}` };
  const { payment } = await change(CAPTURE, amount ? { ...input, amount: money(amount) } : input);
  return { discount: cents(payment.discount.amount), tender: cents(payment.tender.amount) };
}

/** The card was declined before anything was captured: what is held is free again at once. */
async function giveBack({ paymentId }) {
  try {
    if (paymentId) await change(VOID, { paymentId, idempotencyKey: `void-${paymentId}` });
  } catch (error) {
    console.error("Not voided, so it runs out by itself:", error.message);
  }
}

function sorry({ message, code }, { paymentId }) {
  const returned = paymentId ? " Your store credit is yours again." : "";
  return new Refusal(`${message}${returned} Choose how to pay.`, 402, code);
}

/** Cancel it: the card's part goes back by the card's provider, the wallet's part by what Coffer is told. */
function cancel(order) {
  if (order.status === "CANCELLED") return order;
  if (order.refunds.length) throw new Refusal("A part was refunded already. Ask us to refund the rest.");
  const left = cards.balance(order.cardKey);
  if (left) cards.refund(order.cardKey, "cancel", left);
  if (order.attempt) cards.release(order.attempt.key);
  order.attempt = null;
  changed(order, "CANCELLED");
  return order;
}

/** Refund a part. Coffer divides it between the wallet and the card; `id` is one intention of whoever asks. */
async function refund(order, { id, amount, note }) {
  if (!id) throw new Refusal("Give the refund an id, so that it counts once.", 400);
  const known = order.refunds.find((made) => made.id === id);
  if (known) return order;
  if (order.status !== "PAID") throw new Refusal("Only a paid order is refunded.");
  const value = centsOf(amount);
  const { refund } = await change(REFUND, {
    order: { storeOrder: { source: SOURCE, externalId: order.id } },
    amount: money(value),
    note,
    storeRefundId: id, // so that the snapshot below tells of this refund, and not of another one
    idempotencyKey: `refund-${id}`,
  });
  const toCard = cents(refund.toOthers.amount);
  if (toCard) cards.refund(order.cardKey, id, toCard);
  order.refunds.push({ id, amount: value, toCard, reason: note, reference: refund.reference, createdAt: new Date().toISOString() });
  const all = order.refunds.reduce((sum, made) => sum + made.amount, 0);
  changed(order, all === order.total ? "REFUNDED" : "PAID");
  return order;
}

/** What the page may see. */
function shown(order) {
  return {
    source: SOURCE,
    id: order.id,
    number: order.number,
    status: order.status,
    lines: order.lines.map(({ name, quantity, total }) => ({ name, quantity, total: money(total) })),
    shipping: money(order.shipping),
    total: money(order.total),
    card: money(cards.balance(order.cardKey)),
    isPayable: isPayable(order),
    // It was placed, and nobody knows yet what came of it: going on with it is all that is sensible.
    unanswered: order.attempt && { fromWallet: money(order.attempt.amount), card: order.attempt.card },
    refunds: order.refunds.map(({ id, amount, toCard }) => ({ id, amount: money(amount), toCard: money(toCard) })),
  };
}

// --- requests ---------------------------------------------------------------------------------------------------------

const VIEWER = "{ viewer { kind subject capabilities customer { storeCustomerId name email } } }";

/** Who asks. A real store knows by its own session; here the token of the page is all there is, and Coffer reads it. */
async function callerOf(request) {
  const { viewer } = await ask(VIEWER, {}, request.headers.authorization ?? "");
  if (viewer.kind === "ANONYMOUS") throw new Refusal("Sign in first.", 401);
  return viewer;
}

const isStaff = ({ capabilities }) => capabilities.includes("REFUNDS_WRITE");

function orderOf(id, caller) {
  const order = orders.get(id);
  if (order && (isStaff(caller) || order.customer.id === caller.subject)) return order;
  throw new Refusal("There is no such order.", 404);
}

function cartOf({ subject, customer }) {
  const open = [...orders.values()].find((order) => order.customer.id === subject && isPayable(order));
  return open ?? begin({ id: customer?.storeCustomerId ?? subject, name: customer?.name, email: customer?.email });
}

async function answer(request, path) {
  const caller = await callerOf(request);
  const [, , , id, action] = path.split("/");
  const route = `${request.method} ${path.replace(id ?? "-", ":id")}`;
  if (route === "GET /api/cart") return shown(cartOf(caller));
  const order = orderOf(id, caller);
  if (route === "GET /api/orders/:id") return shown(order);
  const body = await bodyOf(request);
  if (route === "POST /api/orders/:id/place") return shown(await inTurn(order, () => place(order, body)));
  if (route === "POST /api/orders/:id/cancel") return shown(await inTurn(order, () => cancel(order)));
  if (route === "POST /api/orders/:id/refunds") {
    if (!isStaff(caller)) throw new Refusal("Only staff refund.", 403);
    return shown(await inTurn(order, () => refund(order, body)));
  }
  throw new Refusal(`There is no ${action}.`, 404);
}

async function bodyOf(request) {
  let body = "";
  for await (const chunk of request) {
    body += chunk;
    if (body.length > BODY_MAX) throw new Refusal("That is too long.", 413);
  }
  try {
    return Object(JSON.parse(body || "{}"));
  } catch {
    throw new Refusal("That is no JSON.", 400);
  }
}

const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8" };
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src data:",
  `connect-src 'self' ${COFFER} ${COFFER.replace(/^http/, "ws")}`,
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join("; ");

async function pageOf(path) {
  const file = normalize(join(PAGES, path.endsWith("/") ? `${path}index.html` : path));
  const type = TYPES[extname(file)];
  if (!type || !file.startsWith(normalize(PAGES + sep))) throw new Refusal("There is no such page.", 404);
  const headers = { "content-type": type, "content-security-policy": POLICY, "x-content-type-options": "nosniff" };
  try {
    return { headers: { ...headers, "referrer-policy": "no-referrer" }, body: await readFile(file) };
  } catch {
    throw new Refusal("There is no such page.", 404);
  }
}

const JSON_HEADERS = { "content-type": "application/json", "cache-control": "no-store", "x-content-type-options": "nosniff" };

const server = createServer(async (request, response) => {
  try {
    const { pathname: path } = new URL(request.url, "http://store");
    if (path.startsWith("/api/")) {
      const body = JSON.stringify(await answer(request, path));
      response.writeHead(200, JSON_HEADERS).end(body);
    } else {
      const { headers, body } = await pageOf(path);
      response.writeHead(200, headers).end(body);
    }
  } catch (error) {
    if (!(error instanceof Refusal)) console.error(error);
    const { status = 500, code, message } = error instanceof Refusal ? error : {};
    response.writeHead(status, JSON_HEADERS);
    response.end(JSON.stringify({ code, message: message ?? "Something is broken on our side. Try again in a moment." }));
  }
});

server.listen(PORT, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/checkout/`));
