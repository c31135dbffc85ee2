"""Runs the factory on a release in OCI layouts, with a store of its own, for as long as a `with` block lasts."""
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 60
STOP_SECONDS = 20


def program():
    """The release build of the factory."""
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    return target / "release/image-factory"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Factory:
    """A factory on the loopback.

    `release` is a directory of OCI layouts, `key` the public half of what they are signed with,
    `home` a directory for configuration, store and log. Metrics are off without a port for them.
    With `secure_boot` it signs, with keys that it makes there.
    """

    def __init__(self, release, key, home, port=None, metrics_port=None, secure_boot=False):
        self.release, self.key, self.home = Path(release), Path(key), Path(home)
        self.port = port or free_port()
        self.metrics_port = metrics_port
        self.secure_boot = secure_boot
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = self.home / "image-factory.log"
        self.process = None

    def __enter__(self):
        if not program().exists():
            sys.exit(f"{program()} is missing: make build")
        (self.home / "store").mkdir(parents=True, exist_ok=True)
        config = self.home / "image-factory.toml"
        config.write_text(self.configuration())
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([program(), "serve", "--config", config], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=subprocess.STDOUT)
        try:
            self.wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def configuration(self):
        # the strings of JSON are strings of TOML
        quoted = {name: json.dumps(str(value)) for name, value in {
            "listen": f"127.0.0.1:{self.port}", "url": f"{self.url}/", "registry": f"oci-layout:{self.release}",
            "key": self.key, "store": self.home / "store",
            "metrics": f"127.0.0.1:{self.metrics_port}" if self.metrics_port else ""}.items()}
        return ('[http]\nhttpListenAddr = {listen}\nexternalURL = {url}\n\n'
                '[artifacts.core]\nregistry = {registry}\n\n'
                '# the fixture is signed with a key, not by an identity\n'
                '[containerSignature]\npublicKeyFile = {key}\nsubjectRegExp = ""\n\n'
                '[store]\npath = {store}\n\n'
                '[metrics]\naddr = {metrics}\n').format(**quoted) + self.keys()

    def keys(self):
        """Settings of new keys for Secure Boot, as the program prints them behind the names of its files."""
        if not self.secure_boot:
            return ""
        told = subprocess.run([program(), "secureboot", "generate-keys", self.home / "keys"],
                              check=True, stdout=subprocess.PIPE, text=True).stdout
        return told[told.index("\n[secureBoot]"):]

    def wait_until_ready(self):
        started = time.monotonic()
        while time.monotonic() - started < READY_SECONDS:
            if self.process.poll() is not None:
                sys.exit(f"the factory ended with status {self.process.returncode}:\n{self.log_tail()}")
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=5):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.02)
        sys.exit(f"the factory is not ready after {READY_SECONDS} seconds:\n{self.log_tail()}")

    def log_tail(self, lines=20):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def versions(self):
        with urllib.request.urlopen(f"{self.url}/versions", timeout=60) as answer:
            return json.load(answer)

    def post_schematic(self, schematic):
        """The identifier of a schematic, given as YAML (or JSON, which is YAML)."""
        request = urllib.request.Request(f"{self.url}/schematics", data=schematic.encode(), method="POST",
                                         headers={"Content-Type": "application/yaml"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["id"]


def newest_final(versions):
    """The newest of these versions that is not a pre-release."""
    finals = [v for v in versions if "-" not in v]
    if not finals:
        sys.exit(f"no final version among {versions}")
    return max(finals, key=lambda v: [int(n) for n in v.removeprefix("v").split(".")])


def download(url, path):
    """Fetches with curl; returns status, seconds to the first byte, seconds in all, and bytes."""
    told = subprocess.run(
        ["curl", "--silent", "--show-error", "--location", "--max-time", "600", "--output", path, "--write-out",
         "%{http_code} %{time_starttransfer} %{time_total} %{size_download}", url],
        check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return int(told[0]), float(told[1]), float(told[2]), int(told[3])
