#!/usr/bin/env python3
"""What is changed while it runs: the configuration, certificates, and files that are wrong.

Method
  sighups       Load at a constant rate while the percentage in the file changes and
                SIGHUP is sent, again and again. Every one of them must be obeyed (the log
                says each), no request lost, and no call changed its backend.
  certificates  Clients over TLS that keep their connection for twenty webhooks and then
                come anew, so that handshakes meet the exchange. Each new pair is put in
                place, SIGHUP is sent, and a new connection must be shown the new
                certificate. Halfway a certificate comes without its key: it must be
                refused, and the one before go on.
  broken        Files that are wrong, some written by hand, the others made from
                config/switchback.toml by spoiling one line each. Under load each is put in
                place of the running file and a reload is asked for: it must be refused with
                the file's name and the line, and neither the percentage, the generation nor
                the backend of any tenant may change.
"""

import argparse
import asyncio
import hashlib
import os
import re
import ssl
import subprocess
import threading
import time

import rig

PARTS = ("sighups", "certificates", "broken")
# 200 SIGHUPs in the time of 120,000 requests and more.
RATE, SIGHUP_EVERY = 2100, 0.29
CLIENTS, TLS_RATE, KEPT_FOR = 16, 300, 20
IN_FORCE_WITHIN = 5.0
BROKEN = 60


def options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", default="all", choices=(*PARTS, "all"))
    parser.add_argument("--sighups", type=int, default=200, help="how many (200)")
    parser.add_argument("--rotations", type=int, default=50, help="certificates, one after the other (50)")
    parser.add_argument("--brief", action="store_true", help="a fifth of both, as CI runs it")
    given = parser.parse_args()
    if given.brief:
        given.sighups, given.rotations = given.sighups // 5, given.rotations // 5
    return given


def main():
    given, programs, verdicts = options(), rig.Programs(), rig.Verdicts()
    parts = {
        "sighups": lambda: sighups(programs, given.sighups, verdicts),
        "certificates": lambda: certificates(programs, given.rotations, verdicts),
        "broken": lambda: broken(programs, verdicts),
    }
    for name in PARTS if given.part == "all" else (given.part,):
        parts[name]()
    return verdicts.code()


class Load(threading.Thread):
    """The load generator, running beside what is done meanwhile."""

    def __init__(self, programs, cores, port, seconds, rate=RATE):
        super().__init__(daemon=True)
        self.run = lambda: setattr(self, "told", rig.run_load(
            programs, cores, port, "-c", 32, "-r", rate, "-d", seconds, "-a", 500))
        self.told = None
        self.start()
        time.sleep(0.3)

    def result(self):
        self.join()
        if self.told is None:
            raise rig.Trouble("the load generator gave up")
        return self.told


# -- the configuration -----------------------------------------------------------------


def sighups(programs, count, verdicts):
    cores, directory = rig.Cores(), rig.work_dir()
    backends = rig.Backends(programs, cores.load, "--watch")
    proxy = rig.Switchback(programs, "strain.toml", backends, directory, cores.proxy, name="sighups")
    proxy.wait_for_percentage()
    load = Load(programs, cores, proxy.port, count * SIGHUP_EVERY + 0.6)
    for number in range(count):
        proxy.write_config(percentage=40 + number % 20)
        proxy.process.send_signal(rig.signal.SIGHUP)
        time.sleep(SIGHUP_EVERY)
    result = load.result()
    proxy.wait_for_percentage()
    obeyed = proxy.log.read_text().count("Configuration reloaded.")
    twice = sum(backends.seen(port)["duplicates"] for port in (backends.legacy, backends.new))
    verdicts.tell(f"{obeyed} of {count} SIGHUPs obeyed", "all", obeyed == count, row=6)
    verdicts.tell(f"{result['errors']} of {result['n']:,} requests lost, {twice} sent twice, {result['affinity_breaks']} calls "
                  "changed their backend", "none", not result["errors"] + result["affinity_breaks"] + twice, row=6)
    proxy.stop()
    backends.process.terminate()


# -- certificates ------------------------------------------------------------------------


def issue(directory, number):
    """A certificate of its own with its key; their paths."""
    cert, key = directory / f"cert-{number}.pem", directory / f"key-{number}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN=rotation {number}", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
        check=True, capture_output=True)
    return cert, key


def shown_by(cert):
    """What a client is shown of this file."""
    return ssl.PEM_cert_to_DER_cert(cert.read_text())


class Clients(threading.Thread):
    """Clients over TLS in a thread of their own. What failed stands in `lost`."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.answered, self.handshakes, self.lost, self.ended = port, 0, 0, [], False
        self.context = ssl.create_default_context()
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        self.start()

    def run(self):
        async def all_of_them():
            await asyncio.gather(*(self.one(number) for number in range(CLIENTS)))

        asyncio.run(all_of_them())

    async def one(self, number):
        await asyncio.sleep(number / TLS_RATE)
        sent = 0
        while not self.ended:
            writer = None
            try:
                reader, writer = await asyncio.wait_for(
                    asyncio.open_connection("127.0.0.1", self.port, ssl=self.context, server_hostname="localhost"), 5)
                self.handshakes += 1
                for _ in range(KEPT_FOR):
                    if self.ended:
                        break
                    sent += 1
                    await asyncio.wait_for(self.webhook(reader, writer, f"tls-{os.getpid()}-{number}-{sent}"), 5)
                    await asyncio.sleep(CLIENTS / TLS_RATE)
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, ValueError) as error:
                self.lost.append(repr(error))
            finally:
                if writer:
                    writer.close()

    async def webhook(self, reader, writer, call):
        writer.write(rig.webhook(call))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(re.search(rb"\r\ncontent-length: *(\d+)", head)[1]))
        if not head.startswith(b"http/1.1 200") or b"\r\nx-backend:" not in head:
            raise ValueError(head.split(b"\r\n")[0].decode())
        self.answered += 1

    def shown(self):
        """The certificate that a new connection is shown."""
        with rig.socket.create_connection(("127.0.0.1", self.port), 5) as plain:
            with self.context.wrap_socket(plain, server_hostname="localhost") as link:
                return link.getpeercert(binary_form=True)

    def result(self):
        self.ended = True
        self.join()


def certificates(programs, count, verdicts):
    cores, directory = rig.Cores(), rig.work_dir()
    pairs = [issue(directory, number) for number in range(count + 2)]
    cert, key = directory / "cert.pem", directory / "key.pem"

    def put(source, target):
        fresh = target.with_suffix(".fresh")
        fresh.write_bytes(source.read_bytes())
        os.replace(fresh, target)

    def put_pair(pair):
        put(pair[0], cert), put(pair[1], key)

    put_pair(pairs[0])
    backends = rig.Backends(programs, cores.load)
    proxy = rig.Switchback(programs, "strain.toml", backends, directory, cores.proxy, name="certificates",
                           tls=f'tls = {{ cert = "{cert}", key = "{key}" }}')
    proxy.wait_for_percentage()
    clients = Clients(proxy.port)
    time.sleep(0.5)
    served = refused = 0
    for number, pair in enumerate(pairs[1:-1], 1):
        if number == count // 2:
            refused = half_a_pair(proxy, clients, pairs[number - 1], pairs[-1], put, cert)
        put_pair(pair)
        proxy.process.send_signal(rig.signal.SIGHUP)
        served += in_force(clients, shown_by(pair[0]))
        time.sleep(0.4)
    clients.result()
    verdicts.tell(f"{served} of {count} certificates served after their SIGHUP", "all", served == count, row=6)
    verdicts.tell(f"a certificate without its key {'refused' if refused else 'NOT refused'}, the one before went on",
                  "so it is", refused, row=6)
    for said in sorted(set(clients.lost))[:5]:
        print(f"  lost: {said}")
    verdicts.tell(f"{len(clients.lost)} of {clients.answered + len(clients.lost):,} requests over TLS lost, in "
                  f"{clients.handshakes:,} connections", "none", not clients.lost and clients.answered, row=6)
    proxy.stop()
    backends.process.terminate()


def in_force(clients, wanted):
    """Until a new connection is shown this certificate; whether it was."""
    deadline = time.monotonic() + IN_FORCE_WITHIN
    while time.monotonic() < deadline:
        if clients.shown() == wanted:
            return True
        time.sleep(0.05)
    return False


def half_a_pair(proxy, clients, before, wrong, put, cert):
    """A certificate without its key: whether it was refused and the one before went on."""
    put(wrong[0], cert)
    status, said = rig.http_call(proxy.admin, "POST", "/api/v1/reload", {"reason": "half a pair"})
    proxy.process.send_signal(rig.signal.SIGHUP)
    proxy.next_look()
    return status >= 400 and "key" in said and clients.shown() == shown_by(before[0])


# -- files that are wrong -------------------------------------------------------------------

# What is wrong, as a line of the running file and what comes in its place.
BY_HAND = (
    ('percentage = 10', 'percentage = 110'),
    ('percentage = 10', 'percentage = -1'),
    ('percentage = 10', 'percentage = "all"'),
    ('percentage = 10', 'percentage = 10.5'),
    ('percentage = 10', 'percentage = 10\npercentage = 100'),
    ('hash       = "java31"', 'hash       = "md5"'),
    ('hash       = "java31"', 'hash       = "xxh3"'),
    ('by         = "tenant"', 'by         = "weather"'),
    ('enabled    = true', 'enabled    = "yes"'),
    ('enabled_tenants  = []', 'enabled_tenants  = "+15550001000"'),
    ('path     = "/ivr"', 'path     = "ivr"'),
    ('path     = "/ivr"', 'path     = "/ivr?x=1"'),
    ('protocol = "telnyx-texml"', 'protocol = "sip"'),
    ('tenant   = ["to"]', 'tenant   = ["moon"]'),
    ('tenant   = ["to"]', 'tenant   = [to]'),
    ('sources  = []', 'sources  = ["10.0.0.0/40"]'),
    ('timeout  = "10s"', 'timeout  = "soon"'),
    ('timeout  = "10s"', 'timeout  = "1h"'),
    ('timeout  = "10s"', 'timeout  = "10s"\nrescue = "always"'),
    ('timeout  = "10s"', 'timeout  = "10s"\nentry = "welcome"'),
    ('timeout  = "10s"', 'timeout  = "10s"\nlast_resort = "not-there.xml"'),
    ('calls = 200000', 'calls = 0'),
    ('body  = "8MiB"', 'body  = "8 loaves"'),
    ('host = "public"', 'host = "mine"'),
    ('host = "public"', 'host = "public"\nconcurrency = 0'),
    ('host = "public"', 'host = "public"\nconcurrency = 10\nqueue_wait = "1h"'),
    ('short  = "5s"', 'short  = "-5s"'),
    ('[calls]', '[calls'),
    ('[calls]', '[cals]'),
    ('[calls]', '[split]'),
)


def spoiled(text):
    """The running file with one thing wrong, BROKEN times: by hand, then a line each."""
    for line, wrong in BY_HAND:
        if text.count(f"\n{line}") != 1:
            raise rig.Trouble(f"config/switchback.toml has no single line that begins with: {line}")
        yield text.replace(f"\n{line}", f"\n{wrong}")
    lines = text.splitlines()
    settings = [at for at, line in enumerate(lines) if re.match(r"\w+ *= ", line)]
    ways = (
        lambda line: re.sub(r"^(\w+)", r"\1_", line),  # a key nobody knows
        lambda line: line.replace("=", "= =", 1),  # no TOML
        lambda line: re.sub(r"= .*", "= { wrong = 1 }", line),  # of another kind
    )
    left = BROKEN - len(BY_HAND)
    for number in range(left):
        at = settings[number * len(settings) // left]
        yield "\n".join([*lines[:at], ways[number % len(ways)](lines[at]), *lines[at + 1:]]) + "\n"


def broken(programs, verdicts):
    cores, directory = rig.Cores(), rig.work_dir()
    backends = rig.Backends(programs, cores.load, "--watch")
    template = rig.work_dir() / "template.toml"
    text = (rig.ROOT / "config/switchback.toml").read_text()
    for ours, place in (("127.0.0.1:8080", "127.0.0.1:@PORT@"), ("127.0.0.1:9901", "127.0.0.1:@ADMIN@"), ('"./state"', '"@STATE@"'),
                        ("127.0.0.1:3001", "127.0.0.1:@LEGACY@"), ("127.0.0.1:3002", "127.0.0.1:@NEW@")):
        text = text.replace(ours, place)
    template.write_text(text)
    proxy = rig.Switchback(programs, template, backends, directory, cores.proxy, name="broken", percentage=10)
    proxy.wait_for_percentage()
    well = proxy.config.read_text()
    before = behaviour(proxy)
    load = Load(programs, cores, proxy.port, BROKEN * 0.06 + 1, rate=1000)
    refused, changed = 0, 0
    for wrong in spoiled(well):
        proxy.config.write_text(wrong)
        status, said = rig.http_call(proxy.admin, "POST", "/api/v1/reload", {"reason": "a wrong file"})
        proxy.process.send_signal(rig.signal.SIGHUP)
        time.sleep(0.03)
        named = 400 <= status < 500 and re.search(rf"{re.escape(proxy.config.name)}:\d+", said)
        refused += bool(named)
        if not named:
            print(f"  not refused with its line: {status} {said[:300]}\n  {first_difference(well, wrong)}")
        changed += in_short(proxy.status()) != before[0]
    result = load.result()
    proxy.next_look()
    changed += behaviour(proxy) != before
    proxy.config.write_text(well)
    verdicts.tell(f"{changed} of {BROKEN} wrong files changed anything", "none", changed == 0, row=7)
    verdicts.tell(f"{refused} refused with file and line", "all", refused == BROKEN, row=7)
    verdicts.tell(f"{result['errors']} of {result['n']:,} requests beside them lost, {result['affinity_breaks']} calls changed "
                  "their backend", "none", not result["errors"] + result["affinity_breaks"], row=7)
    proxy.stop()


def in_short(status):
    """What a configuration decides, of the status."""
    return {key: status.get(key) for key in ("phase", "percentage", "generation", "latched")}


def behaviour(proxy):
    """That, and where a new call of each of 200 tenants goes."""
    placed = []
    for tenant in range(200):
        with rig.socket.create_connection(("127.0.0.1", proxy.port), 5) as client:
            client.sendall(rig.webhook(f"probe-{time.monotonic_ns()}", to=f"+1555{tenant:07}"))
            placed.append(re.search(rb"x-backend: *(\w+)", client.recv(4096), re.IGNORECASE)[1])
    digest = hashlib.sha256(b" ".join(placed)).hexdigest()
    return in_short(proxy.status()), digest


def first_difference(one, other):
    return next((b for a, b in zip(one.splitlines(), other.splitlines()) if a != b), "at the end")


if __name__ == "__main__":
    rig.main(main)
