"""The named exceptions of the package: each message is one line that names the file and the
remedy."""


class BradcnError(Exception):
    """Base of every error a user can cause; the command line prints it in one line and exits with
    2.
    """


class DataError(BradcnError):
    """A folder, data set or depth map is missing, broken or not in the layout that is expected.

    `kind` names the defect of a file for `data verify`: "missing", "unreadable", "refused", "bits",
    "empty", "size"; "" for everything else.
    """

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


class PhotoError(BradcnError):
    """A picture cannot be read or written."""


class SizeError(BradcnError):
    """A tensor's height or width does not fit the net."""


class WeightsError(BradcnError):
    """A weights file is missing, damaged or belongs to another net or preset."""


class RunError(BradcnError):
    """A training run cannot start or go on."""
