"""Delivery reports as mail servers write them (RFC 3464), and others that are none."""

ADDRESS = "wang@school.example.org"
_REPORT = """\
Return-Path: <>
From: MAILER-DAEMON@mx.example.org (Mail Delivery System)
{header}: {to}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="4F5XYZ1"

--4F5XYZ1
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.
<{about}>: host mail.school.example.org said: 550 {status} user unknown

--4F5XYZ1
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org
X-Postfix-Queue-ID: 4F5XYZ1
Arrival-Date: Tue, 20 Sep 2022 09:30:00 +0800 (CST)

Final-Recipient: rfc822; {about}
Original-Recipient: rfc822;{about}
Action: {action}
Status: {status}
Remote-MTA: dns; mail.school.example.org
Diagnostic-Code: smtp; 550 {status} <{about}>: user unknown

--4F5XYZ1
Content-Type: text/rfc822-headers

From: xunji@example.org
To: {about}
Subject: =?utf-8?b?5byA54+t6YCa55+l?=

--4F5XYZ1--
"""
_OUT_OF_OFFICE = """\
From: {about}
To: {to}
Subject: Re: hello
Auto-Submitted: auto-replied
Content-Type: text/plain; charset=utf-8

我不在办公室。
"""


def report(to: str, action: str = "failed", status: str = "5.1.1", *, header: str = "To") -> bytes:
    """A report that is sent to `to` about a mail to ADDRESS."""
    return _REPORT.format(header=header, to=to, about=ADDRESS, action=action, status=status).encode()


def out_of_office(to: str) -> bytes:
    """An answer of somebody's mail program, which is no report."""
    return _OUT_OF_OFFICE.format(about=ADDRESS, to=to).encode()
