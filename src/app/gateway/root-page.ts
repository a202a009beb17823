/** `GET /`: what a person or program finds at the root, without a key. */
import { exchangeOf } from '../../../middleware/http/exchange-of.ts'
import { named, type Handler } from '../../../middleware/http/handler.ts'
import { sendJson } from '../../../middleware/http/send-json.ts'

const PATHS: ReadonlySet<string> = new Set(['/', '/v1', '/v1/'])

/** Says what this is and where its parts are; nothing of the configuration. */
export function rootPage(): Handler {
  return named<Handler>('rootPage', (req, res, next) => {
    const path = (req.url ?? '').split(/[?#]/, 1)[0] ?? ''
    if ((req.method !== 'GET' && req.method !== 'HEAD') || !PATHS.has(path)) return next()
    const exchange = exchangeOf(req)
    exchange.endpoint = '/'
    sendJson(res, exchange, 200, {
      name: 'tollway',
      description:
        'A gateway for model calls that pays for them where a seller asks for it (x402). It speaks the APIs of OpenAI and Anthropic.',
      base_url: '/v1',
      models: '/v1/models',
      health: '/health/ready',
      spending: '/dashboard',
    })
  })
}
