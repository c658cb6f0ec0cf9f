"""The one exception that reaches a user: what went wrong, and what to do about it."""


class TBNError(Exception):
    """An error with its fix.

    ``str(error)`` is one line, ``message; fix``. The command line prints it and leaves with status 1; a page shows it as a sentence.

    Args:
        message: what is wrong, with the offending value.
        fix: what the user can do next.
    """

    def __init__(self, message: str, fix: str = "") -> None:
        self.message = " ".join(message.split())
        self.fix = " ".join(fix.split())
        super().__init__(f"{self.message}; {self.fix}" if self.fix else self.message)
