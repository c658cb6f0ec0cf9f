"""A serial line that a test scripts."""


class Script:
    """A line that sends messages, one whenever the board waits, then hangs up."""

    def __init__(self, *messages: bytes) -> None:
        self.messages = list(messages)
        self.sent = b""

    def receive(self, seconds: float) -> bytes:
        if not self.messages:
            raise EOFError
        return self.messages.pop(0)

    def send(self, data: bytes) -> None:
        self.sent += data

    def check(self) -> None:
        pass
