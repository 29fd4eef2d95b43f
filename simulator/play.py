"""The campaign day by day: at 09:00 everybody does what the script says, and only then may the day end.

The clock stands still while they work, and at the day's end until the system has done what it owes. A run that was
interrupted is played again from the beginning: what creates something is repeated under its Idempotency-Key and gets
its first answer, the rest of the days that are over is left out.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, Final, Protocol

from domain.calendar import end_of_day, start_of_day
from simulator import bureau, county, errands, host, watch
from simulator.client import Desk, FrontDoor, JSONObject, Row
from simulator.population import PlannedClass
from simulator.programme import Programme
from simulator.timetable import Deed, Turn, Wait, WaitKind, office_hour

CREATING: Final = frozenset({"nominate", "plan"})
"""Commands whose answers name what was created."""

ENDPOINT_SHARE: Final = 4
"""One host in so many has no webhook endpoint and gets mail."""

BEFORE_REGISTRATION_OPENS: Final = frozenset({"planned", "announced"})
BEFORE_CLOSED: Final = BEFORE_REGISTRATION_OPENS | {"registration-open", "running"}


class Keys(Protocol):
    """The secrets that organisations were given; kept, so that a run can go on after an interruption."""

    def get(self, name: str) -> str | None: ...

    def put(self, secrets: dict[str, str]) -> None: ...


class WebhookLine(Protocol):
    """Where the hosts' webhooks arrive."""

    def url(self, organisation: str) -> str: ...

    def set_secret(self, organisation: str, secret: str) -> None: ...


AfterWork = Callable[[date], Awaitable[None]]
"""Called when the day's work is done and the clock still stands."""


class Play:
    """One run of a programme against the API behind `door`."""

    def __init__(
        self,
        door: FrontDoor,
        programme: Programme,
        keys: Keys,
        webhooks: WebhookLine,
        *,
        days_per_second: float,
    ) -> None:
        self._door = door
        self._speed = days_per_second
        self._programme = programme
        self._keys = keys
        self._webhooks = webhooks
        self._plan = programme.plan
        self._desks: dict[str, Desk] = {}
        self._trainees: dict[str, str] = {}
        self._classes: dict[str, str] = {}
        self._restrictions: dict[str, str] = {}
        planned = (*programme.classes, *programme.spare)
        self._planned: dict[str, PlannedClass] = {each.key: each for each in planned}
        self._county_of = {school.id: school.county for school in programme.population.schools}
        self._host_of = {each.key: each.host for each in programme.population.nominations}
        self._resumed_at: datetime | None = None
        self._next_date: datetime | None = None
        self.today = programme.plan.dates.opens
        self.done: Counter[str] = Counter()
        """Deeds done so far, by `milestone`."""

    async def run(self, plan_text: str, after_work: AfterWork, *, until: date | None = None) -> None:
        """Play the campaign to its end, or to 09:00 of the day `until`. Raises UnexpectedAnswer or NotInTime."""
        await self._open(plan_text)
        self._next_date = _deadline(await watch.there(self._bureau, f"/v1/campaigns/{self._plan.id}"))
        now = str((await self._bureau.get("/v1/clock"))["now"])
        self._resumed_at = datetime.fromisoformat(now)
        speed = {"days_per_second": self._speed}
        await self._bureau.post(f"speed:{self._speed}:{now}", "/v1/clock/speed", speed)
        for day in self._programme.days():
            if until is not None and day >= until:
                await self._let_pass(office_hour(day))
                return
            await self._play_day(day, after_work)

    async def _play_day(self, day: date, after_work: AfterWork) -> None:
        self.today = day
        is_over = self._is_over(office_hour(day))
        turns = self._programme.turns_of(day)
        if turns:
            await self._let_pass(office_hour(day))
        for turn in turns:
            deeds = self._programme.deeds.get((day, turn), ())
            await self._do(_creating(deeds) if is_over else deeds)
            if not is_over:
                await self._await_all(self._programme.waits.get((day, turn), ()))
            self.done.update(milestone(deed) for deed in deeds if not deed.refused_with)
        if is_over:
            refused = [deed for place in self._places(day) for deed in self._programme.deeds.get(place, ())]
            self._door.counts.refused.update(deed.refused_with for deed in _left_out(refused))
        else:
            await after_work(day)
        await self._let_pass(end_of_day(day))
        if not self._is_over(end_of_day(day)):
            await self._await_all(self._programme.waits.get((day, Turn.NIGHT), ()))

    def _places(self, day: date) -> list[tuple[date, Turn]]:
        return [(day, turn) for turn in self._programme.turns_of(day)]

    def _is_over(self, instant: datetime) -> bool:
        """Whether an earlier run has gone on beyond the instant."""
        return self._resumed_at is not None and self._resumed_at > instant

    async def _let_pass(self, until: datetime) -> None:
        """Let time pass, with a stop at each of the campaign's own dates on the way.

        Its reminders lie hours apart, which is a moment here: without the stop the second one could come due before
        the first was sent, and a reminder that comes too late is not sent at all.
        """
        if self._resumed_at is not None and self._resumed_at >= until:
            return
        while self._next_date is not None and self._next_date <= until:
            await self._advance(self._next_date)
            await self._await_own_date(self._next_date)
        await self._advance(until)

    async def _advance(self, until: datetime) -> None:
        body = {"until": until.isoformat()}
        await self._bureau.post(f"advance:{until.isoformat()}", "/v1/clock/advance", body)
        await watch.clock_at(self._bureau, until, self._speed)

    async def _await_own_date(self, instant: datetime) -> None:
        awaited = f"the campaign has done what was due at {instant.isoformat()}"
        path = f"/v1/campaigns/{self._plan.id}"
        self._next_date = _deadline(await watch.one(self._bureau, awaited, path, lambda it: watch.passed(it, instant)))

    # ------------------------------------------------------------------------------------------------- opening

    @property
    def _bureau(self) -> Desk:
        return self._desk(self._plan.bureau)

    def _desk(self, organisation: str) -> Desk:
        if organisation not in self._desks:
            key = self._keys.get(organisation)
            assert key is not None, f"{organisation} was given a key"
            self._desks[organisation] = self._door.desk(organisation, key)
        return self._desks[organisation]

    async def _open(self, plan_text: str) -> None:
        """The bureau's first morning: plan, keys, schools, endpoints, and the restrictions from before."""
        await bureau.open_campaign(self._bureau, plan_text)
        hosts = sorted({each.host for each in self._programme.classes})
        counties = [each.id for each in self._plan.recipients]
        without_key = [each for each in (*counties, *hosts) if self._keys.get(each) is None]
        self._keys.put(await bureau.issue_keys(self._bureau, without_key))
        await _all(self._register_schools(each) for each in counties)
        listening = [each for number, each in enumerate(hosts) if number % ENDPOINT_SHARE != ENDPOINT_SHARE - 1]
        await _all(self._register_endpoint(each) for each in (self._plan.bureau, *listening))
        earlier = self._programme.population.earlier_restrictions
        await bureau.record_earlier(self._bureau, self._plan.id, earlier)

    async def _register_schools(self, county_id: str) -> None:
        schools = [each for each in self._programme.population.schools if each.county == county_id]
        if any(self._keys.get(each.id) is None for each in schools):
            self._keys.put(await county.register_schools(self._desk(county_id), schools))

    async def _register_endpoint(self, organisation: str) -> None:
        url = self._webhooks.url(organisation)
        name = endpoint_name(organisation, url)
        secret = self._keys.get(name)
        if secret is None:
            secret = await host.register_endpoint(self._desk(organisation), url)
            self._keys.put({name: secret})
        self._webhooks.set_secret(organisation, secret)

    # --------------------------------------------------------------------------------------------------- deeds

    async def _do(self, deeds: Sequence[Deed]) -> None:
        """One turn of a day: everybody at once, and each organisation's rows of one command together."""
        groups: dict[tuple[str, str, str, str], list[Deed]] = defaultdict(list)
        for deed in deeds:
            training_class = deed.training_class if deed.command in host.BY_CLASS else ""
            groups[deed.kind, deed.organisation, deed.command, training_class].append(deed)
        nominating: dict[str, list[list[Deed]]] = defaultdict(list)
        work: list[Coroutine[Any, Any, None]] = []
        for (kind, organisation, command, training_class), group in groups.items():
            match kind:
                case "nomination":
                    nominating[self._county_of[organisation]].append(group)
                case "trainee":
                    work.append(self._command_trainees(organisation, command, training_class, group))
                case "class":
                    work.extend(self._command_class(deed) for deed in group)
                case "quota":
                    work.extend(self._command_quota(deed) for deed in group)
                case "campaign":
                    work.extend(self._command_campaign(deed) for deed in group)
                case "restriction":
                    work.extend(self._command_restriction(deed) for deed in group)
                case "case" | "person" | "attendance":
                    work.extend(self._command_case(deed) for deed in group)
                case _:
                    work.extend(self._command_office(deed) for deed in group)
        work.extend(self._nominate(each) for each in nominating.values())
        await _all(work)

    async def _nominate(self, groups: Sequence[Sequence[Deed]]) -> None:
        """The schools of one county, one after the other, so that its numbers follow from the script alone."""
        for group in groups:
            desk = self._desk(group[0].organisation)
            rows = [Row(deed.action, {"campaign": self._plan.id, **deed.body}, deed.refused_with) for deed in group]
            for deed, answer in zip(group, await desk.post_rows_in_order("/v1/nominations", rows), strict=True):
                if not deed.refused_with:
                    self._trainees[deed.subject] = str(answer.body["number"])

    async def _command_trainees(
        self, organisation: str, command: str, training_class: str, group: Sequence[Deed]
    ) -> None:
        desk = self._desk(organisation)
        rows = [Row(deed.action, self._trainee_row(deed), deed.refused_with) for deed in group]
        if training_class:
            await host.do_for_class(desk, self._classes[training_class], command, rows)
        else:
            await desk.post_rows(f"/v1/trainees/{command}", rows)

    def _trainee_row(self, deed: Deed) -> dict[str, Any]:
        row = {"trainee": self._trainees[deed.subject], **deed.body}
        if deed.command == "enroll":
            row["training_class"] = self._classes[deed.training_class]
        return row

    async def _command_class(self, deed: Deed) -> None:
        desk = self._desk(deed.organisation)
        if deed.command == "plan":
            planned = self._planned[deed.subject]
            self._classes[deed.subject] = await host.plan_class(desk, self._plan.id, planned)
            return
        path = f"/v1/classes/{self._classes[deed.subject]}/{deed.command}"
        into = {"into": self._classes[deed.training_class]} if deed.training_class else {}
        await self._send(desk, replace(deed, body={**deed.body, **into}), path)

    async def _command_quota(self, deed: Deed) -> None:
        path = f"/v1/quotas/{self._plan.id}:{deed.subject}/{deed.command}"
        await self._send(self._desk(deed.organisation), deed, path)

    async def _command_campaign(self, deed: Deed) -> None:
        """A command on the campaign may bring its next own date forward."""
        path = f"/v1/campaigns/{self._plan.id}/{deed.command}"
        self._next_date = _deadline(await self._desk(deed.organisation).post(deed.action, path, deed.body))

    async def _command_restriction(self, deed: Deed) -> None:
        number = await self._restriction_of(deed.subject)
        await self._send(self._desk(deed.organisation), deed, f"/v1/restrictions/{number}/{deed.command}")

    async def _command_case(self, deed: Deed) -> None:
        """A nomination by its own address, its teacher's record, or a mark of him."""
        desk, number = self._desk(deed.organisation), self._trainees[deed.subject]
        match deed.kind:
            case "case":
                await self._send(desk, deed, f"/v1/trainees/{number}/{deed.command}")
            case "person":
                case = await desk.get(f"/v1/trainees/{number}")
                await self._send(desk, deed, f"/v1/people/{case['person']['id']}/{deed.command}")
            case _:
                path = f"/v1/classes/{self._classes[deed.training_class]}/attendance"
                await desk.post_rows(path, [Row(deed.action, {"trainee": number, **deed.body})])

    async def _command_office(self, deed: Deed) -> None:
        """An organisation, its mailbox, its keys or its endpoint."""
        desk = self._desk(deed.organisation)
        match deed.kind, deed.command:
            case "key", _:
                await errands.replace_key(desk, deed.action)
            case "endpoint", "rotate-secret":
                await errands.rotate_secret(desk, deed.action)
            case "endpoint", _:
                await errands.open_and_disable_endpoint(desk, deed.action, self._webhooks.url(deed.subject))
            case "mailbox", _:
                await self._send(desk, deed, f"/v1/mailboxes/{deed.subject}/{deed.command}")
            case _:
                await self._send(desk, deed, f"/v1/institutions/{deed.subject}/{deed.command}")

    async def _send(self, desk: Desk, deed: Deed, path: str) -> None:
        if deed.refused_with:
            await desk.refused(deed.action, path, deed.body, deed.refused_with)
        else:
            await desk.post(deed.action, path, deed.body)

    async def _restriction_of(self, nomination: str) -> str:
        """The number of the restriction that a nomination led to, as its case names it."""
        if nomination not in self._restrictions:
            case = await self._bureau.get(f"/v1/trainees/{self._trainees[nomination]}")
            assert case["restriction"], f"{case['number']} has led to a restriction"
            self._restrictions[nomination] = str(case["restriction"])
        return self._restrictions[nomination]

    # --------------------------------------------------------------------------------------------------- waits

    async def _await_all(self, waits: Iterable[Wait]) -> None:
        awaiting: dict[WaitKind, Callable[[Wait], Coroutine[Any, Any, None]]] = {
            "cut-off": self._await_cut_off,
            "offered": self._await_offered,
            "settled": self._await_settled,
            "told": self._await_told,
            "reminded": self._await_reminded,
            "open": self._await_open,
            "absences": self._await_absences,
            "closed": self._await_closed,
            "unexcused": self._await_unexcused,
            "window": self._await_window,
            "overdue": self._await_overdue,
            "lapsed": self._await_lapsed,
            "handed-over": self._await_handed_over,
            "unserved": self._await_unserved,
            "end": self._await_end,
        }
        await _all(awaiting[wait.kind](wait) for wait in waits)

    async def _await_cut_off(self, wait: Wait) -> None:
        awaited = f"no nomination is left {wait.subject} after the cut-off of {wait.day}"
        await watch.nobody_left(self._bureau, awaited, campaign=self._plan.id, phase=wait.subject)

    async def _await_offered(self, wait: Wait) -> None:
        await self._await_trainee(wait, "a seat is offered", lambda it: it["phase"] == "offered")

    async def _await_told(self, wait: Wait) -> None:
        await self._await_class(wait, "everybody knows of its change", lambda it: it["told_revision"] == it["revision"])

    async def _await_settled(self, wait: Wait) -> None:
        path = f"/v1/campaigns/{self._plan.id}"
        await watch.one(self._bureau, "the selection is over", path, lambda it: it["phase"] != "selecting")

    async def _await_reminded(self, wait: Wait) -> None:
        reminded_at = end_of_day(wait.day)
        await self._await_class(wait, f"its host was reminded on {wait.day}", lambda it: watch.passed(it, reminded_at))

    async def _await_open(self, wait: Wait) -> None:
        awaited = "its registration is open"
        await self._await_class(wait, awaited, lambda it: it["phase"] not in BEFORE_REGISTRATION_OPENS)

    async def _await_absences(self, wait: Wait) -> None:
        await self._await_class(wait, "its absences are recorded", lambda it: bool(it["absences_recorded"]))
        for phase in ("confirmed", "enrolled"):
            number = self._classes[wait.subject]
            awaited = f"nobody of class {number} is {phase} any more"
            await watch.nobody_left(self._bureau, awaited, training_class=number, phase=phase)

    async def _await_closed(self, wait: Wait) -> None:
        await self._await_class(wait, "it is closed", lambda it: it["phase"] not in BEFORE_CLOSED)

    async def _await_class(self, wait: Wait, awaited: str, is_done: Callable[[dict[str, Any]], bool]) -> None:
        number = self._classes[wait.subject]
        await watch.one(self._bureau, f"class {number}: {awaited}", f"/v1/classes/{number}", is_done)

    async def _await_unexcused(self, wait: Wait) -> None:
        awaited = "the absence has led to a restriction"
        await self._await_trainee(wait, awaited, lambda it: bool(it["restriction"]))

    async def _await_overdue(self, wait: Wait) -> None:
        passed_at = end_of_day(wait.day)
        awaited = f"the follow-up task of {wait.day} is overdue"
        await self._await_trainee(wait, awaited, lambda it: watch.passed(it, passed_at))

    async def _await_lapsed(self, wait: Wait) -> None:
        await self._await_trainee(wait, "the follow-up task has lapsed", lambda it: it["phase"] == "closed")

    async def _await_trainee(self, wait: Wait, awaited: str, is_done: Callable[[dict[str, Any]], bool]) -> None:
        number = self._trainees[wait.subject]
        await watch.one(self._bureau, f"{number}: {awaited}", f"/v1/trainees/{number}", is_done)

    async def _await_window(self, wait: Wait) -> None:
        number = await self._restriction_of(wait.subject)
        awaited = f"{number}: the objection window is closed"
        await watch.one(self._bureau, awaited, f"/v1/restrictions/{number}", lambda it: bool(it["window_closed"]))

    async def _await_handed_over(self, wait: Wait) -> None:
        host = self._host_of[wait.subject]
        await self._await_trainee(wait, f"{host} has taken it over", lambda it: it["host"] == host)

    async def _await_unserved(self, wait: Wait) -> None:
        number, passed_at = await self._restriction_of(wait.subject), end_of_day(wait.day)
        awaited = f"{number}: it should have been served by {wait.day}"
        await watch.one(self._bureau, awaited, f"/v1/restrictions/{number}", lambda it: watch.passed(it, passed_at))

    async def _await_end(self, wait: Wait) -> None:
        path = f"/v1/campaigns/{self._plan.id}"
        await watch.one(self._bureau, "the campaign is closed", path, lambda it: it["phase"] == "closed")


def endpoint_name(organisation: str, url: str) -> str:
    """The name under which the secret of a webhook endpoint is kept."""
    return f"{organisation} {url}"


def milestone(deed: Deed) -> str:
    """What is counted as progress; empty for all else."""
    match deed.command:
        case "nominate":
            return "nominated"
        case "approve" if deed.turn is Turn.CITY:
            return "selected"
        case "enroll":
            return "enrolled"
        case "register":
            return "registered"
        case "complete":
            return "completed"
        case "review-follow-up" if deed.body.get("accepted"):
            return "followed up"
        case "impose" | "drop":
            return "restrictions decided"
    return ""


def _deadline(item: JSONObject) -> datetime | None:
    deadline: str | None = item["deadline"]
    return None if deadline is None else datetime.fromisoformat(deadline)


def first_instant(programme: Programme) -> datetime:
    """When the campaign's clock begins: 00:00 of the opening."""
    return start_of_day(programme.plan.dates.opens)


def last_instant(programme: Programme) -> datetime:
    """When the campaign is over: 24:00 of its last day."""
    return end_of_day(programme.plan.dates.closes)


def whole_days(programme: Programme) -> int:
    """How many days the campaign lasts."""
    return (last_instant(programme) - first_instant(programme)) // timedelta(days=1)


def _creating(deeds: Iterable[Deed]) -> list[Deed]:
    return [deed for deed in deeds if deed.command in CREATING]


def _left_out(deeds: Iterable[Deed]) -> list[Deed]:
    """Deeds of a day that is over which are not repeated, but were refused when they were done."""
    return [deed for deed in deeds if deed.refused_with and deed.command not in CREATING]


async def _all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Everything at once; the first failure ends the rest and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
