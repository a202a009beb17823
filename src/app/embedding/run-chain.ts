import type { ServerResponse } from 'node:http'
import type { ErrorHandler, Handler, Next, Request } from '../../../middleware/http/handler.ts'

/**
 * Runs handlers one after the other, as Express would, without an app of its own: the request keeps belonging to the
 * application around it.
 * @param done called when the last handler has called `next()`
 */
export function runChain(
  handlers: readonly Handler[],
  onError: ErrorHandler,
  req: Request,
  res: ServerResponse,
  done: Next,
): void {
  const run = (at: number, error?: unknown): void => {
    if (error !== undefined && error !== null) return onError(error, req, res, done)
    const handler = handlers[at]
    if (!handler) return done()
    try {
      handler(req, res, (thrown) => run(at + 1, thrown))
    } catch (thrown) {
      onError(thrown, req, res, done)
    }
  }
  run(0)
}
