"""Countersigning checkpoints of other ledgers, as C2SP tlog-witness has it. Requests carry no key of ours.

Who may ask is told by the signature on the checkpoint; the answers are those of the protocol, and problems where it
leaves the body open. Nothing here is of our own books.
"""

from typing import Any, Final

from fastapi import Request, Response

from api import problem_types
from api.problems import Problem, documented
from api.routing import public_router, unsupported_media_type
from api.services import ServicesHere
from api.validation import Fault
from ledger.witness import (
    MAX_REQUEST_CHARACTERS,
    MalformedRequest,
    NotConsistent,
    NotSigned,
    OtherSize,
    UnknownLog,
)
from ledger.witness_client import SIZE_MEDIA_TYPE

routes = public_router("/v1/witness", "witness")
MAX_BODY_BYTES: Final = 4 * MAX_REQUEST_CHARACTERS
_BODY: Final = {
    "required": True,
    "content": {
        "text/plain": {
            "schema": {"type": "string", "maxLength": MAX_REQUEST_CHARACTERS},
            "example": "old 20852014\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\n"
            "xunji.example/2022-zhengzhou\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
            "— xunji.example/2022-zhengzhou Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeO…\n",
        }
    },
}
_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The cosignature", "content": {"text/plain": {"schema": {"type": "string"}}}},
}


@routes.post(
    "/add-checkpoint",
    operation_id="add_checkpoint",
    summary="Have a checkpoint countersigned",
    responses=_ANSWERS | documented(400, 404, 409, 413, 415),
    response_class=Response,
    openapi_extra={"requestBody": _BODY},
)
async def add_checkpoint(request: Request, services: ServicesHere) -> Response:
    """Safe to repeat: it never signs two trees of one size. With another old size than ours, 409 and our size as
    `text/x.tlog.size`.
    """
    text = await _text(request)
    if services.witness is None:
        raise _unknown_log()
    try:
        line = await services.witness.add_checkpoint(text)
    except OtherSize as conflict:
        return Response(f"{conflict.size}\n", status_code=409, media_type=SIZE_MEDIA_TYPE)
    except UnknownLog:
        raise _unknown_log() from None
    except NotSigned as error:
        raise Problem(
            problem_types.WITNESS_NOT_SIGNED,
            Fault(
                "witness_not_signed",
                str(error),
                "该检查点没有已登记公钥的签名。",
                "Sign it with a key that this witness knows, or ask its operator to add the new one.",
                "请用见证方已登记的密钥签名，或请其运维登记新公钥。",
            ),
        ) from None
    except NotConsistent as error:
        raise Problem(
            problem_types.WITNESS_NOT_CONSISTENT,
            Fault(
                "witness_not_consistent",
                str(error),
                "证明不能说明新检查点包含旧检查点的全部内容。",
                "Send the proof from the old size to the checkpoint's. If there is none, something was changed.",
                "请提交从旧长度到新检查点的证明；若无法给出，说明内容被改动。",
            ),
        ) from None
    except MalformedRequest as error:
        raise _malformed(str(error)) from None
    return Response(line, media_type="text/plain")


async def _text(request: Request) -> str:
    media_type = request.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
    if media_type not in ("text/plain", "application/octet-stream", ""):
        raise unsupported_media_type("text/plain")
    body = await request.body()
    if len(body) > MAX_BODY_BYTES:
        raise _malformed(f"more than {MAX_REQUEST_CHARACTERS} characters")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise _malformed("the body is not UTF-8") from None


def _malformed(what: str) -> Problem:
    return Problem(
        problem_types.MALFORMED,
        Fault(
            "malformed_checkpoint_request",
            f"This is no request to add a checkpoint: {what}.",
            "请求不符合添加检查点的格式。",
            "See https://c2sp.org/tlog-witness for the format.",
            "格式见 https://c2sp.org/tlog-witness。",
        ),
    )


def _unknown_log() -> Problem:
    return Problem(
        problem_types.WITNESS_UNKNOWN_LOG,
        Fault(
            "witness_unknown_log",
            "This instance does not countersign for a log of this origin.",
            "本实例不为该来源的日志作见证。",
            "Ask its operator to add origin and public key (XUNJI_WITNESSED_LOGS), and to give it a key.",
            "请其运维登记来源和公钥（XUNJI_WITNESSED_LOGS），并配置见证密钥。",
        ),
    )
