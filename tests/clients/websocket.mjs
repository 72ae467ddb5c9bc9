// Plays the client of graphql-ws: a subscription to its end, a query, a mutation, and an operation that fails.
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const client = createClient({
  url: process.argv[2],
  webSocketImpl: WebSocket,
  connectionParams: { Authorization: "Bearer ada" },
  retryAttempts: 0,
});

async function told(query, variables) {
  const results = [];
  try {
    for await (const result of client.iterate({ query, variables })) results.push(result);
  } catch (errors) {
    return { results, errors };
  }
  return results;
}

const outcome = {
  subscription: await told("subscription ($to: Int!) { count(to: $to) }", { to: 3 }),
  query: await told("{ caller }"),
  mutation: await told("mutation { pay }"),
  failed: (await told("{ nope }")).errors?.map((error) => error.extensions.code),
};
await client.dispose();
console.log(JSON.stringify(outcome));
