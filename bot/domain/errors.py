"""The expected failures; each class holds the exit code of a command that ends with it.

A message is one line that names the file, key or row and the remedy, and never contains a secret.
"""

from typing import ClassVar


class BotError(Exception):
    """A failure that the user can repair."""

    exit_code: ClassVar[int] = 1


class UsageError(BotError):
    """The command line is wrong."""

    exit_code = 2


class BadInputError(BotError):
    """Input rows are out of order, duplicated or unparsable, or a ledger failed verification."""

    exit_code = 65


class UpstreamError(BotError):
    """The provider is unreachable or does not answer as documented."""

    exit_code = 69


class InvariantError(BotError):
    """The ledger holds a different fact under the same id, so the run must stop."""

    exit_code = 70


class StorageError(BotError):
    """Reading or writing failed."""

    exit_code = 74


class LeaseError(BotError):
    """Another writer holds the ledger."""

    exit_code = 75


class AccessError(BotError):
    """The key or a permission is wrong."""

    exit_code = 77


class ConfigError(BotError):
    """The configuration, the universe or the schema is wrong, or a file is missing."""

    exit_code = 78
