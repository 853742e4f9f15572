#!/usr/bin/env python3
"""A real Prometheus scrapes the proxy; what it stored is asked back."""

import json
import pathlib
import subprocess
import time
import urllib.parse
import urllib.request

from lab import Lab, check, free_port


def main():
    metrics = free_port()
    lab = Lab(percentage=50)
    text = lab.config.read_text().replace("[state]", f'metrics = "127.0.0.1:{metrics}"\n[state]', 1)
    lab.config.write_text(text)
    lab.start()
    for _ in range(40):
        lab.call()
    port = free_port()
    config = lab.dir / "prometheus.yml"
    config.write_text(f"""
global: {{ scrape_interval: 1s }}
scrape_configs:
  - job_name: switchback
    static_configs: [{{ targets: ["127.0.0.1:{metrics}"] }}]
""")
    lint = subprocess.run(["promtool", "check", "metrics"], input=lab.request("GET", "/metrics", port=metrics)[1], capture_output=True)
    check(lint.returncode == 0, "promtool finds fault with the metrics:\n" + lint.stderr.decode() + lint.stdout.decode())
    scraper = subprocess.Popen(
        ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={lab.dir / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"])

    def ask(query):
        url = f"http://127.0.0.1:{port}/api/v1/query?query=" + urllib.parse.quote(query)
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                rows = json.load(answer)["data"]["result"]
            return sum(float(row["value"][1]) for row in rows) if rows else None
        except OSError:
            return None

    try:
        check(lab.until(lambda: ask('up{job="switchback"}') == 1, 30), "Prometheus reaches the target")
        check(lab.until(lambda: ask('switchback_webhooks_total{kind="voice"}') == 40, 15), f"it stored 40 webhooks, not {ask('switchback_webhooks_total')}")
        check(ask("switchback_percentage") == 50, "it stored the percentage")
        check(ask("switchback_reversals_total") == 0, "a series that never happened stands at 0")
        check(ask("switchback_webhook_duration_seconds_count") == 40, "it stored the durations")
        print("  Prometheus scraped and stored what the proxy counted")
    finally:
        scraper.terminate()
        scraper.wait()
        lab.stop()


main()
