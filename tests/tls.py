"""What testssl finds wrong with the TLS listener; see tls.sh.

Protocols, the handshake, the certificate, headers, and the flaws with names. The
certificate is made here and nobody vouches for it: what testssl says of that, and what
it cannot look at, is listed below with its reason. Anything else above "low" fails.
"""

import json
import shutil
import subprocess
import sys

from lab import Lab, check

EXPLAINED = {
    "cert_chain_of_trust": "the certificate is our own, for this test",
    "cert_revocation": "who issues for a test has no list of revoked certificates",
    "security_headers": "they speak to browsers; providers' machines post here, and answers are the backends'",
    "sessionresumption_ticket": "its client leaves as soon as it is in; when the ticket comes later it has none to show",
    "RC4": "this machine's OpenSSL cannot offer it; rustls knows no RC4",
}
# WARN is none of them: it says that something could not be looked at.
HARMLESS = ("OK", "INFO", "LOW")


def begin(http2):
    """A proxy with a TLS listener, and testssl looking at it."""
    lab = Lab()
    cert, key = lab.dir / "cert.pem", lab.dir / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "90",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
        check=True, capture_output=True)
    tls = f'[listen]\ntls = {{ cert = "{cert}", key = "{key}" }}\nhttp2 = {str(http2).lower()}\n'
    lab.config.write_text(lab.config.read_text().replace("[listen]\n", tls))
    lab.start()
    command = ["testssl", "--quiet", "--color", "0", "--fast", "-p", "-S", "-h", "-U", "--ip", "127.0.0.1", "--warnings", "off",
               "--jsonfile", lab.dir / "findings.json", f"localhost:{lab.port}"]
    return lab, subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=lab.log, stdin=subprocess.DEVNULL)


def judge(name, lab, looking):
    looking.wait(300)
    check((lab.dir / "findings.json").exists(), f"{name}: testssl found nothing at all:\n{lab.tail()}")
    findings = json.loads((lab.dir / "findings.json").read_text())
    said = {finding["id"]: finding["finding"] for finding in findings}
    # As many as it has when it looked at everything; TLS 1.3 and one of the last flaws are among them.
    check({"TLS1_3", "cert_trust", "LUCKY13"} <= said.keys(), f"{name}: testssl did not look at everything: {sorted(said)}")
    check(("ALPN_HTTP2" in said) == (name == "HTTP/2"), f"{name}: HTTP/2 is offered when it was chosen, and only then")
    bad = [finding for finding in findings if finding["severity"] not in HARMLESS]
    for finding in bad:
        about = EXPLAINED.get(finding["id"])
        print(f"  {name}: {finding['severity']} {finding['id']}: {finding['finding']}{f' ({about})' if about else ''}")
    unexplained = [finding["id"] for finding in bad if finding["id"] not in EXPLAINED]
    check(not unexplained, f"{name}: {', '.join(unexplained)}")
    check(lab.stop() == 0, f"{name}: the proxy ended well")
    print(f"  {name}: {len(findings)} findings, nothing above \"low\" but what is explained")


def main():
    if not shutil.which("testssl"):
        sys.exit("LEFT OUT: testssl is not installed (Debian package testssl.sh)")
    both = {name: begin(http2) for name, http2 in (("HTTP/1", False), ("HTTP/2", True))}
    for name, (lab, looking) in both.items():
        judge(name, lab, looking)


main()
