"""The one error that a user sees: a sentence, never a traceback."""


class UserError(Exception):
    """A mistake that the user can mend.

    The message reads *where: what (the value). What is allowed, or what to do next.*

    Args:
        message: The sentence to print.
        exit_code: 1 failed, 2 usage, 3 partial.
    """

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code
