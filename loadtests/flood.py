#!/usr/bin/env python3
"""Floods: of calls and tenants nobody has heard of, without ports, without descriptors.

Method
  calls   Webhooks of a call of its own each, over many tenants, as fast as they are
          answered; the table holds 200,000 calls. Then the proxy that was flooded and one
          that was not get the same moderate load in turns, slice by slice: the lower
          quartiles of their p99 are compared. Resident size is that of the process at
          the end; series are the lines of /metrics.
  ports   In a network namespace of its own, with 200 ephemeral ports: 400 callers at
          once from other addresses, whose backend answers after two seconds. Half of
          them find no port toward it.
  files   A proxy that may open 128 descriptors: 500 callers at once, the same backend.
          Then one that knew of no such limit when it began, and may open 40 more than it
          has: for most of its callers it has none left toward the backend.
          After each, one caller a tenth of a second until one is answered by the
          backend again.

What cannot be done here (a namespace needs leave) is left out, and says so.
"""

import argparse
import fcntl
import os
import pathlib
import resource
import select
import socket
import struct
import subprocess
import sys
import time

import rig

PARTS = ("calls", "ports", "files")
PORTS, CALLERS_ON_PORTS = 200, 400
FILES, FILES_LEFT, CALLERS_ON_FILES = 128, 40, 500
SLOW_MS = 2000


def options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", default="all", choices=(*PARTS, "all"))
    parser.add_argument("--calls", type=int, default=1_000_000, help="calls of the flood (1,000,000)")
    parser.add_argument("--tenants", type=int, default=100_000, help="tenants of the flood (100,000)")
    parser.add_argument("--brief", action="store_true", help="a fifth of it, as CI runs it")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.brief:
        given.calls, given.tenants = given.calls // 5, given.tenants // 5
    return given


def main():
    given = options()
    verdicts, programs = rig.Verdicts(), rig.Programs()
    if given.part in ("calls", "all"):
        calls(given, programs, verdicts)
    if given.inside:
        ports(programs, verdicts)
    elif given.part in ("ports", "all"):
        in_a_namespace(programs, verdicts)
    if given.part in ("files", "all"):
        files(programs, verdicts)
    return verdicts.code()


# -- calls and tenants ---------------------------------------------------------------


def calls(given, programs, verdicts):
    cores, directory = rig.Cores(), rig.work_dir()
    backends = rig.Backends(programs, cores.load)
    proxy, spared = (rig.Switchback(programs, "strain.toml", backends, directory, cores.proxy, name=name)
                     for name in ("flooded", "spared"))

    def p99(of):
        return rig.run_load(programs, cores, of.port, "-c", 32, "-r", 2000, "-d", 1, "-a", 1000)["p99"]

    p99(proxy), p99(spared)
    series = len(proxy.page())
    flood = rig.run_load(programs, cores, proxy.port, "-c", 32, "-d", 86_400, "-n", given.calls, "--requests", "1-1",
                         "-t", given.tenants)
    held, put_out = proxy.metric("switchback_call_table_size"), proxy.metric("switchback_evictions_total")
    turns = [(p99(proxy), p99(spared)) for _ in range(8)]
    flooded, without = (rig.low(side) for side in zip(*turns))
    series_after, size = len(proxy.page()), rig.resident(proxy.pid) / (1 << 20)
    print(f"calls: {flood['calls']:,} calls of {given.tenants:,} tenants at {flood['rps']:,.0f}/s; {held:,.0f} in the table, "
          f"{put_out:,.0f} put out of it")
    verdicts.tell(f"calls: {flood['errors']} errors", "none", flood["errors"] == 0)
    verdicts.tell(f"calls: {size:.0f} MiB resident", "below 150", size < 150, row=25)
    verdicts.tell(f"calls: p99 {flooded / 1000:.2f} ms after it, {without / 1000:.2f} ms without: {flooded / without:.2f} x",
                  "at most 1.5 x or 2 ms more", flooded <= max(1.5 * without, without + 2000))
    verdicts.tell(f"calls: {series_after} series in /metrics, {series} before", "below 2,000 and the same within 1 %",
                  series_after < 2000 and abs(series_after - series) <= 0.01 * series, row=25)
    proxy.stop()
    spared.stop()


# -- callers at once -------------------------------------------------------------------


class Callers:
    """So many callers with one webhook each, all waiting at once."""

    def __init__(self, port, count, addresses=("127.0.0.1",)):
        self.answers, self.waiting = [], {}
        self.poll = select.poll()
        for number in range(count):
            client = socket.socket()
            client.settimeout(5)
            rig.come_from(client, addresses[number % len(addresses)])
            client.connect(("127.0.0.1", port))
            client.sendall(rig.webhook(f"at-once-{os.getpid()}-{number}", to=f"+1555{number:07}"))
            self.waiting[client.fileno()] = client
            self.poll.register(client, select.POLLIN)

    def wait(self, seconds):
        """Takes answers for so long, or until all are there."""
        deadline = time.monotonic() + seconds
        while self.waiting and time.monotonic() < deadline:
            for number, _ in self.poll.poll(100):
                client = self.waiting.pop(number)
                self.poll.unregister(number)
                try:
                    self.answers.append(client.recv(4096))
                except OSError:
                    self.answers.append(b"")
                client.close()

    def leave(self):
        """All hang up."""
        for client in self.waiting.values():
            client.close()

    def told(self):
        """Answers of the backend, of the proxy, and connections closed without one."""
        of_backend = sum(b"x-backend" in answer.lower() for answer in self.answers)
        silent = sum(not answer for answer in self.answers)
        return of_backend, len(self.answers) - of_backend - silent, silent


def recovery(port):
    """Seconds until a caller is answered by a backend; None if none is within 10 s."""
    began = time.monotonic()
    while time.monotonic() < began + 10:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as client:
                client.settimeout(1)
                client.sendall(rig.webhook(f"after-{time.monotonic_ns()}"))
                if b"x-backend" in client.recv(4096).lower():
                    return time.monotonic() - began
        except OSError:
            pass
        time.sleep(0.1)
    return None


def judge(name, proxy, verdicts, after):
    alive = proxy.process.poll() is None
    verdicts.tell(f"{name}: the process {'goes on' if alive else f'ended with {proxy.process.returncode}'}", "it goes on", alive)
    said = "not within 10 s" if after is None else f"after {after:.2f} s"
    verdicts.tell(f"{name}: a caller was answered again {said}", "within 1 s", after is not None and after < 1)


# -- ports ------------------------------------------------------------------------------


def in_a_namespace(programs, verdicts):
    """Runs the part `ports` where the ephemeral ports can be few."""
    for leave in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        try:
            allowed = subprocess.run([*leave, "true"], capture_output=True).returncode == 0
        except FileNotFoundError:
            allowed = False
        if allowed:
            inside = os.environ | {"SWITCHBACK_BIN": str(programs.switchback), "SWITCHBACK_TOOLS": str(programs.load.parent)}
            ended = subprocess.run([*leave, sys.executable, __file__, "ports", "--inside"], env=inside)
            if ended.returncode not in (0, 1):
                raise rig.Trouble("the part `ports` could not be run")
            verdicts.all_met &= ended.returncode == 0
            return
    print("LEFT OUT: ports: no network namespace can be made here (unshare --net); run it as root or in a container "
          "that may")


def few_ports():
    """Brings the loopback up and leaves it so many ephemeral ports."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
        request = struct.pack("16sH14s", b"lo", 0, b"")
        flags = struct.unpack("16sH14s", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", flags | IFF_UP, b""))
    pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text(f"32768 {32768 + PORTS - 1}")


def ports(programs, verdicts):
    few_ports()
    directory = rig.work_dir()
    backends = rig.Backends(programs, None)
    proxy = rig.Switchback(programs, "strain.toml", backends, directory, name="ports", percentage=0)
    backends.slow(backends.legacy, SLOW_MS)
    callers = Callers(proxy.port, CALLERS_ON_PORTS, ("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"))
    callers.wait(SLOW_MS / 1000 + 4)
    callers.leave()
    backends.slow(backends.legacy, 0)
    of_backend, of_proxy, silent = callers.told()
    print(f"ports: of {CALLERS_ON_PORTS} callers at once {of_backend} were answered by the backend, {of_proxy} by the proxy, "
          f"{silent} not")
    judge("ports", proxy, verdicts, recovery(proxy.port))
    proxy.next_look()
    ours = proxy.metric("switchback_webhooks_total", outcome="internal") or 0
    blamed = proxy.metric("switchback_webhooks_total", outcome="connect") or 0
    verdicts.tell(f"ports: {ours:.0f} webhooks without a port counted as our own fault, {blamed:.0f} as the backend's",
                  "all as ours, and some", ours > 0 and blamed == 0)
    proxy.stop()


# -- descriptors ------------------------------------------------------------------------


def files(programs, verdicts):
    directory = rig.work_dir()
    backends = rig.Backends(programs, None)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))
    try:
        knowing = rig.Switchback(programs, "strain.toml", backends, directory, name="files", percentage=0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with_few_files("files, known", knowing, backends, verdicts)
    surprised = rig.Switchback(programs, "strain.toml", backends, directory, name="no-files", percentage=0)
    # What it opens at its start and in its first seconds is open by then, also on a busy machine.
    time.sleep(6)
    has = len(os.listdir(f"/proc/{surprised.pid}/fd"))
    resource.prlimit(surprised.pid, resource.RLIMIT_NOFILE, (has + FILES_LEFT, hard))
    with_few_files("files, by surprise", surprised, backends, verdicts)


def with_few_files(name, proxy, backends, verdicts):
    backends.slow(backends.legacy, SLOW_MS)
    callers = Callers(proxy.port, CALLERS_ON_FILES)
    callers.wait(SLOW_MS / 1000 + 4)
    callers.leave()
    backends.slow(backends.legacy, 0)
    of_backend, of_proxy, silent = callers.told()
    left = CALLERS_ON_FILES - of_backend - of_proxy - silent
    print(f"{name}: of {CALLERS_ON_FILES} callers at once {of_backend} were answered by the backend, {of_proxy} by the proxy, "
          f"{silent} not, {left} waited for a place and left")
    judge(name, proxy, verdicts, recovery(proxy.port))
    proxy.next_look()
    blamed = proxy.metric("switchback_webhooks_total", outcome="connect") or 0
    verdicts.tell(f"{name}: {blamed:.0f} webhooks blamed on the backend", "none", blamed == 0)
    proxy.stop()


if __name__ == "__main__":
    rig.main(main)
