/** Real applications to mount middlewares in: the Express versions that are supported. */
import type { RequestListener } from 'node:http'
import express5 from 'express'
import express4 from 'express4'
import type { ErrorHandler, Handler } from '../../middleware/http/handler.ts'
import { untyped } from './harness.ts'

/** What both versions share of an app, or of a router. */
export interface HostApp {
  use(...handlers: (string | Handler | ErrorHandler | HostApp)[]): unknown
  post(path: string, ...handlers: Handler[]): unknown
  all(path: string, ...handlers: Handler[]): unknown
}

/** One version of Express. */
export interface Host {
  readonly name: string
  app(): HostApp & RequestListener
  router(): HostApp
  json(options?: object): Handler
}

export const EXPRESS: readonly Host[] = [
  {
    name: 'Express 4',
    app: () => untyped<HostApp & RequestListener>(express4()),
    router: () => untyped<HostApp>(express4.Router()),
    json: (options) => untyped<Handler>(express4.json(options)),
  },
  {
    name: 'Express 5',
    app: () => untyped<HostApp & RequestListener>(express5()),
    router: () => untyped<HostApp>(express5.Router()),
    json: (options) => untyped<Handler>(express5.json(options)),
  },
]
