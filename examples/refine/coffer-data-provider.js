// Refine's GraphQL data provider, told how the lists of Coffer are filtered, sorted and counted in pages.
//
//     const dataProvider = cofferDataProvider({ url: "https://wallet.shop.example/graphql", token: () => freshToken() });
//     <Refine dataProvider={dataProvider} resources={[{ name: "wallets", list: "/wallets" }]} />
//     useTable({ resource: "wallets", meta: { gqlQuery: WALLETS } })
//
// Needs @refinedev/graphql 8 and @urql/core 5.
import createDataProvider from "@refinedev/graphql";
import { Client, fetchExchange, gql } from "@urql/core";

const WALLET = `
  id
  status
  balance { amount currency }
  available { amount currency }
  createdAt
  lastActivityAt
  customer { id storeCustomerId name email }
`;

/** The list. Lists of your own need these variables, and the fields that your table shows. */
export const WALLETS = gql`
  query Wallets($first: Int, $offset: Int, $search: String, $filter: WalletFilter, $sort: WalletSort) {
    wallets(first: $first, offset: $offset, search: $search, filter: $filter, sort: $sort) {
      totalCount
      nodes { ${WALLET} }
    }
  }
`;

export const ONE_WALLET = gql`query Wallet($id: ID!) { wallet(by: { id: $id }) { ${WALLET} } }`;

const SORT_FIELDS = {
  "balance.amount": "BALANCE",
  createdAt: "CREATED_AT",
  "customer.name": "CUSTOMER_NAME",
  lastActivityAt: "LAST_ACTIVITY_AT",
};

/** A search needs a word of three characters (two of Chinese, Japanese or Korean); until then the whole list stands. */
const canBeFound = (text) => /\S{3}|[\u2e80-\u{10ffff}]{2}/u.test(text ?? "");

/** Refine's conditions as one WalletFilter and a search. One that Coffer can't answer is refused, never left out. */
export function conditions(filters = []) {
  const filter = {};
  let search = null;
  for (const { field, operator, value } of filters) {
    if (value === undefined || value === null || value === "") continue;
    const which = `${field} ${operator}`;
    if (which === "q contains") search = canBeFound(value) ? value : null;
    else if (which === "status eq" || which === "status in") filter.statuses = [value].flat();
    else if (which === "balance.amount gte") filter.balance = { ...filter.balance, min: String(value) };
    else if (which === "balance.amount lte") filter.balance = { ...filter.balance, max: String(value) };
    else if (which === "createdAt gte") filter.created = { ...filter.created, from: value };
    else if (which === "createdAt lte") filter.created = { ...filter.created, to: value };
    else throw new Error(`Wallets can't be filtered by ${which}.`);
  }
  return { search, filter };
}

function listVariables({ pagination, sorters = [], filters }) {
  const { currentPage = 1, pageSize = 10 } = pagination ?? {};
  const [sorter] = sorters.filter(({ field }) => SORT_FIELDS[field]);
  return {
    first: pageSize,
    offset: (currentPage - 1) * pageSize,
    ...conditions(filters),
    sort: sorter ? { field: SORT_FIELDS[sorter.field], direction: sorter.order.toUpperCase() } : null,
  };
}

export function cofferDataProvider({ url, token }) {
  const client = new Client({
    url,
    exchanges: [fetchExchange],
    preferGetMethod: false,
    fetchOptions: () => ({ headers: { authorization: `Bearer ${token()}` } }),
  });
  return createDataProvider(client, {
    getList: {
      buildVariables: listVariables,
      dataMapper: ({ data }, { resource }) => data[resource].nodes,
      getTotalCount: ({ data }, { resource }) => data[resource].totalCount,
    },
  });
}
