"""Writes requirements.lock: every package with its hashes, and nothing about the machine that wrote it."""

import subprocess
import sys
from pathlib import Path

LOCK = Path("requirements.lock")
HEADER = "# Every package that .venv holds, with its hashes. Written by `make lock`, read by every other target.\n"
OPTIONS = (
    *("--extra=dev", "--strip-extras", "--allow-unsafe", "--generate-hashes", "--upgrade", "--quiet", "--no-header"),
    *("--no-emit-index-url", "--no-emit-trusted-host", "--no-emit-find-links", "--no-emit-options"),
)


def main() -> None:
    command = [sys.executable, "-m", "piptools", "compile", *OPTIONS, f"--output-file={LOCK}", "pyproject.toml"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    text = LOCK.read_text()
    if "://" in text or str(Path.cwd()) in text:
        LOCK.unlink()
        sys.exit("the lock names a host or a path of this machine; it was not kept")
    LOCK.write_text(HEADER + text)


if __name__ == "__main__":
    main()
