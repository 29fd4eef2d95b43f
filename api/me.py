"""Who calls: what somebody with a new key asks first."""

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field

from api.permissions import SCOPES, Caller, KeyRole
from api.problems import documented
from api.routing import router
from api.services import ServicesHere, any_key
from projections import institutions as view

routes = router("/v1/me", "institutions")
_KEY = """
SELECT officer, deputy_for, created_at, starts_at, expires_at FROM app.api_keys WHERE key_id = $1 AND organisation = $2
"""
_NO_KEY: Final[dict[str, Any]] = {
    "officer": "",
    "deputy_for": "",
    "created_at": None,
    "starts_at": None,
    "expires_at": None,
}


class MeOut(BaseModel):
    """The organisation behind a key, and what the key may do."""

    organisation: str = Field(examples=["h005"])
    name_zh: str = Field(description="Empty until the view knows the organisation.")
    role: KeyRole
    key_id: str = Field(description="The public part of the key, which may stand in logs; else who has signed in.")
    scopes: list[str]
    officer: str = Field(description="Whose key it is; empty for a system's.")
    deputy_for: str
    created_at: datetime | None = Field(description="Null without a key.")
    starts_at: datetime | None
    expires_at: datetime | None = Field(description="When the key stops working; null when it does not by itself.")


@routes.get("", operation_id="get_me", summary="Read who you are", responses=documented())
async def get_me(caller: Annotated[Caller, any_key()], services: ServicesHere) -> MeOut:
    """Tells whether a key works, whose it is, what it may do and until when. Every key may ask."""
    own = services.own_rows(caller)
    key = await own.fetchrow(_KEY, caller.key_id, caller.organisation)
    row = await view.get(own, caller.actor, caller.organisation)
    return MeOut(
        organisation=caller.organisation,
        name_zh=row.name_zh if row is not None else "",
        role=caller.role,
        key_id=caller.key_id,
        scopes=[scope for scope in SCOPES if scope in caller.scopes],
        # Whoever has signed in has no key; when his session ends, `GET /v1/session` tells.
        **(dict(key) if key is not None else _NO_KEY),
    )
