"""Invented teachers. No living person has their identity numbers or telephones: 410199 and 419099 are no divisions,
and no operator has numbers that begin with 154.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from domain.identity import check_digit
from domain.plan import Plan, Position, ProjectType, Stage

DIVISIONS_NEVER_ASSIGNED = ("410199", "410299", "410399", "411099", "419099")
UNASSIGNED_TELEPHONES = "154"
AGE_AT_FIRST_YEAR_OF_SERVICE = 23
MAX_YEARS_OF_SERVICE = 32

_SURNAMES = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛"
    "叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔"
    "贺赖龚文"
)
_GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超霞平刚桂兰英华玉梅红莉建国志文斌雪婷慧琳晨曦宇轩浩然雅思佳宁欣"
    "怡瑞祥春秋冬夏海燕云峰山松柏竹青岚颖晓东南北辰安康乐天行知远"
)
_SUBJECTS_BY_STAGE: dict[Stage, tuple[str, ...]] = {
    "preschool": ("preschool-education",),
    "primary": ("chinese", "mathematics", "english", "science", "music", "art", "physical-education"),
    "junior": ("chinese", "mathematics", "english", "physics", "history", "geography", "politics"),
    "senior": ("chinese", "mathematics", "english", "physics", "chemistry", "biology", "politics"),
}


@dataclass(frozen=True, slots=True)
class Teacher:
    """A teacher as a school types him in: `identity_number` may have blanks, full-width digits or a small x.

    `years_of_service` are full years. `email` is None for those who have none.
    """

    key: str
    name: str
    identity_number: str
    phone: str
    email: str | None
    stage: Stage
    subject: str
    position: Position
    rural: bool
    years_of_service: int


@dataclass(frozen=True, slots=True)
class Post:
    """Where a teacher works, as far as a project type's conditions ask for it."""

    stage: Stage
    position: Position
    rural: bool


class TeacherSource:
    """Invents teachers one after another; the same randomness gives the same teachers."""

    def __init__(self, plan: Plan, rng: Random) -> None:
        self._plan = plan
        self._rng = rng
        self._numbers: set[str] = set()
        self._phones: list[str] = []
        self._count = 0

    def teacher(self, project_type: ProjectType, post: Post) -> Teacher:
        """A teacher who meets every condition of the project type; the post must."""
        rng = self._rng
        self._count += 1
        key = f"t-{self._count:05d}"
        years = rng.randint(max(1, project_type.min_years_of_service), MAX_YEARS_OF_SERVICE)
        given = "".join(rng.choice(_GIVEN) for _ in range(rng.choice((1, 2, 2))))
        return Teacher(
            key=key,
            name=rng.choice(_SURNAMES) + given,
            identity_number=_as_typed(rng, self._identity_number(years)),
            phone=self._phone(),
            email=None if rng.random() < 0.15 else f"{key}@teachers.example.invalid",
            stage=post.stage,
            subject=_subject(rng, project_type, post.stage),
            position=post.position,
            rural=post.rural,
            years_of_service=years,
        )

    def _identity_number(self, years_of_service: int) -> str:
        rng, today = self._rng, self._plan.dates.opens
        age = AGE_AT_FIRST_YEAR_OF_SERVICE + years_of_service + rng.randint(0, 2)
        birth_date = date(today.year - age, 1, 1) + timedelta(days=rng.randrange(365))
        division = rng.choice(DIVISIONS_NEVER_ASSIGNED)
        sequence = rng.randrange(1000)
        for _ in range(1000):
            first_17 = f"{division}{birth_date:%Y%m%d}{sequence:03d}"
            number = first_17 + check_digit(first_17)
            if number not in self._numbers:
                self._numbers.add(number)
                return number
            sequence = (sequence + 1) % 1000
        raise AssertionError("a thousand teachers of one division were born on one day")

    def _phone(self) -> str:
        # Couples and clerks give one telephone for several teachers: it never identifies anybody.
        if self._phones and self._rng.random() < 0.03:
            return self._rng.choice(self._phones)
        phone = f"{UNASSIGNED_TELEPHONES}{self._rng.randrange(10**8):08d}"
        self._phones.append(phone)
        return phone


def _subject(rng: Random, project_type: ProjectType, stage: Stage) -> str:
    taught = _SUBJECTS_BY_STAGE[stage]
    allowed = [subject for subject in taught if subject in project_type.subjects]
    # A project for principals names a subject that nobody teaches: then it is simply that.
    return rng.choice(allowed or list(project_type.subjects) or list(taught))


def _as_typed(rng: Random, number: str) -> str:
    style = rng.random()
    if style < 0.03:
        return number.translate(str.maketrans("0123456789X", "０１２３４５６７８９Ｘ"))
    if style < 0.06:
        return f" {number[:6]} {number[6:14]} {number[14:]}"
    return number.lower() if style < 0.5 else number
