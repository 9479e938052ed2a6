from __future__ import annotations

import re

from runtime.ids import new_job_id, new_worker_id


def test_a_job_id_is_a_ulid_that_a_request_may_carry() -> None:
    assert re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", new_job_id(1_800_000_000.0))


def test_job_ids_sort_by_their_time() -> None:
    made = [new_job_id(1_800_000_000.0 + second / 100) for second in range(200)]
    assert made == sorted(made)


def test_a_job_id_begins_with_its_milliseconds() -> None:
    assert new_job_id(1_469_918_176.385)[:10] == "01ARYZ6S41"  # the example of github.com/ulid/spec


def test_no_two_job_ids_of_one_moment_are_the_same() -> None:
    assert len({new_job_id(1.0) for _ in range(1000)}) == 1000


def test_no_two_worker_ids_are_the_same() -> None:
    assert new_worker_id() != new_worker_id()
