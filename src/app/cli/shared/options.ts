import { InvalidArgumentError } from 'commander'

/** `--config`, as every command that reads the configuration has it. */
export const CONFIG_OPTION = ['-c, --config <file>', 'the configuration file'] as const

/** Where the configuration is looked for. */
export const DEFAULT_CONFIG = 'tollway.yaml'

/** Reads a whole number between two bounds, for commander. */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`)
  }
}
