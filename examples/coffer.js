// A client of Coffer in one file, with nothing but what browsers have: copy it and make it yours.
//
//     const coffer = connect({ endpoint: "https://wallet.shop.example/graphql", token: () => freshToken() });
//     const { viewer } = await coffer.ask("{ viewer { wallet { balance { amount currency } } } }");
//     const stop = coffer.watchWallet({ storeCustomerId: "1042" }, { next: (update) => show(update.balance) });

const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 30_000;
const HEALTHY_MS = 10_000;
// Closed with one of these, trying the same again can't help. 4403 (the token ended) is not among them: the next
// connection brings a fresh token.
const FATAL_CODES = new Set([4400, 4401, 4406, 4500]);

/** A request that got no answer: not allowed, malformed, limited, or a defect. Refusals are in `userErrors`. */
export class CofferError extends Error {
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

/** `token` is a token, or a function that gives a fresh one (or a promise of it) for each request and connection. */
export function connect({ endpoint, token }) {
  const authorization = async () => `Bearer ${typeof token === "function" ? await token() : token}`;

  /** Send a query or a mutation; give back its data. */
  async function ask(query, variables = {}) {
    const response = await fetch(endpoint, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: await authorization() },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = await response.json();
    if (errors) throw new CofferError(errors[0].message, errors[0].extensions?.code);
    return data;
  }

  /**
   * Keep a subscription open by graphql-transport-ws, through lost connections. `variables` is a function, since
   * where to resume from changes. Returns a function that ends it.
   */
  function subscribe(query, variables, { next, error = console.error, status = () => {} }) {
    let socket, retry, openedAt, ended = false, waitMs = RETRY_FIRST_MS;

    function open() {
      status("connecting");
      const opened = (socket = new WebSocket(endpoint.replace(/^http/, "ws"), "graphql-transport-ws"));
      const send = (message) => opened.readyState === WebSocket.OPEN && opened.send(JSON.stringify(message));
      const answer = {
        connection_ack: () => {
          openedAt = Date.now();
          status("live");
          send({ id: "1", type: "subscribe", payload: { query, variables: variables() } });
        },
        ping: () => send({ type: "pong" }),
        next: ({ payload: { data, errors } }) => (errors ? fail(errors[0]) : next(data)),
        error: ({ payload }) => fail(payload[0]),
        complete: () => opened.close(1000), // the server is stopping; another one will answer
      };
      opened.onopen = async () => {
        try {
          send({ type: "connection_init", payload: { authorization: await authorization() } });
        } catch {
          opened.close(1000); // there was no token to be had; the next attempt asks again
        }
      };
      opened.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        if (!ended) answer[message.type]?.(message);
      };
      opened.onclose = ({ code, reason }) => {
        if (ended) return;
        if (FATAL_CODES.has(code)) return fail({ message: reason, extensions: { code: String(code) } });
        if (openedAt && Date.now() - openedAt > HEALTHY_MS) waitMs = RETRY_FIRST_MS;
        openedAt = undefined;
        status("offline");
        // Not all at the same moment when a server comes back, and ever more patiently.
        retry = setTimeout(open, waitMs * (0.5 + Math.random() / 2));
        waitMs = Math.min(waitMs * 2, RETRY_MAX_MS);
      };
    }

    function fail({ message, extensions }) {
      end();
      status("offline");
      error(new CofferError(message, extensions?.code));
    }

    function end() {
      ended = true;
      clearTimeout(retry);
      socket.close(1000);
    }

    open();
    return end;
  }

  /**
   * Watch a wallet: a snapshot first, then every change in order. After a lost connection it goes on where it was,
   * so no transaction is missed or told twice. Given where to begin (`afterSequence`), the transactions after that
   * come first, then the snapshot.
   */
  function watchWallet(wallet, { next, error = console.error, afterSequence = null, ...rest }) {
    let end;

    function begin() {
      end = subscribe(WALLET_UPDATED, () => ({ wallet, afterSequence }), {
        ...rest,
        next: ({ walletUpdated }) => {
          afterSequence = walletUpdated.sequence;
          next(walletUpdated);
        },
        error: (refused) => {
          if (refused.code !== "BAD_USER_INPUT" || afterSequence === null) return error(refused);
          // The wallet never came so far: its database was restored, or a replica took over that lacked the last changes.
          afterSequence = null;
          begin();
        },
      });
    }

    begin();
    return () => end();
  }

  return { ask, subscribe, watchWallet };
}

const WALLET_UPDATED = `
  subscription ($wallet: WalletSelector!, $afterSequence: BigInt) {
    walletUpdated(wallet: $wallet, afterSequence: $afterSequence) {
      kind
      sequence
      balance { amount currency }
      wallet {
        id status
        balance { amount currency } held { amount currency }
        available { amount currency } withdrawable { amount currency }
        buckets { bucket balance { amount currency } nextExpiryAt }
      }
      transaction {
        id sequence reference createdAt kind direction reason note
        amount { amount currency } balanceAfter { amount currency } actor { kind id }
      }
    }
  }`;

/** Money as people read it. The amount stays a string: it never becomes a float. */
export function money({ amount, currency }, options = {}) {
  return new Intl.NumberFormat(undefined, { style: "currency", currency, ...options }).format(amount);
}

/** A transaction's amount with its sign. */
export function signed({ direction, amount }) {
  return (direction === "CREDIT" ? "+" : "−") + money(amount);
}

/** A day as people read it. */
export function day(time, options = { dateStyle: "medium" }) {
  return new Intl.DateTimeFormat(undefined, options).format(new Date(time));
}

/** Whether there is anything of it. */
export function isZero({ amount }) {
  return !/[1-9]/.test(amount);
}

/**
 * Where the server is, and who asks, for these examples: from the address (#endpoint=…&token=…), kept for the tab.
 * In a real store the token comes from the store's own sign-in.
 */
export function connectionOfPage() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name of ["endpoint", "token"]) {
    if (given.has(name)) sessionStorage.setItem(`coffer-${name}`, given.get(name));
  }
  if (given.has("token")) history.replaceState(null, "", location.pathname + location.search);
  return {
    endpoint: sessionStorage.getItem("coffer-endpoint") ?? "http://localhost:8000/graphql",
    token: sessionStorage.getItem("coffer-token") ?? "",
  };
}

/** Do some work for each click on a button, but one at a time: a second click while the first is at work does nothing. */
export function eachClick(button, work) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await work();
    } finally {
      button.disabled = false;
    }
  });
}

/** An element with attributes (or event handlers, or properties) and children; text is never read as HTML. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (typeof value === "boolean") made.toggleAttribute(name, value);
    else if (value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}
