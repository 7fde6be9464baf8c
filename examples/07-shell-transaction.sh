#!/usr/bin/env bash
# A shell script whose audit records are one transaction: all of them when it succeeds, none when it fails.
# It needs jq. Run it with: PATH=node_modules/.bin:$PATH examples/07-shell-transaction.sh
set -euo pipefail

# From a clone; installed, `auditlog` is in the PATH.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
auditlog() { node "$here/../src/cli/bin.ts" "$@"; }
export -f auditlog
export here

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
echo 1000 > ada
echo 0 > bob

# #region script
cat > transfer.sh <<'SCRIPT'
set -euo pipefail
record() { jq -cn --arg tag "$1" --arg account "$2" --argjson cents "$3" \
  '{_tag: $tag, account: $account, cents: $cents}' | auditlog append audit.jsonl; }

record Withdrawn "$1" "$3"
balance=$(($(cat "$1") - $3))
[ "$balance" -ge 0 ] || { echo "$1 has not got $3" >&2; exit 3; }
record Deposited "$2" "$3"
echo "$balance" > "$1"
echo $(($(cat "$2") + $3)) > "$2"
SCRIPT

auditlog exec audit.jsonl -- bash transfer.sh ada bob 600 && echo "first: done"
auditlog exec audit.jsonl -- bash transfer.sh ada bob 600 || echo "second: exit code $?"
# #endregion script

echo "ada $(cat ada), bob $(cat bob)"
auditlog cat audit.jsonl
