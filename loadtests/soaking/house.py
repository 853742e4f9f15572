"""The processes of the soak: the proxy under test, two backends, and the proxy's disk."""

import asyncio
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import rig

HERE = pathlib.Path(__file__).resolve().parent
# Of 48 bytes for each change of a call this is room for more than an hour.
DISK = "64m"


class House:
    def __init__(self, programs, ledger):
        self.programs, self.ledger = programs, ledger
        self.directory = rig.work_dir()
        self.state = self.directory / "state"
        self.state.mkdir()
        self.mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(self.state)], capture_output=True).returncode == 0
        self.port, self.admin = rig.free_port(), rig.free_port()
        self.ports = {"legacy": rig.free_port(), "new": rig.free_port()}
        self.backends, self.process, self.started = {}, None, 0.0
        self.percentage, self.log = 50, self.directory / "log"
        for name in self.ports:
            self.start_backend(name)
        self.write_config()
        self.start()

    # -- backends --------------------------------------------------------------------

    def start_backend(self, name):
        command = [sys.executable, HERE / "backend.py", name, self.ports[name]]
        self.backends[name] = rig.start(command)
        rig.wait_for_port(self.ports[name], self.backends[name], f"the sample backend {name}")

    async def fault(self, name, kind, share=1.0, ms=0):
        """Makes a backend misbehave; `none` ends it. A mild fault is no sickness."""
        if kind != "none" and not (kind == "slow" and ms < 400):
            self.ledger.sick[name].begin()
        await self.ask(self.ports[name], "POST", "/_fault", {"kind": kind, "share": share, "ms": ms})
        if kind == "none":
            self.ledger.sick[name].end()

    async def kill_backend(self, name):
        self.ledger.sick[name].begin()
        self.backends[name].kill()
        await asyncio.to_thread(self.backends[name].wait)

    async def restart_backend(self, name):
        await asyncio.to_thread(self.start_backend, name)
        self.ledger.sick[name].end()

    async def ask(self, port, method, path, body=None, timeout=20):
        return await asyncio.to_thread(rig.http_call, port, method, path, body, timeout)

    # -- the proxy --------------------------------------------------------------------

    def write_config(self, broken=False):
        target = self.directory / "switchback.toml"
        fresh = rig.render("soak.toml", target.with_suffix(".fresh"), port=self.port, admin=self.admin, state=self.state,
                           legacy=self.ports["legacy"], new=self.ports["new"], percentage=self.percentage)
        if broken:
            fresh.write_text(fresh.read_text().replace("percentage = ", "percentile = "))
        os.replace(fresh, target)

    def start(self):
        with open(self.log, "ab") as log:
            self.process = rig.start([self.programs.switchback, "run", "--config", self.directory / "switchback.toml"], stdout=log, stderr=log)
        rig.wait_for_port(self.port, self.process, "switchback", self.log)
        rig.wait_for_port(self.admin, self.process, "switchback's admin listener", self.log)
        self.started = time.monotonic()

    async def kill(self, down):
        """`kill -9`, some time of nothing, and it is there again."""
        ledger = self.ledger
        ledger.gone.begin()
        ledger.kills.append(time.monotonic())
        self.process.kill()
        await asyncio.to_thread(self.process.wait)
        await asyncio.sleep(max(0.1, down))
        ledger.life.clear()
        await asyncio.to_thread(self.start)
        ledger.gone.end()

    async def terminate(self, most):
        """SIGTERM. How long it took, and how it ended; None: it did not within `most` seconds."""
        begun = time.monotonic()
        self.ledger.gone.begin()
        self.process.terminate()
        try:
            code = await asyncio.to_thread(self.process.wait, most)
        except subprocess.TimeoutExpired:
            code = None
        return time.monotonic() - begun, code

    async def restart(self):
        self.ledger.life.clear()
        await asyncio.to_thread(self.start)
        self.ledger.gone.end()

    def hang_up(self):
        self.process.send_signal(signal.SIGHUP)

    async def order(self, path, **body):
        status, text = await self.ask(self.admin, "POST", f"/api/v1/{path}", {"reason": "the soak", **body})
        return status, text

    async def metrics(self):
        """Every series with its labels as text."""
        _, page = await self.ask(self.admin, "GET", "/metrics")
        return [(name, labels or "", float(value)) for name, labels, value in
                re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", page, re.MULTILINE)]

    def burden(self):
        """Resident bytes, descriptors, threads."""
        pid = self.process.pid
        return rig.resident(pid), len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))

    # -- the disk ---------------------------------------------------------------------

    def fill(self):
        self.ledger.full.begin()
        with open(self.state / "filler", "wb", buffering=0) as out:
            for size in (1 << 20, 4096, 1):
                try:
                    while out.write(b"x" * size) == size:
                        pass
                except OSError:
                    pass

    def drain(self):
        (self.state / "filler").unlink(missing_ok=True)
        self.ledger.full.end()

    def leave(self):
        rig.stop_all()
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.state)], check=False)

    def tail(self, lines=50):
        return self.log.read_text(errors="replace").splitlines()[-lines:]


def total(series, name, *wanted):
    """Sum of a metric over the series whose labels have all of these in them."""
    return sum(value for each, labels, value in series if each == name and all(part in labels for part in wanted))
