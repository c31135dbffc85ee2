"""What Secure Boot adds to a cold asset: its UKI is hashed and signed before the first byte, and never again."""
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request

ASSETS = ["metal-amd64{}-uki.efi", "metal-amd64{}.iso", "metal-amd64{}.raw.zst"]
SUFFIX = "-secureboot"
# of one sha256sum, so that its start does not count
HASHED = 256 * 10**6
MB = 10**6


def offered(url):
    """Whether a factory signs boot files."""
    try:
        with urllib.request.urlopen(f"{url}/secureboot/signing-cert.pem", timeout=60):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 404:
            raise
        return False


def measure(bench):
    """Puts the figures of each asset beside the bench's other ones. False if one could not be had."""
    whole = True
    for pattern in ASSETS if offered(bench.url) else []:
        name = pattern.format(SUFFIX)
        print(f"bench: {name}", file=sys.stderr, flush=True)
        try:
            bench.figures["secure_boot"][name] = asset(bench, pattern)
        except RuntimeError as refused:
            bench.figures["secure_boot"][name] = {"error": str(refused)}
            whole = False
    return whole


def asset(bench, pattern):
    def first_byte(suffix, schematic=None):
        return bench.fetch(bench.address(schematic or bench.new_schematic(), pattern.format(suffix)))[0]

    for suffix in SUFFIX, "":
        first_byte(suffix)  # from here on, sources and parts are local
    # stands for those in media too: alignment and boot profiles make them a few kilobytes longer
    uki = bench.home / "uki.efi"
    _, _, size = bench.fetch(bench.address(bench.new_schematic(), ASSETS[0].format(SUFFIX)), uki)
    unsigned, cold, repeat, rates = [], [], [], []
    for _ in range(bench.options.runs):
        unsigned.append(first_byte(""))
        schematic = bench.new_schematic()
        cold.append(first_byte(SUFFIX, schematic))
        repeat.append(first_byte(SUFFIX, schematic))
        rates.append(sha256sum(uki, size))
    uki.unlink()
    unsigned, cold, repeat, theirs = map(statistics.median, (unsigned, cold, repeat, rates))
    ours = size / MB / (cold - repeat)
    return {"uki_bytes": size, "unsigned_first_byte_ms": 1000 * unsigned, "cold_first_byte_ms": 1000 * cold,
            "repeat_first_byte_ms": 1000 * repeat, "factory_mb_s": ours, "sha256sum_mb_s": theirs, "ratio": ours / theirs}


def sha256sum(file, size):
    """MB a second. The file was just written, so that the page cache has it."""
    times = max(1, HASHED // size)
    start = time.monotonic()
    subprocess.run(["sha256sum", *[file] * times], check=True, stdout=subprocess.DEVNULL)
    return times * size / MB / (time.monotonic() - start)


def markdown(figures):
    if figures:
        yield "\n| Secure Boot asset | UKI | Cold first byte | Repeated | Cold without Secure Boot | Factory | `sha256sum` | Ratio |"
        yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for name, a in figures.items():
        if "error" in a:
            yield f"| `{name}` | {a['error']} | | | | | | |"
            continue
        yield (f"| `{name}` | {a['uki_bytes'] / MB:.1f} MB | {a['cold_first_byte_ms']:.1f} ms | {a['repeat_first_byte_ms']:.1f} ms "
               f"| {a['unsigned_first_byte_ms']:.1f} ms | {a['factory_mb_s']:.0f} MB/s | {a['sha256sum_mb_s']:.0f} MB/s "
               f"| {a['ratio']:.2f} |")
