/** A place for one gateway after another: each is started, serves, and dies; the next continues its audit file. */
import { readFileSync } from 'node:fs'
import type { Life } from './life.ts'
import type { Target } from './load.ts'

/** See the file's head. */
export class Slot implements Target {
  readonly name: string
  url: string | undefined
  inFlight = 0
  life: Life | undefined
  /** The instance that lives here, once it is ready. */
  instance: string | undefined
  /** The file it writes. */
  auditPath = ''
  /** Files so far. */
  files = 0
  /** Lives that wrote the file. */
  lives = 0
  /** Its file ended in a torn line when it died last: the next life repairs it. */
  torn = false
  #opened = Promise.withResolvers<void>()

  constructor(name: string) {
    this.name = name
  }

  /** A gateway listens here now. */
  open(url: string, instance: string | undefined): void {
    this.url = url
    this.instance = instance
    this.#opened.resolve()
  }

  /** It is dead. */
  close(): void {
    // One that never listened has somebody waiting still, for the next one.
    if (this.url === undefined) return
    this.url = undefined
    this.instance = undefined
    this.#opened = Promise.withResolvers()
  }

  up(): Promise<void> {
    return this.#opened.promise
  }

  /** Whether its process runs at this very moment, as the system says; a zombie does not. */
  isAlive(): boolean {
    if (!this.life || this.url === undefined) return false
    try {
      const stat = readFileSync(`/proc/${this.life.pid}/stat`, 'utf8')
      return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))
    } catch {
      return false
    }
  }
}
