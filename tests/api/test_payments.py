"""Paying orders with the wallet: the cases of a checkout, each through the API."""

from tests.api.store import Store


async def test_paid(api: Store) -> None:
    customer = await api.funded("100.00")
    told = api.order(customer, "80.00")
    payment = await api.authorize(customer, told)
    assert (payment["status"], payment["held"]["amount"]) == ("AUTHORIZED", "80.00")
    order = await api.found(told)
    assert (order["paymentState"], order["total"]) == ("AUTHORIZED", None)
    order = await api.record(told, status="PAID")
    assert (order["paymentState"], order["walletPaid"]["amount"], order["problem"]) == ("PAID", "80.00", None)
    refund = await api.refund(told, "30.00")
    assert refund["toWallet"]["amount"] == "30.00"
    order = await api.found(told)
    assert (order["paymentState"], order["refundState"]) == ("PAID", "PARTIALLY_REFUNDED")
    assert [one["kind"] for one in order["transactions"]["nodes"]] == ["PURCHASE", "REFUND"]
