"""One way to reach Temporal, and the search attributes that operators filter by."""

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from settings import Settings

KEYWORDS = ("XunjiPhase", "XunjiProject", "XunjiCounty", "XunjiHost", "XunjiClass", "XunjiCampaign")
SEARCH_ATTRIBUTES = {
    **dict.fromkeys(KEYWORDS, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD),
    "XunjiNextDeadline": IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
}


async def connect(settings: Settings) -> Client:
    """A client for the configured namespace. Raises RuntimeError or RPCError when Temporal is away."""
    return await Client.connect(
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        data_converter=pydantic_data_converter,
    )
