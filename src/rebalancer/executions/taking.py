"""A slot taken for one process, and the record of those that nobody took: shared by cron's firings and the clock."""

from dataclasses import dataclass
from pathlib import Path

from rebalancer.executions.claims import Known, claim, note_missed, nothing_known, read_ledger
from rebalancer.executions.due import Due, decide, missed_record
from rebalancer.executions.store import ExecutionStore
from rebalancer.schedules.schedule import Schedule


@dataclass(frozen=True, slots=True)
class SlotTaker:
    """Works on the slots of one schedule; ``known`` is the newest one on record, asked after a reboot."""

    slots_folder: Path
    store: ExecutionStore
    known: Known = nothing_known

    def take_due(self, schedule: Schedule, *, now: float, machine_timezone: str) -> Due | None:
        """Return the turn that is due now, claimed for this process; None when there is none or another has it.

        What was missed is recorded. So a line of cron may ask as often as it likes.
        """
        ledger = read_ledger(self.slots_folder, schedule.schedule_id, known=self.known)
        one = decide(schedule, ledger, now=now, machine_timezone=machine_timezone)
        if one is None:
            return None
        self.record_missed(one, now=now)
        is_ours = bool(one.fired_by) and claim(self.slots_folder, one.schedule_id, one.slot, known=self.known)
        return one if is_ours else None

    def record_missed(self, one: Due, *, now: float) -> None:
        """Leave one record of what was missed, unless another process left it."""
        if one.missed and note_missed(self.slots_folder, one.schedule_id, one.missed[-1], known=self.known):
            self.store.save(missed_record(one, now=now))
