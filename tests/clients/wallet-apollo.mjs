// Apollo Client as a storefront sets it up: HTTP for queries and mutations, graphql-ws for subscriptions, and the
// normalised cache, in which an update of a wallet by any of them reaches whoever shows that wallet.
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { getMainDefinition } from "@apollo/client/utilities";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { adjustment, ADJUST, finish, given, selector, socketUrl, tell, until, WALLET } from "./wallet.mjs";

function clientOf(token) {
  const authorization = `Bearer ${token}`;
  const http = new HttpLink({ uri: given.url, headers: { authorization } });
  const socket = new GraphQLWsLink(
    createClient({ url: socketUrl, webSocketImpl: WebSocket, connectionParams: { authorization } }),
  );
  const isSubscription = ({ query }) => getMainDefinition(query).operation === "subscription";
  return new ApolloClient({ link: ApolloLink.split(isSubscription, socket, http), cache: new InMemoryCache() });
}

const clients = Object.fromEntries(Object.entries(given.tokens).map(([caller, token]) => [caller, clientOf(token)]));

async function ask(caller, query, variables) {
  const document = gql(query);
  const { data } =
    getMainDefinition(document).operation === "mutation"
      ? await clients[caller].mutate({ mutation: document, variables })
      : await clients[caller].query({ query: document, variables, fetchPolicy: "network-only" });
  return data;
}

function watch(query, variables, next) {
  const subscription = clients.customer.subscribe({ query: gql(query), variables }).subscribe({
    next: ({ data, error }) => {
      if (error) throw error;
      next(data);
    },
    error: (error) => {
      throw error;
    },
  });
  return () => subscription.unsubscribe();
}

const outcome = await tell({ ask, watch });

// What staff does in another client reaches the customer's screen through the subscription and the cache alone.
const shown = [];
const screen = clients.customer
  .watchQuery({ query: gql(WALLET), variables: { by: selector }, fetchPolicy: "cache-first" })
  .subscribe(({ data }) => data && shown.push(data.wallet.balance.amount));
const stop = watch(
  `subscription ($wallet: WalletSelector!) { walletUpdated(wallet: $wallet) { wallet { id balance { amount currency } } } }`,
  { wallet: selector },
  () => {},
);
await until(() => shown.length === 1, () => shown);
await ask("staff", ADJUST, adjustment("1049", "DEBIT", "0.25"));
await until(() => shown.length === 2, () => shown);
stop();
screen.unsubscribe();

finish({ ...outcome, shown });
