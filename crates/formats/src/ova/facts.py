"""What importers act on in an OVF document on standard input: one line for each element."""
import sys
import xml.etree.ElementTree as tree

WORDING = {"Info", "Label", "Description"}


def local(name):
    return name.rsplit("}", 1)[-1]


def lines(element, path):
    path = f"{path}/{local(element.tag)}"
    # A file's size is that of the disk at hand; who wrote the document is of no interest.
    attributes = {name: value for name, value in element.attrib.items() if local(name) not in ("size", "buildId")}
    text = (element.text or "").strip()
    yield path, sorted(attributes.items()), "" if local(element.tag) in WORDING else text
    for child in element:
        yield from lines(child, path)


for line in lines(tree.fromstring(sys.stdin.buffer.read()), ""):
    print(*line)
