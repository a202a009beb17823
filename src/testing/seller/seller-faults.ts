/** What goes wrong at a seller: steps for the script of a scripted seller. */
import { receiptV2, RECEIPT, type Answer } from './seller-answers.ts'
import type { SellerHandler } from './scripted-seller.ts'

/** Closes the connection without an answer. */
export const cut: SellerHandler = (_request, response) => void response.destroy()

/** Keeps the connection open and never answers. */
export const silent: SellerHandler = () => undefined

/** Sends the head and the first `bytes` bytes of an answer, then closes the connection. */
export function cutAfter(bytes: number, { status, headers, body }: Answer): SellerHandler {
  return (_request, response) => {
    response.writeHead(status, headers)
    response.write(Buffer.from(body).subarray(0, bytes), () => response.destroy())
  }
}

/** An error status whose receipt says that the payment was settled. */
export function settledError(status: number): Answer {
  return { status, headers: receiptV2(RECEIPT), body: '' }
}

/** A step that waits: tells when a request has arrived, and answers all that wait once it is released. */
export interface Held {
  readonly step: SellerHandler
  /** Resolves with the first request. */
  readonly arrived: Promise<void>
  /** Answers the requests that wait, and those to come at once. */
  readonly release: () => void
}

/** Holds an answer back until it is released. */
export function held(answer: Answer): Held {
  const arrived = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  return {
    step: async () => {
      arrived.resolve()
      await released.promise
      return answer
    },
    arrived: arrived.promise,
    release: released.resolve,
  }
}
