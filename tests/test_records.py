"""A record is read for what it is, not for what it might be."""

import subprocess
import sys
from pathlib import Path

_READ = """
import resource, sys
from pathlib import Path
from rebalancer import records

resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
print(records.read(Path(sys.argv[1]), dict, limit=records.DOCUMENT_LIMIT))
"""


def test_a_small_document_is_read_where_there_is_less_memory_than_the_largest_would_need(tmp_path: Path) -> None:
    document = tmp_path / "operation.json"
    document.write_text('{"moves": []}')

    answer = subprocess.run(
        [sys.executable, "-c", _READ, str(document)],
        check=False,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": "src"},
        cwd=Path(__file__).parent.parent,
    )

    assert (answer.stdout.strip(), answer.stderr) == ("{'moves': []}", "")
