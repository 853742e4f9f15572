#!/usr/bin/env python3
"""Switchback beside HAProxy and nginx on the same work, as ratios.

Method
  Proxies run pinned to one core, load generator and backends to another, all of
  them all the time. The work is cut into short slices, and every proxy gets its
  slice in turn (A B C, C B A, ...), so that a disturbance hits all alike; of the
  slices the lower quartile counts (upper for requests/s), because foreign work on
  the machine only ever adds. 24 slices are the least that make that stable.

  CPU per request  exact run time of all threads of the proxy (schedstat) during a
                   slice, divided by the requests it answered. Closed loop.
  requests/s       closed loop, as fast as answers come.
  added p50, p99   open loop at a constant rate, each latency counted from the
                   moment its request was due; minus the same without a proxy.

  The load: TeXML webhooks of about 1 KB, 4 to 6 a call, 5,000 calls at once, 1,000
  tenants; every answer must be 200 and every call must meet one backend.

Peers (configurations in compare/)
  haproxy, nginx   split by a query argument; read no form, remember nothing
  haproxy-full     reads the form, remembers each call's backend, keeps rates
  switchback       all of that, and judges each document, saves pins, runs both
                   tables of the ivr-texml plan
"""

import argparse
import json
import time

import rig

PEERS = ("haproxy", "haproxy-full", "nginx")


def options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="about a minute: shorter slices")
    parser.add_argument("--slices", type=int, default=24, help="slices for each proxy (24)")
    parser.add_argument("--seconds", type=float, default=None, help="length of a slice (0.5; quick: 0.2)")
    parser.add_argument("--connections", type=int, default=32, help="in the closed loop (32)")
    parser.add_argument("--rate", type=int, default=4000, help="requests/s in the open loop (4000)")
    parser.add_argument("--only", default="switchback,haproxy,haproxy-full,nginx", metavar="NAMES")
    parser.add_argument("--json", metavar="FILE", help="every slice, for a closer look")
    parser.add_argument("--gate", action="store_true", help="exit 1 when a limit of the project is missed")
    given = parser.parse_args()
    given.seconds = given.seconds or (0.2 if given.quick else 0.5)
    return given


def main():
    given = options()
    names = given.only.split(",")
    unknown = set(names) - {"switchback", *PEERS}
    if unknown:
        raise rig.Trouble(f"--only: {', '.join(sorted(unknown))}: known are switchback, {', '.join(PEERS)}")
    rig.need(*{name.split("-")[0] for name in names if name != "switchback"})
    programs, cores = rig.Programs(), rig.Cores()
    field = Field(programs, cores, names, given)
    began = time.monotonic()
    field.warm_up()
    for number in range(given.slices):
        field.slice(backwards=number % 2 == 1)
    print(f"{given.slices} slices of {given.seconds:g} s each, {time.monotonic() - began:.0f} s in all; "
          f"{', '.join(f'{k} {v}' for k, v in rig.machine().items())}\n")
    print_table(field.results, names, given)
    verdicts = print_ratios(field.results, names)
    if given.json:
        with open(given.json, "w") as out:
            json.dump({"machine": rig.machine(), "options": vars(given), "slices": field.results}, out, indent=1)
    clean = all(not r["errors"] and not r["affinity_breaks"] for r in field.results.values())
    return 1 if not clean or (given.gate and not all(verdicts)) else 0


class Field:
    """All proxies running side by side, and what each slice showed."""

    def __init__(self, programs, cores, names, given):
        self.programs, self.cores, self.given = programs, cores, given
        directory = rig.work_dir()
        self.backends = rig.Backends(programs, cores.load)
        self.proxies = {"direct": (self.backends.legacy, self.backends.process.pid)}
        for name in names:
            self.proxies[name] = self.start(name, directory)
        self.results = {
            name: {"cpu_us": [], "rps": [], "paced_cpu_us": [], "p50": [], "p99": [],
                   "errors": 0, "affinity_breaks": 0, "answered": 0, "to_new": 0}
            for name in self.proxies
        }

    def start(self, name, directory):
        if name == "switchback":
            proxy = rig.Switchback(self.programs, "compare/switchback.toml", self.backends, directory,
                                   self.cores.proxy, calls=1_000_000)
            return proxy.port, proxy.pid
        port = rig.free_port()
        file = "compare/nginx.conf" if name == "nginx" else f"compare/{name}.cfg"
        config = rig.render(file, directory / file.split("/")[1], port=port, dir=directory,
                            legacy=self.backends.legacy, new=self.backends.new)
        log = directory / f"{name}.log"
        if name == "nginx":
            command = [rig.find("nginx"), "-c", config, "-p", directory]
        else:
            command = [rig.find("haproxy"), "-f", config]
        with open(log, "w") as out:
            process = rig.start(command, self.cores.proxy, stderr=out)
        rig.wait_for_port(port, process, name, log)
        return port, process.pid

    def warm_up(self):
        """Connections, caches and tables as they are in the middle of a day; not counted."""
        for port, _ in self.proxies.values():
            rig.run_load(self.programs, self.cores, port, "-c", self.given.connections, "-d", 0.5)

    def slice(self, backwards):
        """One slice of both kinds for every proxy."""
        order = list(self.proxies)[:: -1 if backwards else 1]
        for name in order:
            load, cpu = self.measure(name, "-c", self.given.connections, "-d", self.given.seconds)
            self.results[name]["cpu_us"].append(cpu)
            self.results[name]["rps"].append(load["rps"])
        for name in order:
            warm = 0.1
            load, cpu = self.measure(name, "-c", 64, "-w", warm, "-d", warm + self.given.seconds,
                                     "-r", self.given.rate)
            self.results[name]["paced_cpu_us"].append(cpu)
            self.results[name]["p50"].append(load["p50"])
            self.results[name]["p99"].append(load["p99"])

    def measure(self, name, *load_options):
        port, pid = self.proxies[name]
        before = rig.cpu_ns(pid)
        load = rig.run_load(self.programs, self.cores, port, *load_options)
        spent = rig.cpu_ns(pid) - before
        result = self.results[name]
        for count in ("errors", "affinity_breaks", "answered", "to_new"):
            result[count] += load[count]
        return load, spent / 1000 / max(load["answered"], 1)


def added(results, name, which):
    """Added latency in microseconds, at least one: below that the difference is noise."""
    return max(rig.low(results[name][which]) - rig.low(results["direct"][which]), 1.0)


def print_table(results, names, given):
    columns = ("proxy", "CPU us/request", "requests/s", f"CPU us at {given.rate}/s",
               "added p50 us", "added p99 us", "to new", "errors", "affinity breaks")
    rows = [columns]
    for name in ("direct", *names):
        r = results[name]
        share = f"{r['to_new'] / max(r['answered'], 1):.0%}"
        plus = ["-", "-"] if name == "direct" else [f"{added(results, name, k):.0f}" for k in ("p50", "p99")]
        rows.append((name, spread(r["cpu_us"], 2), f"{rig.high(r['rps']):.0f}", spread(r["paced_cpu_us"], 1),
                     *plus, share, str(r["errors"]), str(r["affinity_breaks"])))
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    for row in rows:
        print("  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(row, widths))))
    direct = results["direct"]
    print(f"\nlower quartiles (range of all slices); without a proxy p50 is {rig.low(direct['p50']):.0f} us, "
          f"p99 {rig.low(direct['p99']):.0f} us; the CPU of `direct` is the backend's")


def spread(values, digits):
    return f"{rig.low(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def print_ratios(results, names):
    """The one line, and whether the project's limits are met."""
    if "switchback" not in names:
        return []
    parts, verdicts = [], []
    ours = results["switchback"]
    for peer in (name for name in PEERS if name in names):
        theirs = results[peer]
        cpu = rig.low(ours["cpu_us"]) / rig.low(theirs["cpu_us"])
        rps = rig.high(ours["rps"]) / rig.high(theirs["rps"])
        p50 = added(results, "switchback", "p50") / added(results, peer, "p50")
        p99_ours, p99_theirs = added(results, "switchback", "p99"), added(results, peer, "p99")
        parts.append(f"{peer}: cpu/request {cpu:.2f}, requests/s {rps:.2f}, added p50 {p50:.2f}, "
                     f"added p99 {p99_ours / p99_theirs:.2f} ({p99_ours - p99_theirs:+.0f} us)")
        if peer == "haproxy-full":
            verdicts.append(("CPU/request <= 1.00 x haproxy-full", cpu <= 1.0))
        if peer == "haproxy":
            verdicts.append(("added p50 <= 1.10 x haproxy", p50 <= 1.10))
            verdicts.append(("added p99 <= 1.5 x haproxy or + 100 us",
                             p99_ours <= 1.5 * p99_theirs or p99_ours - p99_theirs <= 100))
    print("\nswitchback as a multiple of  " + "  |  ".join(parts))
    for limit, met in verdicts:
        print(f"  {'met   ' if met else 'MISSED'}  {limit}")
    return [met for _, met in verdicts]


if __name__ == "__main__":
    rig.main(main)
