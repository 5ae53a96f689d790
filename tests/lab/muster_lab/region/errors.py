"""What the fake region answers when it refuses a call."""


class AwsError(Exception):
    """An answer that is an error: code, sentence and HTTP status as AWS gives them.

    Attributes:
        code: AWS's name of the error, such as `InvalidInstanceID.NotFound`.
        message: the sentence for the caller.
        status: HTTP status.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def invalid_value(value: object, parameter: str) -> AwsError:
    """The error for a parameter whose value makes no sense."""
    return AwsError(
        "InvalidParameterValue", f"Value ({value}) for parameter {parameter} is invalid."
    )
