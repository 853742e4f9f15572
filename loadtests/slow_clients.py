#!/usr/bin/env python3
"""A thousand slow clients, and what a good one notices of them.

Method
  A third of them sends a request's head a byte a second, a third its body, and a
  third asks for an answer of 1 MB and takes a byte of it a second from a small
  buffer. Who is cut off comes again, so that there are always as many. A good client
  makes 1,000 requests a second in an open loop: without them, then beside them, then
  without, in slices of a second; medians of the slices are compared. All slow clients
  run on the core of the load, the proxy alone on its own.

  lifetimes   how long each connection was open on the proxy's side, from the kernel's
              table of sockets (a reader that reads nothing never hears of its end)
"""

import argparse
import asyncio
import itertools
import json
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

import rig

# Each kind comes from an address of its own, so that the table of sockets tells them apart.
KINDS = {"heads": "127.0.0.2", "bodies": "127.0.0.3", "readers": "127.0.0.4"}
CUT_AFTER = 15.0
# Beside the limit: our looks at the table, the proxy's timers, a busy machine.
MARGIN = 2.0
# A reader that was cut off does not hear of it; it comes again after this. (So up to a
# fifth of them have been cut off and have not come again.)
STAYS = CUT_AFTER + 2 * MARGIN
BIG = b"It was heard, and so it is written. " * 28_000
BIG_TENANT = "+15550009999"


def options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1000, help="slow ones (1,000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often they come and go (3)")
    parser.add_argument("--brief", action="store_true", help="one round, as CI runs it")
    parser.add_argument("--crowd", help=argparse.SUPPRESS)
    return parser.parse_args()


# -- the slow ones: a process of their own ---------------------------------------------


async def one(kind, port):
    """One slow client's life, again and again."""
    loop = asyncio.get_running_loop()
    while True:
        client = socket.socket()
        client.setblocking(False)
        rig.come_from(client, KINDS[kind])
        if kind == "readers":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            # As over a real network: on the loopback the kernel would take 1 MB in one go.
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
        try:
            await loop.sock_connect(client, ("127.0.0.1", port))
            if kind == "readers":
                await read_slowly(loop, client)
            else:
                await write_slowly(loop, client, kind)
        except OSError:
            pass  # cut off, as it should be
        finally:
            client.close()
        await asyncio.sleep(0.1)


async def write_slowly(loop, client, kind):
    whole = rig.webhook("slow" * 50)
    split = whole.index(b"\r\n\r\n") + 4
    at = 24 if kind == "heads" else split + 5
    await loop.sock_sendall(client, whole[:at])
    for byte in whole[at:]:
        await asyncio.sleep(1)
        if kind == "heads":
            byte = ord("x")  # never an end
        await loop.sock_sendall(client, bytes([byte]))


async def read_slowly(loop, client):
    # A report: what answers one is no document, and is judged by nobody.
    facts = "CallStatus=completed&CallbackSource=call-progress-events"
    await loop.sock_sendall(client, rig.webhook(f"big-{id(client)}", to=BIG_TENANT, path="/ivr/status", facts=facts))
    until = loop.time() + STAYS
    while loop.time() < until:
        await asyncio.sleep(1)
        if not await loop.sock_recv(client, 1):
            return


async def big_backend(connections):
    """A backend whose document is large; prints its port."""

    async def serve(reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n")
                              if line.startswith(b"content-length:"))
                await reader.readexactly(length)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n" % len(BIG) + BIG)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=connections)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def crowd(told):
    """Runs what the measuring process asks for: `big` or `PORT:CLIENTS`."""
    if told == "big":
        return await big_backend(1024)
    port, clients = map(int, told.split(":"))
    await asyncio.gather(*(one(kind, port) for kind, _ in zip(itertools.cycle(KINDS), range(clients))))


# -- the measuring --------------------------------------------------------------------


class Connections(threading.Thread):
    """How long each connection to a port is open on the proxy's side."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.ending, self.since, self.closed = f":{port:04X}", {}, 0
        self.longest = dict.fromkeys(KINDS, 0.0)
        self.looking = True
        self.start()

    def run(self):
        while self.looking:
            self.look()
            time.sleep(0.25)

    def look(self):
        now, before = time.monotonic(), self.since
        since = {}
        for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, state, _, _, _, _, _, inode, *_ = line.split()
            if local.endswith(self.ending) and state == "01":
                one = remote, inode  # a port may be used again, a socket not
                since[one] = before.get(one, now)
        for kind, address in KINDS.items():
            own = socket.inet_aton(address)[::-1].hex().upper()
            lives = [now - since[one] for one in since if one[0].startswith(own)]
            self.longest[kind] = max([self.longest[kind], *lives])
        self.closed += len(before.keys() - since.keys())
        self.since = since


def slice_of(programs, cores, proxy):
    result = rig.run_load(programs, cores, proxy.port, "-c", 16, "-r", 1000, "-d", 1, "--requests", "4-6")
    return result["p50"], result["p99"], result["errors"]


def main():
    given = options()
    if given.crowd:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        return asyncio.run(crowd(given.crowd))
    rounds = 1 if given.brief else given.rounds
    programs, cores, directory = rig.Programs(), rig.Cores(), rig.work_dir()

    def start_crowd(told):
        return rig.start([sys.executable, __file__, "--crowd", told], cores.load, stdout=subprocess.PIPE)

    backends = rig.Backends(programs, cores.load)
    backends.new = int(start_crowd("big").stdout.readline())
    proxy = rig.Switchback(programs, "strain.toml", backends, directory, cores.proxy, percentage=0,
                           timeout="30s", enabled=json.dumps([BIG_TENANT]))
    slices = {"without": [], "beside": []}
    longest, cut, seen_at_once = dict.fromkeys(KINDS, 0.0), 0, []

    def alone():
        slices["without"] += [slice_of(programs, cores, proxy) for _ in range(4)]

    alone()
    for _ in range(rounds):
        connections = Connections(proxy.port)
        slow = start_crowd(f"{proxy.port}:{given.clients}")
        came = wait_until_there(connections, given.clients, slow)
        while time.monotonic() < came + STAYS:
            slices["beside"].append(slice_of(programs, cores, proxy))
            seen_at_once.append(len(connections.since))
        longest = {kind: max(longest[kind], connections.longest[kind]) for kind in KINDS}
        cut += connections.closed
        connections.looking = False
        slow.kill()
        slow.wait()
        time.sleep(1)
        alone()
    proxy.stop()

    verdicts = rig.Verdicts()

    def typical(which, place):
        return statistics.median(part[place] for part in slices[which])

    (p50, p99), (p50_beside, p99_beside) = ([typical(which, place) for place in (0, 1)] for which in ("without", "beside"))
    at_once = statistics.median(seen_at_once)
    verdicts.tell(f"{at_once:.0f} slow clients at once", f"about {given.clients}", at_once >= 0.8 * given.clients,
                  row=5)
    verdicts.tell(f"a good client's p50 {p50_beside / 1000:.2f} ms beside them, {p50 / 1000:.2f} ms without: "
                  f"{p50_beside / p50:.2f} x", "below 1.5 x", p50_beside < 1.5 * p50)
    verdicts.tell(f"its p99 {p99_beside / 1000:.2f} ms beside them, {p99 / 1000:.2f} ms without: "
                  f"{p99_beside / p99:.2f} x", "below 2 x or 5 ms more", p99_beside < max(2 * p99, p99 + 5000), row=5)
    errors = sum(part[2] for which in slices.values() for part in which)
    verdicts.tell(f"{errors} errors of the good client", "none", errors == 0)
    said = ", ".join(f"{kind} after {seconds:.1f} s" for kind, seconds in longest.items())
    verdicts.tell(f"{cut:,} connections ended; at the latest {said}", f"{CUT_AFTER:.0f} s, and {MARGIN:.0f} for our looking",
                  max(longest.values()) <= CUT_AFTER + MARGIN and cut >= given.clients, row=5)
    return verdicts.code()


def wait_until_there(connections, clients, slow):
    """Until the slow ones have come; when the last had."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and slow.poll() is None:
        if len(connections.since) >= clients:
            return time.monotonic()
        time.sleep(0.1)
    raise rig.Trouble(f"only {len(connections.since)} of {clients} slow clients got in; is ulimit -n high enough?")


if __name__ == "__main__":
    rig.main(main)
