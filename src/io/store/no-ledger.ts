import { ConfigError } from '../../core/errors.ts'

/** A command needs the ledger, and no gateway has made one yet. */
export class NoLedgerError extends ConfigError {
  /** @param path of the missing file, absolute, or the database without its password */
  constructor(path: string) {
    super(
      `There is no ledger at ${path} yet: no gateway has run with this configuration, so nothing was spent or bought. ` +
        'Start one with tollway serve, or name another configuration with --config.',
    )
  }
}
