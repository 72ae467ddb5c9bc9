// Plays Apollo Client over HTTP only: a query, a mutation, and a subscription by multipart.
import { ApolloClient, HttpLink, InMemoryCache, gql } from "@apollo/client";

const client = new ApolloClient({
  link: new HttpLink({ uri: process.argv[2] }),
  cache: new InMemoryCache(),
  defaultOptions: { query: { fetchPolicy: "no-cache" } },
});

function stream(query) {
  const results = [];
  return new Promise((resolve) => {
    client.subscribe({ query }).subscribe({
      next: (result) => results.push(result.data ?? String(result.error)),
      error: (error) => resolve([...results, `error: ${error}`]),
      complete: () => resolve(results),
    });
  });
}

let failed;
try {
  await client.query({ query: gql`{ nope }` });
} catch (error) {
  failed = error.errors?.[0].extensions.code ?? String(error);
}
console.log(
  JSON.stringify({
    query: (await client.query({ query: gql`{ hello }` })).data,
    mutation: (await client.mutate({ mutation: gql`mutation { pay }` })).data,
    failed,
    subscription: await stream(gql`subscription { count }`),
  }),
);
process.exit(0);
