// What a team that uses Relay writes: fragments beside components, pagination over a connection, refetch by Node.
import { graphql } from "relay-runtime";

export const walletRow = graphql`
  fragment wallets_row on Wallet {
    id
    status
    sequence
    updatedAt
    balance {
      amount
      currency
    }
    customer {
      id
      storeCustomerId
      name
    }
  }
`;

export const walletList = graphql`
  fragment wallets_list on Query
  @argumentDefinitions(
    count: { type: "Int", defaultValue: 20 }
    cursor: { type: "String" }
    search: { type: "String" }
    filter: { type: "WalletFilter" }
    sort: { type: "WalletSort" }
  )
  @refetchable(queryName: "walletsPageQuery") {
    wallets(first: $count, after: $cursor, search: $search, filter: $filter, sort: $sort)
      @connection(key: "wallets_list_wallets", filters: ["search", "filter", "sort"]) {
      totalCount
      edges {
        node {
          id
          ...wallets_row
        }
      }
    }
  }
`;

// Wallet implements Node, so Relay makes the query that fetches one again by its id, and pages through its history.
export const history = graphql`
  fragment wallets_history on Wallet
  @argumentDefinitions(count: { type: "Int", defaultValue: 20 }, cursor: { type: "String" })
  @refetchable(queryName: "walletsHistoryPageQuery") {
    transactions(first: $count, after: $cursor) @connection(key: "wallets_history_transactions") {
      edges {
        node {
          id
          reference
          kind
          direction
          amount {
            amount
            currency
          }
          note
        }
      }
    }
  }
`;

export const listQuery = graphql`
  query walletsListQuery($search: String, $sort: WalletSort) {
    ...wallets_list @arguments(search: $search, sort: $sort)
  }
`;

export const detailsQuery = graphql`
  query walletsDetailsQuery($by: WalletSelector!) {
    wallet(by: $by) {
      id
      ...wallets_row
      ...wallets_history
    }
  }
`;

export const nodeQuery = graphql`
  query walletsNodeQuery($id: ID!) {
    node(id: $id) {
      __typename
      ...wallets_row @alias(as: "wallet")
      ... on Transaction {
        reference
      }
    }
  }
`;

export const adjust = graphql`
  mutation walletsAdjustMutation($input: AdjustBalanceInput!) {
    adjustBalance(input: $input) {
      wallet {
        ...wallets_row
      }
      transaction {
        id
        reference
      }
      userErrors {
        code
        message
        field
      }
    }
  }
`;

export const watch = graphql`
  subscription walletsWatchSubscription($wallet: WalletSelector!, $afterSequence: BigInt) {
    walletUpdated(wallet: $wallet, afterSequence: $afterSequence) {
      kind
      sequence
      wallet {
        ...wallets_row
      }
      transaction {
        id
        note
      }
    }
  }
`;
