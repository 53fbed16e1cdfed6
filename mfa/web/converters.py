"""What may stand in a URL: anything else is a 404 before any code of ours runs."""

from mfa import modes


class ModeConverter:
    """The name of a mode."""

    regex = "[a-z]+"

    def to_python(self, value: str) -> str:
        """Return the name. Raise ``ValueError`` if it is no mode's."""
        if value not in modes.ALL:
            raise ValueError(value)
        return value

    def to_url(self, value: str) -> str:
        """Return the name."""
        return value
