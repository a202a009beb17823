/** How `tollway pay` calls a service whose method it was not told. Asking is free: nothing is paid before the offers are known. */
import { describe, expect, it } from 'vitest'
import { commandRequest } from '../../src/app/buying/ask-price.ts'
import { askService, type AskedAnswer } from '../../src/app/buying/ask-service.ts'
import { systemTimers } from '../../src/core/timers.ts'
import type { IncomingReply } from '../../src/io/transport/upstream.ts'
import { challenge, NOW, reply } from '../kit/payment-engine.ts'

interface Asked extends AskedAnswer {
  readonly methods: readonly string[]
  readonly outcome: string | undefined
}

/** Asks a service that answers by method. */
async function asked(
  answers: Readonly<Record<string, () => IncomingReply>>,
  method = 'GET',
  isMethodGiven = false,
): Promise<Asked> {
  const methods: string[] = []
  const context = {
    clock: { now: () => NOW },
    timers: systemTimers,
    upstream: {
      send: async (request: { readonly method: string }) => {
        methods.push(request.method)
        return await Promise.resolve((answers[request.method] ?? (() => reply(404)))())
      },
      close: async () => await Promise.resolve(),
    },
  }
  const command = commandRequest(NOW, {
    route: 'pay',
    payer: 'base',
    endpoint: '/forecast',
    apiBase: 'https://seller.test',
    model: 'pay',
  })
  const request = { method, url: 'https://seller.test/forecast', headers: {}, body: undefined }
  const found = await askService(context, command, request, isMethodGiven, new AbortController().signal)
  return { ...found, methods, outcome: command.exchange.record.outcome }
}

const notAllowed = (allow: string) => () => reply(405, '{}', { allow })

describe('a service that wants another method', () => {
  it.each(['POST', 'post', 'POST, OPTIONS', 'HEAD, POST , POST'])(
    'is asked by the one it allows: %s',
    async (allow) => {
      const { methods, service, note, outcome } = await asked({ GET: notAllowed(allow), POST: challenge })
      expect(methods).toEqual(['GET', 'POST'])
      expect(service?.request.method).toBe('POST')
      expect(note).toBe(
        'Note: called with POST, the only method that the seller allows; -X chooses another method.',
      )
      expect(outcome).toBeUndefined()
    },
  )

  it.each<[string, () => IncomingReply, string]>([
    [
      '405 with several',
      notAllowed('PUT, POST'),
      'It allows PUT, POST. If the address is right, name the method: -X PUT, and give its body with --data',
    ],
    ['405 without any', () => reply(405), 'name the method: -X POST, and give its body with --data'],
    ['405 of junk', notAllowed('*, ??'), 'name the method: -X POST'],
    [
      '404',
      () => reply(404),
      'the seller answered 404 to GET. If the address is right, name the method: -X POST',
    ],
  ])('is named in a hint: %s', async (_name, answer, words) => {
    const { methods, service, note } = await asked({ GET: answer })
    expect(methods).toEqual(['GET'])
    expect(service).toBeUndefined()
    expect(note).toContain(words)
  })

  it('is not called otherwise than the user said, only named', async () => {
    const { methods, note } = await asked({ POST: notAllowed('GET'), GET: challenge }, 'POST', true)
    expect(methods).toEqual(['POST'])
    expect(note).toBe(
      'Note: the seller answered 405 to POST. It allows GET. If the address is right, name the method: -X GET.',
    )
  })

  it('gives no hint for other answers', async () => {
    for (const status of [200, 400, 401, 403, 500]) {
      expect((await asked({ GET: () => reply(status) })).note).toBeUndefined()
    }
  })
})
