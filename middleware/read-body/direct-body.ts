/** What the body of a direct request says, where it is one that a model endpoint could have. */
import { TollwayError } from '../../src/core/errors.ts'
import { DIRECT_ENDPOINT, type Exchange } from '../../src/core/request/exchange.ts'
import { isMultipart, readJsonModel, readMultipartModel, type ModelChoice } from './read-model.ts'

/** Nothing was read, or nothing could be. */
const UNKNOWN = { model: undefined, stream: false, members: undefined } as const

/**
 * Reads the model and whether a stream is asked for. A direct request is sent as it came, so a body that cannot be read is no
 * error: it only names nothing.
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
