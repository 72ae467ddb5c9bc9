// Refine's GraphQL data provider, by the adapter that we publish: lists, filters, sorts, and turns pages.
import { cofferDataProvider, ONE_WALLET, WALLETS } from "../../examples/refine/coffer-data-provider.js";

export async function played({ url, token }) {
  const provider = cofferDataProvider({ url, token: () => token });
  const names = ({ data }) => data.map(({ customer }) => customer.storeCustomerId);
  const byBalance = [{ field: "balance.amount", order: "desc" }];
  const list = (filters = [], currentPage = 1, sorters = byBalance) =>
    provider.getList({
      resource: "wallets",
      pagination: { currentPage, pageSize: 2 },
      filters,
      sorters,
      meta: { gqlQuery: WALLETS },
    });

  const first = await list();
  const one = await provider.getOne({ resource: "wallets", id: first.data[0].id, meta: { gqlQuery: ONE_WALLET } });
  const unknown = await list([{ field: "shoeSize", operator: "eq", value: 43 }]).catch(({ message }) => message);

  return {
    first: names(first),
    total: first.total,
    second: names(await list([], 2)),
    rich: names(await list([{ field: "balance.amount", operator: "gte", value: 20 }])),
    frozen: names(await list([{ field: "status", operator: "eq", value: "FROZEN" }])),
    searched: names(await list([{ field: "q", operator: "contains", value: "BEL" }])),
    begun: (await list([{ field: "q", operator: "contains", value: "BE" }])).total,
    oldest: names(await list([], 1, [{ field: "createdAt", order: "asc" }])),
    one: one.data.customer.storeCustomerId,
    unknown,
  };
}
