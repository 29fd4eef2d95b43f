"""One way to reach Temporal, and the search attributes that operators filter by."""

from typing import Self

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.client import Client
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import DataConverter

from settings import Settings

KEYWORDS = ("XunjiPhase", "XunjiProject", "XunjiCounty", "XunjiHost", "XunjiClass", "XunjiCampaign")
SEARCH_ATTRIBUTES = {
    **dict.fromkeys(KEYWORDS, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD),
    "XunjiNextDeadline": IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
}


class SharedPydanticConverter(PydanticPayloadConverter):
    """The SDK's pydantic converter, made once for the process.

    The SDK makes a new one for each workflow task, and each would build its type adapters anew: measured, that was a
    tenth of the worker's time (docs/decisions/0010). The converter has no state but the adapters, so one is enough.
    """

    _shared: Self | None = None

    def __new__(cls) -> Self:
        """The one converter."""
        if cls._shared is None:
            cls._shared = super().__new__(cls)
            PydanticPayloadConverter.__init__(cls._shared)
        return cls._shared

    def __init__(self) -> None:
        """It was initialised when it was made."""


data_converter = DataConverter(payload_converter_class=SharedPydanticConverter)
"""How every message of ours becomes a payload: JSON by pydantic."""


async def connect(settings: Settings) -> Client:
    """A client for the configured namespace. Raises RuntimeError or RPCError when Temporal is away."""
    return await Client.connect(
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        data_converter=data_converter,
    )
