"""The words of mails: every notice of the domain has them, in both languages, and rosters name nobody."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import jinja2
import pytest
import yaml

from activities import letters
from activities.outbox import QueuedNotice
from domain import attendance, campaign, quota_messages, restriction_messages, trainee_messages, training_class

WORDS = yaml.safe_load((letters.TEMPLATES / "words.yaml").read_text(encoding="utf-8"))
EVENT_TYPES = {
    type_
    for module in (attendance, campaign, restriction_messages, trainee_messages, training_class)
    for type_ in module.EVENTS.types()
} | set(quota_messages.QUOTA_EVENTS.types())
NOTICES_OF_THEIR_OWN = {
    "bulletin.published",
    "campaign.selection_escalated",
    "class.check_in_late",
    "class.days_short",
    "class.past_soft_end",
    "identity.review_needed",
    "institution.reinstated",
    "institution.suspended",
    "nomination.received",
    "trainee.dates_overlap",
    "trainee.selected",
    "webhook.test",
}
"""Types of notices that are not also types of events, or of events of other books."""
SILENT = {
    "attendance.confirmed",
    "attendance.marked",
    "campaign.bulletin_issued",
    "campaign.closed",
    "campaign.offers_ended",
    "campaign.reopening_closed",
    "campaign.selection_settled",
    "campaign.settled",
    "class.absences_recorded",
    "class.capacity_changed",
    "class.check_in_confirmed",
    "class.duties_recorded",
    "class.planned",
    "class.timetable_set",
    "nomination.approved",
    "nomination.resubmitted",
    "quota.delegation_adjusted",
    "quota.issued",
    "quota.reallocation_passed_on",
    "quota.received",
    "quota.taken_back",
    "restriction.recorded",
    "restriction.waiver_used",
    "certificate.revoked",
    "seat.offer_accepted",
    "seat.offer_declined",
    "trainee.nominated",
    "trainee.registered",
}
"""Events that nobody is told of."""
TO_TEACHERS = {
    "trainee.class_changed",
    "trainee.enrolled",
    "trainee.place_lost",
    "restriction.served",
    "restriction.imposed",
    "restriction.dropped",
    "restriction.expired",
    "restriction.reversed",
}


def notice(type_: str, person: UUID | None = None, **data: Any) -> QueuedNotice:
    return QueuedNotice(uuid4(), 1, "s1", type_, data, person, datetime.now(UTC))


def test_every_event_has_words_or_is_known_to_be_silent() -> None:
    assert set(WORDS["notices"]) == (EVENT_TYPES - SILENT) | NOTICES_OF_THEIR_OWN
    assert set(WORDS["teacher"]) == TO_TEACHERS


@pytest.mark.parametrize("part", ["notices", "teacher", "fields"])
def test_all_words_are_in_both_languages(part: str) -> None:
    for name, words in WORDS[part].items():
        assert set(words) == {"zh", "en"}, name
        assert all(words.values()), name


def test_a_roster_has_a_line_for_each_and_the_types_in_their_order() -> None:
    letter = letters.digest(
        "中牟县教育体育局",
        [
            notice("training.completed", trainee="zz22-410122-00002"),
            notice("nomination.received", trainee="zz22-410122-00001", project_type="gp1"),
            notice("training.completed", trainee="zz22-410122-00003"),
        ],
        [],
    )
    assert letter.subject == "[训迹] 3 条通知 / 3 notices"
    assert "中牟县教育体育局：" in letter.text
    assert "【学员结业】2 条\n  · zz22-410122-00002\n  · zz22-410122-00003\n" in letter.text
    assert "  · zz22-410122-00001  项目类别：gp1\n" in letter.text
    assert "  - zz22-410122-00001  project type: gp1\n" in letter.text
    assert letter.text.index("学员结业") < letter.text.index("学校推荐")
    assert "转交" not in letter.text
    assert "webhook" not in letter.text


def test_a_handover_says_what_the_teacher_must_be_told() -> None:
    served = notice("restriction.served", restriction="zz22-410122-00009-r1", until="2022-10-31T16:00:00+00:00")
    text = letters.digest("某校", [], [served]).text
    assert "通过学校或区县教育局提出异议" in text
    assert "zz22-410122-00009-r1  截至：2022-10-31 24:00" in text
    assert "现有以下通知" not in text


@pytest.mark.parametrize("type_", sorted(WORDS["notices"]))
def test_every_kind_of_notice_is_written_in_both_languages(type_: str) -> None:
    data: dict[str, Any] = dict.fromkeys(WORDS["fields"], "x")
    letter = letters.digest("某校", [notice(type_, **data)], [notice(type_, **data)], endpoint_disabled=True)
    for language, (title_begins, title_ends) in (("zh", "【】"), ("en", "[]")):
        title = f"{title_begins}{WORDS['notices'][type_][language]}{title_ends}"
        assert letter.text.count(title) == 2, "as a notice, and as one that is to be handed over"
        for name, words in WORDS["fields"].items():
            assert words[language] in letter.text or name == "trainee", name
    assert "{{" not in letter.text
    assert "None" not in letter.text


def test_a_template_that_names_what_is_not_there_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        letters._render("digest.zh.txt", organisation="某校")


def test_values_are_shown_as_people_write_them() -> None:
    reviewed = notice(
        "follow_up.reviewed", trainee="n", accepted=False, reasons=["a", "b"], leave=2, until="2022-10-31"
    )
    text = letters.digest("某校", [reviewed], []).text
    assert "n  评审通过：否；请假序号：2；原因：a、b；截至：2022-10-31" in text
    assert "n  accepted: no; leave: 2; reasons: a, b; until: 2022-10-31" in text


def test_a_type_and_a_field_without_words_are_shown_by_their_names() -> None:
    text = letters.digest("某校", [notice("something.new", colour="红")], []).text
    assert "【something.new】1 条\n  · colour：红" in text


def test_nothing_in_the_data_can_break_a_line_or_run_as_a_template() -> None:
    text = letters.digest("某校", [notice("leave.granted", trainee="a\nb {{ 7 * 7 }}", place="x" * 1000)], []).text
    assert "a b {{ 7 * 7 }}" in text
    assert "x" * 200 in text
    assert "x" * 201 not in text


@pytest.mark.parametrize("type_", sorted(TO_TEACHERS))
def test_a_letter_names_the_teacher_and_tells_him_in_both_languages(type_: str) -> None:
    letter = letters.to_teacher("欧阳不寻常", notice(type_, trainee="zz22-410122-00009"))
    assert "欧阳不寻常老师：" in letter.text
    assert "Dear 欧阳不寻常," in letter.text
    assert WORDS["teacher"][type_]["zh"].strip() in letter.text
    assert WORDS["teacher"][type_]["en"].strip() in letter.text
    assert "zz22-410122-00009" in letter.text
    assert "欧阳" not in letter.subject
