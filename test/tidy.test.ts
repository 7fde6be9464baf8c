/**
 * The repository checks itself: who may import whom, how long a file may be, what every public export says, and that
 * the code in README.md and docs/ is the code in examples/.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { type Node, parseSync } from "oxc-parser"
import { describe, expect, it } from "vitest"

/** Every file under src/, in import order: a module imports only modules above it. */
const modules: ReadonlyArray<string> = [
  "AuditError.ts",
  "AuditRecord.ts",
  "internal/jsonLine.ts",
  "internal/stampShape.ts",
  "Codec.ts",
  "internal/jsonText.ts",
  "SizePolicy.ts",
  "HashChain.ts",
  "Appender.ts",
  "Transaction.ts",
  "internal/currentTransaction.ts",
  "Outbox.ts",
  "internal/metrics.ts",
  "internal/recordEncoder.ts",
  "internal/appendContext.ts",
  "AuditLog.ts",
  "internal/errorChain.ts",
  "internal/endedTransaction.ts",
  "internal/outboxBell.ts",
  "OutboxSchema.ts",
  "internal/outboxInsert.ts",
  "SqlOutbox.ts",
  "SqliteClient.ts",
  "Segment.ts",
  "internal/filePort.ts",
  "internal/fileSystemKind.ts",
  "internal/logFile.ts",
  "internal/fileSettings.ts",
  "internal/salvage.ts",
  "internal/newlineLost.ts",
  "internal/damagedLine.ts",
  "internal/logTail.ts",
  "internal/lineScanner.ts",
  "internal/stampReader.ts",
  "internal/lineTraits.ts",
  "internal/lineBuffer.ts",
  "internal/hashCheck.ts",
  "internal/sieve.ts",
  "internal/reassembly.ts",
  "internal/sourceRepeats.ts",
  "LogEntry.ts",
  "internal/recordBatch.ts",
  "internal/sifter.ts",
  "internal/logDecoder.ts",
  "internal/groupCommit.ts",
  "internal/batchBuffer.ts",
  "internal/logFailure.ts",
  "internal/seal.ts",
  "internal/logObserver.ts",
  "internal/logWriter.ts",
  "internal/pipeWriter.ts",
  "internal/observer.ts",
  "internal/retention.ts",
  "internal/environment.ts",
  "FileAppender.ts",
  "Cursor.ts",
  "ReadError.ts",
  "internal/segmentFiles.ts",
  "internal/readPlan.ts",
  "internal/logTape.ts",
  "LogReader.ts",
  "OutboxError.ts",
  "internal/outboxSession.ts",
  "internal/outboxRows.ts",
  "internal/outboxRecovery.ts",
  "internal/outboxDrain.ts",
  "internal/outboxMetrics.ts",
  "OutboxRelay.ts",
  "internal/conditions.ts",
  "Query.ts",
  "internal/openWriters.ts",
  "internal/damageScanner.ts",
  "internal/quarantine.ts",
  "RepairReport.ts",
  "internal/repairSource.ts",
  "internal/repairScan.ts",
  "internal/repairFile.ts",
  "Repair.ts",
  "VerifyReport.ts",
  "internal/findings.ts",
  "internal/canonicalLine.ts",
  "internal/lineTable.ts",
  "internal/lineBlocks.ts",
  "internal/blockScan.ts",
  "internal/writerTable.ts",
  "internal/recentRecords.ts",
  "internal/jsonSeam.ts",
  "internal/tornRecord.ts",
  "internal/tornWrites.ts",
  "internal/transactionCheck.ts",
  "internal/chainCheck.ts",
  "internal/recordContent.ts",
  "internal/hashSearch.ts",
  "internal/verification.ts",
  "internal/logSnapshot.ts",
  "internal/scanPool.ts",
  "internal/scanWorker.ts",
  "internal/logVerification.ts",
  "Verifier.ts",
  "Destination.ts",
  "internal/sourceFile.ts",
  "internal/directoryWatch.ts",
  "internal/shipLock.ts",
  "internal/shipMetrics.ts",
  "internal/wholeLines.ts",
  "internal/sourceSegments.ts",
  "internal/resumePoint.ts",
  "internal/sourceReader.ts",
  "internal/shipPump.ts",
  "internal/shipRetention.ts",
  "internal/replicatedAppender.ts",
  "Shipper.ts",
  "internal/postgresSchema.ts",
  "internal/postgresErrors.ts",
  "PostgresDestination.ts",
  "internal/natsErrors.ts",
  "NatsDestination.ts",
  "internal/otlpLogs.ts",
  "OtlpDestination.ts",
  "index.ts",
  "lint/Site.ts",
  "lint/Language.ts",
  "lint/internal/syntaxTree.ts",
  "lint/internal/pythonTree.ts",
  "lint/internal/pythonCalls.ts",
  "lint/internal/pythonNames.ts",
  "lint/internal/pythonUses.ts",
  "lint/internal/pythonEncoder.ts",
  "lint/internal/pythonShape.ts",
  "lint/internal/pythonPayload.ts",
  "lint/internal/pythonOpen.ts",
  "lint/internal/pythonLife.ts",
  "lint/internal/pythonHandle.ts",
  "lint/internal/pythonJudge.ts",
  "lint/internal/pythonTransaction.ts",
  "lint/internal/pythonRewrite.ts",
  "lint/internal/pythonPrimitive.ts",
  "lint/internal/pythonFix.ts",
  "lint/languages/python.ts",
  "lint/internal/javascriptTree.ts",
  "lint/internal/javascriptScope.ts",
  "lint/internal/javascriptShape.ts",
  "lint/internal/javascriptEncoder.ts",
  "lint/internal/javascriptPayload.ts",
  "lint/internal/javascriptPath.ts",
  "lint/internal/javascriptAppends.ts",
  "lint/internal/javascriptHandles.ts",
  "lint/internal/javascriptJudge.ts",
  "lint/internal/javascriptTransaction.ts",
  "lint/internal/javascriptPrimitive.ts",
  "lint/internal/javascriptFix.ts",
  "lint/internal/javascriptSites.ts",
  "lint/languages/javascript.ts",
  "lint/internal/shellTree.ts",
  "lint/internal/shellShape.ts",
  "lint/internal/shellPrograms.ts",
  "lint/internal/shellQuoting.ts",
  "lint/internal/shellNames.ts",
  "lint/internal/shellInterpreter.ts",
  "lint/internal/shellFiller.ts",
  "lint/internal/shellOutput.ts",
  "lint/internal/shellEmbedding.ts",
  "lint/internal/shellAppends.ts",
  "lint/internal/shellTransaction.ts",
  "lint/internal/shellFix.ts",
  "lint/internal/shellSites.ts",
  "lint/internal/shellPrimitive.ts",
  "lint/languages/shell.ts",
  "lint/Rule.ts",
  "lint/rules/append-in-transaction.ts",
  "lint/rules/append-without-o-append.ts",
  "lint/rules/held-append-handle.ts",
  "lint/rules/multi-line-record.ts",
  "lint/rules/split-append.ts",
  "lint/rules/suppression-without-reason.ts",
  "lint/rules/unsynced-append.ts",
  "lint/rules/unused-suppression.ts",
  "lint/Rules.ts",
  "lint/Diagnostic.ts",
  "lint/LintError.ts",
  "lint/Config.ts",
  "lint/Baseline.ts",
  "lint/Languages.ts",
  "lint/internal/grammars.ts",
  "lint/internal/textLines.ts",
  "lint/internal/analysis.ts",
  "lint/internal/ignoreFiles.ts",
  "lint/internal/sourceFiles.ts",
  "lint/internal/readSource.ts",
  "lint/internal/suppressions.ts",
  "lint/internal/judge.ts",
  "lint/internal/summary.ts",
  "lint/internal/atomicFile.ts",
  "lint/Linter.ts",
  "lint/internal/lineDiff.ts",
  "lint/Fixer.ts",
  "lint/Reporter.ts",
  "lint/internal/summaryText.ts",
  "lint/reporters/json.ts",
  "lint/reporters/github.ts",
  "lint/reporters/markdown.ts",
  "lint/reporters/pretty.ts",
  "lint/reporters/sarif.ts",
  "cli/output.ts",
  "cli/inputLine.ts",
  "cli/appenderOptions.ts",
  "cli/transactionProtocol.ts",
  "cli/joinTransaction.ts",
  "cli/appendRecords.ts",
  "cli/prettyRecord.ts",
  "cli/entryNotes.ts",
  "cli/entryPrinter.ts",
  "cli/readFlags.ts",
  "cli/catLog.ts",
  "cli/tailLog.ts",
  "cli/progressLine.ts",
  "cli/repairLog.ts",
  "cli/doctorProbes.ts",
  "cli/checkDirectory.ts",
  "cli/flagValues.ts",
  "cli/lintRecord.ts",
  "cli/lintCode.ts",
  "cli/logFlags.ts",
  "cli/transactionHub.ts",
  "cli/transactionServer.ts",
  "cli/childCommand.ts",
  "cli/execLog.ts",
  "cli/verifyText.ts",
  "cli/verifyLog.ts",
  "cli/destinationUrl.ts",
  "cli/lateDestination.ts",
  "cli/shipLog.ts",
  "cli/fetchLog.ts",
  "cli/shipStatus.ts",
  "cli/postgresClient.ts",
  "cli/openDatabase.ts",
  "cli/relayLog.ts",
  "cli/outboxStatus.ts",
  "cli/quickAppend.ts",
  "cli/commands/append.ts",
  "cli/commands/cat.ts",
  "cli/commands/tail.ts",
  "cli/commands/exec.ts",
  "cli/commands/repair.ts",
  "cli/commands/doctor.ts",
  "cli/commands/verify.ts",
  "cli/commands/relay.ts",
  "cli/commands/outbox.ts",
  "cli/commands/lint.ts",
  "cli/commands/ship.ts",
  "cli/commands/fetch.ts",
  "cli/commands/status.ts",
  "cli/Cli.ts",
  "cli/bin.ts"
]

/** Which sets of modules the modules of a set may import, besides those of their own set. The core is "". */
const mayImport: Readonly<Record<string, ReadonlyArray<string>>> = {
  "": [],
  lint: [],
  viewer: [""],
  cli: ["", "lint", "viewer"]
}

/** A file near this length wants to be two. */
const fileLinesMax = 400

const root = path.resolve(import.meta.dirname, "..")
const src = path.join(root, "src")

const filesUnder = (directory: string): ReadonlyArray<string> =>
  fs.existsSync(directory)
    ? fs.readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(directory, path.join(entry.parentPath, entry.name)).replaceAll(path.sep, "/"))
      .sort()
    : []

const sourceFiles = filesUnder(src)
const typeScriptFiles = sourceFiles.filter((file) => file.endsWith(".ts"))

const readSource = (file: string): string => fs.readFileSync(path.join(src, file), "utf8")

const parse = (file: string, text: string) => {
  const result = parseSync(file, text)
  if (result.errors.length > 0) throw new Error(`${file}: ${result.errors[0]?.message}`)
  return result
}

const lineAt = (text: string, offset: number): number => text.slice(0, offset).split("\n").length

describe("modules", () => {
  it("are all in the list, and the list names no other", () => {
    expect(sourceFiles.filter((file) => !modules.includes(file)), "files under src/ that are not listed").toEqual([])
    expect(modules.filter((module) => !sourceFiles.includes(module)), "listed modules without a file").toEqual([])
    expect(modules.filter((module, index) => modules.indexOf(module) !== index), "listed twice").toEqual([])
  })

  it("import only modules above them, and only sets they may know", () => {
    expect(typeScriptFiles.flatMap((file) => importFaults(file, readSource(file)))).toEqual([])
  })

  it(`have at most ${fileLinesMax} lines`, () => {
    const long = typeScriptFiles
      .map((file) => ({ file, lines: readSource(file).trimEnd().split("\n").length }))
      .filter(({ lines }) => lines > fileLinesMax)
      .map(({ file, lines }) => `${file}: ${lines} lines`)
    expect(long).toEqual([])
  })

  it("document every public export and say since when it exists", () => {
    const publicFiles = typeScriptFiles.filter((file) => !`/${file}`.includes("/internal/"))
    expect(publicFiles.flatMap((file) => exportFaults(file, readSource(file)))).toEqual([])
  })
})

describe("documentation", () => {
  const documents = ["README.md", ...filesUnder(path.join(root, "docs")).map((file) => `docs/${file}`)]
    .filter((file) => file.endsWith(".md"))

  it("shows code that is a region of an example, unchanged", () => {
    const faults = documents.flatMap((file) => regionFaults(file, fs.readFileSync(path.join(root, file), "utf8")))
    expect(faults).toEqual([])
  })

  it("starts with an example that runs", () => {
    expect(fs.readFileSync(path.join(root, "README.md"), "utf8")).toMatch(regionComment)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Imports
// ---------------------------------------------------------------------------------------------------------------------

/** What a file imports, re-exports, loads at run time or names in a type: `[specifier, offset]`. */
const importsOf = (file: string, text: string): ReadonlyArray<readonly [string, number]> => {
  const found: Array<readonly [string, number]> = []
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) return value.forEach(visit)
    if (typeof value !== "object" || value === null) return
    if ("type" in value && "source" in value && typeof value.source === "object" && value.source !== null) {
      const source = value.source
      if ("value" in source && typeof source.value === "string" && "start" in source) {
        found.push([source.value, Number(source.start)])
      }
    }
    Object.values(value).forEach(visit)
  }
  visit(parse(file, text).program.body)
  return found
}

const setOf = (file: string): string => Object.keys(mayImport).find((set) => file.startsWith(`${set}/`)) ?? ""

const importFaults = (file: string, text: string): ReadonlyArray<string> =>
  importsOf(file, text).filter(([specifier]) => specifier.startsWith(".")).flatMap(([specifier, offset]) => {
    const target = path.posix.join(path.posix.dirname(file), specifier)
    const fault = !modules.includes(target)
      ? "is not in the list of modules"
      : setOf(target) !== setOf(file) && !(mayImport[setOf(file)] ?? []).includes(setOf(target))
      ? `is not for ${setOf(file) === "" ? "the core" : `${setOf(file)}/`}`
      : modules.indexOf(target) >= modules.indexOf(file)
      ? "is not above it"
      : undefined
    return fault === undefined ? [] : [`${file}:${lineAt(text, offset)} imports ${target}, which ${fault}`]
  })

// ---------------------------------------------------------------------------------------------------------------------
// Doc comments
// ---------------------------------------------------------------------------------------------------------------------

interface Export {
  readonly name: string
  /** Where the things start whose doc comment would count. */
  readonly starts: ReadonlyArray<number>
}

const exportsOf = (statement: Node): ReadonlyArray<Export> => {
  const at = statement.start
  switch (statement.type) {
    case "ExportAllDeclaration":
      return [{ name: statement.exported === null ? "*" : nameOf(statement.exported), starts: [at] }]
    case "ExportDefaultDeclaration":
      return [{ name: "default", starts: [at] }]
    case "ExportNamedDeclaration": {
      const declaration = statement.declaration
      if (declaration === null) {
        return statement.specifiers.map((specifier) => ({
          name: nameOf(specifier.exported),
          starts: [at, specifier.start]
        }))
      }
      if (declaration.type === "VariableDeclaration") {
        return declaration.declarations.map(({ id }) => ({
          name: id.type === "Identifier" ? id.name : "pattern",
          starts: [at]
        }))
      }
      return [{ name: "id" in declaration && declaration.id !== null ? nameOf(declaration.id) : "?", starts: [at] }]
    }
    default:
      return []
  }
}

const nameOf = (node: Node): string =>
  node.type === "Identifier" ? node.name : node.type === "Literal" ? String(node.value) : node.type

const isFunction = (statement: Node): boolean =>
  statement.type === "ExportNamedDeclaration" &&
  (statement.declaration?.type === "FunctionDeclaration" || statement.declaration?.type === "TSDeclareFunction")

const exportFaults = (file: string, text: string): ReadonlyArray<string> => {
  const { comments, program } = parse(file, text)
  const docBefore = (start: number): string | undefined =>
    comments.findLast((comment) =>
      comment.type === "Block" && comment.value.startsWith("*") && comment.end <= start &&
      text.slice(comment.end, start).trim() === ""
    )?.value
  // The overloads of a function share the comment of the first.
  const documented = new Set<string>()
  return program.body.flatMap((statement) =>
    exportsOf(statement).flatMap(({ name, starts }) => {
      if (isFunction(statement) && documented.has(name)) return []
      if (isFunction(statement)) documented.add(name)
      const doc = starts.map(docBefore).find((found) => found !== undefined)
      const where = `${file}:${lineAt(text, statement.start)} ${name}`
      if (doc === undefined) return [`${where} has no doc comment`]
      return /@since \d+\.\d+\.\d+/.test(doc) ? [] : [`${where} has a doc comment without @since`]
    })
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// Code in the documentation
// ---------------------------------------------------------------------------------------------------------------------

/**
 * `<!-- region examples/01-first-record.ts#main -->` stands directly before a ```ts block. The block equals the lines
 * between `// #region main` and `// #endregion main` of that file, moved to the left margin. Examples import the
 * sources, so that they run without a build; the documentation names the package instead.
 */
const regionComment = /^<!-- region (?<file>\S+)#(?<name>\S+) -->$/m

const regionOf = (text: string, name: string): string | undefined => {
  const lines = text.split("\n")
  const start = lines.findIndex((line) => line.trim() === `// #region ${name}`)
  const end = lines.findIndex((line, index) => index > start && line.trim() === `// #endregion ${name}`)
  if (start === -1 || end === -1) return undefined
  const inner = lines.slice(start + 1, end).filter((line) => !/^\s*\/\/ #(end)?region /.test(line))
  const indents = inner.filter((line) => line.trim() !== "").map((line) => line.length - line.trimStart().length)
  const margin = Math.min(...indents)
  return inner.map((line) => line.slice(margin)).join("\n").trim()
    .replaceAll(
      /(?<=(?:from|import) )"\.\.\/src\/(\w+)\.ts"/g,
      (_, module: string) => module === "index" ? "\"effect-auditlog\"" : `"effect-auditlog/${module}"`
    )
}

const regionFaults = (document: string, text: string): ReadonlyArray<string> => {
  const lines = text.split("\n")
  return lines.flatMap((line, index) => {
    if (!line.includes("<!-- region")) return []
    const where = `${document}:${index + 1}`
    const { file, name } = regionComment.exec(line)?.groups ?? {}
    if (file === undefined || name === undefined) return [`${where} is not of the form <!-- region FILE#NAME -->`]
    // The formatter may put one empty line between the comment and the block.
    const fence = lines[index + 1] === "" ? index + 2 : index + 1
    const end = lines.indexOf("```", fence + 1)
    if (lines[fence] !== "```ts" || end === -1) return [`${where} has no \`\`\`ts block directly below it`]
    if (!fs.existsSync(path.join(root, file))) return [`${where} names ${file}, which does not exist`]
    const region = regionOf(fs.readFileSync(path.join(root, file), "utf8"), name)
    if (region === undefined) return [`${where} names the region ${name}, which ${file} does not have`]
    const shown = lines.slice(fence + 1, end).join("\n").trim()
    return shown === region ? [] : [`${where} differs from ${file}#${name}; it should be:\n${region}`]
  })
}
