/** `GET /openapi.json`: the description of what the gateway serves, for programs. */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { exchangeOf } from '../../../middleware/http/exchange-of.ts'
import { asyncHandler, type Handler } from '../../../middleware/http/handler.ts'
import { setResponseHeaders } from '../../../middleware/http/response-headers.ts'

const PATH = '/openapi.json'

/** The file of the package: found under `src` and under `dist/src`, in both the package resolves itself by name. */
const FILE = join(
  dirname(createRequire(import.meta.url).resolve('tollway/package.json')),
  'docs/openapi.json',
)

/** Serves it to everybody: it holds nothing of the configuration. */
export function openapiFile(): Handler {
  let reading: Promise<Buffer> | undefined
  return asyncHandler('openapiFile', async (req, res, next) => {
    const path = (req.url ?? '').split(/[?#]/, 1)[0] ?? ''
    if ((req.method !== 'GET' && req.method !== 'HEAD') || path !== PATH) return next()
    const exchange = exchangeOf(req)
    exchange.endpoint = PATH
    const file = await (reading ??= readFile(FILE))
    setResponseHeaders(res, exchange)
    res.statusCode = 200
    res.setHeader('content-type', 'application/json')
    res.setHeader('content-length', file.length)
    res.setHeader('x-content-type-options', 'nosniff')
    res.end(req.method === 'HEAD' ? undefined : file)
  })
}
