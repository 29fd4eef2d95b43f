"""What commands of `xunji` stand on."""

import pytest


@pytest.fixture
def database_url(migrated_url: str) -> str:
    """A database with the schema of this release."""
    return migrated_url
