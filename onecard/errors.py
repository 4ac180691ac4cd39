"""What a model may tell a caller; everything else is an internal error.

Each message states what was found, what was wanted, and what to do.
"""


class InvalidRequest(Exception):
    """The request cannot be served as it is; sending it again unchanged will not help."""


class Unavailable(Exception):
    """The request is fine and the server cannot serve it now; sending it again later may help."""


class Cancelled(Unavailable):
    """Nobody waits for the answer any more: its caller went away, or its time has passed."""
