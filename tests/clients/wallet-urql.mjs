// urql: queries and mutations by its fetch exchange; subscriptions by server-sent events (fetchSubscriptions) or,
// with "websocket" as the second argument, by its subscription exchange over graphql-ws.
import { Client, cacheExchange, fetchExchange, subscriptionExchange } from "@urql/core";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { finish, given, socketUrl, tell } from "./wallet.mjs";

const overWebSocket = process.argv[3] === "websocket";

function clientOf(token) {
  const authorization = `Bearer ${token}`;
  const socket = createClient({ url: socketUrl, webSocketImpl: WebSocket, connectionParams: { authorization } });
  const sockets = subscriptionExchange({
    forwardSubscription: ({ query, variables }) => ({
      subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }),
    }),
  });
  return new Client({
    url: given.url,
    exchanges: overWebSocket ? [cacheExchange, fetchExchange, sockets] : [cacheExchange, fetchExchange],
    fetchSubscriptions: !overWebSocket,
    fetchOptions: { headers: { authorization } },
    preferGetMethod: false,
  });
}

const clients = Object.fromEntries(Object.entries(given.tokens).map(([caller, token]) => [caller, clientOf(token)]));

async function ask(caller, query, variables) {
  const client = clients[caller];
  const { data, error } = query.startsWith("mutation")
    ? await client.mutation(query, variables)
    : await client.query(query, variables, { requestPolicy: "network-only" });
  if (error) throw error;
  return data;
}

function watch(query, variables, next) {
  const { unsubscribe } = clients.customer.subscription(query, variables).subscribe(({ data, error }) => {
    if (error) throw error;
    next(data);
  });
  return unsubscribe;
}

finish(await tell({ ask, watch }));
