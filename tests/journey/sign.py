"""How each provider proves that a webhook is its own.

A signer gives the headers for one webhook: method, target (path and query), body.
Telnyx's Ed25519 is made by the `openssl` command, since Python's library has none.
"""

import base64
import hashlib
import hmac
import pathlib
import subprocess
import time
import urllib.parse


class Nobody:
    """Signs nothing."""

    def headers(self, _method, _target, _body):
        return []


class Telnyx:
    """Ed25519 over `timestamp|body`, for TeXML and Call Control alike."""

    def __init__(self, key):
        self.key = pathlib.Path(key)

    @classmethod
    def throw_away(cls, directory):
        """A key of its own, and the public half as Mission Control shows it."""
        signer = cls(pathlib.Path(directory) / "telnyx.pem")
        openssl("genpkey", "-algorithm", "ed25519", "-out", str(signer.key))
        public = openssl("pkey", "-in", str(signer.key), "-pubout", "-outform", "DER")
        # The last 32 bytes of the envelope are the key.
        return signer, base64.b64encode(public[-32:]).decode()

    def headers(self, _method, _target, body):
        now = str(int(time.time()))
        # This openssl signs no pipe: it must know the length beforehand.
        text = self.key.with_suffix(".signed")
        text.write_bytes(now.encode() + b"|" + body)
        signature = openssl("pkeyutl", "-sign", "-rawin", "-inkey", str(self.key), "-in", str(text))
        return [("telnyx-timestamp", now), ("telnyx-signature-ed25519", base64.b64encode(signature).decode())]


class Twilio:
    """HMAC-SHA1 over the URL that Twilio was given and the fields of the form."""

    def __init__(self, token, public):
        self.token, self.public = token, public

    def headers(self, method, target, body):
        text = self.public + target
        if method == "POST" and "bodySHA256=" not in target:
            fields = urllib.parse.parse_qsl(body.decode(), keep_blank_values=True)
            text += "".join(name + value for name, value in sorted(fields))
        code = hmac.new(self.token.encode(), text.encode(), hashlib.sha1).digest()
        return [("X-Twilio-Signature", base64.b64encode(code).decode())]


class VapiSecret:
    """The shared secret, shown in a header."""

    def __init__(self, secret):
        self.secret = secret

    def headers(self, _method, _target, _body):
        return [("X-Vapi-Secret", self.secret)]


class VapiHmac:
    """HMAC-SHA256 over `timestamp.body`, Vapi's defaults."""

    def __init__(self, secret):
        self.secret = secret

    def headers(self, _method, _target, body):
        now = str(int(time.time() * 1000))
        code = hmac.new(self.secret.encode(), now.encode() + b"." + body, hashlib.sha256).hexdigest()
        return [("x-timestamp", now), ("x-signature", code)]


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], capture_output=True)
    if done.returncode:
        raise SystemExit(f"openssl {arguments[0]} failed: {done.stderr.decode().strip()}")
    return done.stdout
