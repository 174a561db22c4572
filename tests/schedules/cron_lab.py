"""A crontab program that keeps its table in a file, as strict as Debian's, and Unraid's collector."""

import shutil
from pathlib import Path

# what Unraid's own does: the plugin `dynamix` always, others only when they are installed
UPDATE_CRON = """\
#/bin/bash
shopt -s nullglob
{{
  cat {root}/boot/config/plugins/dynamix/*.cron 2>/dev/null
  for plugin in {root}/var/log/plugins/*.plg; do
    name=$(basename "$plugin" .plg)
    cat {root}/boot/config/plugins/$name/*.cron 2>/dev/null
  done
}} > {root}/etc/cron.d/root
"""


def make_unraid(root: Path, *, is_plugin_installed: bool) -> Path:
    """Lay out what of Unraid has to do with cron; returns the table that the daemon reads."""
    for folder in ("etc/cron.d", "boot/config/plugins/dynamix", "var/log/plugins", "usr/local/sbin"):
        (root / folder).mkdir(parents=True)
    (root / "etc/unraid-version").write_text('version="7.2.0"\n')
    (root / "boot/config/plugins/dynamix/mover.cron").write_text("40 3 * * * /usr/local/sbin/mover start\n\n")
    (root / "usr/local/sbin/update_cron").write_text(UPDATE_CRON.format(root=root))
    if is_plugin_installed:
        (root / "var/log/plugins/unraid-rebalancer.plg").touch()
    return root / "etc/cron.d/root"


def path_with(folder: Path) -> str:
    """Return a search path on which the machine's own crontab can never be found: these tests must not touch it."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    for name in ("sh", "bash", "basename", "cat", "mv", "od", "sed", "tail", "tr"):
        (tools / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    return f"{folder / 'bin'}:{tools}"
