/** `GET /openapi.json`: the description of what the gateway serves, for programs. */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { exchangeOf } from '../../../middleware/http/exchange-of.ts'
import { asyncHandler, type Handler } from '../../../middleware/http/handler.ts'
import { setResponseHeaders } from '../../../middleware/http/response-headers.ts'

const PATH = '/openapi.json'

/** Serves it to everybody: it holds nothing of the configuration. A bundle does not have it, and answers 404. */
export function openapiFile(): Handler {
  let reading: Promise<Buffer | undefined> | undefined
  return asyncHandler('openapiFile', async (req, res, next) => {
    const path = (req.url ?? '').split(/[?#]/, 1)[0] ?? ''
    if ((req.method !== 'GET' && req.method !== 'HEAD') || path !== PATH) return next()
    const file = await (reading ??= description().catch(() => undefined))
    if (!file) return next()
    const exchange = exchangeOf(req)
    exchange.endpoint = PATH
    setResponseHeaders(res, exchange)
    res.statusCode = 200
    res.setHeader('content-type', 'application/json')
    res.setHeader('content-length', file.length)
    res.setHeader('x-content-type-options', 'nosniff')
    res.end(req.method === 'HEAD' ? undefined : file)
  })
}

/** The file of the package: found from `src` and from `dist/src`, in both the package resolves itself by name. */
async function description(): Promise<Buffer> {
  const { resolve } = createRequire(import.meta.url)
  return await readFile(join(dirname(resolve('tollway/package.json')), 'docs/openapi.json'))
}
