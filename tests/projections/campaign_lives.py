"""One example of every event of a campaign, of a quota line and of the bulletins that are published."""

from domain import bulletin_publication, campaign, campaign_amendments, quota_messages
from domain.bulletin import BulletinRow
from domain.campaign import AgendaItem
from domain.decision import Event
from tests.projections.histories import BOOK, BY, day
from tests.specification import the_plan


def quota(line: str, seats: int) -> Event:
    project, _, recipient = line.partition(":")
    return quota_messages.QuotaIssued(line=line, project_type=project, recipient=recipient, seats=seats, invented=True)


QUOTA_LIFE: tuple[Event, ...] = (
    quota_messages.QuotaReceived(from_line="gp1:zzedu", seats=5, by="bureau:zzedu", why="delegation"),
    quota_messages.QuotaDelegated(to="gp1:410181-s01", seats=4, by=BY),
    quota_messages.QuotaTakenBack(from_line="gp1:410181-s01", seats=1, by=BY),
    quota_messages.QuotaReturned(to="gp1:zzedu", seats=2, by=BY, reason="too few"),
    quota_messages.ReallocationOffered(
        offer=1, seats=3, candidates=("gp1:410182", "gp1:410183"), until=day(3), by=BY, reason="too few"
    ),
    quota_messages.ReallocationPassedOn(offer=1, why="declined", until=day(4)),
    quota_messages.ReallocationAccepted(offer=1, to="gp1:410183", by="county:410183"),
    quota_messages.ReallocationOffered(
        offer=2, seats=1, candidates=("gp1:410182",), until=day(5), by=BY, reason="too few"
    ),
    quota_messages.ReallocationEnded(offer=2, why="lapsed"),
    quota_messages.ShortfallReported(seats=2, reason="teaching_load", details="two in one school", by=BY),
    quota_messages.QuotaOverridden(
        before=30, seats=28, by="bureau:zzedu", role="bureau", reason="province", document="doc-7"
    ),
    quota_messages.DelegationAdjusted(line="gp1:410181-s01", seats=-1, by="bureau:zzedu"),
)


def bulletin(kind: str, version: int = 1, rows: tuple[BulletinRow, ...] = ()) -> Event:
    return campaign.BulletinIssued.model_validate({"kind": kind, "version": version, "as_of": day(130), "rows": rows})


def campaign_opened(id_: str = BOOK) -> Event:
    return campaign.CampaignOpened(
        campaign=id_,
        plan_edition=1,
        plan_sha256=the_plan().sha256(),
        by="bureau:zzedu",
        agenda=(
            AgendaItem(key="county-24h", at=day(4), about=day(5)),
            AgendaItem(key="county", at=day(5)),
            AgendaItem(key="city", at=day(6)),
            AgendaItem(key="soft-end", at=day(128)),
            AgendaItem(key="close", at=day(130)),
        ),
    )


CAMPAIGN_LIFE: tuple[Event, ...] = (
    campaign.SelectionReminderSent(key="county-24h", stale=False),
    campaign.SelectionClosed(level="county"),
    campaign.SelectionSettled(level="county"),
    campaign.SelectionClosed(level="city"),
    campaign.SelectionSettled(level="city"),
    campaign_amendments.SelectionReopened(
        key="reopened-1", county="410181", until=day(20), by="bureau:zzedu", reason="flood"
    ),
    campaign_amendments.ReopeningClosed(key="reopened-1"),
    campaign_amendments.Settled(key="reopened-1"),
    campaign_amendments.HostRemoved(host="h001", replacement="h003", assigned=2, by="bureau:zzedu", reason="fire"),
    campaign_amendments.Settled(key="host-h001"),
    campaign_amendments.OffersEnded(key="offers-end-1"),
    campaign_amendments.Settled(key="offers-end-1"),
    campaign.SoftEndPassed(open_cases=3),
    bulletin("counties", rows=(BulletinRow(organisation="410181", assigned=30, selected=27),)),
    bulletin("hosts"),
    campaign.CampaignClosed(),
)


def published(version: int = 1) -> Event:
    return bulletin_publication.BulletinPublished(
        kind="counties",
        period="2022-09-24",
        version=version,
        as_of=day(30),
        as_of_sequence=7,
        reason="scheduled",
        formulas=2,
        rows=(BulletinRow(organisation="410181", assigned=30, selected=27),),
    )
