/**
 * The front-ends. A language is added by naming it here.
 *
 * @since 0.1.0
 */
import type { Language } from "./Language.ts"
import { javascript, typescript } from "./languages/javascript.ts"
import { python } from "./languages/python.ts"
import { shell } from "./languages/shell.ts"

/**
 * All languages.
 *
 * @category languages
 * @since 0.1.0
 */
export const all: ReadonlyArray<Language> = [python, shell, javascript, typescript]

/**
 * The language of files with an extension, given without its dot.
 *
 * @category languages
 * @since 0.1.0
 */
export const languageOfExtension = (extension: string): Language | undefined =>
  all.find(({ extensions }) => extensions.includes(extension))

/**
 * The language of an interpreter as a `#!` line names it, with or without a version.
 *
 * @category languages
 * @since 0.1.0
 */
export const languageOfInterpreter = (interpreter: string): Language | undefined => {
  const name = interpreter.replace(/[\d.]+$/, "")
  return all.find(({ interpreters }) => interpreters.includes(interpreter) || interpreters.includes(name))
}

/**
 * The language of embedded code.
 *
 * @category languages
 * @since 0.1.0
 */
export const languageNamed = (name: string): Language | undefined => all.find((language) => language.name === name)
