import { TollwayError } from '../../core/errors.ts'

/** The user stopped a command before anything was sent; its code is `stopped`. */
export class StoppedError extends TollwayError {
  constructor(message: string) {
    super({ code: 'signer_unavailable', message })
  }
}
