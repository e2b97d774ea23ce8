"""Break everything between three exporters and what they watch, in a seeded order, and see whether they keep their word.

python -m tools.faults [--minutes 10] [--seed 1]

Exits 1 when a promise was broken, and says which.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from tools.faults.run import Run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a new folder for configurations, states and logs of all processes")  # fmt: skip
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))  # so that every server is ended
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        folder = Path(temporary) if asked.keep is None else asked.keep
        folder.mkdir(exist_ok=True)
        run = Run(folder, asked.seed, progress=True)
        try:
            run.start()
            run.until(time.monotonic() + asked.minutes * 60)
        finally:
            run.end()
        print(run.table())
    for sentence in run.broken:
        print(f"BROKEN {sentence}", file=sys.stderr)
    return 1 if run.broken else 0


if __name__ == "__main__":
    sys.exit(main())
