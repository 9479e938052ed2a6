"""What a deployment can fail with."""

from __future__ import annotations


class DeployError(Exception):
    """The deployment cannot go on; the message names what is wrong and what to do next."""
