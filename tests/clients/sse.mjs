// Plays the client of graphql-sse, in its distinct connections mode.
import { createClient } from "graphql-sse";

const client = createClient({ url: process.argv[2], retryAttempts: 0 });

async function told(query) {
  const results = [];
  for await (const result of client.iterate({ query })) results.push(result);
  return results;
}

const iterator = client.iterate({ query: "subscription { count(to: 1000000, pauseS: 0.01) }" });
const left = (await iterator.next()).value;
await iterator.return();

console.log(
  JSON.stringify({
    subscription: await told("subscription { count }"),
    query: await told("{ hello }"),
    mutation: await told("mutation { pay }"),
    failed: (await told("{ nope }"))[0].errors.map((error) => error.extensions.code),
    broken: (await told("subscription { count(failAt: 2) }")).map((result) => result.errors?.[0].extensions.code ?? result.data),
    left,
  }),
);
process.exit(0);
