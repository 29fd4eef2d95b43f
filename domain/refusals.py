"""Every refusal of the domain: its code, its words in both languages, the way out, and what it rests on.

The words may hold `{names}`, filled in by `reason`. No text may be filled with personal data.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from domain.calendar import SHANGHAI
from domain.class_wordings import CLASS_WORDINGS
from domain.decision import Reason, Refusal
from domain.person_wordings import PERSON_WORDINGS
from domain.seat_wordings import SEAT_WORDINGS
from domain.wording import Wording

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
    "history_unreadable": Wording(
        "该案件的记录中有本版本无法读取的事件:{problem}。",
        "The case's history holds an event that this release cannot read: {problem}.",
        "请在所有进程升级到新版本后,用新的 Idempotency-Key 重发。",
        "Repeat it with a new Idempotency-Key once every process runs the newer release.",
    ),
    "correction_impossible": Wording(
        "“{was}”不能更正为“{becomes}”。",
        "`{was}` cannot be corrected to `{becomes}`.",
        "可更正为:{allowed}。",
        "Possible: {allowed}.",
        "domain.md §3, §4 (72)",
    ),
    "completion_incomplete": Wording(
        "更正为结业须填写集中培训天数和学时。",
        "A correction to completed needs the centralised days and the hours.",
        "请填写 centralised_days 和 hours。",
        "Give `centralised_days` and `hours`.",
    ),
    "reasons_missing": Wording(
        "更正为未结业须填写原因。",
        "A correction to not completed needs its reasons.",
        "请填写 reasons。",
        "Give `reasons`.",
    ),
    "certificate_missing": Wording(
        "该学员没有有效证书。",
        "There is no valid certificate to be issued anew.",
        "请先登记结业。",
        "Record the completion first.",
    ),
    "nomination_frozen": Wording(
        "该推荐因教师限制参训(至 {until})而暂停。",
        "This nomination stands still: the teacher is not eligible until {until}.",
        "请撤回推荐,或由市教育局凭豁免恢复。",
        "Withdraw it, or have the bureau resume it on a waiver.",
        "domain.md §4 (36)",
    ),
    "not_frozen": Wording(
        "该推荐未被暂停。",
        "This nomination does not stand still.",
        "无需恢复。",
        "There is nothing to resume.",
    ),
    "waiver_exists": Wording(
        "“{project_type}”已有未使用的豁免。",
        "There is an unused waiver for `{project_type}` already.",
        "请使用已有的豁免。",
        "Use that one.",
        "domain.md §4 (37)",
    ),
    "waiver_unknown": Wording(
        "限制 {restriction} 没有适用于该教师和项目的豁免。",
        "The restriction {restriction} has no waiver for this teacher and project.",
        "请核对限制编号,或向市教育局申请豁免。",
        "Check the restriction's number, or ask the bureau for a waiver.",
        "domain.md §4 (37)",
    ),
    "waiver_used": Wording(
        "限制 {restriction} 的豁免已使用;每项豁免只能使用一次。",
        "The waiver of {restriction} was used; each waiver serves one nomination.",
        "请向市教育局申请新的豁免。",
        "Ask the bureau for another one.",
        "domain.md §4 (37)",
    ),
    "host_suspended": Wording(
        "承训单位 {host} 已暂停承训(至 {until})。",
        "The host {host} is suspended until {until}.",
        "请由其他承训单位承办,或向市教育局申请恢复。",
        "Have another host run the class, or ask the bureau to reinstate it.",
        "通知 四(四):承训单位动态管理",
    ),
    "not_suspended": Wording(
        "承训单位 {host} 未被暂停。",
        "The host {host} is not suspended.",
        "无需恢复。",
        "There is nothing to lift.",
    ),
    "changed_meanwhile": Wording(
        "当前版本为 {version},而请求基于的版本是 {expected}。",
        "It is at version {version} by now, and the request was decided on version {expected}.",
        "请重新读取并再次判断,然后用新的 ETag 和新的 Idempotency-Key 提交。",
        "Read it again and decide anew; then send the new ETag, with a new Idempotency-Key.",
    ),
    "command_reused": Wording(
        "同一 Idempotency-Key 用于不同内容。",
        "This Idempotency-Key was used for other content.",
        "请为新内容使用新的键。",
        "Use a new key for new content.",
    ),
    "book_closed": Wording(
        "账本 {book} 已封账,不再接收新的记录。",
        "The book {book} is closed and takes nothing new.",
        "请记入当年的账本;如需更正已封账的内容,请联系市教育局。",
        "Record it in this year's book; to correct what is closed, speak to the bureau.",
    ),
    "book_detached": Wording(
        "账本 {book} 已归档,其记录不在本系统中。",
        "The book {book} was put into an archive; its records are not here any more.",
        "请向市教育局申请调阅归档记录。",
        "Ask the bureau for the archived records.",
    ),
    **CLASS_WORDINGS,
    **PERSON_WORDINGS,
    **SEAT_WORDINGS,
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


def stale_refusal(expected: Sequence[int], version: int) -> Refusal | None:
    """The refusal of a command that was decided on another version of the stream than this one, None if it was not."""
    if not expected or version in expected:
        return None
    decided_on = ", ".join(map(str, expected))
    refusal = refuse("changed_meanwhile", version=version, expected=decided_on)
    return refusal.model_copy(update={"facts": {"changed_meanwhile": {"version": version}}})


def in_words(instant: datetime) -> str:
    """An instant as the bureau writes it: `2022-08-31 24:00` rather than the next day's midnight."""
    local = instant.astimezone(SHANGHAI)
    if (local.hour, local.minute, local.second) == (0, 0, 0):
        return f"{(local - timedelta(days=1)):%Y-%m-%d} 24:00"
    return f"{local:%Y-%m-%d %H:%M}"
