// An order that is paid with the wallet, as a store's own programs do it with graphql-request:
//
//     authorize (by the customer) → authorize anew → capture a part (by the service) → the same again → refund twice
//
// The outcome is printed as JSON.
import { GraphQLClient, gql } from "graphql-request";
import { finish, given, selector } from "./wallet.mjs";

const clientOf = (caller) =>
  new GraphQLClient(given.url, { headers: { authorization: `Bearer ${given.tokens[caller]}` } });
const customer = clientOf("customer");
const service = clientOf("service");

const AUTHORIZE = gql`
  mutation Authorize($input: AuthorizePaymentInput!) {
    authorizePayment(input: $input) {
      replayed
      payment { id status held { amount } }
      wallet { available { amount } held { amount } }
      userErrors { code field }
    }
  }
`;
const CAPTURE = gql`
  mutation Capture($input: CapturePaymentInput!) {
    capturePayment(input: $input) {
      replayed
      payment { status authorized { amount } captured { amount } }
      wallet { balance { amount } held { amount } }
      userErrors { code field }
    }
  }
`;
const RECORD = gql`
  mutation Record($input: RecordOrderInput!) {
    recordOrder(input: $input) { order { paymentState leftToPay { amount } } userErrors { code field } }
  }
`;
const REFUND = gql`
  mutation Refund($input: RefundOrderInput!) {
    refundOrder(input: $input) {
      replayed
      refund { toWallet { amount } toOthers { amount } }
      wallet { balance { amount } }
      userErrors { code field }
    }
  }
`;

const usd = (amount) => ({ amount, currency: "USD" });
const storeOrder = { source: "shop", externalId: "1042" };

async function authorize(client, amount, idempotencyKey) {
  const input = { order: { ...storeOrder, total: usd("60.00") }, amount: usd(amount), idempotencyKey };
  return (await client.request(AUTHORIZE, { input })).authorizePayment;
}

async function capture(client, paymentId, amount) {
  const input = { paymentId, amount: usd(amount), idempotencyKey: `capture-${paymentId}` };
  return (await client.request(CAPTURE, { input })).capturePayment;
}

async function refund(id, amount) {
  const note = `Cup of order 1042 arrived broken, photo ${id}`;
  const input = { order: { storeOrder }, amount: usd(amount), note, storeRefundId: id, idempotencyKey: `refund-${id}` };
  return (await service.request(REFUND, { input })).refundOrder;
}

/** What came of it, in short. */
const held = ({ payment, wallet }) => [payment.status, payment.held.amount, wallet.available.amount, wallet.held.amount];
const taken = ({ replayed, payment, wallet }) => [
  replayed, payment.status, payment.authorized.amount, payment.captured.amount, wallet.balance.amount, wallet.held.amount,
];
const divided = ({ replayed, refund, wallet }) => [
  replayed, refund.toWallet.amount, refund.toOthers.amount, wallet.balance.amount,
];

const tooMuch = await authorize(customer, "50.01", "authorize-1");
const first = await authorize(customer, "20.00", "authorize-2");
const anew = await authorize(customer, "40.00", "authorize-3");
const stale = await capture(service, first.payment.id, "20.00");
const byCustomer = await capture(customer, anew.payment.id, "40.00").catch(({ response }) => response.errors[0].extensions.code);
const captured = await capture(service, anew.payment.id, "30.00");
const again = await capture(service, anew.payment.id, "30.00");
const { recordOrder } = await service.request(RECORD, {
  input: {
    ...storeOrder,
    number: "1042",
    modifiedAt: new Date().toISOString(),
    status: "PAID",
    currency: "USD",
    total: "60.00",
    paidOtherwise: "30.00",
    customer: selector,
  },
});
const refunds = [await refund("r1", "20.00"), await refund("r1", "20.00"), await refund("r2", "40.00")];
const beyond = await refund("r3", "0.01");

finish({
  tooMuch: tooMuch.userErrors,
  first: held(first),
  anew: held(anew),
  stale: stale.userErrors,
  byCustomer,
  captured: taken(captured),
  again: taken(again),
  recorded: recordOrder.order,
  refunds: refunds.map(divided),
  beyond: beyond.userErrors,
});
