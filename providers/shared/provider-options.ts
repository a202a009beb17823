/** Reads the options of a payer once, when it is created. */
import type { z } from 'zod'
import { ConfigError } from '../../src/core/errors.ts'
import { suggestName } from '../../src/io/names/nearest-name.ts'

/**
 * Parses options strictly.
 * @param name the factory's name, for the message
 * @throws ConfigError that names every mistake and how to mend it
 */
export function parseProviderOptions<T extends z.ZodObject>(
  name: string,
  schema: T,
  options: unknown,
): z.output<T> {
  const parsed = schema.safeParse(options)
  if (parsed.success) return parsed.data
  const faults = parsed.error.issues.map((issue) => {
    const where = issue.path.map(String).join('.')
    if (issue.code === 'unrecognized_keys') {
      return issue.keys
        .map((key) =>
          where === ''
            ? `"${key}" is not an option. ${suggestName(key, Object.keys(schema.shape))}`
            : `"${where}.${key}" is not an option. Remove it.`,
        )
        .join(' ')
    }
    const message = issue.message.replace(/\.$/, '')
    return where === '' ? `${message}.` : `${where}: ${message}.`
  })
  throw new ConfigError(`${name}(): ${faults.join(' ')}`)
}
