import { TollwayError } from '../../src/core/errors.ts'

/**
 * A mistake in how the middlewares are mounted that shows only with a request. Thrown before anything is reserved or
 * signed.
 * @param message what is wrong
 * @param fix what to change, one sentence
 */
export function setupError(message: string, fix: string): TollwayError {
  return new TollwayError({ code: 'setup_error', message, advice: [fix], details: { fix } })
}
