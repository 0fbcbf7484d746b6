"""Input that is malformed, far too much or never finished: each gets a clear error, and the node answers afterwards."""

import http.client
import json
import logging
import os
import random
import socket
import struct
import time
import unittest
from contextlib import ExitStack
from urllib.parse import urlsplit

import rlp
from eth_account import Account
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from support import CHAIN_ID, URL, WS, account, until

ADDRESS = (urlsplit(URL).hostname, urlsplit(URL).port)
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
GWEI = 10**9

# Codes of JSON-RPC 2.0, and of EIP-1474 for what a node does not do or has a limit for.
PARSE, REQUEST, METHOD, PARAMS, SERVER, LIMIT = -32700, -32600, -32601, -32602, -32000, -32005

alice, bob = account(0), account(1)

# The client's own complaints about connections that the node ends are what is wanted here.
logging.getLogger("websockets").setLevel(logging.CRITICAL + 1)


def post(body, timeout=20, headers=None):
    """Sends bytes as a body; gives status and the answer's body."""
    connection = http.client.HTTPConnection(*ADDRESS, timeout=timeout)
    try:
        connection.request("POST", "/", body, {"content-type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def call(method, *params):
    """The whole answer to one request."""
    _, body = post(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    return json.loads(body)


def result(method, *params):
    answer = call(method, *params)
    if "error" in answer:
        raise AssertionError(f"{method}: {answer['error']}")
    return answer["result"]


def listen():
    """A WebSocket that neither pings nor waits for the other side when it is closed."""
    return connect(WS, max_size=None, ping_interval=None, close_timeout=0.1, open_timeout=20)


def memory():
    """Bytes that the node takes."""
    with open(f"/proc/{os.environ['STOA_PID']}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.head = int(result("eth_blockNumber"), 16)
        cls.memory = memory()

    def tearDown(self):
        begin = time.monotonic()
        self.assertEqual(int(result("eth_chainId"), 16), CHAIN_ID)
        self.assertLess(time.monotonic() - begin, 5, "the node answers, but slowly")
        self.assertLess(memory() - self.memory, 1 << 30, "the node has grown by more than a gigabyte")

    def refused(self, code, pattern, method, *params):
        error = call(method, *params).get("error")
        self.assertIsNotNone(error, f"{method} was not refused")
        self.assertIn(error["code"], code if isinstance(code, tuple) else (code,), error)
        self.assertRegex(error["message"], pattern)


class Transactions(BadInput):
    def sign(self, signer=alice, **changes):
        transaction = {
            "chainId": CHAIN_ID, "nonce": int(result("eth_getTransactionCount", signer.address, "pending"), 16),
            "to": bob.address, "value": 1, "gas": 21_000, "maxFeePerGas": 20 * GWEI, "maxPriorityFeePerGas": GWEI,
            **changes,
        }
        transaction = {name: value for name, value in transaction.items() if value is not None}
        return signer.sign_transaction(transaction).raw_transaction

    def legacy(self, **changes):
        return self.sign(gasPrice=20 * GWEI, maxFeePerGas=None, maxPriorityFeePerGas=None, **changes)

    def raw_refused(self, raw, pattern=".", code=(SERVER, PARAMS)):
        self.refused(code, pattern, "eth_sendRawTransaction", "0x" + bytes(raw).hex())

    def test_every_truncation_is_refused(self):
        for raw in (self.sign(), self.legacy()):
            for length in range(len(raw)):
                self.raw_refused(raw[:length])

    def test_anything_after_the_end_is_refused(self):
        for raw in (self.sign(), self.legacy()):
            for rest in (b"\x00", b"\x80", raw):
                self.raw_refused(raw + rest)

    def test_changed_bytes_are_refused(self):
        # A changed transaction is malformed, or signed by somebody else, who has no coin.
        numbers = random.Random(7)
        raw = self.sign(value=10**18)
        for _ in range(300):
            changed = bytearray(raw)
            changed[numbers.randrange(len(raw))] ^= 1 << numbers.randrange(8)
            self.raw_refused(changed)

    def test_random_bytes_are_refused(self):
        numbers = random.Random(11)
        for _ in range(300):
            start = numbers.choice([b"", b"\x01", b"\x02", b"\x04", b"\xf8", b"\xf9\xff\xff", b"\xff" * 9])
            self.raw_refused(start + numbers.randbytes(numbers.randrange(200)))

    def test_what_is_not_bytes_is_refused(self):
        for parameter in ("", "0x", "00", "0x0", "0xzz", "0x" + "g" * 100, 5, None, [], {}, True):
            self.refused((PARAMS, SERVER), ".", "eth_sendRawTransaction", parameter)
        self.refused(PARAMS, ".", "eth_sendRawTransaction")

    def test_over_long_transactions_are_refused(self):
        self.raw_refused(self.sign(data=b"\x01" * 200_000, gas=16_000_000), "(?i)oversized|size")
        self.raw_refused(b"\x02" + b"\xf9\xff\xff" + b"\x00" * 3_000_000)
        # A list that says it is far longer than it is.
        self.raw_refused(b"\x02\xff" + b"\xff" * 8 + b"\x00" * 100)
        self.raw_refused(b"\xbf" + b"\x7f" * 8)

    def test_types_that_are_not_there_are_refused(self):
        for kind in (0x00, 0x05, 0x50, 0x7F):
            self.raw_refused(bytes([kind]) + self.sign()[1:], "not supported|type|decod|rlp")
        blob = rlp.encode([
            CHAIN_ID, 0, GWEI, 20 * GWEI, 21_000, bytes.fromhex(bob.address[2:]), 0, b"", [], GWEI,
            [b"\x01" + b"\x00" * 31], 0, 1, 1,
        ])
        self.raw_refused(b"\x03" + blob, "not supported")

    def test_a_wrong_chain_is_refused(self):
        self.raw_refused(self.sign(chainId=1), "chain")
        self.raw_refused(self.legacy(chainId=1), "chain")
        self.raw_refused(self.legacy(chainId=None), "replay-protected|chain")

    def test_bad_signatures_are_refused(self):
        fields = rlp.decode(bytes(self.sign())[1:])
        r, s = (int.from_bytes(field, "big") for field in fields[-2:])
        for parity, new_r, new_s in (
            (0, 0, s), (0, r, 0), (0, 0, 0), (1, ORDER, s), (1, r, ORDER), (0, 2**256 - 1, s), (2, r, s), (27, r, s),
            (int.from_bytes(fields[-3], "big") ^ 1, r, ORDER - s),
        ):
            changed = rlp.encode([*fields[:-3], parity, new_r, new_s])
            self.raw_refused(b"\x02" + changed)

    def test_what_the_account_may_not_send_is_refused(self):
        nonce = int(result("eth_getTransactionCount", alice.address), 16)
        if nonce == 0:
            sent = result("eth_sendRawTransaction", "0x" + bytes(self.sign()).hex())
            until("a receipt", lambda: result("eth_getTransactionReceipt", sent))
            nonce = 1
        self.raw_refused(self.sign(nonce=nonce - 1), "nonce too low")
        self.raw_refused(self.sign(nonce=2**64 - 1), "nonce")
        self.raw_refused(self.sign(value=2**255), "insufficient funds")
        self.raw_refused(self.sign(signer=Account.create()), "insufficient funds")

    def test_gas_and_fees_out_of_bounds_are_refused(self):
        self.raw_refused(self.sign(gas=20_999), "intrinsic gas too low")
        self.raw_refused(self.sign(gas=0), "intrinsic gas too low")
        self.raw_refused(self.sign(gas=2**63), "gas limit|gas")
        self.raw_refused(self.sign(gas=16_777_217), "gas limit")
        self.raw_refused(self.sign(maxPriorityFeePerGas=21 * GWEI), "max priority fee per gas higher than max fee")
        poor = self.sign(signer=account(7), maxFeePerGas=0, maxPriorityFeePerGas=0)
        self.raw_refused(poor, "underpriced|below minimum|less than block base fee")
        self.raw_refused(self.sign(to=None, data=b"\x00" * 49_153, gas=5_000_000), "initcode")

    def test_replacing_needs_a_higher_fee_and_the_same_again_is_known(self):
        signer = account(6)
        ahead = int(result("eth_getTransactionCount", signer.address, "pending"), 16) + 1
        raw = self.sign(signer=signer, nonce=ahead)
        result("eth_sendRawTransaction", "0x" + bytes(raw).hex())
        self.raw_refused(raw, "already known")
        self.raw_refused(self.sign(signer=signer, nonce=ahead, value=2), "replacement transaction underpriced")
        self.raw_refused(
            self.sign(signer=signer, nonce=ahead, value=2, maxFeePerGas=21 * GWEI), "replacement transaction underpriced",
        )

    def test_a_sender_may_queue_so_many(self):
        sender = account(5).address
        ahead = int(result("eth_getTransactionCount", sender, "pending"), 16) + 1
        answers = []
        for start in (ahead, ahead + 600):
            batch = [
                {"jsonrpc": "2.0", "id": nonce, "method": "eth_sendTransaction", "params": [
                    {"from": sender, "to": sender, "nonce": hex(nonce), "gas": "0x5208", "gasPrice": hex(20 * GWEI)}]}
                for nonce in range(start, start + 600)
            ]
            answers += json.loads(post(json.dumps(batch))[1])
        self.assertIn("result", answers[0])
        self.assertRegex(answers[-1]["error"]["message"], "limit|full|too many|queue")

    def test_an_authorization_list_may_not_be_empty(self):
        fields = [CHAIN_ID, 0, GWEI, 20 * GWEI, 50_000, bytes.fromhex(bob.address[2:]), 0, b"", [], [], 0, 1, 1]
        self.raw_refused(b"\x04" + rlp.encode(fields), ".")


class Requests(BadInput):
    def answer(self, body, code, statuses=(200, 400, 413)):
        status, answer = post(body)
        self.assertIn(status, statuses)
        if status == 413:
            return
        error = json.loads(answer)
        error = error[0] if isinstance(error, list) else error
        self.assertIn(error["error"]["code"], code if isinstance(code, tuple) else (code,), error)

    def test_what_is_not_json_is_a_parse_error(self):
        for body in (b"", b"{", b"nothing", b'{"jsonrpc":', b"\xff\xfe", b'{"a":1}}', b"[1,", b"'{}'", b'"\xc3"', b"\x00"):
            self.answer(body, (PARSE, REQUEST))

    def test_json_that_is_no_request_is_an_invalid_request(self):
        for body in (b"{}", b"7", b'"text"', b"null", b"[]", b"[1]", b"[[]]", b'{"jsonrpc":"2.0","id":1}',
                     b'{"jsonrpc":"2.0","id":1,"method":5}', b'{"jsonrpc":"2.0","id":{},"method":"eth_chainId"}'):
            self.answer(body, REQUEST)

    def test_deep_json_is_refused(self):
        for depth in (1_000, 100_000, 1_000_000):
            for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
                self.answer(opening * depth, (PARSE, REQUEST))
                self.answer(opening * depth + b"1" + closing * depth, (PARSE, REQUEST))
                params = b'{"jsonrpc":"2.0","id":1,"method":"eth_call","params":'
                self.answer(params + opening * depth + b"1" + closing * depth + b"}", (PARSE, REQUEST, PARAMS))

    def test_a_batch_of_a_million_is_refused(self):
        self.answer(b"[" + b"0," * 999_999 + b"0]", (REQUEST, LIMIT))
        self.answer(b"[" + b"{}," * 999_999 + b"{}]", (REQUEST, LIMIT))
        request = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'
        self.answer(b"[" + (request + b",") * 20_000 + request + b"]", (REQUEST, LIMIT))

    def test_bodies_that_are_too_long_are_refused(self):
        for size in (11 << 20, 100 << 20):
            with socket.create_connection(ADDRESS, timeout=20) as stream:
                head = f"POST / HTTP/1.1\r\nhost: {ADDRESS[0]}\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n\r\n"
                stream.sendall(head.encode())
                self.assertRegex(stream.recv(1000), rb"^HTTP/1.1 (413|400)|too large")

    def test_endless_chunks_are_cut_off(self):
        with socket.create_connection(ADDRESS, timeout=20) as stream:
            stream.sendall(f"POST / HTTP/1.1\r\nhost: {ADDRESS[0]}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
            chunk = b"10000\r\n" + b"[" * 0x10000 + b"\r\n"
            sent = 0
            try:
                while sent < 64 << 20:
                    stream.sendall(chunk)
                    sent += 0x10000
            except OSError:
                return
            self.fail("64 MiB were taken")

    def test_odd_http_is_refused(self):
        for head, allowed in (
            (b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", rb"HTTP/1.1 (200|4\d\d)"),
            (b"POST /nowhere HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 2\r\n\r\n{}", rb"HTTP/1.1 (200|4\d\d)"),
            (b"nonsense\r\n\r\n", rb"HTTP/1.1 400|^$"),
            (b"POST / HTTP/9.9\r\n\r\n", rb"HTTP/1.\d (400|505)|^$"),
            (b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: -1\r\n\r\n", rb"HTTP/1.1 400|^$"),
            (b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 99999999999999999999\r\n\r\n", rb"HTTP/1.1 4|^$"),
            (b"POST / HTTP/1.1\r\n" + b"x: y\r\n" * 100_000, rb"HTTP/1.1 4\d\d|^$"),
            (b"POST / HTTP/1.1\r\nx: " + b"y" * 1_000_000, rb"HTTP/1.1 4\d\d|^$"),
            (os.urandom(10_000), rb"HTTP/1.1 400|^$"),
        ):
            with socket.create_connection(ADDRESS, timeout=20) as stream:
                try:
                    stream.sendall(head)
                    answer = stream.recv(1000)
                except OSError:
                    answer = b""
                self.assertRegex(answer, allowed, head[:60])

    def test_methods_and_parameters_that_do_not_exist_are_refused(self):
        self.refused(METHOD, "does not exist|not available", "eth_nothing")
        self.refused(METHOD, "does not exist|not available", "x" * 100_000)
        for method, *params in (
            ("eth_getBalance",), ("eth_getBalance", "0x12"), ("eth_getBalance", alice.address, "soon"),
            ("eth_getBalance", alice.address, "0x" + "f" * 100), ("eth_getBlockByNumber", -1, False),
            ("eth_getBlockByNumber", "latest", "perhaps"), ("eth_getStorageAt", alice.address, "0x" + "1" * 65, "latest"),
            ("eth_call", []), ("eth_call", {"to": "nobody"}, "latest"), ("eth_call", {"gas": "0x" + "f" * 17}, "latest"),
            ("eth_getTransactionByHash", "0x12"), ("eth_getLogs", {"fromBlock": {}}), ("eth_getLogs", {"topics": 5}),
            ("eth_feeHistory", "many", "latest", []), ("eth_estimateGas", {"data": "0xabc"}),
        ):
            self.refused(PARAMS, ".", method, *params)

    def test_development_methods_are_refused_on_a_network(self):
        for method in ("evm_mine", "evm_snapshot", "evm_revert", "evm_increaseTime", "hardhat_setBalance",
                       "hardhat_impersonateAccount", "anvil_setCode", "anvil_mine"):
            self.refused(METHOD, ".", method)


class Work(BadInput):
    LOOP = "0x5b5f56"  # JUMPDEST, PUSH0, JUMP

    def timed(self, method, *params):
        begin = time.monotonic()
        answer = call(method, *params)
        self.assertLess(time.monotonic() - begin, 15, f"{method} takes too long")
        return answer

    def test_endless_code_ends(self):
        to = "0x" + "77" * 20
        overrides = {to: {"code": self.LOOP}}
        for gas in ({}, {"gas": "0xffffffffffffffff"}, {"gas": "0x7fffffffffffffff"}):
            answer = self.timed("eth_call", {"to": to, **gas}, "latest", overrides)
            self.assertRegex(answer["error"]["message"], "out of gas|timeout|timed out")
        answer = self.timed("eth_estimateGas", {"to": to}, "latest", overrides)
        self.assertIn("error", answer)
        answer = self.timed("debug_traceCall", {"to": to}, "latest", {"stateOverrides": overrides})
        self.assertLess(len(json.dumps(answer)), 200 << 20)

    def test_endless_memory_ends(self):
        to = "0x" + "78" * 20
        # MSTORE far out; RETURN of 2^32 bytes; LOG of 2^30 bytes; copying the code to itself, growing.
        for code in ("0x5f63ffffffff52", "0x63ffffffff5ff3", "0x633fffffff5fa0", "0x5b5a5f5f3959600101565b"):
            answer = self.timed("eth_call", {"to": to}, "latest", {to: {"code": code}})
            self.assertTrue("error" in answer or answer["result"] == "0x", str(answer)[:200])

    def test_many_hard_calls_at_once_do_not_stop_the_node(self):
        to = "0x" + "77" * 20
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{"to": to}, "latest", {to: {"code": self.LOOP}}]})
        request = f"POST / HTTP/1.1\r\nhost: {ADDRESS[0]}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}"
        with ExitStack() as stack:
            streams = [stack.enter_context(socket.create_connection(ADDRESS, timeout=60)) for _ in range(50)]
            for stream in streams:
                stream.sendall(request.encode())
            begin = time.monotonic()
            self.assertEqual(int(result("eth_chainId"), 16), CHAIN_ID)
            self.assertLess(time.monotonic() - begin, 2)

    def test_log_queries_over_everything_are_bounded(self):
        everything = {"fromBlock": "0x0", "toBlock": "0xffffffffffffffff"}
        answer = self.timed("eth_getLogs", everything)
        self.assertTrue("error" in answer or isinstance(answer["result"], list))
        for filter_ in (
            {**everything, "address": [f"0x{index:040x}" for index in range(100_000)]},
            {**everything, "topics": [[f"0x{index:064x}" for index in range(100_000)]]},
            {**everything, "topics": [None] * 5},
            {"fromBlock": "0x2", "toBlock": "0x1"},
            {"blockHash": "0x" + "11" * 32, "fromBlock": "0x0"},
            {"blockHash": "0x" + "11" * 32},
        ):
            error = self.timed("eth_getLogs", filter_).get("error")
            self.assertIsNotNone(error, str(filter_)[:100])
            self.assertIn(error["code"], (SERVER, PARAMS, LIMIT, REQUEST))

    def test_histories_and_overrides_are_bounded(self):
        answer = self.timed("eth_feeHistory", "0xffffffff", "latest", [])
        self.assertTrue("error" in answer or len(answer["result"]["gasUsedRatio"]) <= 1024)
        for percentiles in ([50, 25], [-1], [101], list(range(100)) * 1000):
            self.assertIn("error", self.timed("eth_feeHistory", "0x5", "latest", percentiles))
        state = {f"0x{index:040x}": {"balance": "0x1"} for index in range(100_000)}
        answer = self.timed("eth_call", {"to": alice.address}, "latest", state)
        self.assertTrue("error" in answer or "result" in answer)

    def test_very_many_filters_are_refused(self):
        request = '{"jsonrpc":"2.0","id":1,"method":"eth_newBlockFilter"}'
        connection = http.client.HTTPConnection(*ADDRESS, timeout=20)
        codes = set()
        for _ in range(20):
            connection.request("POST", "/", "[" + ",".join([request] * 1_000) + "]", {"content-type": "application/json"})
            codes.update(answer.get("error", {}).get("code") for answer in json.loads(connection.getresponse().read()))
        connection.close()
        self.assertEqual(codes, {None, LIMIT})


class Connections(BadInput):
    def test_half_open_connections_leave_room_for_others(self):
        beginnings = (b"", b"P", b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{",
                      b"GET / HTTP/1.1\r\nupgrade: websocket\r\n")
        with ExitStack() as stack:
            for index in range(1_000):
                stream = stack.enter_context(socket.create_connection(ADDRESS, timeout=20))
                stream.sendall(beginnings[index % len(beginnings)])
            begin = time.monotonic()
            self.assertEqual(int(result("eth_chainId"), 16), CHAIN_ID)
            self.assertLess(time.monotonic() - begin, 2)

    def test_a_request_that_comes_byte_by_byte_is_answered(self):
        body = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'
        head = f"POST / HTTP/1.1\r\nhost: {ADDRESS[0]}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        with socket.create_connection(ADDRESS, timeout=20) as stream:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in head.encode() + body:
                stream.sendall(bytes([byte]))
                time.sleep(0.002)
            self.assertIn(b'"0x7a69"', stream.recv(10_000))

    def test_connections_that_break_off_leave_nothing_behind(self):
        linger = struct.pack("ii", 1, 0)
        for index in range(500):
            stream = socket.create_connection(ADDRESS, timeout=20)
            stream.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{" if index % 2 else b"POST /")
            if index % 3:
                # Closed by a reset instead of an end.
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            stream.close()
        files = lambda: len(os.listdir(f"/proc/{os.environ['STOA_PID']}/fd"))  # noqa: E731
        until("connections to be let go", lambda: files() < 300, 15)

    def test_who_does_not_read_answers_does_not_stop_others(self):
        request = b'{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["latest",true]}'
        head = f"POST / HTTP/1.1\r\nhost: {ADDRESS[0]}\r\ncontent-type: application/json\r\ncontent-length: {len(request)}\r\n\r\n".encode()
        with ExitStack() as stack:
            for _ in range(20):
                stream = stack.enter_context(socket.create_connection(ADDRESS, timeout=20))
                stream.setblocking(False)
                try:
                    for _ in range(10_000):
                        stream.send(head + request)
                except BlockingIOError:
                    pass
            begin = time.monotonic()
            self.assertEqual(int(result("eth_chainId"), 16), CHAIN_ID)
            self.assertLess(time.monotonic() - begin, 2)


class WebSockets(BadInput):
    def request(self, socket_, method, *params, id_=1):
        socket_.send(json.dumps({"jsonrpc": "2.0", "id": id_, "method": method, "params": params}))
        while True:
            answer = json.loads(socket_.recv(timeout=20))
            if answer.get("id") == id_:
                return answer

    def test_a_hundred_thousand_subscriptions_are_refused_beyond_the_limit(self):
        subscribe = '{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}'
        made, refused = 0, 0
        with ExitStack() as stack:
            for _ in range(100):
                live = stack.enter_context(listen())
                live.send("[" + ",".join([subscribe] * 1_000) + "]")
                while True:
                    answers = json.loads(live.recv(timeout=20))
                    # Blocks that subscriptions already tell of come in between.
                    if isinstance(answers, list):
                        break
                made += sum("result" in answer for answer in answers)
                codes = {answer["error"]["code"] for answer in answers if "error" in answer}
                self.assertLessEqual(codes, {LIMIT})
                refused += sum("error" in answer for answer in answers)
                if refused > 2_000:
                    break
            self.assertGreater(made, 100)
            self.assertGreater(refused, 0)
            self.assertEqual(self.request(live, "eth_chainId", id_=2)["result"], hex(CHAIN_ID))
        with listen() as live:
            until("room for a subscription", lambda: "result" in self.request(live, "eth_subscribe", "newHeads"))

    def test_bad_messages_get_errors(self):
        with listen() as live:
            for message, codes in (("", {PARSE, REQUEST}), ("{", {PARSE}), ("[]", {REQUEST}), ("7", {REQUEST}), ("[" * 10_000, {PARSE, REQUEST})):
                live.send(message)
                answer = json.loads(live.recv(timeout=20))
                answer = answer[0] if isinstance(answer, list) else answer
                self.assertIn(answer["error"]["code"], codes)
            for params in ([], ["nothing"], ["logs", 5], ["logs", {"topics": [[[]]]}], [7]):
                self.assertIn(self.request(live, "eth_subscribe", *params)["error"]["code"], (PARAMS, METHOD, SERVER, REQUEST))
            self.assertFalse(self.request(live, "eth_unsubscribe", "0x1234").get("result", False))

    def test_messages_that_are_too_long_end_the_connection(self):
        with listen() as live:
            with self.assertRaises((ConnectionClosed, OSError)):
                for _ in range(10):
                    live.send("[" + "1," * (8 << 20) + "1]")
                live.recv(timeout=20)
                live.recv(timeout=20)
        with listen() as live:
            with self.assertRaises((ConnectionClosed, OSError)):
                # One message of pieces without end.
                live.send("[" * 65_536 for _ in range(2_000))
                live.recv(timeout=20)

    def test_broken_frames_end_the_connection(self):
        host, port = ADDRESS
        upgrade = (
            f"GET / HTTP/1.1\r\nhost: {host}:{port}\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        ).encode()
        for frame in (
            b"\x81\x05hello",  # not masked
            b"\xff\xff" + b"\xff" * 100,  # reserved bits, an unknown kind, a length of 2^64
            b"\x81\xff" + b"\xff" * 8 + b"\x00" * 4,
            b"\x81\x82\x00\x00\x00\x00\xff\xfe",  # not UTF-8
            b"\x80\x80\x00\x00\x00\x00",  # goes on with nothing
            b"\x89\xfe\x01\x00" + b"\x00" * 260,  # a ping that is too long
        ):
            with socket.create_connection(ADDRESS, timeout=20) as stream:
                stream.sendall(upgrade)
                self.assertIn(b"101", stream.recv(1000))
                stream.sendall(frame)
                data = b"x"
                while data and data[:1] != b"\x88":
                    try:
                        data = stream.recv(1000)
                    except ConnectionResetError:
                        data = b""

    def test_who_does_not_read_what_was_subscribed_is_left_behind(self):
        with ExitStack() as stack:
            for _ in range(20):
                live = stack.enter_context(listen())
                batch = ",".join(['{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newPendingTransactions",true]}'] * 500)
                live.send(f"[{batch}]")
            for _ in range(20):
                sent = result("eth_sendTransaction", {"from": account(4).address, "to": bob.address, "value": "0x1"})
            until("a receipt", lambda: result("eth_getTransactionReceipt", sent), 20)

    def test_a_flood_of_pings_and_requests_is_answered_or_cut_off(self):
        with listen() as live:
            try:
                for index in range(2_000):
                    live.send(f'{{"jsonrpc":"2.0","id":{index},"method":"eth_chainId"}}')
                    if index % 10 == 0:
                        live.ping()
                answers = [json.loads(live.recv(timeout=20)) for _ in range(2_000)]
                self.assertEqual({answer["id"] for answer in answers}, set(range(2_000)))
            except ConnectionClosed:
                pass


del BadInput

if __name__ == "__main__":
    unittest.main()
