/** Sellers over TLS on this machine: a certificate that tests trust, and real HTTP/2. */
import { once } from 'node:events'
import {
  createSecureServer,
  type Http2SecureServer,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'

/** For `localhost` and 127.0.0.1; signed by itself, and worth nothing elsewhere. */
export const CERTIFICATE = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgqYKyQJZ2JhpNAsA+
Z/q9AmDL/nSztzZ5QaUw18EBYvKhRANCAAQ/qewFl1Qygv3hAyyaUNWDArMtl5Er
Dd6XfmnAmTrfWx27fEeN4ukdgAqvGKMx6TmA6mENjwgIq8TlvqlJOCft
-----END PRIVATE KEY-----
`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBmjCCAUGgAwIBAgIUP7FHd0D1m/piWHUQvW9B55xVZFMwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEzMDEyMzcwNVoYDzIxMjYxMTA2
MTIzNzA1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQ/qewFl1Qygv3hAyyaUNWDArMtl5ErDd6XfmnAmTrfWx27fEeN4ukd
gAqvGKMx6TmA6mENjwgIq8TlvqlJOCfto28wbTAdBgNVHQ4EFgQUdKOPPpUsrT/G
Njdux6HB1jFI0O0wHwYDVR0jBBgwFoAUdKOPPpUsrT/GNjdux6HB1jFI0O0wDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDRwAwRAIgN6EP71yITy8wyjpll0FTkoohJsNwbXY5H/xsGy8qcLMCIG6t
9Z9AbmXB4ZwC/zVrmcTeKFti/qXCsLgOI+dQe05G
-----END CERTIFICATE-----
`,
}

/** Lets everything in this process trust the certificate. @returns what takes the trust back */
export function trustCertificate(): () => void {
  const before = getCACertificates('default')
  setDefaultCACertificates([...before, CERTIFICATE.cert])
  return () => setDefaultCACertificates(before)
}

/** One request as it arrived. */
export interface H2Request {
  readonly path: string
  readonly isPaid: boolean
  readonly stream: ServerHttp2Stream
  readonly session: ServerHttp2Session
}

/** An HTTP/2 server on 127.0.0.1. */
export interface H2Seller {
  readonly url: string
  readonly apiBase: string
  readonly server: Http2SecureServer
  /** Every request whose head arrived, oldest first. */
  readonly requests: readonly H2Request[]
  close(): Promise<void>
}

/** Starts a server that speaks HTTP/2 alone. `answer` does with a stream what it likes. */
export async function startH2Seller(
  answer: (request: H2Request) => void,
  options: SecureServerOptions = {},
): Promise<H2Seller> {
  const requests: H2Request[] = []
  const sessions = new Set<ServerHttp2Session>()
  const server = createSecureServer({ ...CERTIFICATE, ...options })
  server.on('session', (session) => {
    sessions.add(session)
    session.on('close', () => sessions.delete(session)).on('error', () => {})
  })
  server.on('sessionError', () => {})
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {})
    const isPaid = headers['payment-signature'] !== undefined || headers['x-payment'] !== undefined
    const request = {
      path: headers[':path'] ?? '',
      isPaid,
      stream,
      session: stream.session as ServerHttp2Session,
    }
    requests.push(request)
    answer(request)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const url = `https://localhost:${typeof address === 'object' && address !== null ? address.port : 0}`
  return {
    url,
    apiBase: `${url}/v1`,
    server,
    requests,
    async close() {
      for (const session of sessions) session.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
