"""What a transfer looks like, on a terminal and in a log."""

from __future__ import annotations

import io

from runtime.commands.transfer_view import open_view, size
from runtime.models.sync.syncer import Transfer

GIGABYTE = 1_000_000_000


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_a_line_when_a_transfer_begins_and_none_for_every_chunk() -> None:
    stream = io.StringIO()
    with open_view(stream) as view:
        for done in range(0, 1000, 10):
            view.watch(Transfer(path="vae/a.pt", done_bytes=done, total_bytes=2 * GIGABYTE))
        view.say("vae/a.pt: fetched")
    assert stream.getvalue() == "vae/a.pt: 0 B of 2.00 GB\nvae/a.pt: fetched\n"


def test_a_log_says_once_that_another_worker_fetches() -> None:
    stream = io.StringIO()
    with open_view(stream) as view:
        for _ in range(3):
            view.watch(Transfer(path="vae/a.pt", waiting=True))
    assert stream.getvalue() == "vae/a.pt: another worker fetches it\n"


def test_a_log_tells_rate_and_time_left_every_ten_seconds() -> None:
    stream, now = io.StringIO(), 0.0
    view = open_view(stream, clock=lambda: now)
    for now in (0.0, 5.0, 10.0):
        view.watch(Transfer(path="vae/a.pt", done_bytes=int(now) * GIGABYTE // 10, total_bytes=3 * GIGABYTE))
    assert stream.getvalue().splitlines() == [
        "vae/a.pt: 0 B of 3.00 GB",
        "vae/a.pt: 1.00 GB of 3.00 GB, 100.00 MB/s, 20 s left",
    ]


def test_a_terminal_gets_a_bar_with_size_and_rate() -> None:
    stream = Terminal()
    with open_view(stream) as view:
        view.watch(Transfer(path="vae/[a].pt", done_bytes=0, total_bytes=GIGABYTE))
        view.watch(Transfer(path="vae/[a].pt", done_bytes=GIGABYTE // 2, total_bytes=GIGABYTE))
        view.say("vae/[b].pt: fetched")
    shown = stream.getvalue()
    assert "vae/[a].pt" in shown
    assert "vae/[b].pt: fetched" in shown
    assert "0.5/1.0 GB" in shown


def test_a_size_is_in_units_of_ten() -> None:
    assert [size(value) for value in (None, 7, 7_000, 7_500_000, 12 * GIGABYTE)] == [
        "unknown size",
        "7 B",
        "7.00 kB",
        "7.50 MB",
        "12.00 GB",
    ]
