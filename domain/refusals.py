"""Every refusal of the domain: its code, its words in both languages, the way out, and what it rests on.

The words may hold `{names}`, filled in by `reason`. No text may be filled with personal data.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.calendar import SHANGHAI
from domain.decision import Reason, Refusal


@dataclass(frozen=True, slots=True)
class Wording:
    """The texts of one code."""

    zh: str
    en: str
    remedy_zh: str
    remedy_en: str
    source: str = ""


WORDINGS: dict[str, Wording] = {
    "not_allowed_in_phase": Wording(
        "“{phase}”阶段不能执行“{command}”。",
        "`{command}` is not allowed while the case is {phase}.",
        "此阶段可执行:{allowed}。",
        "Allowed now: {allowed}.",
        "domain.md §2",
    ),
    "not_your_part": Wording(
        "此操作应由{roles}执行。",
        "This step belongs to: {roles}.",
        "请由相应单位的密钥提交。",
        "Send it with a key of the organisation whose step it is.",
        "domain.md §2",
    ),
    "already_exists": Wording(
        "编号 {number} 已存在。",
        "{number} exists already.",
        "请使用新的编号,或以原 Idempotency-Key 重发。",
        "Use a new number, or repeat the request with its first Idempotency-Key.",
    ),
    "unknown_number": Wording(
        "编号 {number} 不存在。",
        "{number} does not exist.",
        "请核对编号。",
        "Check the number.",
    ),
    "unknown_project_type": Wording(
        "计划中没有项目类型“{project_type}”。",
        "The plan has no project type `{project_type}`.",
        "请使用:{known}。",
        "Use one of: {known}.",
        "通知 一、项目类别",
    ),
    "no_quota_line": Wording(
        "{county} 没有“{project_type}”的名额。",
        "{county} was given no seats in `{project_type}`.",
        "请改报有名额的项目,或向市教育局申请。",
        "Nominate for a project with seats, or ask the bureau.",
        "通知 四(二),附件1-9",
    ),
    "stage_not_eligible": Wording(
        "“{project_type}”不面向学段“{stage}”。",
        "`{project_type}` is not open to the stage `{stage}`.",
        "可报学段:{allowed}。",
        "Open to: {allowed}.",
        "通知 四(二) 项目遴选条件",
    ),
    "subject_not_eligible": Wording(
        "“{project_type}”不面向学科“{subject}”。",
        "`{project_type}` is not open to the subject `{subject}`.",
        "可报学科:{allowed}。",
        "Open to: {allowed}.",
        "通知 四(二) 项目遴选条件",
    ),
    "position_not_eligible": Wording(
        "“{project_type}”不面向岗位“{position}”。",
        "`{project_type}` is not open to the position `{position}`.",
        "可报岗位:{allowed}。",
        "Open to: {allowed}.",
        "通知 四(二) 项目遴选条件",
    ),
    "rural_required": Wording(
        "“{project_type}”仅面向农村教师。",
        "`{project_type}` is for rural teachers.",
        "请推荐农村一线教师。",
        "Nominate a teacher of the rural front line.",
        "通知 四(二):向农村教学一线教师倾斜",
    ),
    "service_too_short": Wording(
        "教龄 {years} 年,少于要求的 {required} 年。",
        "{years} years of service are fewer than the {required} required.",
        "请推荐教龄符合条件的教师。",
        "Nominate somebody with enough years of service.",
        "通知 四(二) 项目遴选条件",
    ),
    "project_counties_only": Wording(
        "“{project_type}”仅面向项目县。",
        "`{project_type}` is for project counties (项目县) only.",
        "请改报其他项目。",
        "Nominate for another project.",
        "通知 四(二):统筹分配项目县与非项目县培训指标",
    ),
    "deadline_passed": Wording(
        "截止时间 {deadline} 已过。",
        "The deadline {deadline} has passed.",
        "如确有需要,请联系市教育局。",
        "If it must be, speak to the bureau.",
        "通知 四(二):8月31日前完成遴选",
    ),
    "quota_exhausted": Wording(
        "名额已满:{line} 共 {limit} 个,已用 {used} 个。",
        "No seat left: {line} has {limit}, {used} in use.",
        "请先撤回一人,或向市教育局申请调剂。",
        "Withdraw somebody first, or ask the bureau to move seats.",
        "通知 四(二),附件1-9",
    ),
    "duplicate_nomination": Wording(
        "该教师已被推荐参加同一项目类型。",
        "This teacher already has a nomination for this project type.",
        "请撤回重复的推荐。",
        "Drop the duplicate.",
        "通知 四(二):杜绝无效的重复培训",
    ),
    "restricted_until": Wording(
        "该教师在 {until} 之前不符合参训条件。",
        "This teacher is not eligible until {until}.",
        "请推荐其他教师;教师本人可向市教育局查询。",
        "Nominate somebody else; the teacher may ask the bureau.",
        "通知 四(三)",
    ),
    "class_full": Wording(
        "班级 {training_class} 已满({limit} 人)。",
        "Class {training_class} is full ({limit} places).",
        "请安排其他班级或增加班级人数。",
        "Choose another class or raise its capacity.",
    ),
    "class_unknown": Wording(
        "班级 {training_class} 不存在。",
        "Class {training_class} does not exist.",
        "请核对班级编号。",
        "Check the class number.",
    ),
    "class_of_another_host": Wording(
        "班级 {training_class} 不属于该学员的承训单位。",
        "Class {training_class} belongs to another host than the one this trainee was assigned to.",
        "请选择本单位的班级。",
        "Choose a class of the assigned host.",
    ),
    "class_of_another_project": Wording(
        "班级 {training_class} 属于项目“{project_type}”。",
        "Class {training_class} trains for `{project_type}`.",
        "请选择同一项目类型的班级。",
        "Choose a class of the trainee's own project type.",
    ),
    "class_closed": Wording(
        "班级 {training_class} 已不接收学员。",
        "Class {training_class} takes nobody in any more.",
        "请选择尚未结束报到的班级。",
        "Choose a class whose check-in is still open.",
    ),
    "host_unknown": Wording(
        "计划中没有承训单位“{host}”。",
        "The plan has no host `{host}`.",
        "请核对承训单位编号。",
        "Check the host's id.",
        "通知 二、项目承办单位",
    ),
    "host_of_another_level": Wording(
        "{host} 不承办“{level}”项目。",
        "{host} does not host {level} projects.",
        "请指派承办该类项目的单位。",
        "Assign a host of that level.",
        "通知 二、项目承办单位",
    ),
    "host_missing": Wording(
        "市级审核通过时必须指派承训单位。",
        "The city's approval must name the host.",
        "请填写 host。",
        "Give `host`.",
    ),
    "awaiting_resubmission": Wording(
        "该推荐已退回,等待重新提交。",
        "This nomination was returned and waits for its resubmission.",
        "请推荐单位修改后重新提交。",
        "The nominating school or county resubmits it first.",
    ),
    "not_returned": Wording(
        "该推荐未被退回。",
        "This nomination was not returned.",
        "无需重新提交。",
        "There is nothing to resubmit.",
    ),
    "too_early": Wording(
        "{earliest} 之前不能执行“{command}”。",
        "`{command}` is possible from {earliest}.",
        "请届时再提交。",
        "Send it then.",
    ),
    "check_in_not_confirmed": Wording(
        "班级 {training_class} 的报到名单尚未确认,不能登记未报到。",
        "Class {training_class} has not confirmed its check-in list, so nobody can be absent yet.",
        "请承训单位先确认报到名单。",
        "The host confirms the check-in list first.",
        "domain.md §2, §4 (39, 40)",
    ),
    "centralised_days_short": Wording(
        "集中培训 {days} 天,少于要求的 {required} 天,不能结业。",
        "{days} centralised days are fewer than the {required} required to complete.",
        "请核对天数,或登记为未结业。",
        "Check the days, or record the training as not completed.",
        "通知 四(二):不少于7天的外出参加集中培训",
    ),
    "leave_unknown": Wording(
        "没有待处理的请假 {leave}。",
        "There is no open leave request {leave}.",
        "请核对请假编号。",
        "Check the number of the request.",
    ),
    "leave_dates": Wording(
        "请假日期须在培训期内({starts} 至 {ends})且起止有序。",
        "A leave lies within the training ({starts} to {ends}) and ends no earlier than it begins.",
        "请更正日期。",
        "Correct the dates.",
    ),
    "follow_up_not_submitted": Wording(
        "跟踪任务尚未提交。",
        "The follow-up task has not been submitted.",
        "提交后再评审。",
        "Review it once it is there.",
    ),
    "excuse_window_passed": Wording(
        "特殊情况说明期限 {deadline} 已过。",
        "The time to excuse the absence ended at {deadline}.",
        "可对拟限制提出异议。",
        "Object to the proposed restriction instead.",
        "通知 四(三):无特殊情况未参训",
    ),
    "not_yet_served": Wording(
        "尚未送达教师,不能决定。",
        "The teacher has not been served yet, so nothing can be decided.",
        "请先送达。",
        "Serve the notice first.",
        "domain.md §2 限制程序",
    ),
    "objection_window_open": Wording(
        "异议期至 {deadline},期满前不能决定。",
        "The objection window runs until {deadline}; nothing is decided before.",
        "请在期满后决定。",
        "Decide after it has ended.",
        "domain.md §2 限制程序",
    ),
    "objection_window_passed": Wording(
        "异议期已于 {deadline} 结束。",
        "The objection window ended at {deadline}.",
        "可向市教育局申诉。",
        "Appeal to the bureau.",
        "domain.md §2 限制程序",
    ),
    "restriction_overlaps": Wording(
        "该教师在此期间已有限制记录。",
        "A restriction with this number already bars these days.",
        "请核对限制记录。",
        "Check the restriction's record.",
    ),
    "dates_out_of_order": Wording(
        "开始日期须早于结束日期。",
        "The start must lie before the end.",
        "请更正日期。",
        "Correct the dates.",
    ),
    "dates_outside_campaign": Wording(
        "日期须在 {opens} 至 {closes} 之间。",
        "The dates must lie between {opens} and {closes}.",
        "请更正日期。",
        "Correct the dates.",
        "通知 三、培训时间与地点",
    ),
    "capacity_below_used": Wording(
        "名额 {limit} 少于已用 {used}。",
        "{limit} is below the {used} already in use.",
        "请先释放名额。",
        "Free places first.",
    ),
    "outcomes_missing": Wording(
        "还有 {count} 名学员没有结果。",
        "{count} trainees of this class have no outcome yet.",
        "请先登记结业、未结业或劝退。",
        "Record their completion, non-completion or dismissal first.",
    ),
    "count_below_zero": Wording(
        "{key} 的计数不能为负。",
        "The count of {key} cannot fall below zero.",
        "请联系系统管理员。",
        "Report this to the operators.",
    ),
    "command_reused": Wording(
        "同一 Idempotency-Key 用于不同内容。",
        "This Idempotency-Key was used for other content.",
        "请为新内容使用新的键。",
        "Use a new key for new content.",
    ),
    "not_below": Wording(
        "{to} 不是 {line} 的下级单位。",
        "{to} does not stand below {line}.",
        "市级下达至名额接收单位,区县下达至所属学校。",
        "The bureau delegates to a recipient of the plan, a county to one of its own schools.",
        "domain.md §4 (1)",
    ),
    "no_line_above": Wording(
        "{line} 没有上级名额。",
        "There is no line above {line}.",
        "请联系市教育局。",
        "Ask the bureau for an override of the line.",
        "domain.md §4 (1)",
    ),
    "too_many_offers": Wording(
        "已有 {limit} 项调剂在进行。",
        "{limit} offers are open already.",
        "请等待答复或撤回其中一项。",
        "Wait for an answer, or recall one.",
    ),
    "not_a_sibling": Wording(
        "{to} 不能接收 {line} 的调剂名额。",
        "{to} cannot be offered seats of {line}.",
        "请填写同一项目、同级且已有名额的其他单位,每个单位一次。",
        "Name other recipients of the same project type on the same level, each once.",
        "domain.md §4 (2)",
    ),
    "offer_not_open": Wording(
        "没有待答复的调剂 {offer}。",
        "Offer {offer} is not open.",
        "请核对调剂序号;过期的不再恢复。",
        "Check its number; one that has ended does not come back.",
        "domain.md §4 (2)",
    ),
    "shortfall_too_large": Wording(
        "上报缺额 {seats} 多于名额 {size}。",
        "A shortfall of {seats} is more than the {size} seats of the line.",
        "请更正缺额。",
        "Correct the number.",
        "domain.md §4 (6)",
    ),
    "offers_ended": Wording(
        "候补已于 {until} 截止。",
        "Seats are offered until {until} only.",
        "请在下一年度推荐。",
        "Nominate in the next campaign.",
        "domain.md §4 (7)",
    ),
    "seat_offer_ended": Wording(
        "该名额的答复期限 {until} 已过。",
        "The time to take the offered seat ended at {until}.",
        "名额已转给下一位,不再恢复。",
        "The seat went on to the next; an offer does not come back.",
        "domain.md §4 (7)",
    ),
    "substitute_too_late": Wording(
        "{cut_off} 之后替换的教师无法完成 {days} 天集中培训。",
        "A substitute named after {cut_off} could not reach the {days} days of training.",
        "请为该教师办理撤回。",
        "Withdraw the trainee instead.",
        "通知 四(二):不少于7天;domain.md §4 (17)",
    ),
    "substitute_is_the_same": Wording(
        "替换的教师与原教师为同一人。",
        "The substitute is the trainee himself.",
        "请推荐另一名教师。",
        "Name another teacher.",
        "domain.md §4 (16)",
    ),
    "substituted": Wording(
        "{number} 已由 {substitute} 替换,不能参训。",
        "{number} was replaced by {substitute}, who has the seat now.",
        "请按 {substitute} 办理。",
        "Go on with {substitute}.",
        "domain.md §4 (18)",
    ),
    "impersonation_recorded": Wording(
        "该学员有顶替记录,两人均不计报到。",
        "Somebody else turned up as this trainee; neither of the two is present.",
        "请区县和市教育局核实。",
        "The county and the bureau look into it first.",
        "domain.md §4 (19)",
    ),
    "host_not_removed": Wording(
        "承训单位 {host} 未被取消,或没有接替单位。",
        "The host {host} was not removed, or nobody takes over.",
        "无需变更。",
        "There is nothing to change.",
        "domain.md §4 (4)",
    ),
    "host_removed": Wording(
        "承训单位 {host} 已被取消承训资格。",
        "The host {host} was removed from the campaign.",
        "请指派其他承训单位。",
        "Name another host.",
        "domain.md §4 (4)",
    ),
    "host_in_use": Wording(
        "{host} 仍有 {assigned} 名待编班学员和 {in_class} 名在班学员。",
        "{host} still has {assigned} trainees to be placed and {in_class} in classes.",
        "请指定接替单位 replacement;在班学员须先办结。",
        "Name a `replacement`; those in a class must be settled first.",
        "domain.md §4 (4)",
    ),
    "no_such_recipient": Wording(
        "计划中没有名额接收单位“{county}”。",
        "The plan has no recipient `{county}`.",
        "请核对单位编号。",
        "Check its id.",
        "通知 附件1-9",
    ),
    "reopening_dates": Wording(
        "补报截止须晚于 {now} 且不晚于 {last}。",
        "A reopening ends after {now} and by {last}.",
        "请更正截止时间。",
        "Correct `until`.",
        "domain.md §4 (44)",
    ),
    "too_many_reopenings": Wording(
        "补报已达 {limit} 次。",
        "The selection was reopened {limit} times already.",
        "请联系系统管理员。",
        "Ask the operators.",
    ),
}


def reason(code: str, *, field: str = "", **parts: object) -> Reason:
    """The reason with `code`, its words filled with `parts`. Raises KeyError for an unknown code or a missing part."""
    words = WORDINGS[code]
    return Reason(
        code=code,
        zh=words.zh.format_map(parts),
        en=words.en.format_map(parts),
        remedy_zh=words.remedy_zh.format_map(parts),
        remedy_en=words.remedy_en.format_map(parts),
        source=words.source,
        field=field,
    )


def refuse(code: str, *, field: str = "", **parts: object) -> Refusal:
    """A refusal for a single reason."""
    return Refusal(reasons=(reason(code, field=field, **parts),))


def in_words(instant: datetime) -> str:
    """An instant as the bureau writes it: `2022-08-31 24:00` rather than the next day's midnight."""
    local = instant.astimezone(SHANGHAI)
    if (local.hour, local.minute, local.second) == (0, 0, 0):
        return f"{(local - timedelta(days=1)):%Y-%m-%d} 24:00"
    return f"{local:%Y-%m-%d %H:%M}"
