// The story that each client tells with a wallet, whatever way it talks to the server:
//
//     query → adjust → the same again → the same key for something else → watch → leave, miss something, come back
//
// A client brings { ask(caller, query, variables), watch(query, variables, next) → stop }. The outcome is printed
// as JSON, and is the same for all clients, transports and databases.
import { setTimeout as sleep } from "node:timers/promises";

export const WALLET = `query Wallet($by: WalletSelector!) {
  wallet(by: $by) { id balance { amount currency } transactions(first: 5) { nodes { sequence note } } }
}`;

export const ADJUST = `mutation Adjust($input: AdjustBalanceInput!) {
  adjustBalance(input: $input) {
    replayed
    transaction { id reference sequence }
    wallet { id balance { amount currency } }
    userErrors { code field }
  }
}`;

export const WATCH = `subscription Watch($wallet: WalletSelector!, $afterSequence: BigInt) {
  walletUpdated(wallet: $wallet, afterSequence: $afterSequence) {
    kind
    sequence
    balance { amount }
    wallet { id balance { amount currency } }
    transaction { direction amount { amount } note }
  }
}`;

const PATIENCE_MS = 10_000;

/** What the script was started with: the endpoint, the tokens by caller, the store's id of the customer. */
export const given = JSON.parse(process.argv[2]);
export const socketUrl = given.url.replace(/^http/, "ws");
export const selector = { storeCustomerId: given.customer };

/** The input of an adjustment, which the key names. */
export function adjustment(key, direction, amount, note = `Parcel of order ${key} arrived broken`) {
  return {
    input: {
      wallet: selector,
      direction,
      amount: { amount, currency: "USD" },
      reason: "DAMAGED_OR_MISSING",
      note,
      idempotencyKey: key,
    },
  };
}

/** Wait until it is so, and say what it was when it never was. */
export async function until(condition, what) {
  for (const end = Date.now() + PATIENCE_MS; !(await condition()); await sleep(10)) {
    if (Date.now() > end) throw new Error(`waited in vain: ${JSON.stringify(what())}`);
  }
}

/** An update in one line, such as "TRANSACTION 2 20.00 DEBIT 5.00". */
export function line({ walletUpdated: { kind, sequence, balance, transaction } }) {
  const moved = transaction ? ` ${transaction.direction} ${transaction.amount.amount}` : "";
  return `${kind} ${sequence} ${balance.amount}${moved}`;
}

/** What was refused; clients with a cache add __typename. */
function refusals({ userErrors }) {
  return userErrors.map(({ code, field }) => ({ code, field }));
}

export async function tell({ ask, watch }) {
  const adjust = async (...given) => (await ask("staff", ADJUST, adjustment(...given))).adjustBalance;
  const read = async (caller) => (await ask(caller, WALLET, { by: selector })).wallet;

  const before = await read("staff");
  const first = await adjust("1042", "CREDIT", "25.00");
  const again = await adjust("1042", "CREDIT", "25.00");
  const other = await adjust("1042", "CREDIT", "26.00");
  const tooMuch = await adjust("1043", "DEBIT", "25.01");

  const live = [];
  let stop = watch(WATCH, { wallet: selector }, (data) => live.push(data));
  await until(() => live.length === 1, () => live);
  await adjust("1044", "DEBIT", "5.00");
  await adjust("1045", "CREDIT", "0.50");
  await until(() => live.length === 3, () => live);
  await stop();

  await adjust("1046", "CREDIT", "1.00");
  await adjust("1047", "DEBIT", "2.00");

  const resumed = [];
  const afterSequence = live.at(-1).walletUpdated.sequence;
  stop = watch(WATCH, { wallet: selector, afterSequence }, (data) => resumed.push(data));
  await until(() => resumed.length === 3, () => resumed);
  await adjust("1048", "CREDIT", "4.00");
  await until(() => resumed.length === 4, () => resumed);
  await stop();

  return {
    before,
    first: [first.replayed, first.wallet.balance.amount, refusals(first)],
    again: [again.replayed, again.transaction.reference === first.transaction.reference, again.wallet.balance.amount],
    other: refusals(other),
    tooMuch: refusals(tooMuch),
    live: live.map(line),
    resumed: resumed.map(line),
    after: await read("customer"),
  };
}

/** Print the outcome and end, whatever sockets are still open. */
export function finish(outcome) {
  process.stdout.write(JSON.stringify(outcome), () => process.exit(0));
}
