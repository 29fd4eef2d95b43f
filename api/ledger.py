"""The signed root of a book, for everybody: who keeps it can prove later that nothing was changed before it."""

from datetime import datetime
from typing import Annotated, Final

from fastapi import Path
from pydantic import BaseModel, Field

from api.problems import documented, not_found
from api.routing import public_router
from api.services import ServicesHere

routes = public_router("/v1/ledger", "ledger")
BookName = Annotated[
    str,
    Path(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64, description="For example `2022-zhengzhou` or `people`."),
]
_NEWEST: Final = """
SELECT size, root, sealed_at, note FROM ledger.checkpoints WHERE book = $1 ORDER BY size DESC LIMIT 1
"""


class CheckpointOut(BaseModel):
    """The newest checkpoint. `note` is the C2SP signed note, from which everything else here is read."""

    book: str
    size: int = Field(description="Events that it covers.")
    root: str = Field(description="The RFC 6962 Merkle root, in hex.")
    sealed_at: datetime
    note: str


@routes.get(
    "/{book}/checkpoint",
    operation_id="get_checkpoint",
    summary="Read a book's signed root",
    responses=documented(404),
)
async def get_checkpoint(book: BookName, services: ServicesHere) -> CheckpointOut:
    """Signed at least every second while the book grows."""
    row = await services.pool.fetchrow(_NEWEST, book)
    if row is None:
        raise not_found("checkpoint of the book", book)
    return CheckpointOut(
        book=book, size=row["size"], root=row["root"].hex(), sealed_at=row["sealed_at"], note=row["note"]
    )
