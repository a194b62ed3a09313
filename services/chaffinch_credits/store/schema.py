"""The schema of the credits service."""

from importlib.resources import files
from pathlib import Path

from chaffinch_runtime.migrations import Schema


def _folder() -> Path:
    packed = Path(str(files("chaffinch_credits"))) / "migrations"
    return packed if packed.is_dir() else Path(__file__).parents[3] / "migrations" / "credits"


SCHEMA = Schema(_folder(), "chaffinch-credits migrate")
