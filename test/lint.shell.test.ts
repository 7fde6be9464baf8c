/**
 * What the shell front-end says about small scripts: which appends it reports, which it leaves alone, and the facts of
 * a site that rules judge. The scripts are written for these tests.
 */
import { beforeAll, describe, expect, it } from "vitest"
import { shell } from "../src/lint/languages/shell.ts"
import { analyse, fixed, loadParsers, only, reported } from "./shellSupport.ts"

beforeAll(loadParsers)

/** Each script holds one append of records; it begins on the line with the mark, or on the first. */
const findings: Readonly<Record<string, string>> = {
  "echo of a literal record": `echo '{"a":1}' >> "$LOG" # <-`,
  "echo with escaped quotes": `echo "{\\"a\\":\\"$x\\"}" >> "$LOG" # <-`,
  "a bare word": `echo {\\"a\\":$x} >> "$LOG" # <-`,
  "printf with a format": `printf '{"a":"%s","n":%d}\\n' "$x" "$n" >> "$LOG" # <-`,
  "printf of a variable": `line=$(jq -nc '{a:1}')
printf '%s\\n' "$line" >> "$LOG" # <-`,
  "printf -v": `printf -v line '{"a":"%s"}' "$x"
echo "$line" >> "$LOG" # <-`,
  "jq with short options together": `jq -nc --arg a "$a" '{a: $a}' >> "$LOG" # <-`,
  "jq with a long option": `jq --null-input --compact-output '{a: 1}' >> "$LOG" # <-`,
  "jq with -r whose result is JSON": `jq -r '.[] | @json' in.json >> "$LOG" # <-`,
  "a pipeline that ends in jq": `echo "$x" | jq -c '. + {a: 1}' >> "$LOG" # <-`,
  "a heredoc": `cat <<EOF >> "$LOG" # <-
{"a":"$x"}
EOF`,
  "a heredoc after the file": `cat >> "$LOG" <<-'EOF' # <-
\t{"a":1}
\tEOF`,
  "a here-string": `cat <<< '{"a":1}' >> "$LOG" # <-`,
  tee: `echo '{"a":1}' | tee -a "$LOG" > /dev/null # <-`,
  "tee under sudo": `echo '{"a":1}' | sudo tee --append "$LOG" # <-`,
  "tee behind a lock": `echo '{"a":1}' | flock "$LOCK" tee -a "$LOG" # <-`,
  "a group": `{ echo '{"a":1}'; echo '{"b":1}'; } >> "$LOG" # <-`,
  "a subshell under a lock": `(
  flock 9
  echo '{"a":1}' >> "$LOG" # <-
) 9>> "$LOCK"`,
  "a continued line": `printf '{"a":"%s"}\\n' "$x" \\
  >> "$LOG" 2> /dev/null || true`,
  "a redirection before the command": `>> "$LOG" echo '{"a":1}' # <-`,
  "the last command of a list": `[ -n "$x" ] && echo '{"a":1}' >> "$LOG" # <-`,
  "a condition": `if ! echo '{"a":1}' >> "$LOG"; then exit 1; fi # <-`,
  "a string built piece by piece": `emit() {
  local payload="{\\"ts\\":\\"$(date)\\",\\"type\\":\\"$1\\""
  shift
  for pair in "$@"; do payload="$payload,\\"\${pair%%=*}\\":\\"\${pair#*=}\\""; done
  echo "\${payload}}" >> "$LOG" # <-
}`,
  "an appended string": `json='{"a":1'
json+=",\\"b\\":2}"
echo "$json" >> "$LOG" # <-`,
  "a helper called with records": `log_event() {
  echo "$1" >> "$LOG" # <-
}
log_event "{\\"a\\":1}"`,
  "a helper that takes the file as well": `append() {
  local file="$1" entry="$2"
  printf '%s\\n' "$entry" >> "$file" # <-
}
append audit.log "$(jq -nc '{a:1}')"`,
  "a helper that reads its input": `record() {
  cat >> "$LOG" # <-
}
jq -nc '{a:1}' | record`,
  "a function that prints the record": `entry() { jq -nc '{a:1}'; }
entry >> "$LOG" # <-`,
  "a function in a substitution": `entry() { printf '{"a":%s}' "$1"; }
line=$(entry 1)
echo "$line" >> "$LOG" # <-`,
  "a parameter of unknown shape into a file of records": `echo "$1" >> "$DIR/events.jsonl" # <-`,
  "a file whose name is resolved": `EVENTS="\${EVENTS_FILE:-$HOME/events.ndjson}"
echo "$line" >> "$EVENTS" # <-`,
  "lines read from jq": `jq -c '.[]' in.json | while read -r row; do
  echo "$row" >> "$LOG" # <-
done`,
  "lines read from a process": `while read -r row; do
  echo "$row" >> "$LOG" # <-
done < <(jq -c '.[]' in.json)`,
  "a file written before": `jq -c . in.json > "$tmp"
cat "$tmp" >> "$LOG" # <-`,
  "Python that prints JSON": `echo "$x" | python3 -c 'import json, sys
print(json.dumps(json.load(sys.stdin)))' >> "$LOG"`,
  "JavaScript that prints JSON": `node -e 'console.log(JSON.stringify({a: 1}))' >> "$LOG" # <-`,
  "one of two dates in a record": `echo "{\\"t\\":\\"$(date -d x || date -v x)\\"}" >> "$LOG" # <-`,
  "a command that prints by a format": `date +'{"t":"%s"}' >> "$LOG" # <-`,
  "quoted text from jq inside the record": `echo "{\\"m\\":$(printf '%s' "$m" | jq -Rs .)}" >> "$LOG" # <-`,
  "a record although a line of the file was cut on purpose": `f="$TMP/x.jsonl"
echo '{"torn":' >> "$f"
echo '{"a":1}' >> "$f" # <-`
}

/** Appends of other things, and what only looks like an append. */
const accepted: Readonly<Record<string, string>> = {
  "a plain log line": `echo "[$(date)] started" >> "$LOG"`,
  "JSON inside the text of a log": `echo "[$(date)] {\\"a\\":1}" >> "$LOG"`,
  "a record in a log of text": `log() { echo "[$(date)] $1" >> app.log; }
log started
echo '{"a":1}' >> app.log`,
  prose: `echo "## Done" >> notes.md`,
  "a heredoc of prose": `cat >> README.md <<EOF
Some {"json": 1} in prose.
EOF`,
  "an object over several lines": `cat >> settings.json <<EOF
{
  "a": 1
}
EOF`,
  "pieces of a JSON array": `echo '[' > out.json
echo '{"a":1},' >> out.json
echo '{"b":1}' >> out.json
echo ']' >> out.json`,
  CSV: `echo "$a,$b" >> data.csv`,
  "text from jq": `jq -r '.[] | "- \\(.name)"' in.json >> notes.txt`,
  "names from jq": `jq -r '.name' in.json >> names.txt`,
  "a number from jq": `jq -c 'length' in.json >> sizes`,
  "jq into a file that is written anew": `jq -c . in.json > out.jsonl`,
  "copied files": `cat a.jsonl b.jsonl >> merged.jsonl`,
  "selected lines": `grep x a.jsonl >> b.jsonl`,
  "a variable named after a JSON file": `echo "$package_json" >> "$LIST"`,
  "outputs of a workflow": `echo '{"a":1}' >> "$GITHUB_OUTPUT"`,
  "a torn record": `printf '{"a":' >> events.jsonl`,
  "an empty append": `: >> events.jsonl`,
  "a lock file": `exec 9>> "$LOCK"
flock 9`,
  "the error output": `echo '{"a":1}' 2>> err.log`,
  "the output of a process": `./serve >> "$LOG" 2>&1 &`,
  "a string that holds an append": `echo "run: echo '{}' >> x.jsonl"`,
  "another script": `cat > hook.sh <<'EOF'
echo '{"a":1}' >> x.jsonl
EOF`,
  "a prefix before the record": `echo "$score|{\\"a\\":1}" >> ranked`
}

describe("an append of records is reported", () => {
  it.each(Object.entries(findings))("%s", (_, text) => {
    const site = only(text)
    const mark = text.indexOf("# <-")
    const line = mark < 0 ? 1 : text.slice(0, mark).split("\n").length
    expect(text.slice(0, site.span.start).split("\n").length).toBe(line)
    expect(shell.mayAppend(text)).toBe(true)
  })
})

describe("other appends are not reported", () => {
  it.each(Object.entries(accepted))("%s", (_, text) => {
    expect(reported(text)).toEqual([])
  })
})

describe("facts of a site", () => {
  it("counts pieces of one record", () => {
    expect(only(`printf '%s' "$json" >> "$LOG"\nprintf '\\n' >> "$LOG"`).writesPerRecord).toBe(2)
    expect(only(`echo -n '{"a":1,' >> "$LOG"; echo '"b":2}' >> "$LOG"`).writesPerRecord).toBe(2)
    expect(only(`{ printf '%s' "$(jq -nc '{a:1}')"; echo; } >> "$LOG"`).writesPerRecord).toBe(2)
    expect(only(`{ echo '{"a":1}'; echo '{"b":1}'; } >> "$LOG"`).writesPerRecord).toBe(1)
  })

  it("counts the line break after an input that is passed on", () => {
    expect(only(`cat >> "$DIR/x.jsonl"\necho >> "$DIR/x.jsonl"`).writesPerRecord).toBe(2)
  })

  it("knows records of several lines", () => {
    expect(only(`jq -n '{a: 1}' >> "$LOG"`).payload).toBe("multiLineRecord")
    expect(only(`event=$(jq -n '{a: 1}')\necho "$event" >> events.jsonl`).payload).toBe("multiLineRecord")
    expect(only(`jq '.a = 1' in.json >> out.jsonl`).payload).toBe("multiLineRecord")
    expect(only(`jq -n '{a: 1}' | tr -d '\\n' >> "$LOG"`).payload).toBe("record")
  })

  it("knows how long the file stays open", () => {
    expect(only(`echo '{"a":1}' >> "$LOG"`).life).toBe("once")
    expect(only(`for i in 1 2; do echo '{"a":1}' >> "$LOG"; done`).life).toBe("once")
    expect(only(`for i in 1 2; do echo '{"a":1}'; done >> "$LOG"`).life).toBe("loop")
    expect(only(`exec 3>> "$LOG"\necho '{"a":1}' >&3`).life).toBe("stored")
    expect(only(`exec {fd}>> "$LOG"\necho '{"a":1}' >&"$fd"`).life).toBe("stored")
  })

  it("resolves a path one step away", () => {
    const site = only(`LOG=/var/log/events.jsonl\necho '{"a":1}' >> "$LOG"`)
    expect(site).toMatchObject({ call: ">>", target: "\"$LOG\"", path: "/var/log/events.jsonl" })
  })

  it("knows a file that is written again with a line more", () => {
    const site = only(`{ cat "$LOG"; echo '{"a":1}'; } > "$LOG.new" && mv "$LOG.new" "$LOG"`)
    expect(site).toMatchObject({ growth: "rewrite", target: "\"$LOG\"" })
  })

  it("points at the lines of the command, not of its heredoc", () => {
    const text = `cat >> "$LOG" <<EOF\n{"a":1}\nEOF`
    const { span } = only(text)
    expect(text.slice(span.start, span.end)).toBe("cat >> \"$LOG\" <<EOF")
  })

  it("finds the transaction of a SQL client around an append", () => {
    const text = `sqlite3 db <<SQL
BEGIN;
INSERT INTO t VALUES (1);
$(echo '{"a":1}' >> "$LOG")
COMMIT;
SQL`
    expect(only(text).transaction?.text).toBe("BEGIN")
    expect(only(`psql -c "BEGIN; SELECT 1; COMMIT"\necho '{"a":1}' >> "$LOG"`).transaction).toBeUndefined()
  })

  it("lists comments without their marks", () => {
    expect(analyse("# auditlog-lint: allow split-append — why\n").comments).toEqual([
      { span: { start: 0, end: 41 }, text: "auditlog-lint: allow split-append — why" }
    ])
  })
})

describe("calls of a primitive", () => {
  const migrated = (text: string, helpers: ReadonlyArray<string> = []) =>
    analyse(text, { primitives: [{ language: "shell", name: "auditlog append" }], helpers }).sites.map((site) =>
      site.migrated
    )

  it.each([
    `echo '{"a":1}' | auditlog append "$LOG"`,
    `echo '{"a":1}' | npx --yes auditlog append "$LOG"`,
    `echo '{"a":1}' | ./node_modules/.bin/auditlog append "$LOG"`,
    `AUDIT="npx auditlog append"\necho '{"a":1}' | $AUDIT "$LOG"`,
    `TOOL=/opt/bin/auditlog\n"$TOOL" append --sync "$LOG" <<< '{"a":1}'`
  ])("%s", (text) => {
    expect(migrated(text)).toEqual(["auditlog append"])
  })

  it("names the file", () => {
    expect(analyse(`auditlog append --json '{"a":1}' "$LOG"`).sites[0]?.target).toBe("\"$LOG\"")
  })

  it("does not take another command of the same program", () => {
    expect(migrated("auditlog tail x.jsonl")).toEqual([])
  })

  it("takes calls of configured helpers", () => {
    expect(migrated("record_event '{}'", ["record_event"])).toEqual(["record_event"])
  })
})

describe("a fix", () => {
  it("pipes into the primitive", () => {
    expect(fixed(`echo "$(jq -nc '{a:1}')" >> "$LOG" || exit 1`)).toBe(
      `echo "$(jq -nc '{a:1}')" | auditlog append "$LOG" || exit 1`
    )
    expect(fixed(`jq -nc '{a:1}' \\\n  >> "$LOG"`)).toBe(`jq -nc '{a:1}' \\\n  | auditlog append "$LOG"`)
    expect(fixed(`x=1; echo '{"a":1}' | tee -a "$LOG" > /dev/null`)).toBe(
      `x=1; echo '{"a":1}' | auditlog append "$LOG"`
    )
  })

  it("leaves a fixed script alone", () => {
    expect(reported(fixed(`echo '{"a":1}' >> "$LOG"`))).toEqual([])
  })

  it.each([
    [`printf '%s' '{"a":1}' >> "$LOG"\necho >> "$LOG"`, "several pieces"],
    [`jq -n '{a:1}' >> "$LOG"`, "jq -c"],
    [`set -e\njq -nc '{a:1}' >> "$LOG"`, "pipefail"],
    [`{ echo '{"a":1}'; } >> "$LOG"`, "group"],
    [`exec 3>> "$LOG"\necho '{"a":1}' >&3`, "stays open"],
    [`echo '{"a":1}' >> "$LOG" 2> /dev/null`, "other redirections"],
    [`echo '{"a":1}' | tee -a "$LOG"`, "also prints"],
    [`echo "$1" >> x.jsonl`, "only in the names"],
    [`cat >> "$LOG" <<EOF\n{"a":1}\nEOF`, "heredoc"],
    [`if ! echo '{"a":1}' >> "$LOG"; then exit 1; fi`, "negated"]
  ])("refuses: %s", (text, reason) => {
    expect(fixed(text)).toContain(reason)
  })

  it("refuses where no primitive is configured", () => {
    expect(fixed(`echo '{"a":1}' >> "$LOG"`, { primitives: [], helpers: [] })).toContain("no primitive")
  })
})
