/**
 * Checks the order of the middlewares at start: a wrong order would otherwise be refused only with the first request.
 */
import { ConfigError } from '../src/core/errors.ts'
import { markAsserted } from './http/chain/asserted.ts'
import { faultsOf, type Mounted } from './http/chain/chain-rules.ts'
import { mountedOn, stackOf } from './http/chain/express-stack.ts'

/**
 * Inspects an Express 4 or 5 app (or router), nested routers included; or, for servers without Express, a list of the
 * handlers in the order they run.
 * @throws ConfigError with every fault and its fix: a body parser before our middlewares, a wrong order, a middleware
 * that another one needs, a payment interceptor without a budget guard, mounted twice or with nothing behind it that
 * takes the answer, and a missing error handler
 */
export function assertOrder(app: unknown): void {
  const chain = chainOf(app)
  const faults = faultsOf(chain)
  if (faults.length > 0) throw new ConfigError(faults.join(' '))
  if (Array.isArray(app)) markAsserted(app)
}

function chainOf(app: unknown): Mounted[] {
  if (Array.isArray(app) && app.every((handler) => typeof handler === 'function')) {
    return app.map((handle) => ({ name: handle.name, handle }))
  }
  const stack = stackOf(app)
  if (!stack) {
    throw new ConfigError(
      'assertOrder() needs an Express app or router: pass the one the middlewares are mounted on; or a list of the handlers in their order.',
    )
  }
  return mountedOn(stack)
}
