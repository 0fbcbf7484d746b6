"""web3.py against a node."""

import asyncio
import unittest

from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from web3 import AsyncWeb3, Web3, WebSocketProvider
from web3.exceptions import (
    ContractCustomError,
    ContractLogicError,
    ContractPanicError,
    TransactionNotFound,
    Web3RPCError,
)

from support import CHAIN_ID, MULTICALL3, URL, WS, account, contract

PROBE = contract("Probe")
w3 = Web3(Web3.HTTPProvider(URL))
alice, bob = account(0), account(1)


def fresh():
    return Account.create().address


def mined(sent):
    return w3.eth.wait_for_transaction_receipt(sent, timeout=20, poll_latency=0.02)


def send(signer, transaction):
    """Fills in what is missing, signs, sends, waits."""
    fees = {} if {"gasPrice", "maxFeePerGas"} & transaction.keys() else {
        "maxFeePerGas": 10 * 10**9, "maxPriorityFeePerGas": 10**9,
    }
    filled = {
        "chainId": CHAIN_ID, "nonce": w3.eth.get_transaction_count(signer.address, "pending"), **fees, **transaction,
    }
    if "gas" not in filled:
        filled["gas"] = w3.eth.estimate_gas({**filled, "from": signer.address})
    return mined(w3.eth.send_raw_transaction(signer.sign_transaction(filled).raw_transaction))


def deploy(name, *arguments):
    compiled = contract(name)
    factory = w3.eth.contract(abi=compiled["abi"], bytecode=compiled["bytecode"])
    receipt = send(alice, {"data": factory.constructor(*arguments).data_in_transaction})
    return w3.eth.contract(address=receipt.contractAddress, abi=compiled["abi"])


class Web3Suite(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.probe = deploy("Probe", 7, "first")

    def write(self, function, *arguments, signer=alice, **transaction):
        data = self.probe.encode_abi(function, args=arguments)
        return send(signer, {"to": self.probe.address, "data": data, **transaction})

    def test_accounts_and_balances(self):
        self.assertTrue(w3.is_connected())
        self.assertEqual(w3.eth.chain_id, CHAIN_ID)
        self.assertEqual(w3.net.version, str(CHAIN_ID))
        self.assertEqual(w3.eth.accounts, [account(index).address for index in range(10)])
        self.assertEqual(w3.eth.get_balance(account(9).address), w3.to_wei(10_000, "ether"))
        self.assertEqual(w3.eth.get_balance(fresh()), 0)
        self.assertRegex(w3.client_version, r"/v\d")
        self.assertFalse(w3.eth.syncing)

    def test_transfers_of_every_type(self):
        to = fresh()
        access = [{"address": to, "storageKeys": []}]
        forms = [
            {"gasPrice": 10 * 10**9},
            {"gasPrice": 10 * 10**9, "accessList": access, "type": 1},
            {"maxFeePerGas": 10 * 10**9, "maxPriorityFeePerGas": 10**9},
        ]
        for kind, form in enumerate(forms):
            before = w3.eth.get_balance(bob.address)
            receipt = send(bob, {"to": to, "value": 1000, **form})
            self.assertEqual((receipt.status, receipt.type), (1, kind))
            self.assertEqual(w3.eth.get_balance(to), 1000 * (kind + 1))
            fee = receipt.gasUsed * receipt.effectiveGasPrice
            self.assertEqual(w3.eth.get_balance(bob.address), before - 1000 - fee)
            found = w3.eth.get_transaction(receipt.transactionHash)
            self.assertEqual((found["from"], found.value), (bob.address, 1000))

    def test_an_account_delegates_to_code(self):
        batcher = deploy("Batcher")
        signer = Account.create()
        send(bob, {"to": signer.address, "value": 10**18})
        nonce = w3.eth.get_transaction_count(signer.address)
        signed = signer.sign_authorization({"chainId": CHAIN_ID, "address": batcher.address, "nonce": nonce + 1})
        to = fresh()
        data = batcher.encode_abi("run", args=[[(to, 5, b"")]])
        receipt = send(signer, {"to": signer.address, "data": data, "gas": 300_000, "authorizationList": [signed]})
        self.assertEqual((receipt.status, receipt.type), (1, 4))
        self.assertEqual(w3.eth.get_balance(to), 5)
        self.assertEqual(w3.eth.get_code(signer.address).hex(), "ef0100" + batcher.address[2:].lower())

    def test_a_contract_is_read_and_written(self):
        code = w3.eth.get_code(self.probe.address)
        self.assertEqual(code.to_0x_hex(), PROBE["deployedBytecode"])
        self.write("store", 11, "second")
        self.assertEqual(self.probe.functions.value().call(), 11)
        self.assertEqual(self.probe.functions.note().call(), "second")
        self.assertEqual(int.from_bytes(w3.eth.get_storage_at(self.probe.address, 0), "big"), 11)
        self.write("push", [1, 2, 3])
        self.assertEqual(self.probe.functions.values().call()[-3:], [1, 2, 3])
        echoed = self.probe.functions.echo(b"\x01", (2, 3), ["a", "ü"]).call()
        self.assertEqual(echoed, [b"\x01", (2, 3), ["a", "ü"]])

    def test_the_nodes_accounts_send(self):
        to = fresh()
        receipt = mined(w3.eth.send_transaction({"from": account(3).address, "to": to, "value": 5}))
        self.assertEqual(receipt.status, 1)
        sent = self.probe.functions.store(12, "sent").transact({"from": account(3).address})
        self.assertEqual(mined(sent)["from"], account(3).address)
        self.assertEqual(w3.eth.get_balance(to), 5)

    def test_events_and_filters(self):
        installed = self.probe.events.Stored.create_filter(from_block="latest")
        installed.get_new_entries()
        receipt = self.write("store", 100, "x")
        self.write("storeMany", 200, 3, signer=bob)
        (event,) = self.probe.events.Stored().process_receipt(receipt)
        self.assertEqual((event.args.by, event.args.value, event.args.note), (alice.address, 100, "x"))
        get = self.probe.events.Stored().get_logs
        first = receipt.blockNumber
        self.assertEqual([log.args.value for log in get(from_block=first)], [100, 200, 201, 202])
        self.assertEqual([log.args.value for log in get({"value": [100, 201]}, from_block=first)], [100, 201])
        self.assertEqual([log.args.value for log in get({"by": bob.address}, from_block=first)], [200, 201, 202])
        self.assertEqual(len(get(from_block=first, to_block=first)), 1)
        self.assertEqual(len(w3.eth.get_logs({"blockHash": receipt.blockHash, "address": self.probe.address})), 1)
        self.assertEqual([log.args.value for log in installed.get_new_entries()], [100, 200, 201, 202])
        self.assertEqual(installed.get_new_entries(), [])
        self.assertTrue(w3.eth.uninstall_filter(installed.filter_id))

    def test_reverts_are_decoded(self):
        with self.assertRaisesRegex(ContractLogicError, "a reason in words"):
            self.probe.functions.failWithReason().call()
        with self.assertRaises(ContractCustomError) as caught:
            self.probe.functions.failWithError(5).call({"from": alice.address})
        expected = w3.codec.encode(["address", "uint256", "string"], [alice.address, 5, "too much"]).hex()
        self.assertTrue(caught.exception.data.endswith(expected))
        with self.assertRaisesRegex(ContractPanicError, "0x12|[Dd]ivi"):
            self.probe.functions.failWithPanic(0).call()
        with self.assertRaises(ContractLogicError):
            self.probe.functions.failWithNothing().call()
        with self.assertRaises(ContractCustomError):
            self.probe.functions.failIfStored(13).estimate_gas({"from": alice.address})
        receipt = self.write("failIfStored", 13, gas=100_000)
        self.assertEqual(receipt.status, 0)

    def test_multicall(self):
        abi = [{
            "type": "function", "name": "aggregate3", "stateMutability": "payable",
            "inputs": [{"name": "calls", "type": "tuple[]", "components": [
                {"name": "target", "type": "address"}, {"name": "allowFailure", "type": "bool"},
                {"name": "callData", "type": "bytes"}]}],
            "outputs": [{"name": "", "type": "tuple[]", "components": [
                {"name": "success", "type": "bool"}, {"name": "returnData", "type": "bytes"}]}],
        }]
        multicall = w3.eth.contract(address=MULTICALL3, abi=abi)
        good = (self.probe.address, False, self.probe.encode_abi("point"))
        bad = (self.probe.address, True, self.probe.encode_abi("failWithReason"))
        answers = multicall.functions.aggregate3([good, bad] * 50).call()
        self.assertEqual([success for success, _ in answers], [True, False] * 50)

    def test_typed_data(self):
        mailbox = deploy("Mailbox")
        person = [{"name": "name", "type": "string"}, {"name": "wallet", "type": "address"}]
        full = {
            "types": {
                "EIP712Domain": [
                    {"name": "name", "type": "string"}, {"name": "version", "type": "string"},
                    {"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"},
                ],
                "Person": person,
                "Mail": [{"name": "from", "type": "Person"}, {"name": "to", "type": "Person"},
                         {"name": "contents", "type": "string"}],
            },
            "primaryType": "Mail",
            "domain": {"name": "Mailbox", "version": "1", "chainId": CHAIN_ID, "verifyingContract": mailbox.address},
            "message": {"from": {"name": "Zeno", "wallet": alice.address}, "to": {"name": "B", "wallet": bob.address},
                        "contents": "hello"},
        }
        local = alice.sign_message(encode_typed_data(full_message=full))
        remote = w3.eth.sign_typed_data(alice.address, full)
        self.assertEqual(remote.hex().removeprefix("0x"), local.signature.hex())
        parts = [("Zeno", alice.address), ("B", bob.address), "hello"]
        r, s = local.r.to_bytes(32, "big"), local.s.to_bytes(32, "big")
        self.assertEqual(mailbox.functions.signer(*parts, local.v, r, s).call(), alice.address)
        signature = w3.eth.sign(alice.address, text="hello")
        self.assertEqual(Account.recover_message(encode_defunct(text="hello"), signature=signature), alice.address)

    def test_fees(self):
        self.assertGreater(w3.eth.gas_price, 0)
        self.assertGreaterEqual(w3.eth.max_priority_fee, 0)
        send(alice, {"to": fresh(), "value": 1})
        history = w3.eth.fee_history(2, "latest", [10, 90])
        self.assertEqual(len(history.baseFeePerGas), len(history.gasUsedRatio) + 1)
        self.assertEqual(len(history.reward[0]), 2)

    def test_gas_estimates_and_access_lists(self):
        self.assertEqual(w3.eth.estimate_gas({"from": alice.address, "to": fresh(), "value": 1}), 21_000)
        gas = self.probe.functions.burnGas(500).estimate_gas({"from": alice.address})
        self.assertEqual(self.write("burnGas", 500, gas=gas).status, 1)
        call = {"from": alice.address, "to": self.probe.address, "data": self.probe.encode_abi("setPoint", args=[(5, 6)])}
        answer = w3.eth.create_access_list(call)
        self.assertIn(self.probe.address, [entry.address for entry in answer.accessList])

    def test_traces(self):
        inner = self.probe.encode_abi("store", args=[1, "traced"])
        receipt = self.write("forward", self.probe.address, bytes.fromhex(inner[2:]))
        parameters = [receipt.transactionHash.to_0x_hex(), {"tracer": "callTracer"}]
        answer = w3.provider.make_request("debug_traceTransaction", parameters)
        self.assertEqual(answer["result"]["calls"][0]["input"], inner)

    def test_blocks_and_the_past(self):
        first = self.write("store", 1000, "then")
        self.write("store", 2000, "now")
        self.assertEqual(self.probe.functions.value().call(block_identifier=first.blockNumber), 1000)
        block = w3.eth.get_block(first.blockNumber, full_transactions=True)
        self.assertIn(first.transactionHash, [transaction.hash for transaction in block.transactions])
        self.assertEqual(w3.eth.get_block(block.parentHash).number, block.number - 1)
        self.assertEqual(w3.eth.get_block("earliest").number, 0)
        self.assertEqual(len(w3.eth.get_block_receipts(first.blockNumber)), len(block.transactions))
        self.assertEqual(w3.eth.get_transaction_by_block(first.blockNumber, first.transactionIndex).hash, first.transactionHash)
        self.assertEqual(w3.eth.get_block_transaction_count(first.blockNumber), len(block.transactions))

    def test_calls_with_an_overridden_state(self):
        override = {self.probe.address: {"stateDiff": {"0x" + "00" * 32: "0x" + "37".rjust(64, "0")}}}
        self.assertEqual(self.probe.functions.value().call(state_override=override), 0x37)

    def test_batches(self):
        with w3.batch_requests() as batch:
            for index in range(10):
                batch.add(w3.eth.get_balance(account(index).address))
            batch.add(self.probe.functions.point())
            answers = batch.execute()
        self.assertEqual(len(answers), 11)
        self.assertEqual(answers[9], w3.to_wei(10_000, "ether"))

    def test_refusals(self):
        with self.assertRaises(TransactionNotFound):
            w3.eth.get_transaction("0x" + "11" * 32)
        nonce = w3.eth.get_transaction_count(alice.address)
        with self.assertRaisesRegex(Web3RPCError, "nonce too low"):
            send(alice, {"to": bob.address, "value": 1, "gas": 21_000, "nonce": nonce - 1})
        with self.assertRaisesRegex(Web3RPCError, "(?i)insufficient funds"):
            send(Account.create(), {"to": bob.address, "value": 1, "gas": 21_000})
        answer = w3.provider.make_request("eth_nothing", [])
        self.assertEqual(answer["error"]["code"], -32601)

    def test_subscriptions(self):
        async def listen():
            async with AsyncWeb3(WebSocketProvider(WS)) as live:
                heads = await live.eth.subscribe("newHeads")
                logs = await live.eth.subscribe("logs", {"address": self.probe.address})
                pending = await live.eth.subscribe("newPendingTransactions")
                receipt = await asyncio.to_thread(self.write, "store", 4242, "live")
                wanted, heard = {heads, logs, pending}, set()
                async with asyncio.timeout(10):
                    async for message in live.socket.process_subscriptions():
                        result, kind = message["result"], message["subscription"]
                        if kind == heads and result["hash"] == receipt.blockHash:
                            heard.add(kind)
                        elif kind == logs and result["transactionHash"] == receipt.transactionHash:
                            heard.add(kind)
                        elif kind == pending and result == receipt.transactionHash:
                            heard.add(kind)
                        if heard == wanted:
                            break
                self.assertTrue(await live.eth.unsubscribe(heads))

        asyncio.run(listen())


if __name__ == "__main__":
    unittest.main()
