"""One holder at a time, and nobody waits for the dead."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runtime.cancellation import CancelFlag
from runtime.errors import Cancelled, StorageUnavailable
from runtime.models.sync.lock import LEASE_S, LockLost, VolumeLock, machine_id, process_start


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def impossible(seconds: float) -> None:
    raise AssertionError("somebody holds the lock")


def newest(folder: Path) -> Path:
    return max(folder.iterdir())


def leave_behind(folder: Path, **changed: object) -> Path:
    """What a holder that was killed leaves."""
    with VolumeLock(folder).hold(impossible):
        text = newest(folder).read_text()
    file = newest(folder)
    file.write_text(json.dumps({**json.loads(text), **changed}))
    return file


def test_a_lock_that_was_let_go_is_taken_at_once_under_a_new_number(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        with VolumeLock(tmp_path).hold(impossible):
            assert newest(tmp_path).name == f"{number:08}"


def test_old_numbers_are_cleared_away(tmp_path: Path) -> None:
    for _ in range(10):
        with VolumeLock(tmp_path).hold(impossible):
            pass
    assert [path.name for path in sorted(tmp_path.iterdir())] == [f"{number:08}" for number in range(6, 11)]


def test_a_second_taker_waits_until_the_first_lets_go(tmp_path: Path) -> None:
    first = VolumeLock(tmp_path).hold(impossible)
    first.__enter__()
    waits = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            first.__exit__(None, None, None)

    with VolumeLock(tmp_path).hold(wait):
        assert len(waits) == 3


def test_a_waiter_can_give_up(tmp_path: Path) -> None:
    flag = CancelFlag()
    with VolumeLock(tmp_path).hold(impossible):
        flag.set()
        with pytest.raises(Cancelled), VolumeLock(tmp_path).hold(lambda seconds: flag.check()):
            raise AssertionError("two hold it")


def test_who_only_asks_is_told_at_once(tmp_path: Path) -> None:
    with VolumeLock(tmp_path).hold_if_free() as held:
        assert held is not None
        with VolumeLock(tmp_path).hold_if_free() as second:
            assert second is None


def test_a_holder_of_another_machine_is_dead_once_its_counter_stood_still_for_a_lease(
    tmp_path: Path, clock: Clock
) -> None:
    leave_behind(tmp_path, machine="another")
    with VolumeLock(tmp_path, clock=clock).hold(lambda seconds: clock.pass_(10)):
        assert LEASE_S <= clock.now <= LEASE_S + 10


def test_a_holder_of_another_machine_whose_counter_grows_is_alive(tmp_path: Path, clock: Clock) -> None:
    file = leave_behind(tmp_path, machine="another")

    def wait(seconds: float) -> None:
        clock.pass_(10)
        if clock.now < 10 * LEASE_S:
            file.write_text(json.dumps({**json.loads(file.read_text()), "beat": f"{int(clock.now):012}"}))

    with VolumeLock(tmp_path, clock=clock).hold(wait):
        assert clock.now >= 11 * LEASE_S - 20


def test_a_process_of_this_machine_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from runtime.models.sync.lock import VolumeLock\n"
        "with VolumeLock(Path(sys.argv[1])).hold(lambda s: None): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert json.loads(newest(tmp_path).read_text())["held"] == 1
    with VolumeLock(tmp_path).hold(impossible):
        pass


def test_a_process_with_the_number_of_a_dead_one_is_not_taken_for_it(tmp_path: Path) -> None:
    leave_behind(tmp_path, pid=os.getpid(), started="1")
    with VolumeLock(tmp_path).hold(impossible):
        pass


@pytest.mark.parametrize("text", ["", "{", '{"held": 1}'])
def test_what_a_holder_left_half_written_counts_for_a_lease(tmp_path: Path, clock: Clock, text: str) -> None:
    (tmp_path / "00000001").write_text(text)
    with VolumeLock(tmp_path, clock=clock).hold(lambda seconds: clock.pass_(10)):
        assert clock.now >= LEASE_S


def test_a_holder_that_could_not_renew_finds_out_before_others_may_take_over(tmp_path: Path, clock: Clock) -> None:
    with VolumeLock(tmp_path, clock=clock).hold(impossible) as held:
        clock.pass_(44)
        held.check()
        clock.pass_(2)
        with pytest.raises(LockLost, match="could not be renewed for 45 s"):
            held.check()


def test_a_holder_renews_while_it_holds(tmp_path: Path) -> None:
    with VolumeLock(tmp_path, lease_s=0.06).hold(impossible):
        file, renewed = newest(tmp_path), threading.Event()
        first = json.loads(file.read_text())["beat"]
        while not renewed.wait(0.005):
            text = file.read_text()
            if text and json.loads(text)["beat"] > first:
                renewed.set()


def test_many_threads_never_hold_it_together(tmp_path: Path) -> None:
    inside, most, turns = 0, 0, []
    pause = threading.Event()

    def work() -> None:
        nonlocal inside, most
        for _ in range(5):
            with VolumeLock(tmp_path).hold(lambda seconds: bool(pause.wait(0.002))):
                inside += 1
                most = max(most, inside)
                turns.append(1)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, len(turns)) == (1, 30)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StorageUnavailable, match="cannot be written to"),
        VolumeLock(tmp_path / "file" / "a").hold(impossible),
    ):
        raise AssertionError("a lock in no folder")


def test_this_process_is_known_to_run_and_no_other_has_its_start() -> None:
    assert machine_id() == machine_id()
    assert process_start(os.getpid()) is not None
    assert process_start(2**22 + 1) is None
