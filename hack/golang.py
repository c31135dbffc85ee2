"""Builds programs from Go modules, once, into the cache.

Needs a Go that builds them: the machine's own when it is new enough (or can fetch a newer one by
itself), otherwise Debian's, unpacked into the cache without being installed.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from caches import CACHE
from fixture.packages import Suite, system_mirror

SELF_UPDATING = (1, 21)  # from here on Go fetches the version that a module asks for
DEBIAN_SUITE, DEBIAN_GO = "trixie", "1.24"  # Debian 12's own is too old
ATTEMPTS, PAUSE_SECONDS = 3, 15
NOT_TO_BE_HAD = 3  # exit status


def go_version(go):
    # asked from outside any module, and without letting it switch to another version
    told = subprocess.run([go, "version"], capture_output=True, text=True, cwd="/",
                          env={**os.environ, "GOTOOLCHAIN": "local"})
    found = re.search(r"go(\d+)\.(\d+)", told.stdout)
    return tuple(map(int, found.groups())) if found else (0, 0)


def system_go():
    """The newest Go on this machine that will do."""
    places = [shutil.which("go"), "/usr/local/go/bin/go", *sorted(map(str, Path("/usr/lib").glob("go-*/bin/go")))]
    usable = [(go_version(go), go) for go in places if go and os.access(go, os.X_OK)]
    version, go = max(usable, default=((0, 0), None))
    return go if version >= SELF_UPDATING else None


def debian_go(say):
    """Debian's Go, out of its packages."""
    root = CACHE / f"tools/go-{DEBIAN_GO}"
    if not root.exists():
        say(f"fetching Go {DEBIAN_GO} from Debian {DEBIAN_SUITE}")
        suite = Suite(CACHE / "fixture", DEBIAN_SUITE, system_mirror())
        part = root.with_name(root.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        for package in (f"golang-{DEBIAN_GO}-go", f"golang-{DEBIAN_GO}-src"):
            shutil.copytree(suite.tree(package, "amd64"), part, symlinks=True, dirs_exist_ok=True)
        part.rename(root)
    return str(root / f"usr/lib/go-{DEBIAN_GO}/bin/go")


def build(go, module, needed, target, say):
    """Tells whether it worked."""
    with tempfile.TemporaryDirectory(dir=target.parent) as tmp:
        environment = {
            **os.environ, "CGO_ENABLED": "0", "GOBIN": f"{tmp}/bin", "GOPATH": f"{tmp}/path",
            "GOCACHE": f"{tmp}/cache", "GOFLAGS": "-trimpath -modcacherw -buildvcs=false",
            "GOTOOLCHAIN": "local" if go_version(go) >= needed else "auto",
        }
        environment.pop("GOROOT", None)
        done = subprocess.run([go, "install", "-ldflags=-s -w", module], cwd=tmp, env=environment,
                              stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "downloading" not in line]
            say("go install failed:", *lines[-5:])
            return False
        program = module.split("@")[0].rsplit("/", 1)[-1]
        os.rename(f"{tmp}/bin/{program}", target)
        return True


def provide(name, version, path, needed):
    """Prints where a program is, which is built when it is not there yet. `needed` is what its go.mod asks for.
    Exit status 3: not to be had here; tests that need it are then left out."""
    def say(*words):
        print(f"get-{name}:", *words, file=sys.stderr, flush=True)

    def give_up():
        say(f"{name} is not to be had here: what needs it will be left out")
        sys.exit(NOT_TO_BE_HAD)

    target = CACHE / f"tools/{name}-{version}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        module = f"{path}@{version}"
        try:
            go = system_go() or debian_go(say)
        except subprocess.CalledProcessError:  # what failed has been told
            give_up()
        say(f"building {module} with {go}; this takes some minutes, once")
        for attempt in range(1, ATTEMPTS + 1):
            if build(go, module, needed, target, say):
                break
            if attempt < ATTEMPTS:
                time.sleep(PAUSE_SECONDS * attempt)
        else:
            give_up()
    print(target)
