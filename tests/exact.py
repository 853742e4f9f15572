#!/usr/bin/env python3
"""What is forwarded is what came, to the byte: method, target, Host and body.

    tests/exact.py           1,000 random requests
    tests/exact.py --long    5,000

Bodies of every kind and length, announced or in chunks, recognizable as webhooks or
not; targets with every byte that may stand in one; several hosts. Both backends are
plain sockets that keep what they receive. SEED repeats a run.
"""

import hashlib
import os
import random
import re
import socket
import string
import sys
import threading
import time

from lab import SOUND, Lab, check
from score import score

LINES = 8
# What may stand in a target as it is (RFC 3986), percent signs apart.
PLAIN = string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@/?"


class Link:
    """HTTP/1.1 over one connection, either end; nothing is tidied."""

    def __init__(self, link):
        self.file = link.makefile("rb")
        self.link = link
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self):
        """First line, headers and body of one message; None at the end."""
        first = self.file.readline()
        if not first:
            return None
        headers = {}
        while (line := self.file.readline()) != b"\r\n":
            name, value = line.split(b":", 1)
            headers[name.lower()] = value.strip()
        if headers.get(b"transfer-encoding") == b"chunked":
            return first.rstrip(b"\r\n"), headers, b"".join(self.chunks())
        return first.rstrip(b"\r\n"), headers, self.file.read(int(headers.get(b"content-length", 0)))

    def chunks(self):
        while length := int(self.file.readline(), 16):
            yield self.file.read(length)
            self.file.readline()
        self.file.readline()


class Recorder:
    """A backend that keeps what it is asked, by the number in a header."""

    def __init__(self):
        self.heard = {}
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            threading.Thread(target=self.talk, args=(Link(self.listener.accept()[0]),), daemon=True).start()

    def talk(self, link):
        answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % len(SOUND) + SOUND
        while message := link.read():
            first, headers, body = message
            self.heard.setdefault(headers[b"x-number"], []).append((first, headers[b"host"], digest(body)))
            link.link.sendall(answer)


def digest(body):
    return hashlib.sha256(body).hexdigest()


def target(chance):
    """One that begins as the route does. Segments `.` and `..` are refused, so none begins so."""
    pieces = (chance.choice(PLAIN) if chance.random() < 0.8 else f"%{chance.randrange(256):02{chance.choice('xX')}}"
              for _ in range(chance.choice((0, 3, 30, 300))))
    rest = chance.choice(("/", "/menu/", "?")) + "".join(pieces)
    return "/ivr" + re.sub(r"/(\.|%2e)", "/-", rest, flags=re.IGNORECASE) if chance.random() < 0.9 else "/ivr"


def body(chance, number):
    """Of a form, of JSON, or of anything."""
    length = chance.choice((0, 1, 20, 1000, 1460, 8192, 20_000, 70_000))
    noise = chance.randbytes(length)
    form = b"CallSid=exact-%d&From=%%2B14155550142&To=%%2B1555%07d&CallStatus=ringing&Noise=" % (number, chance.randrange(10**7))
    return chance.choice((
        (b"application/x-www-form-urlencoded", form + noise.hex().encode()),
        (b"application/x-www-form-urlencoded; charset=UTF-8", form + noise),
        (b"application/json", b'{"text": "' + noise.hex().encode() + b'"}'),
        (b"application/octet-stream", noise),
    ))


def request(chance, number):
    """Its bytes, and what must be heard of it."""
    method = chance.choice((b"POST", b"POST", b"POST", b"GET"))
    kind, content = body(chance, number) if method == b"POST" else (b"text/plain", b"")
    host = chance.choice((b"voice.example.com", b"voice.example.com:8443", b"127.0.0.1", b"IVR.Example.COM", b"[::1]:80"))
    first = method + b" " + target(chance).encode() + b" HTTP/1.1"
    head = first + b"\r\nHost: " + host + b"\r\nX-Number: %d\r\nContent-Type: " % number + kind
    if method == b"GET":
        return head + b"\r\n\r\n", (first, host, digest(b""))
    if chance.random() < 0.7:
        return head + b"\r\nContent-Length: %d\r\n\r\n" % len(content) + content, (first, host, digest(content))
    pieces, rest = [], content
    while rest:
        size = chance.randint(1, 1 + len(rest))
        pieces.append(b"%x\r\n" % len(rest[:size]) + rest[:size] + b"\r\n")
        rest = rest[size:]
    return head + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(pieces) + b"0\r\n\r\n", (first, host, digest(content))


def send(port, requests, statuses):
    link = Link(socket.create_connection(("127.0.0.1", port), 10))
    for number, (written, _) in requests:
        link.link.sendall(written)
        answer = link.read()
        if not answer:
            return  # told below, with those that would have followed
        statuses[number] = answer[0]


def main():
    count = 5000 if "--long" in sys.argv[1:] else 1000
    seed = int(os.environ.get("SEED", time.time_ns() % 2**32))
    print(f"  seed {seed}")
    chance = random.Random(seed)
    recorders = Recorder(), Recorder()
    lab = Lab(percentage=50)
    text = lab.config.read_text()
    for backend, recorder in zip((lab.legacy, lab.new), recorders):
        text = text.replace(f"127.0.0.1:{backend.port}", f"127.0.0.1:{recorder.port}")
    lab.config.write_text(text)
    lab.start()
    requests = {number: request(chance, number) for number in range(count)}
    statuses, everything = {}, list(requests.items())
    senders = [threading.Thread(target=send, args=(lab.port, everything[line::LINES], statuses)) for line in range(LINES)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    heard = recorders[0].heard | recorders[1].heard
    same = 0
    for number, (written, wanted) in everything:
        got = heard.get(b"%d" % number)
        if got == [wanted]:
            same += 1
        else:
            print(f"  {number}: {statuses.get(number)}; sent {wanted}, heard {got}; {written[:200]}")
    lab.stop()
    score(22, f"{same:,} of {count:,} random requests the same in method, target, Host and sha256 of the body", same == count)
    check(same == count, f"{count - same} of {count} requests were changed or not forwarded")
    print(f"  {count} random requests forwarded to the byte: {len(recorders[0].heard)} to legacy, {len(recorders[1].heard)} to new")


main()
