"""One example of every event of organisations, of teachers and of their training days."""

from datetime import date

from domain import institution, training_days
from domain import person as persons
from domain.decision import Event
from tests.projections.histories import BOOK, BY, person


def organisation(id_: str, kind: institution.Kind, parent: str = "") -> Event:
    return institution.InstitutionRegistered(
        id=id_, kind=kind, name_zh=f"{id_}教育局", parent=parent, email=f"{id_}@example.invalid", gb_code=None
    )


INSTITUTION_LIFE: tuple[Event, ...] = (
    institution.KeyIssued(key="k1", scopes=("trainees",), issued_by="bureau:zzedu"),
    institution.KeyRevoked(key="k1", revoked_by="bureau:zzedu"),
    institution.WebhookEndpointRegistered(endpoint="e1", url="https://hook.example.invalid/", registered_by=BY),
    institution.WebhookSecretRotated(endpoint="e1", overlap_hours=24, rotated_by=BY),
    institution.MailboxPaused(reason="moving", paused_by="bureau:zzedu"),
    institution.NoticeSkipped(notice="n1", reason="sent by hand", skipped_by="bureau:zzedu"),
    institution.NoticesRedelivered(endpoint="e1", notice="n2", asked_by=BY),
    institution.MailboxResumed(reason="moved", resumed_by="bureau:zzedu"),
    institution.WebhookEndpointDisabled(endpoint="e1", because="owner", disabled_by=BY),
    institution.InstitutionContactChanged(by="bureau:zzedu", email="new@example.invalid"),
    institution.InstitutionClosed(by="bureau:zzedu", successor="410182", document="doc-10"),
    institution.HostSuspended(
        by="bureau:zzedu",
        decided_by="officer-1",
        reasons="two classes without a list",
        document="doc-11",
        starts=date(2022, 11, 1),
        until=date(2023, 11, 1),
    ),
    institution.HostReinstated(by="bureau:zzedu", decided_by="officer-1", reasons="put right"),
)


PERSON_LIFE: tuple[Event, ...] = (
    persons.PersonCorrected(by=BY, decided_by="b7", fields=("name",), document="doc-7", sealed="v1.again"),
    persons.PersonTransferred(by=BY, county="410182", on=date(2022, 9, 1), document="doc-8"),
    persons.PersonAbsorbed(other=person(98), by=BY, decided_by="b7", reasons="doc-9"),
    persons.ErasureHeld(by=BY, reason="requested"),
    persons.PersonErased(by=BY, reason="requested"),
)


DAYS_LIFE: tuple[Event, ...] = (
    training_days.DaysCredited(
        person=person(1),
        cycle="2021-2025",
        campaign=BOOK,
        trainee="zz22-410181-00001",
        project_type="gp1",
        starts=date(2022, 10, 10),
        centralised_days=7,
        online_days=2,
        hours=72,
        certificate="zz22-410181-00001-c1",
    ),
    training_days.DaysReversed(
        person=person(1),
        cycle="2021-2025",
        campaign=BOOK,
        trainee="zz22-410181-00001",
        centralised_days=-7,
        online_days=-2,
        hours=-72,
        certificate="zz22-410181-00001-c1",
        reason="mistaken list",
        document="doc-7",
    ),
)
