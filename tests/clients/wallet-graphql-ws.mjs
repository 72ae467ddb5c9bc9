// Everything over one websocket a caller, by graphql-ws; then the socket is cut, and the client comes back by itself.
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { adjustment, ADJUST, finish, given, line, selector, socketUrl, tell, until, WATCH } from "./wallet.mjs";

const sockets = [];
const clients = Object.fromEntries(
  Object.entries(given.tokens).map(([caller, token]) => [
    caller,
    createClient({
      url: socketUrl,
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${token}` },
      on: { opened: (socket) => sockets.push(socket) },
      retryWait: async () => {},
      shouldRetry: () => true,
    }),
  ]),
);

function watch(query, variables, next) {
  return clients.customer.subscribe(
    { query, variables },
    {
      next: ({ data, errors }) => {
        if (errors) throw new Error(JSON.stringify(errors));
        next(data);
      },
      error: (error) => {
        throw error;
      },
      complete: () => {},
    },
  );
}

async function ask(caller, query, variables) {
  for await (const { data, errors } of clients[caller].iterate({ query, variables })) {
    if (errors) throw new Error(JSON.stringify(errors));
    return data;
  }
}

const outcome = await tell({ ask, watch });

const cut = [];
const stop = watch(WATCH, { wallet: selector }, (data) => cut.push(data));
await until(() => cut.length === 1, () => cut);
for (const socket of sockets) socket.terminate();
await until(() => cut.length === 2, () => cut);
await ask("staff", ADJUST, adjustment("1049", "DEBIT", "0.25"));
await until(() => cut.length === 3, () => cut);
stop();

finish({ ...outcome, cut: cut.map(line) });
