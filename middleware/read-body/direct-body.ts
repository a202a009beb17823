/** Reads what it can from the body of a direct request, if it looks like the body of a model request. */
import { TollwayError } from '../../src/core/errors.ts'
import { DIRECT_ENDPOINT, type Exchange } from '../../src/core/request/exchange.ts'
import { isMultipart, readJsonModel, readMultipartModel, type ModelChoice } from './read-model.ts'

/** Nothing was read, or the body could not be parsed. */
const UNKNOWN = { model: undefined, stream: false, members: undefined } as const

/**
 * Reads the model and whether a stream was requested. A direct request is forwarded unchanged, so a body that
 * cannot be parsed is not an error: its model is just unknown.
 */
export async function readDirectBody(
  { endpoint }: Pick<Exchange, 'endpoint'>,
  type: string,
  body: Buffer,
): Promise<ModelChoice | typeof UNKNOWN> {
  if (endpoint === DIRECT_ENDPOINT) return UNKNOWN
  try {
    return isMultipart(type) ? await readMultipartModel(type, body) : readJsonModel(body)
  } catch (error) {
    if (error instanceof TollwayError) return UNKNOWN
    throw error
  }
}
