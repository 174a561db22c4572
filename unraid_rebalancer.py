#!/usr/bin/env python3
"""The documented script: the program from a checkout, with the checkout's own virtual environment when it needs one."""

import os
import sys
from importlib.util import find_spec

HERE = os.path.dirname(os.path.realpath(__file__))
ENVIRONMENT = os.path.join(HERE, ".venv", "bin", "python")
NEEDED = (
    "apprise", "argon2", "click", "cronsim", "jinja2", "litestar", "msgspec", "prometheus_client", "psutil", "rich",
    "uvicorn", "xxhash",
)  # fmt: skip
TRIED = "REBALANCER_SCRIPT_RESTARTED"


def main() -> None:
    restarted = os.environ.pop(TRIED, "") == "1"
    if sys.version_info < (3, 11) or any(find_spec(name) is None for name in NEEDED):
        if not restarted and os.access(ENVIRONMENT, os.X_OK):
            os.environ[TRIED] = "1"
            os.execv(ENVIRONMENT, [ENVIRONMENT, os.path.abspath(__file__), *sys.argv[1:]])  # noqa: S606 - no shell wanted
        sys.stderr.write(f"unraid-rebalancer: its Python packages are not installed; run: make -C {HERE} install\n")
        sys.exit(2)
    sys.path.insert(0, os.path.join(HERE, "src"))
    from rebalancer.cli import main as run

    run()


if __name__ == "__main__":
    main()
