#!/usr/bin/env python3
"""What calls and connections cost in memory, and whether many calls cost time.

Method
  bytes per pinned call   resident size of the process after pinning exactly the
                          given number of distinct calls, minus before it, divided
                          by that number. Connections and buffers are warm before.
  CPU per request         two proxies side by side, one with all the calls pinned
                          and one with a thousand; in interleaved slices each gets
                          requests of its own calls, in random order, so that the
                          table's cache misses are in it. Lower quartiles.
  copies of a report     Vapi reports of 200 kB, all under way at once toward a backend
                          that does not answer yet. Resident size with all of them
                          there, minus before, divided by what they are long together.
  KiB per connection      each connection carries one request, then stays idle.
                          Resident size with all of them open, minus before.

Limits of the project: 200 bytes a call, 12 KiB a connection, 1.10 in CPU, and a report
once (1.75 with the buffers of its two connections).
"""

import argparse
import json
import resource
import socket
import subprocess
import threading
import time

import rig

# Calls that never end within a run; a request each brings them all in once.
ENDLESS = ("--requests", "200-200")

REPORTS = 200
REPORT = 200_000


def options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--slices", type=int, default=24)
    parser.add_argument("--quick", action="store_true", help="100,000 calls, 2,000 connections, 8 slices")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--gate", action="store_true", help="exit 1 when a limit of the project is missed")
    given = parser.parse_args()
    if given.quick:
        given.calls, given.connections, given.slices = 100_000, 2_000, 8
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    possible = files - 200
    if given.connections > possible:
        print(f"note: {possible} connections instead of {given.connections}: that is what ulimit -n allows")
        given.connections = possible
    return given


def report(number):
    """An end-of-call report whose transcript makes it as long as the long ones are."""
    words = "the caller asked about the bill and was told, " * (REPORT // 46 + 1)
    message = {"type": "end-of-call-report", "endedReason": "assistant-ended-call",
               "call": {"id": f"call-{number}", "assistantId": "a"}, "artifact": {"transcript": words}}
    body = json.dumps({"message": message}).encode()
    head = ("POST /vapi HTTP/1.1\r\nHost: voice.example.com\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode()
    return head, body


class Holding:
    """A backend that reads whatever comes and answers when it is let."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.let, self.read = threading.Event(), 0
        self.lock = threading.Lock()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        received = 0
        while received < REPORT:
            received += len(connection.recv(1 << 16))
        with self.lock:
            self.read += 1
        self.let.wait(60)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def copies_of_a_report(start):
    """How many times a report is in memory while its backend thinks."""
    holding = Holding()
    proxy = start("reports", legacy=holding.port, new=holding.port)
    clients = []
    for number in range(REPORTS):
        client = socket.create_connection(("127.0.0.1", proxy.port))
        clients.append((client, report(number)))
    time.sleep(1)
    before = rig.resident(proxy.pid)
    for client, (head, body) in clients:
        client.sendall(head + body)
    deadline = time.monotonic() + 20
    while holding.read < REPORTS:
        if time.monotonic() > deadline:
            raise rig.Trouble(f"{holding.read} of {REPORTS} reports reached the backend")
        time.sleep(0.1)
    grown = rig.resident(proxy.pid) - before
    holding.let.set()
    for client, _ in clients:
        if b" 200 " not in client.recv(4096):
            raise rig.Trouble("a report was not answered with 200")
        client.close()
    proxy.process.terminate()
    return grown / sum(len(body) for _, (_, body) in clients)


def main():
    given = options()
    programs, cores, directory = rig.Programs(), rig.Cores(), rig.work_dir()
    backends = rig.Backends(programs, cores.load)

    def start(name, **values):
        return rig.Switchback(programs, "compare/switchback.toml", backends, directory, cores.proxy,
                              name, calls=given.calls + 100_000, **values)

    def load(proxy, *load_options):
        result = rig.run_load(programs, cores, proxy.port, *load_options)
        if result["errors"] or result["affinity_breaks"]:
            raise rig.Trouble(f"{result['errors']} errors, {result['affinity_breaks']} calls met both backends")
        return result

    # -- connections: a process of its own, so that nothing else has touched its heap
    proxy = start("connections")
    load(proxy, "-c", 32, "-d", 1)
    idle = rig.resident(proxy.pid)
    holder = rig.start(
        [programs.load, "--port", proxy.port, "-c", given.connections, "-d", 0, "--linger", 6],
        cores.load, stdout=subprocess.PIPE)
    if not holder.stdout.readline():
        raise rig.Trouble(f"the proxy did not take {given.connections} connections")
    time.sleep(2)  # buffers are given back
    per_connection = (rig.resident(proxy.pid) - idle) / given.connections / 1024
    holder.terminate()
    proxy.process.terminate()

    copies = copies_of_a_report(start)

    # -- calls
    many, few = start("many"), start("few")
    for proxy in (many, few):
        load(proxy, "-c", 32, "-d", 1, "-a", 1000, "--seed", 1, *ENDLESS)
    before = rig.resident(many.pid)
    load(many, "-c", 32, "-d", 600, "-n", given.calls - 32, "-a", given.calls, "--seed", 2, *ENDLESS)
    time.sleep(2)
    per_call = (rig.resident(many.pid) - before) / given.calls
    held = many.status()["backends"]
    held = held["legacy"]["calls_active"] + held["new"]["calls_active"]

    cpu = {"many": [], "few": []}
    of = {"many": (many, given.calls, 2), "few": (few, 1000, 1)}
    for number in range(given.slices):
        for name in ("many", "few") if number % 2 else ("few", "many"):
            proxy, calls, seed = of[name]
            spent = rig.cpu_ns(proxy.pid)
            result = load(proxy, "-c", 32, "-d", 0.5, "-a", calls, "--seed", seed, "--midway", *ENDLESS)
            cpu[name].append((rig.cpu_ns(proxy.pid) - spent) / 1000 / result["answered"])
    growth = rig.low(cpu["many"]) / rig.low(cpu["few"])

    verdicts = [
        (f"{per_call:.0f} bytes per pinned call at {given.calls:,} calls", "at most 200", per_call <= 200),
        (f"{per_connection:.1f} KiB per idle connection at {given.connections:,}", "at most 12", per_connection <= 12),
        (f"{growth:.2f} x CPU per request with {given.calls:,} calls pinned against 1,000 "
         f"({rig.low(cpu['many']):.2f} against {rig.low(cpu['few']):.2f} us)", "at most 1.10", growth <= 1.10),
        (f"{copies:.2f} x its own size for a report of {REPORT // 1000} kB under way, {REPORTS} at once",
         "at most 1.75", copies <= 1.75),
        (f"{held:,} calls held, of {given.calls + 1000:,} made", "all", held == given.calls + 1000),
    ]
    for said, limit, met in verdicts:
        print(f"{'met   ' if met else 'MISSED'}  {said} ({limit})")
    if given.json:
        with open(given.json, "w") as out:
            json.dump({"machine": rig.machine(), "bytes_per_call": per_call, "calls": given.calls,
                       "kib_per_connection": per_connection, "connections": given.connections,
                       "cpu_growth": growth, "cpu_us": cpu, "calls_held": held,
                       "copies_of_a_report": copies}, out, indent=1)
    return 1 if given.gate and not all(met for *_, met in verdicts) else 0


if __name__ == "__main__":
    rig.main(main)
