"""Every kind of problem the API answers with: slug, HTTP status and title. One table; `docs/problems/` explains each.

The slug is the last part of the problem's `type`, an address that we serve. A refusal of the domain keeps its code:
`quota_exhausted` is the problem type `quota-exhausted`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A kind of problem. The title never changes with the occurrence (RFC 9457)."""

    slug: str
    status: int
    title: str
    title_zh: str


# ------------------------------------------------------------------------------------------- of the request itself

MALFORMED = ProblemType("malformed-request", 400, "The request could not be read", "请求无法读取")
KEY_MISSING = ProblemType("idempotency-key-missing", 400, "An Idempotency-Key is needed", "缺少 Idempotency-Key")
UNAUTHENTICATED = ProblemType("unauthenticated", 401, "No valid API key", "API 密钥缺失或无效")
SCOPE_MISSING = ProblemType("scope-missing", 403, "The key lacks a scope", "密钥缺少所需权限")
NOT_FOUND = ProblemType("not-found", 404, "There is nothing here", "未找到")
METHOD_NOT_ALLOWED = ProblemType("method-not-allowed", 405, "Not with this method", "不支持该方法")
IN_FLIGHT = ProblemType("request-in-flight", 409, "The same request is being handled", "同一请求正在处理")
ENDPOINTS_EXHAUSTED = ProblemType("too-many-endpoints", 409, "Too many webhook endpoints", "回调地址过多")
ENDPOINT_DISABLED = ProblemType("endpoint-disabled", 409, "The webhook endpoint is disabled", "回调地址已停用")
CLOCK_IS_REAL = ProblemType("clock-is-real", 409, "Real time cannot be moved", "真实时间不能调整")
TOO_LARGE = ProblemType("body-too-large", 413, "The body is too large", "请求体过大")
UNSUPPORTED_MEDIA_TYPE = ProblemType("unsupported-media-type", 415, "Not in this format", "不支持的内容格式")
INVALID = ProblemType("invalid-request", 422, "The request is not valid", "请求内容不符合要求")
KEY_REUSED = ProblemType(
    "idempotency-key-reused", 422, "The Idempotency-Key stands for another request", "Idempotency-Key 已用于其他请求"
)
INVALID_IDENTITY = ProblemType(
    "invalid-identity-number", 422, "The identity number is not accepted", "身份证号码不能接受"
)
PLAN_INVALID = ProblemType("plan-invalid", 422, "The plan has errors", "方案有误")
PLAN_CONFLICT = ProblemType("plan-conflict", 409, "Another plan runs under this id", "该编号已有另一方案")
URL_REFUSED = ProblemType("webhook-url-refused", 422, "The webhook's URL is not accepted", "回调地址不能接受")
INTERNAL = ProblemType("internal-error", 500, "Something went wrong on our side", "系统内部错误")
OUT_OF_RANGE = ProblemType("proof-out-of-range", 422, "The book is not that long", "账本没有这么长")
LEDGER_DAMAGED = ProblemType("ledger-damaged", 409, "The ledger does not hold what was recorded", "账本内容缺失")
WITNESS_UNKNOWN_LOG = ProblemType("witness-unknown-log", 404, "This log is not witnessed here", "此处不见证该日志")
WITNESS_NOT_SIGNED = ProblemType(
    "witness-not-signed", 403, "The checkpoint is not signed by the log", "检查点没有该日志的签名"
)
WITNESS_NOT_CONSISTENT = ProblemType("witness-not-consistent", 422, "The proof does not hold", "一致性证明不成立")
DATABASE_AWAY = ProblemType("database-unavailable", 503, "The database cannot be reached", "数据库暂不可用")
TEMPORAL_AWAY = ProblemType("temporal-unavailable", 503, "The workflow service cannot be reached", "流程服务暂不可用")
STILL_WORKING = ProblemType("command-pending", 503, "The command is not done yet", "命令尚未完成")
VIEWS_BEHIND = ProblemType("views-behind", 503, "The views are far behind the ledger", "视图落后于账本")

_TECHNICAL = (
    MALFORMED,
    KEY_MISSING,
    UNAUTHENTICATED,
    SCOPE_MISSING,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    IN_FLIGHT,
    ENDPOINTS_EXHAUSTED,
    ENDPOINT_DISABLED,
    CLOCK_IS_REAL,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    INVALID,
    KEY_REUSED,
    INVALID_IDENTITY,
    PLAN_INVALID,
    PLAN_CONFLICT,
    URL_REFUSED,
    OUT_OF_RANGE,
    LEDGER_DAMAGED,
    WITNESS_UNKNOWN_LOG,
    WITNESS_NOT_SIGNED,
    WITNESS_NOT_CONSISTENT,
    INTERNAL,
    DATABASE_AWAY,
    TEMPORAL_AWAY,
    STILL_WORKING,
    VIEWS_BEHIND,
)

# -------------------------------------------------------------------------------------------- refusals of the domain

OTHER_REFUSAL = ProblemType("refused", 409, "The rules do not allow this", "规则不允许")
"""For a code that the table below does not know yet; a test keeps the table complete."""

REFUSALS: dict[str, ProblemType] = {
    code: ProblemType(code.replace("_", "-"), status, title, title_zh)
    for code, status, title, title_zh in (
        ("not_your_part", 403, "This step belongs to somebody else", "非本单位的步骤"),
        ("unknown_number", 404, "No such number", "编号不存在"),
        ("already_exists", 409, "It exists already", "已存在"),
        ("not_allowed_in_phase", 409, "Not in this phase", "当前阶段不允许"),
        ("quota_exhausted", 409, "No seat is left", "名额已满"),
        ("duplicate_nomination", 409, "Nominated already", "重复推荐"),
        ("restricted_until", 409, "Not eligible until a date", "限制期内"),
        ("class_full", 409, "The class is full", "班级已满"),
        ("class_closed", 409, "The class takes nobody in any more", "班级已不接收学员"),
        ("deadline_passed", 409, "The deadline has passed", "已过截止时间"),
        ("awaiting_resubmission", 409, "It waits for its resubmission", "等待重新提交"),
        ("not_returned", 409, "It was not returned", "未被退回"),
        ("too_early", 409, "Too early", "尚未到时间"),
        ("check_in_not_confirmed", 409, "The check-in list is not confirmed", "报到名单未确认"),
        ("leave_unknown", 409, "No such open leave", "没有待处理的请假"),
        ("follow_up_not_submitted", 409, "The follow-up task is not in", "跟踪任务未提交"),
        ("excuse_window_passed", 409, "Too late to excuse the absence", "特殊情况说明期已过"),
        ("not_yet_served", 409, "The notice was not served yet", "尚未送达"),
        ("objection_window_open", 409, "The objection window is open", "异议期未满"),
        ("objection_window_passed", 409, "The objection window has ended", "异议期已过"),
        ("restriction_overlaps", 409, "These days are barred already", "限制期重叠"),
        ("capacity_below_used", 409, "Fewer places than are taken", "名额少于已用"),
        ("outcomes_missing", 409, "Outcomes are missing", "结果未登记完"),
        ("count_below_zero", 409, "A count would fall below zero", "计数不能为负"),
        ("trainee_of_another_class", 409, "The trainee is in another class", "学员不在该班级"),
        ("unknown_project_type", 422, "No such project type", "项目类型不存在"),
        ("no_quota_line", 422, "No seats were given for this", "没有该项目名额"),
        ("project_counties_only", 422, "For project counties only", "仅限项目县"),
        ("stage_not_eligible", 422, "Not open to this stage", "学段不符"),
        ("subject_not_eligible", 422, "Not open to this subject", "学科不符"),
        ("position_not_eligible", 422, "Not open to this position", "岗位不符"),
        ("rural_required", 422, "For rural teachers only", "仅限农村教师"),
        ("service_too_short", 422, "Too few years of service", "教龄不足"),
        ("host_unknown", 422, "No such host", "承训单位不存在"),
        ("host_of_another_level", 422, "The host runs another level", "承训单位不承办该类项目"),
        ("host_missing", 422, "The host is missing", "未指派承训单位"),
        ("class_unknown", 422, "No such class", "班级不存在"),
        ("class_of_another_host", 422, "The class belongs to another host", "班级属于其他承训单位"),
        ("class_of_another_project", 422, "The class is for another project type", "班级属于其他项目"),
        ("centralised_days_short", 422, "Too few days of centralised training", "集中培训天数不足"),
        ("leave_dates", 422, "The leave's dates are wrong", "请假日期有误"),
        ("dates_out_of_order", 422, "The dates are out of order", "日期顺序有误"),
        ("dates_outside_campaign", 422, "The dates are outside the campaign", "日期超出项目期"),
        ("school_of_another_county", 422, "The school belongs to another county", "学校不属于该区县"),
        ("history_unreadable", 503, "Written by a newer release", "由更新的版本写入"),
        ("book_closed", 409, "The book is closed", "账本已封账"),
        ("book_detached", 409, "The book is archived", "账本已归档"),
        ("command_reused", 422, "The key stands for other content", "键已用于其他内容"),
    )
}

BY_SLUG: dict[str, ProblemType] = {each.slug: each for each in (*_TECHNICAL, OTHER_REFUSAL, *REFUSALS.values())}


def refusal_type(code: str) -> ProblemType:
    """The problem type of a refusal's code."""
    return REFUSALS.get(code, OTHER_REFUSAL)
