"""One way to reach Temporal, and the search attributes that operators filter by."""

import asyncio
import contextlib
from datetime import timedelta
from typing import Any, Final, Self, TypeVar

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.client import Client, WithStartWorkflowOperation, WorkflowUpdateFailedError
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import DataConverter
from temporalio.service import RPCError, RPCStatusCode

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


_PASSING: Final = frozenset(
    {
        RPCStatusCode.NOT_FOUND,
        RPCStatusCode.ABORTED,
        RPCStatusCode.ALREADY_EXISTS,
        RPCStatusCode.FAILED_PRECONDITION,
    }
)
_LOST_WITH_ITS_WORKFLOW: Final = "AcceptedUpdateCompletedWorkflow"


def is_passing(error: RPCError | WorkflowUpdateFailedError) -> bool:
    """Whether the Update met a workflow that was just closing, or whose task has failed and is tried again
    (WorkflowNotReady): the next attempt finds it ready, or starts it.
    """
    if isinstance(error, RPCError):
        return error.status in _PASSING
    return getattr(error.cause, "type", "") == _LOST_WITH_ITS_WORKFLOW


_Result = TypeVar("_Result")


async def update_with_start(
    client: Client,
    update: str,
    message: object,
    *,
    start: WithStartWorkflowOperation[Any, Any],
    id: str,  # noqa: A002
    result_type: type[_Result],
    rpc_timeout: timedelta | None = None,
) -> _Result:
    """Send an Update, starting its workflow if need be; its result. Raises what the SDK raises."""
    try:
        result: _Result = await client.execute_update_with_start_workflow(
            update, message, start_workflow_operation=start, id=id, result_type=result_type, rpc_timeout=rpc_timeout
        )
    except BaseException:
        await _forget(start)
        raise
    return result


async def _forget(start: WithStartWorkflowOperation[Any, Any]) -> None:
    """Take the failure that the SDK keeps for whoever asks for the handle: nobody will, and a failure that is never
    taken is an error in the log, moments later and without a word of where it came from.
    """
    asking = asyncio.ensure_future(start.workflow_handle())
    asking.add_done_callback(lambda asked: asked.cancelled() or asked.exception())
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(0)
    if not asking.done():
        asking.cancel()
