"""A worker's hold on a job: how long it lasts, and until when it may be relied on.

A holder measures its lease on its own monotonic clock, from before it asked for it, and publishes nothing in the last
seconds. A taker compares wall clocks, and waits some seconds beyond the end. Clocks may be wrong by more than both:
then the fencing token still lets one of the two write, and the margins only spare work.
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime.jobs.record import JobRecord

LEASE_S = 60.0
RENEW_EVERY_S = 20.0
QUIET_S = 5.0
"""Before the end of its lease a holder publishes nothing for this long."""
GRACE_S = 10.0
"""After the end of a lease a taker waits for this long."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to work on one job and to write how it ended, until `lease_ends` on the holder's monotonic clock."""

    record: JobRecord
    lease_ends: float

    @property
    def fencing_token(self) -> int:
        return self.record.fencing_token

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody asked for the job's end, as of the last claim or renewal."""
        return self.record.cancel_requested

    def may_publish(self, monotonic: float) -> bool:
        """Whether the holder may still upload, report and finish at `monotonic`."""
        return monotonic < self.lease_ends - QUIET_S


def lease_is_over(record: JobRecord, now: float) -> bool:
    """Whether another worker may take a running job at `now`, in epoch seconds."""
    return record.lease_expires_at is not None and now >= record.lease_expires_at + GRACE_S
