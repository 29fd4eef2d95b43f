"""Fields that commands and events of several processes share."""

from typing import Annotated

from pydantic import Field

MAX_TEXT = 2_000
Code = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9_-]+$")]
Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
Days = Annotated[int, Field(ge=0, le=366)]
