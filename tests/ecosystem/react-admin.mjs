// react-admin's data provider, by the adapter that we publish: lists, filters, sorts, and turns pages.
import { cofferDataProvider } from "../../examples/react-admin/coffer-data-provider.js";

export async function played({ url, token, adjust }) {
  const provider = await cofferDataProvider({ uri: url, token: () => token });
  const names = ({ data }) => data.map(({ customer }) => customer.storeCustomerId);
  const list = (filter, page = 1, sort = { field: "balance.amount", order: "DESC" }) =>
    provider.getList("wallets", { pagination: { page, perPage: 2 }, sort, filter });

  const first = await list({});
  const second = await list({}, 2);
  const one = await provider.getOne("wallets", { id: first.data[0].id });
  const many = await provider.getMany("wallets", { ids: first.data.map(({ id }) => id) });
  const adjusted = await provider.adjustBalance(adjust);
  const refused = await provider
    .adjustBalance({ ...adjust, idempotencyKey: "2", note: "refund" })
    .catch(({ message }) => message);

  return {
    first: names(first),
    total: first.total,
    second: names(second),
    rich: names(await list({ balance_gte: 20 })),
    frozen: names(await list({ status: "FROZEN" })),
    searched: names(await list({ q: "BEL" })),
    begun: (await list({ q: "BE" })).total,
    oldest: names(await list({}, 1, { field: "createdAt", order: "ASC" })),
    one: one.data.customer.storeCustomerId,
    many: names(many),
    adjusted: adjusted.data.wallet.balance.amount,
    refused: typeof refused,
  };
}
