import { spawn, type ChildProcess } from 'node:child_process'

/** How to start a {@link Child}. */
export interface ChildOptions {
  cwd: string
  env?: NodeJS.ProcessEnv | undefined
  /** In a process group of its own, to which signals go, as those of a terminal do. */
  group?: boolean | undefined
}

/** How a child ended, and everything it said. */
export interface Ended {
  /** `null` when a signal ended it. */
  code: number | null
  stdout: string
  stderr: string
}

/** A process a test started. */
export class Child {
  readonly #process: ChildProcess
  readonly #group: boolean
  readonly #ended: Promise<Ended>
  #stdout = ''
  #stderr = ''
  #isOver = false
  #changed = Promise.withResolvers<void>()

  constructor(
    command: string,
    args: readonly string[],
    { cwd, env = process.env, group = false }: ChildOptions,
  ) {
    const child = spawn(command, args, { cwd, env, detached: group, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#process = child
    this.#group = group
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text
      this.#change()
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
    })
    this.#ended = new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code) => {
        this.#isOver = true
        resolve({ code, stdout: this.#stdout, stderr: this.#stderr })
        this.#change()
      })
    })
    this.#ended.catch(() => this.#change())
  }

  /** @throws {Error} When it could not be started. */
  get pid(): number {
    const { pid } = this.#process
    if (pid === undefined) throw new Error('the process did not start')
    return pid
  }

  /** Waits until its output holds this. @throws {Error} with everything it said, when it ends before */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.#stdout)
      if (found) return found
      if (this.#isOver) throw new Error(`It ended without saying ${pattern}:\n${this.#stdout}${this.#stderr}`)
      await this.#changed.promise
    }
  }

  /** Waits for the end. */
  end(): Promise<Ended> {
    return this.#ended
  }

  /** Asks it to end, or makes it. */
  kill(signal: 'SIGTERM' | 'SIGKILL'): void {
    if (!this.#group) {
      this.#process.kill(signal)
    } else if (!this.#isOver) {
      process.kill(-this.pid, signal)
    }
  }

  #change(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }
}

/** Runs a command to its end. */
export function run(command: string, args: readonly string[], options: ChildOptions): Promise<Ended> {
  return new Child(command, args, options).end()
}
