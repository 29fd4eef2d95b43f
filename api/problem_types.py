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
CROSS_SITE = ProblemType("cross-site-request", 403, "Not from our own pages", "不是来自本系统页面")
NOT_FOUND = ProblemType("not-found", 404, "There is nothing here", "未找到")
METHOD_NOT_ALLOWED = ProblemType("method-not-allowed", 405, "Not with this method", "不支持该方法")
IN_FLIGHT = ProblemType("request-in-flight", 409, "The same request is being handled", "同一请求正在处理")
ENDPOINTS_EXHAUSTED = ProblemType("too-many-endpoints", 409, "Too many webhook endpoints", "回调地址过多")
ENDPOINT_DISABLED = ProblemType("endpoint-disabled", 409, "The webhook endpoint is disabled", "回调地址已停用")
CLOCK_IS_REAL = ProblemType("clock-is-real", 409, "Real time cannot be moved", "真实时间不能调整")
PRECONDITION_REQUIRED = ProblemType("precondition-required", 428, "If-Match is needed", "缺少 If-Match")
TOO_SLOW = ProblemType("body-too-slow", 408, "The body came too slowly", "请求体传输过慢")
TOO_LARGE = ProblemType("body-too-large", 413, "The body is too large", "请求体过大")
UNSUPPORTED_MEDIA_TYPE = ProblemType("unsupported-media-type", 415, "Not in this format", "不支持的内容格式")
INVALID = ProblemType("invalid-request", 422, "The request is not valid", "请求内容不符合要求")
KEY_REUSED = ProblemType(
    "idempotency-key-reused", 422, "The Idempotency-Key stands for another request", "Idempotency-Key 已用于其他请求"
)
INVALID_IDENTITY = ProblemType(
    "invalid-identity-number", 422, "The identity number is not accepted", "身份证号码不能接受"
)
FILE_INVALID = ProblemType("file-invalid", 422, "The file cannot be read as expected", "文件不符合要求")
TOO_MANY_REQUESTS = ProblemType("too-many-requests", 429, "Too many requests", "请求过多")
TOO_MANY_FAILED_SIGN_INS = ProblemType("too-many-failed-sign-ins", 429, "Too many failed sign-ins", "登录失败次数过多")
TOO_MANY_IMPORTS = ProblemType("too-many-imports", 409, "Too many imports are under way", "进行中的导入过多")
EXPORT_TOO_LARGE = ProblemType("export-too-large", 422, "Too many rows for one file", "导出行数过多")
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
ROW_DEPENDS = ProblemType("row-depends", 409, "The row rests on an earlier one", "本行依赖前面的行")
NOT_SENT = ProblemType("not-sent", 424, "Held back with the other rows", "随其他行一并未执行")
INBOX_FULL = ProblemType("inbox-full", 503, "Too many commands are waiting", "等待执行的命令过多")
NOT_CARRIED_OUT = ProblemType("not-carried-out", 503, "The command was not carried out", "命令未能执行")
VIEWS_BEHIND = ProblemType("views-behind", 503, "The views are far behind the ledger", "视图落后于账本")

_TECHNICAL = (
    MALFORMED,
    KEY_MISSING,
    UNAUTHENTICATED,
    SCOPE_MISSING,
    CROSS_SITE,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    IN_FLIGHT,
    ENDPOINTS_EXHAUSTED,
    ENDPOINT_DISABLED,
    CLOCK_IS_REAL,
    PRECONDITION_REQUIRED,
    TOO_SLOW,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    INVALID,
    KEY_REUSED,
    INVALID_IDENTITY,
    FILE_INVALID,
    TOO_MANY_REQUESTS,
    TOO_MANY_FAILED_SIGN_INS,
    TOO_MANY_IMPORTS,
    EXPORT_TOO_LARGE,
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
    ROW_DEPENDS,
    NOT_SENT,
    INBOX_FULL,
    NOT_CARRIED_OUT,
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
        ("correction_impossible", 409, "Not a possible correction", "不能如此更正"),
        ("certificate_missing", 409, "There is no valid certificate", "没有有效证书"),
        ("nomination_frozen", 409, "The nomination stands still", "推荐已暂停"),
        ("not_frozen", 409, "The nomination does not stand still", "推荐未暂停"),
        ("waiver_exists", 409, "There is an unused waiver", "已有未使用的豁免"),
        ("waiver_used", 409, "The waiver was used", "豁免已使用"),
        ("host_suspended", 409, "The host is suspended", "承训单位已暂停承训"),
        ("not_suspended", 409, "The host is not suspended", "承训单位未暂停承训"),
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
        ("class_begun", 409, "The class has begun", "班级已开始"),
        ("class_too_small", 409, "The other class is too small", "目标班级名额不足"),
        ("nothing_changes", 409, "Nothing changes", "没有变更"),
        ("class_not_changed", 409, "The class was not changed", "班级未变更"),
        ("host_shortfall", 409, "The shortfall is the host's", "天数不足属承训单位"),
        ("timetable_missing", 409, "There is no timetable", "缺少课表"),
        ("attendance_unknown", 409, "Attendance is unknown", "考勤不全"),
        ("attendance_short", 409, "Too little attendance", "出勤不足"),
        ("class_not_begun", 409, "The class has not begun", "班级尚未开始"),
        ("marks_conflict", 409, "Two marks for one moment", "考勤记录冲突"),
        ("trainee_not_registered", 409, "The trainee has not registered", "学员尚未报到"),
        ("dates_in_past", 422, "The dates have passed", "日期已过"),
        ("class_over_already", 422, "The class would be over already", "培训班已结束"),
        ("answer_dated_wrong", 422, "The answer's date is impossible", "答复日期有误"),
        ("seat_held_already", 409, "A seat is held already", "已占用名额"),
        ("trainees_not_in_class", 422, "Not in this class", "学员不在该班"),
        ("days_exceed_class", 422, "More days than the class has", "天数超过班级"),
        ("session_outside_class", 422, "A session outside the class", "课程不在培训期内"),
        ("session_on_holiday", 422, "A session on a holiday", "节假日排课"),
        ("session_repeated", 422, "A session is there twice", "时段重复"),
        ("session_unknown", 422, "No such session", "课表无此时段"),
        ("duty_repeated", 422, "A duty is there twice", "职责重复"),
        ("leave_document_missing", 422, "The leave's document is missing", "缺少请假证明"),
        ("evidence_missing", 422, "The absence's evidence is missing", "缺少未报到证明"),
        ("units_exceed_session", 422, "More units than the session has", "学时超过该时段"),
        ("arrival_time_wrong", 422, "The time of arrival is wrong", "报到时间有误"),
        ("mark_time_wrong", 422, "The mark's time is wrong", "记录时间有误"),
        ("correction_without_evidence", 422, "A correction needs evidence", "更正缺少证据"),
        ("ineffective_repeat", 422, "Completed in this cycle already", "本周期内已结业"),
        ("dates_overlap", 409, "The days overlap another training", "培训日期重叠"),
        ("identity_under_review", 409, "Who is meant is under review", "身份核实中"),
        ("no_identity_review", 409, "No identity waits for a decision", "没有待核实的身份"),
        ("nominated_himself", 403, "The next level approves", "推荐本人由上一级审核"),
        ("same_school", 409, "It belongs to this school already", "已属于该校"),
        ("school_elsewhere", 422, "The school is in another county", "学校不属于该区县"),
        ("nothing_to_correct", 422, "Nothing would change", "没有需要更正的内容"),
        ("same_person", 422, "Both ids name one record", "同一条记录"),
        ("record_joined", 409, "The record ended in another one", "记录已合并"),
        ("has_doubles", 409, "Others were joined into this record", "已有记录并入"),
        ("too_many_doubles", 409, "Too many records for one teacher", "并入记录过多"),
        ("person_erased", 409, "The teacher was forgotten", "个人信息已删除"),
        ("erasure_held", 409, "Stored only, until the restriction ends", "限制期内只予保存"),
        ("case_still_open", 409, "A nomination is open", "尚有未结束的推荐"),
        ("identity_number_taken", 409, "The number is another record's", "身份证号码已属于另一条记录"),
        ("person_unknown", 404, "No such person", "教师不存在"),
        ("school_has_open_cases", 409, "The school has open cases", "学校尚有未结束的推荐"),
        ("school_closed", 409, "The school was closed", "学校已撤并"),
        ("waiver_unknown", 422, "No such waiver", "没有该豁免"),
        ("completion_incomplete", 422, "Days and hours are missing", "缺少天数和学时"),
        ("reasons_missing", 422, "The reasons are missing", "缺少原因"),
        ("not_below", 422, "The seats can't go there", "不能下达至该单位"),
        ("no_line_above", 409, "There is no line above", "没有上级名额"),
        ("too_many_offers", 409, "Too many open offers", "调剂过多"),
        ("not_a_sibling", 422, "Not a recipient of the same seats", "不是同级单位"),
        ("offer_not_open", 409, "The offer is not open", "调剂已结束"),
        ("shortfall_too_large", 422, "More than the line has", "超过名额数"),
        ("offers_ended", 409, "No seat is offered any more", "候补已截止"),
        ("seat_offer_ended", 409, "The offered seat is gone", "候补名额已失效"),
        ("substitute_too_late", 409, "Too late for a substitute", "已过替换期限"),
        ("substitute_is_the_same", 422, "The substitute is the same teacher", "替换的是同一人"),
        ("substituted", 409, "Somebody else has the seat", "已被替换"),
        ("impersonation_recorded", 409, "Somebody else turned up", "已登记顶替"),
        ("host_not_removed", 409, "The host was not removed", "承训单位未取消"),
        ("host_removed", 409, "The host was removed", "承训单位已取消"),
        ("host_in_use", 409, "The host still has trainees", "承训单位仍有学员"),
        ("no_such_recipient", 422, "No such recipient", "接收单位不存在"),
        ("reopening_dates", 422, "The reopening's end is wrong", "补报截止时间有误"),
        ("too_many_reopenings", 409, "Too many reopenings", "补报次数过多"),
        ("changed_meanwhile", 412, "It has changed since you read it", "内容已变更"),
        ("command_reused", 422, "The key stands for other content", "键已用于其他内容"),
    )
}

BY_SLUG: dict[str, ProblemType] = {each.slug: each for each in (*_TECHNICAL, OTHER_REFUSAL, *REFUSALS.values())}


def refusal_type(code: str) -> ProblemType:
    """The problem type of a refusal's code."""
    return REFUSALS.get(code, OTHER_REFUSAL)
