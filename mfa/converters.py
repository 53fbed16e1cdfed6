"""What may stand in an address: nonsense is a 404 before any code of ours runs."""

from accounts.models import Mode


class ModeConverter:
    """``email`` or ``authenticator``, nothing else."""

    regex = "|".join(Mode.values)

    def to_python(self, value: str) -> str:
        """Give the mode."""
        return value

    def to_url(self, value: str) -> str:
        """Give the mode."""
        return value
