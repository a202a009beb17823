/** What both forms of `tollway init` do with files that are there already. */
import { constants, copyFileSync, existsSync } from 'node:fs'
import { ConfigError } from '../../core/errors.ts'

/** How clients find the gateway, for programs that read OpenAI's variables. */
export const CLIENT_ENV = 'OPENAI_BASE_URL=http://127.0.0.1:8402/v1\nOPENAI_API_KEY=unused\n'

/** @throws ConfigError if there is a configuration, unless it may be replaced */
export function refuseExisting(config: string, force: boolean): void {
  if (existsSync(config) && !force)
    throw new ConfigError(
      `${config} is already there; nothing was changed. Look at it with tollway check, or replace it with --force (a copy is kept).`,
    )
}

/** Copies a file to the first free name beside it. @returns that name; `undefined` if there is no file */
export function copyOf(file: string): string | undefined {
  if (!existsSync(file)) return undefined
  for (let n = 1; ; n++) {
    const name = `${file}.${n}.bak`
    if (existsSync(name)) continue
    copyFileSync(file, name, constants.COPYFILE_EXCL)
    return name
  }
}
