/**
 * Which strings and heredocs of a script are code, how that code is laid out, and that no text makes the front-end fail.
 */
import { beforeAll, describe, expect, it } from "vitest"
import { analyse, loadParsers, parses, reported } from "./shellSupport.ts"

beforeAll(loadParsers)

const call = "open(\"x.jsonl\", \"a\")"

const python: Readonly<Record<string, string>> = {
  "a quoted heredoc": `python3 - <<'PY'\n${call}\nPY`,
  "a heredoc with an output file": `python3 << PY > out 2>&1 || exit 1\n${call}\nPY`,
  "a heredoc with arguments": `python3 -u - "$x" <<'PY'\n${call}\nPY`,
  "a heredoc without its tabs": `python3 <<-PY\n\t${call}\n\tPY`,
  "a heredoc in a substitution": `x=$(python3 - <<'PY'\n${call}\nPY\n)`,
  "a heredoc through cat": `cat <<'PY' | python3 -\n${call}\nPY`,
  "a heredoc in a pipeline": `python3 - <<'PY' | tee out\n${call}\nPY`,
  uv: `uv run --with x python - <<'PY'\n${call}\nPY`,
  env: `env A=1 python3.12 - <<'PY'\n${call}\nPY`,
  docker: `docker exec -i app python3 - <<'PY'\n${call}\nPY`,
  "a variable with a default": `"\${PYTHON:-python3}" - <<'PY'\n${call}\nPY`,
  "a variable known by its name": `"$PYTHON_BIN" - <<'PY'\n${call}\nPY`,
  "a string in single quotes": `python3 -c 'import json\n${call}'`,
  "a string in double quotes": `python3 -c "open(\\"x.jsonl\\", \\"a\\")"`,
  "a string in a variable": `CODE='${call}'\npython3 -c "$CODE"`,
  "a heredoc in a variable": `CODE=$(cat <<'PY'\n${call}\nPY\n)\npython3 -c "$CODE"`,
  "a heredoc that read takes": `read -r -d '' CODE <<'PY' || true\n${call}\nPY\npython3 -c "$CODE"`,
  "a variable in a pipe": `CODE='${call}'\necho "$CODE" | python3 -`,
  "a here-string": `python3 <<< '${call}'`,
  "a condition": `if ! x=$(timeout 5 python3 -c '${call}'); then exit 1; fi`
}

describe("Python in a script is found", () => {
  it.each(Object.entries(python))("%s", (_, text) => {
    const { embedded } = analyse(text)
    expect(embedded.map((code) => code.language)).toEqual(["python"])
    expect(embedded[0]?.text).toContain("open(")
    expect(parses("python", embedded[0]?.text ?? "")).toBe(true)
  })
})

describe("other languages in a script are found", () => {
  it.each([
    [`node -e 'fs.appendFileSync("x", "{}")'`, "javascript"],
    [`node --input-type=module -e "fs.appendFileSync('x', '{}')"`, "javascript"],
    [`bun -e 'await appendFile("x", "{}")'`, "javascript"],
    [`deno run -A - <<'EOF'\nDeno.writeTextFile("x", "{}", { append: true })\nEOF`, "javascript"],
    [`bash -lc 'echo "{}" >> x.jsonl'`, "shell"],
    [`ssh -o A=b host 'echo "{}" >> x.jsonl'`, "shell"],
    [`ssh host bash -s <<'EOF'\necho "{}" >> x.jsonl\nEOF`, "shell"],
    [`ssh host <<'EOF'\necho "{}" >> x.jsonl\nEOF`, "shell"],
    [`docker exec app sh -c 'echo "{}" >> x.jsonl'`, "shell"],
    [`kubectl exec pod -- sh -c 'echo "{}" >> x.jsonl'`, "shell"],
    [`sudo -u app bash <<'EOF'\necho "{}" >> x.jsonl\nEOF`, "shell"],
    [`su - app -c "echo '{}' >> x.jsonl"`, "shell"],
    [`trap 'echo "{}" >> x.jsonl' EXIT`, "shell"]
  ])("%s", (text, language) => {
    const { embedded } = analyse(text)
    expect(embedded.map((code) => code.language)).toEqual([language])
    expect(parses(language, embedded[0]?.text ?? "")).toBe(true)
  })
})

describe("data is not code", () => {
  it.each([
    `cat > x.py <<'PY'\n${call}\nPY`,
    `tee x.py <<'PY'\n${call}\nPY`,
    `python3 script.py <<'EOF'\n${call} of data\nEOF`,
    `python3 -m tool <<'EOF'\n${call} of data\nEOF`,
    `echo python3 -c '${call}'`
  ])("%s", (text) => {
    expect(analyse(text).embedded).toEqual([])
  })
})

describe("the layout of embedded code", () => {
  const laid = (text: string): { readonly code: string; readonly source: string } => {
    const [code] = analyse(text).embedded
    return { code: code?.text ?? "", source: text.slice(code?.start, (code?.start ?? 0) + (code?.text.length ?? 0)) }
  }

  it("keeps every token outside of strings in its place", () => {
    const { code, source } = laid(
      `python3 -c "import json\nopen(\\"$LOG\\", \\"a\\").write(json.dumps({'n': $N}) + \\"\\\\n\\") # end"`
    )
    expect(code.length).toBe(source.length)
    for (const token of ["import", "open", "write", "json.dumps", "'n'", "# end"]) {
      expect(code.indexOf(token)).toBe(source.indexOf(token))
    }
    expect(parses("python", code)).toBe(true)
    expect(code).toContain("\"a\"")
    expect(code).toContain("\"\\n\"")
  })

  it("keeps the prefix of a string at its quote", () => {
    const { code } = laid(`python3 -c "print(f\\"{x['a']}\\")  # done"`)
    expect(code).toContain("f\"{x['a']}\"")
    expect(parses("python", code)).toBe(true)
  })

  it("joins strings that are quoted in turns", () => {
    const { code } = laid(`python3 -c 'open("'"$LOG"'", "a").write("it'"'"'s")'`)
    expect(parses("python", code)).toBe(true)
    expect(code).toContain("\"it's\"")
  })

  it("puts a word in the place of an expansion, also one over several lines", () => {
    const { code, source } = laid(`python3 - <<PY\nx = $(cat <<E\n1\nE\n)\nopen("\${LOG}", "a")\nPY`)
    expect(code.length).toBe(source.length)
    expect(parses("python", code)).toBe(true)
    expect(code.indexOf("open(")).toBe(source.indexOf("open("))
  })

  it("takes tabs away where the shell does", () => {
    const { code, source } = laid("python3 <<-PY\n\tif x:\n\t  open(\"f\", \"a\")\n\tPY")
    expect(parses("python", code)).toBe(true)
    expect(code.indexOf("open(")).toBe(source.indexOf("open("))
  })

  it("follows a record into the code of an inner shell", () => {
    const text = `json=$(jq -nc '{a:1}')\nflock "$L" -c "echo '$json' >> /x/log"`
    const [inner] = analyse(text).embedded
    expect(reported(inner?.text ?? "").map((site) => site.path)).toEqual(["/x/log"])
  })

  it("finds code in code", () => {
    const [outer] = analyse(`bash -c "python3 -c \\"open('x.jsonl', 'a')\\""`).embedded
    const [inner] = analyse(outer?.text ?? "").embedded
    expect(inner).toMatchObject({ language: "python", text: "open('x.jsonl', 'a')" })
  })
})

describe("any text gives a result", () => {
  const texts: Readonly<Record<string, string>> = {
    "open brackets": "(".repeat(5000),
    "nested substitutions": `echo ${"$(echo ".repeat(1000)}${")".repeat(1000)} >> f`,
    "functions that call each other": "a() { b; b; }\nb() { a; a; }\na >> f",
    "variables that hold each other": "a=\"$b$b\"\nb=\"$a$a\"\necho \"$a\" >> f",
    "a long list": `${Array.from({ length: 3000 }, () => "echo x").join(" && ")} >> f`,
    "many appends": Array.from({ length: 2000 }, () => "echo \"$x\" >> \"$f\"").join("\n"),
    "an open heredoc": "python3 - <<'PY'\nopen(\"x\", \"a\")",
    "an open string": "echo \"{\\\"a\\\":1 >> f\npython3 -c '",
    "no shell at all": "\u0000\ufffd<<<>>>&&||;;{}()$`\"'"
  }

  it.each(Object.entries(texts))("%s", (_, text) => {
    const { embedded, sites } = analyse(text)
    for (const { span } of sites) expect(span.start <= span.end && span.end <= text.length).toBe(true)
    for (const code of embedded) expect(code.start + code.text.length).toBeLessThanOrEqual(text.length)
  })

  it("also one that is cut anywhere", () => {
    const text =
      `f() { jq -nc '{a:1}' >> "$LOG"; }\npython3 - <<PY\nopen("$x", "a")\nPY\n{ echo "{\\"a\\":1}"; } | tee -a x`
    for (let end = 0; end <= text.length; end++) {
      expect(() => analyse(text.slice(0, end))).not.toThrow()
      expect(() => analyse(text.slice(end))).not.toThrow()
    }
  })
})
