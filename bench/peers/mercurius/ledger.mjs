// What a request does in the database: one transaction each, as a careful Node team writes it by hand.
//
// Statements are prepared once for each connection (they have names), and the four writes of an adjustment are one
// statement, so an adjustment takes five round trips: begin, lock, claim, write, commit.
import { createHash, randomBytes, randomUUID } from "node:crypto";
import pg from "pg";

const { Pool, types } = pg;
// A Date would lose the microseconds.
types.setTypeParser(types.builtins.TIMESTAMPTZ, (text) => text);

const CONNECTIONS_MAX = 32;
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const WALLET = `SELECT w.id, w.status, w.sequence, w.updated_at, w.posted_minor, w.held_minor, w.currency,
  c.external_id FROM wallets w JOIN customers c ON c.id = w.customer_id`;

const LOCK = `SELECT w.id, w.status, w.posted_minor, w.held_minor, w.overdraft_minor, w.debt_minor, w.sequence, w.currency,
  w.head_hash, c.external_id
FROM wallets w JOIN customers c ON c.id = w.customer_id WHERE c.external_id = $1 FOR UPDATE OF w`;

const CLAIM = `INSERT INTO idempotency_keys (id, scope, key, command, request_hash, result, created_at)
VALUES ($1, $2, $3, 'adjustBalance', $4, $5, $6) ON CONFLICT (scope, key) DO NOTHING`;

const STORED = `SELECT k.request_hash, k.result FROM idempotency_keys k WHERE k.scope = $1 AND k.key = $2`;

const WRITE = `WITH t AS (
  INSERT INTO transactions (id, wallet_id, sequence, reference, kind, counter_account, amount_minor, balance_after_minor,
    currency, reason, note, actor_kind, actor_id, hash, created_at)
  VALUES ($1, $2, $3, $4, 'ADJUSTMENT', 'ADJUSTMENTS', $5, $6, $7, $8, $9, $10, $11, $12, $13)
), l AS (
  INSERT INTO lots (id, wallet_id, bucket, sequence, original_minor, remaining_minor, held_minor, created_at)
  VALUES ($14, $2, 'CASH', $3, $5, $5, 0, $13)
), a AS (
  INSERT INTO allocations (id, transaction_id, lot_id, position, bucket, amount_minor)
  VALUES ($15, $1, $14, 0, 'CASH', $5)
)
UPDATE wallets SET posted_minor = $6, sequence = $3, head_hash = $12, version = version + 1, updated_at = $13,
  last_activity_at = $13 WHERE id = $2`;

const HISTORY = `SELECT id, reference, sequence, kind, amount_minor, balance_after_minor, currency, note, created_at
FROM transactions WHERE wallet_id = $1 ORDER BY sequence DESC LIMIT $2`;

export class Ledger {
  constructor(databaseUrl) {
    this.pool = new Pool({ connectionString: databaseUrl, max: CONNECTIONS_MAX, options: "-c timezone=UTC" });
  }

  async wallet(condition, value) {
    const name = `wallet by ${condition}`;
    const { rows } = await this.pool.query({ name, text: `${WALLET} WHERE ${condition} = $1`, values: [value] });
    return rows[0] ?? null;
  }

  async history(walletId, first) {
    const { rows } = await this.pool.query({ name: "history", text: HISTORY, values: [walletId, first] });
    return rows;
  }

  async transaction(id) {
    const text = "SELECT * FROM transactions WHERE id = $1";
    return (await this.pool.query({ name: "transaction", text, values: [id] })).rows[0];
  }

  /** Credit a wallet; return `{ walletId, transaction }`, or `{ reused: true }`, or `null` for a wallet that is not there. */
  async credit(actor, credit) {
    const client = await this.pool.connect();
    const query = (name, text, values) => client.query({ name, text, values });
    try {
      await client.query("BEGIN");
      const wallet = (await query("lock", LOCK, [credit.customer])).rows[0];
      const done = wallet === undefined ? null : await this.#post(query, actor, credit, wallet);
      await client.query("COMMIT");
      return done;
    } catch (error) {
      await client.query("ROLLBACK");
      throw error;
    } finally {
      client.release();
    }
  }

  async #post(query, actor, credit, wallet) {
    if (wallet.currency !== credit.currency) return { otherCurrency: wallet.currency };
    if (wallet.overdraft_minor !== "0" || wallet.debt_minor !== "0") throw new Error("no credit to a wallet below zero");
    const scope = `${actor.kind}:${actor.id}`;
    const requestHash = createHash("sha256").update(JSON.stringify(credit)).digest();
    const at = new Date().toISOString().replace("Z", "000+00:00");
    const t = posted(wallet, actor, credit, at);
    const result = JSON.stringify({ Wallet: wallet.id, Transaction: t.id });
    const claim = await query("claim", CLAIM, [uuid7(), scope, credit.key, requestHash, result, at]);
    if (claim.rowCount === 0) {
      const stored = (await query("stored", STORED, [scope, credit.key])).rows[0];
      if (!stored.request_hash.equals(requestHash)) return { reused: true };
      return { walletId: stored.result.Wallet, transactionId: stored.result.Transaction };
    }
    const values = [t.id, wallet.id, t.sequence, t.reference, credit.amountMinor, t.balance_after_minor, wallet.currency];
    values.push(credit.reason, credit.note, actor.kind, actor.id, t.hash, at, t.lotId, uuid7());
    await query("write", WRITE, values);
    const after = { posted_minor: t.balance_after_minor, sequence: t.sequence, updated_at: at };
    return { wallet: { ...wallet, ...after }, transaction: t };
  }
}

function posted(wallet, actor, credit, at) {
  const t = {
    id: uuid7(),
    lotId: uuid7(),
    reference: reference(),
    sequence: String(BigInt(wallet.sequence) + 1n),
    kind: "ADJUSTMENT",
    amount_minor: credit.amountMinor,
    balance_after_minor: String(BigInt(wallet.posted_minor) + BigInt(credit.amountMinor)),
    currency: wallet.currency,
    note: credit.note,
    created_at: at,
  };
  t.hash = chained(wallet.head_hash, [
    wallet.id, t.sequence, t.id, t.reference, t.kind, "ADJUSTMENTS", t.amount_minor, t.balance_after_minor, t.currency,
    credit.reason, t.note, actor.kind, actor.id, "", "", at, t.lotId, "CASH", t.amount_minor, "",
  ]);
  return t;
}

/** The SHA-256 over the hash before and the content, each part as a netstring, as Coffer's chain has it. */
function chained(previous, parts) {
  const hash = createHash("sha256").update(previous);
  let content = "";
  for (const part of parts) content += `${Buffer.byteLength(part)}:${part},`;
  return hash.update(content).digest();
}

/** Ids that sort by time (RFC 9562), so that indexes grow at their end. */
function uuid7() {
  const time = Date.now().toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}

function reference() {
  const [...bytes] = randomBytes(12);
  const letters = bytes.map((byte) => ALPHABET[byte & 31]).join("");
  return `TX-${letters.slice(0, 4)}-${letters.slice(4, 8)}-${letters.slice(8)}`;
}
