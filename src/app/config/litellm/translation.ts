/** What is collected while a LiteLLM file is translated. */
import type { RouteFinding } from '../reading/explain.ts'
import { isPlainObject } from '../reading/interpolate.ts'
import { formatPath, printable, type ConfigPath } from '../values/problems.ts'
import { limitsIn } from './limits.ts'
import type { LitellmNote } from './note.ts'

/** What a skipped entry was called, and why it is skipped. */
export interface Skipped {
  readonly name: string
  readonly path: ConfigPath
  readonly reason: string
}

export class Translation {
  /** Keys that have no effect here, as paths of the file. */
  readonly ignored: string[] = []
  readonly notes: LitellmNote[] = []
  readonly findings: RouteFinding[] = []
  readonly skipped: Skipped[] = []
  /** Formatted paths of the translated form whose plain text is no secret. */
  readonly placeholders = new Set<string>()
  /** Paths of the translated form to paths of the file, the former formatted. */
  readonly #origins = new Map<string, ConfigPath>()

  /** A key that has no effect; the limits in its value are reported one by one. */
  ignore(path: ConfigPath, value: unknown): void {
    this.ignored.push(formatPath(path))
    this.notes.push(...limitsIn(value, path))
  }

  note(kind: LitellmNote['kind'], path: ConfigPath, message: string): void {
    this.notes.push({ kind, path: formatPath(path), message })
  }

  /** An entry of `model_list` that cannot be a route here. */
  skip(entry: Readonly<Record<string, unknown>>, path: ConfigPath, reason: string): void {
    const name = entry['model_name']
    this.skipped.push({ name: typeof name === 'string' ? printable(name) : '', path, reason })
    for (const part of ['litellm_params', 'model_info']) {
      const fields = entry[part]
      if (isPlainObject(fields)) this.notes.push(...limitsIn(fields, [...path, part]))
    }
  }

  placeholder(path: ConfigPath): void {
    this.placeholders.add(formatPath(path))
  }

  origin(path: ConfigPath, from: ConfigPath): void {
    this.#origins.set(formatPath(path), from)
  }

  /** The path in the file of a path in the translated form. */
  originOf(path: ConfigPath): ConfigPath {
    for (let length = path.length; length > 0; length--) {
      const found = this.#origins.get(formatPath(path.slice(0, length)))
      if (found) return [...found, ...path.slice(length)]
    }
    return path
  }
}
