"""A sample backend of the soak, a process of its own: sound answers for all four
protocols, websockets that echo, and faults by `POST /_fault`.

    backend.py NAME PORT

`GET /_first?since=T` tells which calls it first heard of after that moment of the
monotonic clock, which all processes of a machine share.
"""

import asyncio
import base64
import hashlib
import json
import random
import re
import socket
import struct
import sys
import time
import urllib.parse

# Calls remembered; beyond it the memory starts over.
CALLS_MOST = 1_000_000
HALF = {"texml": "application/xml", "twilio": "text/xml"}
CALL = re.compile(rb'CallSid=([^&]+)|"call_session_id": ?"([^"]+)"|"call": ?\{"id": ?"([^"]+)"')


class Backend:
    def __init__(self, name):
        self.name = name
        self.fault, self.share, self.late = "none", 1.0, 0.0
        self.first = {}

    async def converse(self, reader, writer):
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                line, *rest = head.decode("latin-1").split("\r\n")
                method, target, _ = line.split(" ")
                headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in rest if each)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if target.startswith("/_"):
                    writer.write(self.control(target, body))
                elif not await self.answer(reader, writer, target, headers, body):
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    def control(self, target, body):
        path, _, query = target.partition("?")
        if path == "/_fault":
            order = json.loads(body)
            self.fault, self.share, self.late = order["kind"], order.get("share", 1.0), order.get("ms", 0) / 1000
            return self.render(200, "application/json", "{}")
        since = float(urllib.parse.parse_qs(query)["since"][0])
        return self.render(200, "application/json", json.dumps({call: at for call, at in self.first.items() if at >= since}))

    async def answer(self, reader, writer, target, headers, body):
        """One webhook. False: the connection is over."""
        named = CALL.search(body) or CALL.search(target.encode())
        if named:
            if len(self.first) > CALLS_MOST:
                self.first.clear()
            call = next(group for group in named.groups() if group)
            self.first.setdefault(urllib.parse.unquote(call.decode()), time.monotonic())
        fault = self.fault if random.random() < self.share else "none"
        if "upgrade" in headers and fault in ("none", "slow"):
            return await self.stream(reader, writer, headers)
        kind, sound = self.sound(target, body)
        if fault == "slow":
            await asyncio.sleep(self.late)
        elif fault == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        elif fault == "close":
            return False
        elif fault == "hang":
            await reader.read(1)
            return False
        elif fault == "halfway":
            writer.write(self.render(200, kind, sound)[:-max(1, len(sound) // 2)])
            await writer.drain()
            return False
        writer.write(self.faulty(fault, kind, sound))
        await writer.drain()
        return True

    def faulty(self, fault, kind, sound):
        if fault in ("500", "503", "404"):
            return self.render(int(fault), "text/plain", "told to fail")
        if fault == "html":
            return self.render(200, "text/html", "<!DOCTYPE html><html><body><h1>Oops</h1></body></html>")
        if fault == "empty":
            return self.render(200, kind, "")
        if fault == "broken":
            return self.render(200, kind, sound[:len(sound) // 2])
        if fault == "garbage":
            return b"SSH-2.0-OpenSSH_9.6\r\n\r\n"
        return self.render(200, kind, sound)

    def render(self, status, kind, body):
        body = body.encode()
        head = f"HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nX-Backend: {self.name}\r\n\r\n"
        return head.encode() + body

    def sound(self, target, body):
        route, _, step = target.partition("?")[0].strip("/").partition("/")
        if route in HALF:
            return HALF[route], menu(f"/{route}", step, urllib.parse.parse_qs(body.decode()))
        if route == "rude":
            return "application/xml", menu("/rude", "welcome", {})
        if route == "vapi":
            return "application/json", json.dumps(assistant(json.loads(body)["message"], self.name))
        return "text/plain", "well"

    async def stream(self, reader, writer, headers):
        """Echoes short frames until one says goodbye."""
        key = headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        writer.write((f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      f"Sec-WebSocket-Accept: {accept}\r\nX-Backend: {self.name}\r\n\r\n").encode())
        while True:
            code, length = await reader.readexactly(2)
            mask = await reader.readexactly(4)
            sent = await reader.readexactly(length & 0x7F)
            said = bytes(byte ^ mask[at % 4] for at, byte in enumerate(sent))
            writer.write(bytes([code, len(said)]) + said)
            await writer.drain()
            if code & 0x0F == 8:
                return False


def menu(route, step, fields):
    """Where a step of a call leads."""
    if step in ("welcome", "entry"):
        inner = f'<Gather action="{route}/menu" numDigits="1" timeout="5"><Say>For opening hours press 1.</Say></Gather><Redirect method="POST">{route}/welcome?again=1</Redirect>'
    elif step == "menu":
        inner = {
            "1": f'<Dial action="{route}/agent"><Number>+17025550138</Number></Dial>',
            "2": f'<Redirect method="POST">{route}/balance</Redirect>',
            "3": f'<Say>Once more.</Say><Gather action="{route}/menu" numDigits="1"><Say>Which?</Say></Gather>',
        }.get(fields.get("Digits", [""])[0], "<Say>Goodbye.</Say><Hangup/>")
    elif step == "balance":
        inner = f'<Say>You owe nothing.</Say><Gather action="{route}/menu" numDigits="1"><Say>Anything else?</Say></Gather>'
    else:
        inner = "<Say>Goodbye.</Say><Hangup/>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Response>{inner}</Response>'


def assistant(message, name):
    kind = message["type"]
    if kind == "assistant-request":
        return {"assistant": {"name": f"soak-{name}", "firstMessage": "Hello, what can I do for you?", "model": {"provider": "openai", "model": "gpt-4o"}}}
    if kind == "tool-calls":
        return {"results": [{"toolCallId": call["id"], "result": "done"} for call in message["toolCallList"]]}
    return {}


async def main():
    name, port = sys.argv[1], int(sys.argv[2])
    server = await asyncio.start_server(Backend(name).converse, "127.0.0.1", port, backlog=1024, reuse_address=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
