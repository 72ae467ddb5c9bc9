// Fastify, Mercurius with its compiler (jit) and node-postgres: the part of Coffer's API that the bench asks for.
//
// Environment: DATABASE_URL, PORT, JWT_SECRET. Ends when its standard input does.
import { readFileSync } from "node:fs";
import { createVerifier } from "fast-jwt";
import Fastify from "fastify";
import { GraphQLScalarType } from "graphql";
import mercurius from "mercurius";
import { Ledger } from "./ledger.mjs";

const { DATABASE_URL, PORT, JWT_SECRET } = process.env;
const STAFF = "administrator";
const NOTE_MIN = 10;
const NOTE_MAX = 1000;

const ledger = new Ledger(DATABASE_URL);
// Verified tokens are kept, as Coffer keeps them.
const verify = createVerifier({ key: JWT_SECRET, algorithms: ["HS256"], cache: true });

const globalId = (type, id) => Buffer.from(`${type}:${id.replaceAll("-", "")}`).toString("base64url");

function rowId(type, id) {
  const [found, hex] = Buffer.from(id, "base64url").toString().split(":");
  if (found !== type || !/^[0-9a-f]{32}$/.test(hex ?? "")) throw new Error("This is no id.");
  return hex;
}

function money(minor, currency) {
  const digits = (minor[0] === "-" ? minor.slice(1) : minor).padStart(3, "0");
  const sign = minor[0] === "-" ? "-" : "";
  return { amount: `${sign}${digits.slice(0, -2)}.${digits.slice(-2)}`, currency };
}

/** PostgreSQL writes `2027-01-31 12:00:00.5+00`, the API `2027-01-31T12:00:00.500000Z`. */
function time(text) {
  const fraction = text.length > 22 ? text.slice(20, text.indexOf("+", 19)) : "";
  return `${text.slice(0, 10)}T${text.slice(11, 19)}.${fraction.padEnd(6, "0")}Z`;
}

const scalar = (name, serialize) => new GraphQLScalarType({ name, serialize, parseValue: String });
const same = (value) => value;

const walletOf = (row) => ({ ...row, available_minor: String(BigInt(row.posted_minor) - BigInt(row.held_minor)) });
const refused = (code, message, field) => ({ userErrors: [{ code, message, field }] });

function checked(input) {
  const { wallet, direction, amount, note, idempotencyKey } = input;
  if (wallet.storeCustomerId === undefined || direction !== "CREDIT") throw new Error("The bench only credits customers.");
  if (!/^(0|[1-9]\d{0,12})\.\d\d$/.test(amount.amount)) throw new Error("This is no amount.");
  if (note.length < NOTE_MIN || note.length > NOTE_MAX) throw new Error("This is no note.");
  return {
    customer: wallet.storeCustomerId,
    amountMinor: String(BigInt(amount.amount.replace(".", ""))),
    currency: amount.currency,
    reason: input.reason,
    note,
    key: idempotencyKey,
  };
}

async function adjustBalance(_, { input }, { principal }) {
  if (!principal.roles?.includes(STAFF)) throw new Error("You may not adjust balances.");
  const credit = checked(input);
  if (credit.customer === principal.sub) throw new Error("Nobody adjusts their own wallet.");
  const done = await ledger.credit({ kind: "STAFF", id: principal.sub }, credit);
  if (done === null) return refused("NOT_FOUND", "There is no such wallet.", ["wallet"]);
  if (done.reused) {
    const message =
      "This idempotency key was already used for a request with other input. " +
      "Repeat that request unchanged, or choose a new key for a new one.";
    return refused("IDEMPOTENCY_KEY_REUSED", message, ["idempotencyKey"]);
  }
  if (done.otherCurrency) return refused("CURRENCY_MISMATCH", `The wallet is in ${done.otherCurrency}.`, ["amount"]);
  if (done.transactionId) {
    const [wallet, transaction] = [await ledger.wallet("w.id", done.walletId), await ledger.transaction(done.transactionId)];
    return { wallet: walletOf(wallet), transaction, userErrors: [] };
  }
  return { wallet: walletOf(done.wallet), transaction: done.transaction, userErrors: [] };
}

async function wallet(_, { by }, { principal }) {
  const found = await (by.id === undefined
    ? ledger.wallet("c.external_id", by.storeCustomerId)
    : ledger.wallet("w.id", rowId("Wallet", by.id)));
  const sees = principal.roles?.includes(STAFF) || found?.external_id === principal.sub;
  return found !== null && sees ? walletOf(found) : null;
}

const resolvers = {
  BigInt: scalar("BigInt", Number),
  CurrencyCode: scalar("CurrencyCode", same),
  Decimal: scalar("Decimal", same),
  DateTime: scalar("DateTime", time),
  Query: { wallet },
  Mutation: { adjustBalance },
  Wallet: {
    id: (row) => globalId("Wallet", row.id),
    updatedAt: (row) => row.updated_at,
    balance: (row) => money(row.posted_minor, row.currency),
    available: (row) => money(row.available_minor, row.currency),
    transactions: async (row, { first }) => ({ nodes: await ledger.history(row.id, Math.min(first, 100)) }),
  },
  Transaction: {
    id: (row) => globalId("Transaction", row.id),
    createdAt: (row) => row.created_at,
    amount: (row) => money(row.amount_minor.replace("-", ""), row.currency),
    balanceAfter: (row) => money(row.balance_after_minor, row.currency),
  },
};

const app = Fastify({ logger: false });
app.register(mercurius, {
  schema: readFileSync(new URL("schema.graphql", import.meta.url), "utf8"),
  resolvers,
  jit: 1,
  context: (request) => ({ principal: verify((request.headers.authorization ?? "").replace(/^Bearer /, "")) }),
});
process.stdin.resume().on("end", () => process.exit(0));
await app.listen({ port: Number(PORT), host: "127.0.0.1" });
