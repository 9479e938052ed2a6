"""Host names to addresses, within a time and under a check, which the system's resolver knows nothing of."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence

from runtime.errors import InputRejected, InputUnreachable

Resolver = Callable[[str], Sequence[str]]
"""Gives a host's numeric addresses in the order to try them; OSError where there is none."""

WAIT_SLICE_S = 0.1


def system_resolver(host: str) -> list[str]:
    """Ask the operating system, hosts file included; a numeric host, in whatever spelling, is its own answer."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def resolve_within(resolve: Resolver, host: str, *, timeout_s: float, check: Callable[[], None]) -> Sequence[str]:
    """The addresses of `host`, at least one.

    The look-up runs on a thread of its own, which is left behind when it is late: `getaddrinfo` cannot be
    interrupted. `check` is called meanwhile and may raise. Raises InputUnreachable for an unknown host or a late
    answer, InputRejected for a name that no host can have.
    """
    answers: queue.SimpleQueue[Sequence[str] | Exception] = queue.SimpleQueue()
    threading.Thread(target=_look_up, args=(resolve, host, answers), name="resolve", daemon=True).start()
    answer = _await(answers, host, timeout_s=timeout_s, check=check)
    if isinstance(answer, UnicodeError):
        raise InputRejected(f"host {host!r} is no valid host name") from answer
    if isinstance(answer, OSError):
        raise InputUnreachable(f"host {host!r} has no known address") from answer
    if isinstance(answer, Exception):
        raise answer
    if not answer:
        raise InputUnreachable(f"host {host!r} has no known address")
    return answer


def _look_up(resolve: Resolver, host: str, answers: queue.SimpleQueue[Sequence[str] | Exception]) -> None:
    try:
        answers.put(resolve(host))
    except Exception as exc:  # it is raised again on the thread that waits
        answers.put(exc)


def _await(
    answers: queue.SimpleQueue[Sequence[str] | Exception],
    host: str,
    *,
    timeout_s: float,
    check: Callable[[], None],
) -> Sequence[str] | Exception:
    ends_at = time.monotonic() + timeout_s
    while (left_s := ends_at - time.monotonic()) > 0:
        check()
        try:
            return answers.get(timeout=min(WAIT_SLICE_S, left_s))
        except queue.Empty:
            continue
    raise InputUnreachable(f"host {host!r} was not resolved within {timeout_s:g} s")
