/** What the public types promise. The compiler checks it (`npm run check:types`); running it checks that the names exist. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { describe, expectTypeOf, test } from 'vitest'
import * as middleware from '../middleware/index.ts'
import type { ClosableHandler, ErrorHandler, Exchange, Handler, PlainBudget } from '../middleware/index.ts'
import * as providers from '../providers/index.ts'
import type { Authorization, Presigned, Provider, Quote } from '../providers/index.ts'
import * as tollway from '../src/index.ts'
import type { Gateway, ResolvedConfig, TollwayEvent } from '../src/index.ts'
import * as testing from '../src/testing/index.ts'

describe('tollway', () => {
  test('makes a gateway of a configuration that was checked', () => {
    expectTypeOf(tollway.parseConfig).returns.toEqualTypeOf<ResolvedConfig>()
    expectTypeOf(tollway.parseConfig).parameter(0).toBeUnknown()
    expectTypeOf(tollway.createGateway).parameter(0).toEqualTypeOf<ResolvedConfig>()
    expectTypeOf(tollway.createGateway).returns.resolves.toEqualTypeOf<Gateway>()
    expectTypeOf<Gateway['close']>().returns.resolves.toBeVoid()
  })

  test('is one middleware that can be awaited and closed', () => {
    const mounted = expectTypeOf(tollway.tollway).returns
    mounted.toBeCallableWith({} as IncomingMessage, {} as ServerResponse, () => undefined)
    mounted.toHaveProperty('close').returns.resolves.toBeVoid()
    mounted.toHaveProperty('then')
  })

  test('tells money as bigint, never as a number', () => {
    type Charged = Extract<TollwayEvent, { type: 'charge' }>['charge']
    expectTypeOf<Charged['amount']>().toBeBigInt()
    expectTypeOf<Charged['microUsd']>().toEqualTypeOf<bigint | undefined>()
  })

  test('has errors with a code of the table and a status', () => {
    expectTypeOf<tollway.TollwayError['code']>().toEqualTypeOf<keyof typeof tollway.ERROR_TABLE>()
    expectTypeOf<tollway.TollwayError['status']>().toBeNumber()
  })
})

describe('tollway/middleware', () => {
  test('asks for what a part cannot do without, and for nothing else', () => {
    expectTypeOf(middleware.readBody).toBeCallableWith()
    expectTypeOf(middleware.sseRestreamer).toBeCallableWith()
    expectTypeOf(middleware.errorHandler).toBeCallableWith()
    expectTypeOf(middleware.idempotency).toBeCallableWith()
    expectTypeOf<Parameters<typeof middleware.budgetGuard>[0]>().toHaveProperty('budgets')
    expectTypeOf<{ store: 'memory' }>().not.toExtend<Parameters<typeof middleware.budgetGuard>[0]>()
    expectTypeOf<object>().not.toExtend<Parameters<typeof middleware.paymentInterceptor>[0]>()
    expectTypeOf<PlainBudget['limitUsd']>().toEqualTypeOf<string | undefined>()
  })

  test('makes handlers that fit any server, and says which must be closed', () => {
    expectTypeOf(middleware.readBody).returns.toEqualTypeOf<Handler>()
    expectTypeOf(middleware.budgetGuard).returns.toEqualTypeOf<ClosableHandler>()
    expectTypeOf(middleware.errorHandler).returns.toEqualTypeOf<ErrorHandler>()
    expectTypeOf<Handler>().toBeCallableWith({} as IncomingMessage, {} as ServerResponse, () => undefined)
    expectTypeOf(middleware.exchangeOf).returns.toEqualTypeOf<Exchange>()
  })
})

describe('tollway/providers', () => {
  test('makes payers, and tells what one of your own must do', () => {
    expectTypeOf(providers.direct).returns.resolves.toExtend<Provider>()
    expectTypeOf(providers.solana).returns.resolves.toExtend<Provider>()
    expectTypeOf<Parameters<Provider['authorize']>[0]>().toEqualTypeOf<Quote>()
    expectTypeOf<Provider['authorize']>().returns.resolves.toExtend<Authorization | Presigned>()
    expectTypeOf<Quote['amount']>().toBeBigInt()
  })
})

describe('tollway/testing', () => {
  test('has payers and stores that fit where real ones do', () => {
    expectTypeOf(testing.toyPayer).returns.toExtend<Provider>()
    expectTypeOf(testing.memoryStore).returns.toExtend<middleware.Store>()
  })
})
