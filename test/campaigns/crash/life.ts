/** One life of a gateway process: from its start to its death. */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { LAST_WORDS } from './steps.ts'

/** Binds a child's life to ours, even when we die by SIGKILL. */
const SETPRIV = '/usr/bin/setpriv'

/** How a life ended. */
export interface Death {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** The step at which it killed itself. */
  readonly step: string | undefined
}

/** See the file's head. */
export class Life {
  readonly #child: ChildProcess
  #stdout = ''
  #stderr = ''
  /** Resolves with the gateway's address, or with nothing when it died before it was ready. */
  readonly ready: Promise<string | undefined>
  /** Resolves when it is gone. */
  readonly death: Promise<Death>

  /** @param args what Node runs, with its arguments */
  constructor(args: readonly string[], env: NodeJS.ProcessEnv) {
    const command = [process.execPath, ...args]
    if (existsSync(SETPRIV)) command.unshift(SETPRIV, '--pdeathsig', 'SIGKILL')
    const [file = process.execPath, ...rest] = command
    const child = spawn(file, rest, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    const ready = Promise.withResolvers<string | undefined>()
    const death = Promise.withResolvers<Death>()
    this.ready = ready.promise
    this.death = death.promise
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text
      const url = /http:\/\/127\.0\.0\.1:\d+/.exec(this.#stdout)?.[0]
      if (url !== undefined) ready.resolve(url)
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-20_000)
    })
    child.once('error', (error) => {
      ready.reject(error)
      death.reject(error)
    })
    child.once('close', (code, signal) => {
      ready.resolve(undefined)
      death.resolve({ code, signal, step: this.#lastWords() })
    })
  }

  /** Process id. */
  get pid(): number {
    return this.#child.pid ?? -1
  }

  /** The end of what it said to people. */
  get stderr(): string {
    return this.#stderr
  }

  /** Sends it a signal; does nothing when it is gone. */
  kill(signal: 'SIGKILL' | 'SIGTERM'): void {
    this.#child.kill(signal)
  }

  #lastWords(): string | undefined {
    const line = this.#stdout.split('\n').find((text) => text.startsWith(LAST_WORDS))
    return line?.slice(LAST_WORDS.length)
  }
}
