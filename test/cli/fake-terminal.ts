import type { Terminal } from '../../src/app/cli/shared/terminal.ts'

/** A terminal that writes down what happens to it. */
export class FakeTerminal implements Terminal {
  readonly env: Readonly<Record<string, string>>
  out = ''
  err = ''
  readonly exits: number[] = []
  readonly #listeners = new Set<() => void>()

  constructor(env: Readonly<Record<string, string>> = {}) {
    this.env = env
  }

  stdout(text: string): void {
    this.out += text
  }

  stderr(text: string): void {
    this.err += text
  }

  stdoutBytes(chunk: Uint8Array): Promise<void> {
    this.out += Buffer.from(chunk).toString('latin1')
    return Promise.resolve()
  }

  onStopSignal(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  exit(code: number): void {
    this.exits.push(code)
  }

  /** Sends what Ctrl-C sends. */
  signal(): void {
    for (const listener of this.#listeners) listener()
  }

  get listening(): boolean {
    return this.#listeners.size > 0
  }
}
