import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { ConfigProblemsError } from '../values/problems.ts'

/**
 * Reads the text of a configuration file.
 * @throws ConfigProblemsError when there is none, or it is not UTF-8
 */
export function readConfigText(path: string): string {
  const failed = (message: string): ConfigProblemsError =>
    new ConfigProblemsError([{ path: '', file: path, position: undefined, message }])
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw failed(
        `there is no such file (looked at ${resolve(path)}). ` +
          'Make one with `tollway init`, or name yours with --config.',
      )
    }
    if (code === 'EISDIR') throw failed('is a directory. Name the file in it with --config.')
    throw failed(
      `cannot be read (${typeof code === 'string' ? code : 'unknown fault'}). Check its permissions.`,
    )
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw failed('is not UTF-8 text. Save it as UTF-8.')
  }
}
