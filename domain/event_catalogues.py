"""All events of the domain, by the kind of stream that they stand in (the first part of its name)."""

from collections.abc import Mapping

from domain import (
    attendance,
    bulletin_publication,
    campaign,
    institution,
    person,
    quota_messages,
    restriction_messages,
    trainee_messages,
    training_class,
    training_days,
)
from domain.decision import EventCatalogue

EVENT_CATALOGUES: Mapping[str, EventCatalogue] = {
    "campaign": campaign.EVENTS,
    "quota": quota_messages.QUOTA_EVENTS,
    "trainee": trainee_messages.EVENTS,
    "class": training_class.EVENTS,
    "attendance": attendance.EVENTS,
    "restriction": restriction_messages.EVENTS,
    "institution": institution.EVENTS,
    "person": person.EVENTS,
    "bulletin": bulletin_publication.EVENTS,
    "training-days": training_days.EVENTS,
}
