// graphql-request for queries and mutations, and graphql-sse (distinct connections) for what is watched: the two of
// them are what a small front end without a cache takes.
import { GraphQLClient } from "graphql-request";
import { createClient } from "graphql-sse";
import { finish, given, tell } from "./wallet.mjs";

const headersOf = (token) => ({ authorization: `Bearer ${token}` });
const clients = Object.fromEntries(
  Object.entries(given.tokens).map(([caller, token]) => [
    caller,
    new GraphQLClient(given.url, { headers: headersOf(token) }),
  ]),
);
const events = createClient({ url: given.url, headers: headersOf(given.tokens.customer), retryAttempts: 0 });

const ask = (caller, query, variables) => clients[caller].request(query, variables);

function watch(query, variables, next) {
  return events.subscribe(
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

finish(await tell({ ask, watch }));
