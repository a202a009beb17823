import { createSellerApp, mountModel, openSeller } from './seller-app.ts'
import type { LocalSeller } from './seller-app.ts'
import { createModel } from '../model/model.ts'
import { createOfficialServer } from './official-server.ts'
import type { Price, SellerOptions } from './official-server.ts'
import { loadOptionalPackages } from '../shared/optional-packages.ts'
import type { SeenRequest } from './request-log.ts'

/**
 * What `GET /free/v1/files/x/content` serves: every byte value, four times over, so that any text decoding on the
 * way would be noticed.
 */
export const binaryContent: Buffer<ArrayBuffer> = Buffer.from(
  Array.from({ length: 1024 }, (_, index) => index % 256),
)

/**
 * Starts a seller on the official Express middleware (x402 v2): verify, answer, settle. That middleware holds back
 * every answer, including streams, until the payment is settled.
 *
 * Besides the paid paths under `/v1` it serves the model free of charge under `/free/v1`, echoes `POST
 * /free/v1/files` byte for byte and serves a binary file at `GET /free/v1/files/x/content`.
 *
 * @throws {SandboxPackagesMissingError} When the official packages are not installed.
 * @throws {Error} When the facilitator cannot be reached, or the port is taken.
 */
export async function startSeller(options: SellerOptions): Promise<LocalSeller> {
  const packages = await loadOptionalPackages()
  const price: Price = { usd: options.priceUsd ?? '$0.001' }
  const official = await createOfficialServer(packages, options, price)
  const log: SeenRequest[] = []
  const model = createModel(options)
  const app = createSellerApp(model, log)

  app.get('/free/v1/models', model.models)
  mountModel(app, '/free/v1', model)
  app.post('/free/v1/files', (request, response) => {
    const type = request.get('content-type')
    if (type !== undefined) response.setHeader('content-type', type)
    response.end(request.body)
  })
  app.get('/free/v1/files/x/content', (_request, response) => {
    response.setHeader('content-type', 'application/octet-stream')
    response.end(binaryContent)
  })

  // Already initialised above, so that the first customer does not wait and an unreachable facilitator is reported
  // at start.
  app.use(packages.express.paymentMiddlewareFromHTTPServer(official, undefined, undefined, false))
  mountModel(app, '/v1', model)
  return openSeller(app, log, options.port, (usd) => {
    price.usd = usd
  })
}
