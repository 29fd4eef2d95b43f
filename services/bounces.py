"""Where mails come back to, as the settings say."""

from activities.return_path import ReturnPaths
from settings import Settings, key_bytes


def return_paths_of(settings: Settings) -> ReturnPaths | None:
    """The return paths of mails; None without an address that takes them."""
    if not settings.bounce_address:
        return None
    return ReturnPaths(settings.bounce_address, key_bytes(settings.link_key))
