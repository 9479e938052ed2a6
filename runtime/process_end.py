"""The end of a process whose job cannot be stopped otherwise."""

from __future__ import annotations

import faulthandler
import logging
import multiprocessing
import os
from typing import NoReturn

STUCK_EXIT_STATUS = 70
"""What the process ends with when a job does not leave the thread (EX_SOFTWARE of sysexits.h)."""

_log = logging.getLogger(__name__)


def end_process(reason: str) -> NoReturn:
    """End the process without unwinding, after saying why and where every thread stands."""
    _log.critical("%s; ending the process", reason)
    faulthandler.dump_traceback()
    for child in multiprocessing.active_children():
        child.terminate()  # a heartbeat that outlived us would claim that the worker is alive
    logging.shutdown()
    os._exit(STUCK_EXIT_STATUS)
