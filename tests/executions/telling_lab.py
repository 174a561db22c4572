"""An installation whose owner is told by every channel: Unraid's script below a root, a service and pings."""

import os
from dataclasses import dataclass
from pathlib import Path

import lab
from rebalancer.cancel import Cancel
from rebalancer.engine import Engine
from rebalancer.executions.execution import ScheduleExecution
from rebalancer.schedules.schedule import Schedule
from rebalancer.settings import Settings
from rebalancer.state import StateFolders, ensure

EVERYTHING = '["success", "failure", "held", "suspended", "emergency"]'


@dataclass(frozen=True, slots=True)
class Told:
    """The installation and those who are told; films of 1 MiB lie on the first of two disks of 12 MiB."""

    folder: Path
    receiver: lab.Receiver

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def folders(self) -> StateFolders:
        return StateFolders(config=self.folder / "state", runtime_root=self.folder / "run", root=self.root)

    @property
    def engine(self) -> Engine:
        return Engine(folders=self.folders, settings=Settings(), root=Path("/"))

    @property
    def calls(self) -> list[lab.Call]:
        return lab.calls_of(self.root)

    @property
    def subjects(self) -> list[str]:
        return [call.value_of("-s") for call in self.calls]

    @property
    def pings(self) -> list[str]:
        return [one.path for one in self.receiver.heard if one.path.startswith("/ping")]

    def configure(self, text: str) -> None:
        write_settings(self.folders.config, text.replace("HERE", self.receiver.address))

    def schedule(self, **options: object) -> Schedule:
        disks = tuple(f"{self.folder / name},size=12MiB" for name in ("disk1", "disk2"))
        wanted = {"schedule_id": "nightly", "cron": "15 2 * * *", "timezone": "UTC", "disks": disks, **options}
        return self.engine.schedules.create(Schedule(**wanted), now=1.0)  # type: ignore[arg-type]

    def fire(self, cancel: Cancel | None = None) -> ScheduleExecution:
        engine = self.engine
        found = engine.fire("nightly", fired_by="hand", slot=None, cancel=cancel or Cancel(), on_message=lambda _: None)
        assert found is not None
        return found

    def log_of(self, execution: ScheduleExecution) -> str:
        return (self.folders.logs / f"{execution.execution_id}.log").read_text()


def installation(folder: Path, receiver: lab.Receiver) -> Told:
    for name, units in (("disk1", 9), ("disk2", 1)):
        for number in range(units):
            unit = folder / name / "films" / f"{name} {number}"
            unit.mkdir(parents=True)
            (unit / "film").write_bytes(os.urandom(1 << 20))
    told = Told(folder, receiver)
    lab.put_script(told.root)
    return told


def write_settings(config: Path, text: str) -> None:
    path = ensure(config) / "config.toml"
    path.write_text(text)
    path.chmod(0o600)
