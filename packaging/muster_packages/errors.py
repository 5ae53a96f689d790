"""The one error a person who builds a package meets."""


class PackagingError(Exception):
    """The package cannot be built; the message says why and what to do."""
