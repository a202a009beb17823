/**
 * Environment variables that a program gives in place of those of its process. Their values appear in no log, copy or comparison
 * of what refers to them (rule 8); the program that gave them has them in its memory.
 */
export class Variables {
  readonly #env: Readonly<Record<string, string | undefined>>

  constructor(env: Readonly<Record<string, string | undefined>>) {
    this.#env = env
  }

  /** Whether a variable is set. */
  has(name: string): boolean {
    return Object.hasOwn(this.#env, name) && this.#env[name] !== undefined
  }

  /** Those of the named variables that are set, for the environment of a thread. */
  pick(names: readonly string[]): Record<string, string> {
    return Object.fromEntries(
      names.flatMap((name) => {
        const value = this.has(name) ? this.#env[name] : undefined
        return value === undefined ? [] : [[name, value] as const]
      }),
    )
  }
}
