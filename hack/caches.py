"""Where downloads and slow products are kept. All of it may be deleted at any time."""
import os
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "image-factory"
