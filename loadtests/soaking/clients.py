"""Clients beside the callers: websockets that talk, slow ones, bad ones, rude ones."""

import asyncio
import base64
import os
import socket
import struct
import time

GARBAGE = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/1.1\r\n\r\n",
    b"POST /texml/welcome HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /texml/welcome HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"POST /texml/welcome HTTP/1.1\r\nHost: a\r\n" + b"X-Long: y\r\n" * 4000,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x00" * 3000,
)


async def opened(port):
    return await asyncio.open_connection("127.0.0.1", port)


async def slowly(port, seconds):
    """A head, a byte every fifth of a second; the proxy ends it."""
    try:
        reader, writer = await opened(port)
        end = time.monotonic() + seconds
        for byte in b"POST /texml/welcome HTTP/1.1\r\nHost: voice.example.com\r\nX-Slow: " + b"y" * 10_000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.2)
            if time.monotonic() > end or reader.at_eof():
                break
        writer.close()
    except OSError:
        pass


async def badly(port, dice):
    """Nonsense, and gone."""
    try:
        reader, writer = await opened(port)
        writer.write(dice.choice(GARBAGE))
        await writer.drain()
        await asyncio.wait_for(reader.read(4096), dice.uniform(0.05, 0.5))
        writer.close()
    except (OSError, asyncio.TimeoutError):
        pass


async def rudely(port, dice, number):
    """A good webhook, and gone before its answer, by a reset."""
    try:
        _, writer = await opened(port)
        text = b"CallSid=rude-%012d&To=%%2B13125550100&X=y" % number
        writer.write(b"POST /rude/welcome HTTP/1.1\r\nHost: voice.example.com\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                     b"Content-Length: %d\r\n\r\n" % len(text) + text)
        await writer.drain()
        await asyncio.sleep(dice.uniform(0.0, 0.003))
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    except OSError:
        pass


async def idly(port, seconds):
    """A connection that asks for nothing."""
    try:
        _, writer = await opened(port)
        await asyncio.sleep(seconds)
        writer.close()
    except OSError:
        pass


def frame(code, text):
    mask = os.urandom(4)
    return bytes([0x80 | code, 0x80 | len(text)]) + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(text))


class Streams:
    """Websockets, each for a few seconds, one word after the other, each echoed."""

    def __init__(self, port, gate, ledger, dice):
        self.port, self.gate, self.ledger, self.dice = port, gate, ledger, dice

    async def run(self):
        while not self.gate.over:
            began = time.monotonic()
            try:
                await asyncio.wait_for(self.one(), 12)
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, ValueError) as error:
                self.judge(began, error)
                await asyncio.sleep(0.3)

    async def one(self):
        reader, writer = await opened(self.port)
        try:
            key = base64.b64encode(os.urandom(16)).decode()
            writer.write((f"GET /texml/media HTTP/1.1\r\nHost: voice.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 101 " not in head.split(b"\r\n", 1)[0]:
                raise ValueError(head.split(b"\r\n", 1)[0].decode(errors="replace"))
            self.ledger.counts["streams"] += 1
            for number in range(self.dice.randrange(5, 30)):
                if self.gate.over:
                    break
                said = b'{"event":"media","n":%d}' % number
                writer.write(frame(1, said))
                code, length = await reader.readexactly(2)
                heard = await reader.readexactly(length & 0x7F)
                if heard != said:
                    raise ValueError(f"it echoed {heard!r}")
                self.ledger.counts["words echoed"] += 1
                await asyncio.sleep(self.dice.uniform(0.02, 0.3))
            writer.write(frame(8, b"\x03\xe8"))
            await reader.readexactly(4)
        finally:
            writer.close()

    def judge(self, began, error):
        now = time.monotonic()
        ledger = self.ledger
        if self.gate.over or any(times.touch(began, now) for times in (*ledger.sick.values(), ledger.gone)):
            ledger.explain("a websocket ended or refused: a backend or the proxy was sick")
        else:
            ledger.promise_broken(f"a websocket: {type(error).__name__} {error}")
