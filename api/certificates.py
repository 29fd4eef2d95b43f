"""Certificates 结业证书: for those concerned, and for whoever holds one and wants to know whether it is genuine.

Every certificate carries a code. Numbers can be guessed, codes cannot: without the right code there is nothing to be
seen, so nobody can list who was trained. The code follows from the number and a key, and stays what it is for ever.
"""

import base64
import hashlib
import hmac
from datetime import date
from html import escape
from typing import Annotated, Final, Literal

from fastapi import Path, Query, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from api import people
from api.cases import Found
from api.conditional import IfNoneMatch, answered
from api.docs import page_of
from api.permissions import Caller
from api.personal import PERSONAL
from api.problems import Problem, documented, not_found
from api.routing import public_router, router
from api.services import Services, ServicesHere, allowed
from domain import calendar
from domain.certificate import Certificate, certificates
from domain.numbers import trainee_of_certificate
from domain.plan import Plan
from domain.trainee_messages import EVENTS
from domain.trainee_state import Trainee

routes = router("/v1/certificates", "certificates")
public_routes = public_router("", "certificates")
CODE_LENGTH: Final = 12
"""60 bits: as good as unguessable for something that is asked one at a time."""

CertificateNumber = Annotated[
    str,
    Path(
        pattern=r"^[a-z]{2}[0-9]{2}-[a-z0-9][a-z0-9-]{0,39}-[0-9]{5,9}-c[0-9]{1,3}$",
        max_length=80,
        description="The certificate's number.",
        examples=["zz22-410181-00123-c1"],
    ),
]
Code = Annotated[str, Query(pattern=r"^[a-z2-7]{12}$", description="The code that is printed on the certificate.")]
Reader = Annotated[Caller, allowed("trainees:read")]
_STATUS_ZH: Final = {"valid": "有效", "superseded": "已换发", "revoked": "已撤销"}


class VerificationOut(BaseModel):
    """What anybody may know who holds the certificate: enough to compare it, and no more."""

    number: str
    status: Literal["valid", "superseded", "revoked"]
    successor: str = Field(description="The certificate that took its place; empty for none.")
    name: Annotated[
        str | None, PERSONAL, Field(description="Masked; null once the person was erased.", examples=["王**"])
    ]
    project_zh: str
    project_en: str
    host_zh: str
    dated: date = Field(description="The day of the completion. It never changes.")
    starts: date
    ends: date
    mode: Literal["centralised", "online", "mixed"]
    centralised_days: int
    online_days: int
    hours: int


class CertificateOut(VerificationOut):
    """A certificate for those whose trainee it is, with what is printed on it."""

    trainee: str
    grade: str
    code: str
    verify_url: str


@routes.get(
    "/{number}",
    operation_id="get_certificate",
    summary="Read a certificate",
    response_model=CertificateOut,
    responses=documented(404),
)
async def get_certificate(
    number: CertificateNumber, caller: Reader, services: ServicesHere, if_none_match: IfNoneMatch = None
) -> Response:
    """The certificate, whatever became of it, with its code and the address where anybody can verify it."""
    found = await services.cases.trainee(trainee_of_certificate(number), caller)
    certificate = _certificate(found, number)
    shown = await _shown(services, found, certificate)
    code = code_of(services.certificate_key, number)
    printed = CertificateOut(
        **shown.model_dump(),
        trainee=found.number,
        grade=certificate.grade,
        code=code,
        verify_url=f"{services.settings.public_url}/certificates/{number}?code={code}",
    )
    return answered(services, printed, found.version, if_none_match, shows_more=True)


@public_routes.get(
    "/v1/certificates/{number}/verification",
    operation_id="verify_certificate",
    summary="Verify a certificate",
    responses=documented(404),
)
async def verify_certificate(number: CertificateNumber, services: ServicesHere, code: Code) -> VerificationOut:
    """For everybody who has number and code. Revoked and superseded certificates are found as what they are."""
    return await _verified(services, number, code)


@public_routes.get("/certificates/{number}", include_in_schema=False)
async def show_verification(number: CertificateNumber, services: ServicesHere, code: Code) -> HTMLResponse:
    """The same as a page, for the address that is printed on the certificate."""
    shown = await _verified(services, number, code)
    rows = (
        ("证书编号 number", shown.number),
        ("状态 status", f"{_STATUS_ZH[shown.status]} {shown.status} {shown.successor}".strip()),
        ("姓名 name", shown.name or "—"),
        ("项目 project", f"{shown.project_zh} {shown.project_en}"),
        ("承训单位 host", shown.host_zh),
        ("培训日期 dates", f"{shown.starts} – {shown.ends}"),
        ("方式 mode", f"{shown.mode}: {shown.centralised_days} + {shown.online_days}"),
        ("学时 hours", str(shown.hours)),
        ("结业日期 dated", str(shown.dated)),
    )
    listed = "\n".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return page_of("证书查验", f"<h1>证书查验 Certificate</h1>\n<dl>\n{listed}\n</dl>")


def code_of(key: bytes, number: str) -> str:
    """The code of a certificate: base32 of an HMAC over its number."""
    digest = hmac.digest(key, number.encode(), hashlib.sha256)
    return base64.b32encode(digest).decode().lower()[:CODE_LENGTH]


async def _verified(services: Services, number: str, code: str) -> VerificationOut:
    if not hmac.compare_digest(code, code_of(services.certificate_key, number)):
        raise not_found("certificate", number)
    try:
        found = await services.cases.trainee_for_everybody(trainee_of_certificate(number))
    except Problem:
        raise not_found("certificate", number) from None
    return await _shown(services, found, _certificate(found, number))


def _certificate(found: Found[Trainee], number: str) -> Certificate:
    events = ((EVENTS.read(each), calendar.local_date(each.recorded_at)) for each in found.events)
    certificate = certificates(events).get(number)
    if certificate is None:
        raise not_found("certificate", number)
    return certificate


async def _shown(services: Services, found: Found[Trainee], certificate: Certificate) -> VerificationOut:
    state = found.state
    plan: Plan = await services.cases.plan_of("trainee", found.number)
    person = await people.show(services, state.person, name_is_clear=False)
    project_type = plan.project_type(state.project_type)
    host = plan.find_host(state.host)
    days = (certificate.centralised_days, certificate.online_days)
    return VerificationOut(
        number=certificate.number,
        status=certificate.status,
        successor=certificate.successor,
        name=person.name,
        project_zh=project_type.name_zh,
        project_en=project_type.name_en,
        host_zh=host.name_zh if host is not None else state.host,
        dated=certificate.dated,
        starts=certificate.starts,
        ends=certificate.ends,
        mode="mixed" if all(days) else "online" if days[1] else "centralised",
        centralised_days=certificate.centralised_days,
        online_days=certificate.online_days,
        hours=certificate.hours,
    )
