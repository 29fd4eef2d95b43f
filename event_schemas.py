"""The schemas of the domain's events, as the ledger wants them: what every process reads and writes with.

`Ledger(pool, SCHEMAS)` and whatever else reads events get them from here, so that what was written in an older schema
version is the same to all: commands, views and their rebuild, lists, exports.
"""

from typing import Final

from domain.event_catalogues import EVENT_CATALOGUES
from ledger.evolution import EventSchema, Schemas

SCHEMAS: Final = Schemas(
    EventSchema(each.type, catalogue.upcasts(each.type))
    for catalogue in EVENT_CATALOGUES.values()
    for each in catalogue.classes()
)
