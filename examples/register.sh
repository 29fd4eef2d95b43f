#!/usr/bin/env bash
# Register everybody of a class who is on the list and has arrived (报到), with curl.
#
#     XUNJI=https://xunji.example.edu.cn XUNJI_KEY_FILE=key.header ./register.sh zz22-c-h012-01 < arrived.txt
#
# arrived.txt has one trainee's number a line. The key file holds one line, `Authorization: Bearer xj_…`, and is yours
# alone (chmod 600): a key on the command line could be read by others in the list of processes.
#
# Running it again is safe: the same list is the same request. Ends with 1 when a row was refused.
set -euo pipefail

training_class=${1:?the number of the class, such as zz22-c-h012-01}
: "${XUNJI:?the address of xunji, such as https://xunji.example.edu.cn}"
: "${XUNJI_KEY_FILE:?a file with the line Authorization: Bearer xj_…}"

body=$(python3 -c '
import json, sys
print(json.dumps({"items": [{"trainee": line.strip()} for line in sys.stdin if line.strip()]}))')

# The same list has the same Idempotency-Key, another one another.
key=register-$(python3 -c 'import hashlib, sys; print(hashlib.sha256(sys.argv[1].encode()).hexdigest()[:40])' \
  "$training_class $body")

# Waits and asks again while the service is away or busy (429, 503 and the like), as long as --retry says.
answer=$(curl --silent --show-error --retry 5 --retry-connrefused --max-time 120 \
  --header @"$XUNJI_KEY_FILE" --header "Idempotency-Key: $key" --header 'Content-Type: application/json' \
  --data "$body" "$XUNJI/v1/classes/$training_class/registrations")

# A result for each row; a refusal says what is wrong and the way out, in Chinese (detail, remedy: in English).
python3 -c '
import json, sys
answer = json.load(sys.stdin)
if "title" in answer:
    sys.exit("%(status)s %(title)s: %(detail)s %(detail_zh)s" % answer)
if "items" not in answer:
    print("Kept, and done as soon as everything is there: /v1/operations/%(id)s" % answer, file=sys.stderr)
    sys.exit(0)
for row in answer["items"]:
    if row["status"] == 202:
        print(row.get("number", ""), "kept, see", row["operation"], file=sys.stderr)
    elif row["status"] < 300:
        print(row["number"], row["receipt"]["phase"])
    else:
        for error in row["problem"]["errors"]:
            print(row.get("number", ""), error["code"], error["detail_zh"], error["remedy_zh"], file=sys.stderr)
sys.exit(1 if answer["failed"] else 0)' <<< "$answer"
