import { InvalidArgumentError } from 'commander'

/** `--config`, for every command that reads the configuration. */
export const CONFIG_OPTION = ['-c, --config <file>', 'the configuration file'] as const

/** The configuration file when `--config` is not given. */
export const DEFAULT_CONFIG = 'tollway.yaml'

/** Reads a whole number between two bounds, for commander. */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`)
  }
}
