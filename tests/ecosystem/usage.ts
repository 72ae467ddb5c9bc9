// What a front end does with the generated types; it only has to be accepted by the compiler.
import type {
  AdjustBalanceMutation,
  AdjustBalanceMutationVariables,
  Money,
  Scalars,
  UserErrorCode,
  WalletSelector,
  WatchBalanceSubscription,
} from "./coffer";

const amount: Money["amount"] = "25.00";
const sequence: Scalars["BigInt"]["output"] = 1;
const by: WalletSelector = { storeCustomerId: "ann" };
// @ts-expect-error a wallet is named in exactly one way
const twice: WalletSelector = { storeCustomerId: "ann", id: "x" };
// @ts-expect-error money is never a number
const float: Money["amount"] = 25.0;

export const variables: AdjustBalanceMutationVariables = {
  input: {
    wallet: by,
    direction: "CREDIT" as AdjustBalanceMutationVariables["input"]["direction"],
    amount: { amount, currency: "USD" },
    reason: "GOODWILL" as AdjustBalanceMutationVariables["input"]["reason"],
    note: "A gesture after a late parcel",
    idempotencyKey: "1",
  },
};

export function refusals(data: AdjustBalanceMutation): UserErrorCode[] {
  return data.adjustBalance.userErrors.map(({ code }) => code);
}

export function place(data: WatchBalanceSubscription): number {
  return data.walletUpdated.sequence + sequence;
}

export { twice, float };
