// Plays urql's own fetch exchange: a query, a mutation, and a subscription over server-sent events.
import { Client, fetchExchange } from "@urql/core";

const client = new Client({
  url: process.argv[2],
  exchanges: [fetchExchange],
  fetchSubscriptions: true,
  preferGetMethod: false,
  requestPolicy: "network-only",
});

function stream(query) {
  const results = [];
  return new Promise((resolve) => {
    const { unsubscribe } = client.subscription(query, {}).subscribe((result) => {
      results.push(result.data ?? result.error?.graphQLErrors?.[0]?.extensions ?? String(result.error));
      if (results.length === 3 || result.error) {
        resolve(results);
        setTimeout(() => unsubscribe(), 0);
      }
    });
    setTimeout(() => resolve(results), 3000).unref();
  });
}

const got = await client.query("query ($name: String!) { hello(name: $name) }", { name: "urql" }, { preferGetMethod: true }).toPromise();
console.log(
  JSON.stringify({
    query: (await client.query("{ hello }", {}).toPromise()).data,
    got: got.data,
    mutation: (await client.mutation("mutation { pay }", {}).toPromise()).data,
    failed: (await client.query("{ nope }", {}).toPromise()).error.graphQLErrors[0].extensions.code,
    subscription: await stream("subscription { count }"),
  }),
);
process.exit(0);
