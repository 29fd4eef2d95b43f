"""Who may be nominated for a project type: every rule of the plan, and every failure at once (通知 四(二)).

Each rule is a class: its code and words, the facts it looks at, and its verdict. `RULES` is the list that a training
officer reads; a new rule is a new class in it. The same rules judge a nomination when it is made and explain it years
later, from the facts that its event kept.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar, Protocol

from domain import calendar
from domain.decision import Message, Reason
from domain.history import History, TrainingRecord
from domain.numbers import quota_line
from domain.plan import Plan, ProjectType
from domain.refusals import WORDINGS, in_words, reason


class Nominated(Protocol):
    """What a rule looks at of a nomination: the command that asks for it, or the event that it became."""

    @property
    def project_type(self) -> str: ...
    @property
    def county(self) -> str: ...
    @property
    def stage(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def position(self) -> str: ...
    @property
    def rural(self) -> bool: ...
    @property
    def years_of_service(self) -> int: ...
    @property
    def waiver(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """A nomination with the plan it is judged by and the facts at its moment. `history` is None when nobody kept it."""

    plan: Plan
    nomination: Nominated
    now: datetime
    history: History | None

    @property
    def today(self) -> date:
        return calendar.local_date(self.now)

    @property
    def project_type(self) -> ProjectType:
        """Only rules after `KnownProjectType` ask."""
        return self.plan.project_type(self.nomination.project_type)

    def same_training(self) -> list[TrainingRecord]:
        """Live records of the same training in the same subject, under whatever name."""
        assert self.history is not None, "a rule that needs the history is not asked without one"
        nomination = self.nomination
        found = self.history.of_same_training(self.plan, nomination.project_type, nomination.subject)
        return [each for each in found if each.live]


class Verdict(Message):
    """What one rule says. `holds` is None when the facts it needs were not kept.

    `facts` are those that it looked at; they name no other organisation and no other case.
    """

    rule: str
    zh: str
    en: str
    source: str
    holds: bool | None
    facts: dict[str, Any]
    reason: Reason | None = None


class Rule(ABC):
    """One condition. `code` is the refusal's, `zh` and `en` say what is asked."""

    code: ClassVar[str]
    zh: ClassVar[str]
    en: ClassVar[str]
    needs_history: ClassVar[bool] = False
    claimed: ClassVar[bool] = False
    """Whether a claim decides it at the instant of the append: a fact that is a moment old must not refuse alone."""

    @abstractmethod
    def facts(self, candidate: Candidate) -> dict[str, Any]:
        """What the rule looks at."""

    @abstractmethod
    def failure(self, candidate: Candidate) -> Reason | None:
        """Why the nomination fails, None when it does not."""

    def judge(self, candidate: Candidate) -> Verdict:
        """The verdict with its facts."""
        known = candidate.history is not None or not self.needs_history
        failure = self.failure(candidate) if known else None
        return Verdict(
            rule=self.code,
            zh=self.zh,
            en=self.en,
            source=WORDINGS[self.code].source,
            holds=failure is None if known else None,
            facts=self.facts(candidate) if known else {},
            reason=failure,
        )


class KnownProjectType(Rule):
    """The plan has the project type. Without it no other rule can be asked."""

    code = "unknown_project_type"
    zh, en = "项目类型须在计划之内", "The plan has the project type"

    def facts(self, candidate: Candidate) -> dict[str, Any]:
        return {"project_type": candidate.nomination.project_type}

    def failure(self, candidate: Candidate) -> Reason | None:
        wrong = candidate.nomination.project_type
        if candidate.plan.find_project_type(wrong) is not None:
            return None
        known = ", ".join(each.id for each in candidate.plan.project_types)
        return reason(self.code, field="/project_type", project_type=wrong, known=known)


class HasQuotaLine(Rule):
    """The nominating county was given seats in the project type."""

    code = "no_quota_line"
    zh, en = "推荐单位须有该项目名额", "The county was given seats"

    def facts(self, candidate: Candidate) -> dict[str, Any]:
        line = quota_line(candidate.nomination.project_type, candidate.nomination.county)
        return {"line": line, "seats_in_plan": candidate.plan.seats(line) or 0}

    def failure(self, candidate: Candidate) -> Reason | None:
        if self.facts(candidate)["seats_in_plan"]:
            return None
        name, county = candidate.nomination.project_type, candidate.nomination.county
        return reason(self.code, field="/project_type", county=county, project_type=name)


class OfProjectCounty(Rule):
    """A project type for 项目县 takes nobody else, by the list in force on the day (edge case 5)."""

    code = "project_counties_only"
    zh, en = "项目县专项只面向当日有效名单上的项目县", "Project county trainings are for those on the list of the day"

    def facts(self, candidate: Candidate) -> dict[str, Any]:
        listed = candidate.plan.is_project_county(candidate.nomination.county, candidate.today)
        return {"only": candidate.project_type.project_counties_only, "listed": listed, "on": str(candidate.today)}

    def failure(self, candidate: Candidate) -> Reason | None:
        facts = self.facts(candidate)
        if not facts["only"] or facts["listed"] or HasQuotaLine().failure(candidate) is not None:
            return None
        return reason(self.code, field="/project_type", project_type=candidate.nomination.project_type)


class OfStage(Rule):
    """学段."""

    code = "stage_not_eligible"
    zh, en = "学段须符合项目要求", "The stage is one that the project is open to"

    def facts(self, candidate: Candidate) -> dict[str, Any]:
        return {"stage": candidate.nomination.stage, "allowed": list(candidate.project_type.stages)}

    def failure(self, candidate: Candidate) -> Reason | None:
        stage, allowed = candidate.nomination.stage, candidate.project_type.stages
        if stage in allowed:
            return None
        name = candidate.nomination.project_type
        return reason(self.code, field="/stage", project_type=name, stage=stage, allowed=", ".join(allowed))


class OfSubject(Rule):
    """学科; a project type that names none is open to all."""

    code = "subject_not_eligible"
    zh, en = "学科须符合项目要求", "The subject is one that the project is open to"

    def facts(self, candidate: Candidate) -> dict[str, Any]:
        return {"subject": candidate.nomination.subject, "allowed": list(candidate.project_type.subjects)}

    def failure(self, candidate: Candidate) -> Reason | None:
        subject, allowed = candidate.nomination.subject, candidate.project_type.subjects
        if not allowed or subject in allowed:
            return None
        name = candidate.nomination.project_type
        return reason(self.code, field="/subject", project_type=name, subject=subject, allowed=", ".join(allowed))


class OfPosition(Rule):
    """岗位."""

    code = "position_not_eligible"
    zh, en = "岗位须符合项目要求", "The position is one that the project is open to"

    def facts(self, candidate: Candidate) -> dict[str, Any]:
        return {"position": candidate.nomination.position, "allowed": list(candidate.project_type.positions)}

    def failure(self, candidate: Candidate) -> Reason | None:
        position, allowed = candidate.nomination.position, candidate.project_type.positions
        if position in allowed:
            return None
        name = candidate.nomination.project_type
        return reason(self.code, field="/position", project_type=name, position=position, allowed=", ".join(allowed))


class Rural(Rule):
    """农村教师, where the project type is for them alone."""

    code = "rural_required"
    zh, en = "农村专项只面向农村教师", "Rural training is for rural teachers"

    def facts(self, candidate: Candidate) -> dict[str, Any]:
        return {"rural": candidate.nomination.rural, "asked": candidate.project_type.rural}

    def failure(self, candidate: Candidate) -> Reason | None:
        if candidate.project_type.rural != "required" or candidate.nomination.rural:
            return None
        return reason(self.code, field="/rural", project_type=candidate.nomination.project_type)


class LongEnoughInService(Rule):
    """教龄."""

    code = "service_too_short"
    zh, en = "教龄须达到要求", "Enough years of service"

    def facts(self, candidate: Candidate) -> dict[str, Any]:
        required = candidate.project_type.min_years_of_service
        return {"years": candidate.nomination.years_of_service, "required": required}

    def failure(self, candidate: Candidate) -> Reason | None:
        facts = self.facts(candidate)
        if facts["years"] >= facts["required"]:
            return None
        return reason(self.code, field="/years_of_service", **facts)


class InTime(Rule):
    """Before the schools' cut-off."""

    code = "deadline_passed"
    zh, en = "须在学校提交截止时间之前", "Before the schools' cut-off"

    def facts(self, candidate: Candidate) -> dict[str, Any]:
        deadline = candidate.plan.selection_deadline("school")
        return {"submitted": in_words(candidate.now), "deadline": in_words(deadline)}

    def failure(self, candidate: Candidate) -> Reason | None:
        deadline = candidate.plan.selection_deadline("school")
        return None if candidate.now < deadline else reason(self.code, deadline=in_words(deadline))


class NotNominatedTwice(Rule):
    """Same person, same training under whatever name, same year, same subject: a duplicate (edge case 73)."""

    code = "duplicate_nomination"
    zh, en = "同一人同年同类型同学科只推荐一次(项目更名视为同一项目)", "Once per person, training, year and subject"
    needs_history = True

    def facts(self, candidate: Candidate) -> dict[str, Any]:
        return {"year": candidate.plan.year, "others": [_shown(each) for each in self._others(candidate)]}

    def failure(self, candidate: Candidate) -> Reason | None:
        return reason(self.code) if self._others(candidate) else None

    def _others(self, candidate: Candidate) -> list[TrainingRecord]:
        # One project type of this campaign is the claim's: the view may not have seen yet that it was given back.
        # What stands under another of his records has a claim of its own, which this one does not meet.
        own = (candidate.plan.id, candidate.nomination.project_type)
        of_year = (each for each in candidate.same_training() if each.year == candidate.plan.year)
        return [each for each in of_year if each.joined or (each.campaign, each.project_type) != own]


class NotRepeated(Rule):
    """杜绝无效的重复培训: what was completed in this cycle is not had again."""

    code = "ineffective_repeat"
    zh, en = "本周期内已结业的同一培训不再重复", "What was completed in this cycle is not repeated"
    needs_history = True

    def facts(self, candidate: Candidate) -> dict[str, Any]:
        found = [_shown(each) for each in self._completed(candidate)]
        return {"asked": candidate.plan.eligibility.no_repeat, "completed": found}

    def failure(self, candidate: Candidate) -> Reason | None:
        completed = self._completed(candidate)
        if not candidate.plan.eligibility.no_repeat or not completed:
            return None
        return reason(self.code, field="/project_type", completed_on=max(str(each.completed_on) for each in completed))

    def _completed(self, candidate: Candidate) -> list[TrainingRecord]:
        assert candidate.history is not None, "asked with a history only"
        in_cycle = candidate.history.completed_in_cycle(candidate.plan, candidate.today)
        return [each for each in candidate.same_training() if each in in_cycle]


class AtOnePlaceAtATime(Rule):
    """The training's days, where the plan fixes them, overlap no other selection of the person (edge case 23)."""

    code = "dates_overlap"
    zh, en = "培训日期不与本人其他培训重叠", "The training overlaps no other training of the person"
    needs_history = True

    def facts(self, candidate: Candidate) -> dict[str, Any]:
        dates = training_dates(candidate.plan, candidate.nomination.project_type)
        own = {"starts": str(dates[0]), "ends": str(dates[1])} if dates else "not fixed by the plan"
        return {"own": own, "others": [_shown(each) for each in self._overlapping(candidate)]}

    def failure(self, candidate: Candidate) -> Reason | None:
        overlapping = self._overlapping(candidate)
        if not overlapping:
            return None
        first = overlapping[0]
        return reason(self.code, field="/project_type", starts=first.starts, ends=first.ends)

    def _overlapping(self, candidate: Candidate) -> list[TrainingRecord]:
        assert candidate.history is not None, "asked with a history only"
        dates = training_dates(candidate.plan, candidate.nomination.project_type)
        return [] if dates is None else overlapping(candidate.history, *dates)


class NotRestricted(Rule):
    """Nobody who is barred, on the day that the plan states (edge case 35).

    A nomination that cites a waiver (37) rests on that instead; whether there is one, the restriction's stream decides.
    """

    code = "restricted_until"
    zh, en = "在计划规定的检验日不处于限制期", "Not barred on the day that the plan states"
    needs_history = True
    claimed = True

    def facts(self, candidate: Candidate) -> dict[str, Any]:
        on = restriction_tested_on(candidate.plan, candidate.nomination.project_type, candidate.now)
        tested = {"tested_on": str(on), "by_policy": candidate.plan.eligibility.restriction_tested_on}
        assert candidate.history is not None, "asked with a history only"
        until = candidate.history.not_eligible_until(on)
        waived = {"waiver": candidate.nomination.waiver} if candidate.nomination.waiver else {}
        return tested | ({"not_eligible_until": str(until)} if until else {}) | waived

    def failure(self, candidate: Candidate) -> Reason | None:
        if candidate.nomination.waiver:
            return None
        until = self.facts(candidate).get("not_eligible_until")
        return reason(self.code, until=until) if until else None


RULES: tuple[Rule, ...] = (
    KnownProjectType(),
    HasQuotaLine(),
    OfProjectCounty(),
    OfStage(),
    OfSubject(),
    OfPosition(),
    Rural(),
    LongEnoughInService(),
    InTime(),
    NotNominatedTwice(),
    NotRepeated(),
    AtOnePlaceAtATime(),
    NotRestricted(),
)
CLAIMED = frozenset(rule.code for rule in RULES if rule.claimed)


def judge(candidate: Candidate) -> tuple[Verdict, ...]:
    """What every rule says; only the first one when the plan does not have the project type."""
    first = RULES[0].judge(candidate)
    if first.holds is False:
        return (first,)
    return (first, *(rule.judge(candidate) for rule in RULES[1:]))


def ineligible(plan: Plan, nomination: Nominated, now: datetime, history: History | None = None) -> tuple[Reason, ...]:
    """Every reason why the plan does not allow this nomination; empty when it does."""
    verdicts = judge(Candidate(plan, nomination, now, history or History()))
    return tuple(each.reason for each in verdicts if each.reason is not None)


def training_dates(plan: Plan, project_type: str) -> tuple[date, date] | None:
    """The first and the last day of the training where the plan fixes them."""
    for each in plan.eligibility.training_dates:
        if each.project_type == project_type:
            return each.starts, each.ends
    return None


def restriction_tested_on(plan: Plan, project_type: str, now: datetime) -> date:
    """The day on which the person may not be barred."""
    dates = training_dates(plan, project_type)
    if plan.eligibility.restriction_tested_on == "first-day-of-training" and dates is not None:
        return dates[0]
    return calendar.local_date(now)


def overlapping(history: History, starts: date, ends: date) -> list[TrainingRecord]:
    """The person's other live selections that share a day with these."""
    return [
        each
        for each in history.records
        if each.live and each.starts and each.ends and each.starts <= ends and starts <= each.ends
    ]


def _shown(record: TrainingRecord) -> dict[str, Any]:
    return record.model_dump(mode="json", exclude_none=True)
