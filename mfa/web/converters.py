"""URL converters. Other values are a 404 before any view runs."""

from mfa import modes


class ModeConverter:
    """The name of a mode."""

    regex = "[a-z]+"

    def to_python(self, value: str) -> str:
        """Return the name. Raise ``ValueError`` if there is no such mode."""
        if value not in modes.ALL:
            raise ValueError(value)
        return value

    def to_url(self, value: str) -> str:
        """Return the name."""
        return value
