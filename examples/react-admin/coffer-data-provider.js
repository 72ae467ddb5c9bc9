// react-admin's data provider for the wallets of Coffer: list, search, filter, sort, pages, one and many.
//
//     const dataProvider = await cofferDataProvider({ uri: "https://wallet.shop.example/graphql", token: () => freshToken() });
//     <Admin dataProvider={dataProvider}>
//       <Resource name="wallets" list={WalletList} show={WalletShow} />
//     </Admin>
//
// Needs ra-data-graphql 5 and @apollo/client 3. Wallets are not edited as records: balances move by `adjustBalance`,
// with a note and an idempotency key, for which `dataProvider.adjustBalance(input)` is there.
import { ApolloLink, HttpLink, gql } from "@apollo/client";
import buildGraphQLProvider from "ra-data-graphql";

const WALLET = `
  id
  status
  sequence
  balance { amount currency }
  available { amount currency }
  createdAt
  lastActivityAt
  customer { id storeCustomerId name email }
`;

const LIST = gql`query Wallets($first: Int, $offset: Int, $search: String, $filter: WalletFilter, $sort: WalletSort) {
  wallets(first: $first, offset: $offset, search: $search, filter: $filter, sort: $sort) {
    totalCount
    nodes { ${WALLET} }
  }
}`;

const ONE = gql`query Wallet($id: ID!) { wallet(by: { id: $id }) { ${WALLET} } }`;

const MANY = gql`query WalletsByIds($ids: [ID!]!) { nodes(ids: $ids) { ... on Wallet { ${WALLET} } } }`;

const ADJUST = gql`mutation AdjustBalance($input: AdjustBalanceInput!) {
  adjustBalance(input: $input) {
    replayed
    transaction { id reference }
    wallet { ${WALLET} }
    userErrors { code message field }
  }
}`;

const SORT_FIELDS = {
  "balance.amount": "BALANCE",
  createdAt: "CREATED_AT",
  "customer.name": "CUSTOMER_NAME",
  lastActivityAt: "LAST_ACTIVITY_AT",
};

/** A search needs a word of three characters (two of Chinese, Japanese or Korean); until then the whole list stands. */
const canBeFound = (text) => /\S{3}|[\u2e80-\u{10ffff}]{2}/u.test(text ?? "");

/** The variables of a list, from what react-admin's list asks for. Filters: q, status (one or many), balance_gte, balance_lte. */
export function listVariables({ pagination: { page, perPage }, sort, filter = {} }) {
  const { q, status, balance_gte: min, balance_lte: max } = filter;
  const field = SORT_FIELDS[sort?.field];
  return {
    first: perPage,
    offset: (page - 1) * perPage,
    search: canBeFound(q) ? q : null,
    filter: {
      statuses: status ? [status].flat() : null,
      balance: min || max ? { min: min && String(min), max: max && String(max) } : null,
    },
    sort: field ? { field, direction: sort.order } : null,
  };
}

/** What ra-data-graphql asks: the query of a fetch, its variables, and how its answer is read. */
function buildQuery() {
  return (fetchType, resource, params) => {
    if (resource === "wallets" && fetchType === "GET_LIST") {
      return {
        query: LIST,
        variables: listVariables(params),
        parseResponse: ({ data: { wallets } }) => ({ data: wallets.nodes, total: wallets.totalCount }),
      };
    }
    if (resource === "wallets" && fetchType === "GET_ONE") {
      return { query: ONE, variables: { id: params.id }, parseResponse: ({ data }) => ({ data: data.wallet }) };
    }
    if (resource === "wallets" && fetchType === "GET_MANY") {
      return {
        query: MANY,
        variables: { ids: params.ids },
        parseResponse: ({ data }) => ({ data: data.nodes.filter(Boolean) }),
      };
    }
    throw new Error(`Coffer has no ${fetchType} of ${resource}.`);
  };
}

export async function cofferDataProvider({ uri, token }) {
  const bearer = new ApolloLink((operation, forward) => {
    operation.setContext({ headers: { authorization: `Bearer ${token()}` } });
    return forward(operation);
  });
  const link = bearer.concat(new HttpLink({ uri }));
  // What is queried stands above, so the server need not allow introspection.
  const provider = await buildGraphQLProvider({ clientOptions: { link }, introspection: false, buildQuery });

  /** Adjust a balance. Make the key once for each form that is opened, so that a second click moves nothing. */
  provider.adjustBalance = async (input) => {
    const { data } = await provider.client.mutate({ mutation: ADJUST, variables: { input } });
    const { userErrors, ...done } = data.adjustBalance;
    if (userErrors.length) throw new Error(userErrors.map(({ message }) => message).join(" "));
    return { data: done };
  };
  return provider;
}
