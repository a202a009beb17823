import { TollwayError } from '../../core/errors.ts'

/** A command was ended by whoever runs it, before anything was sent. Told with the code `stopped`. */
export class StoppedError extends TollwayError {
  constructor(message: string) {
    super({ code: 'signer_unavailable', message })
  }
}
