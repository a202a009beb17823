/** How a person names a wallet that exists already. */
/** The forms, for help and errors. */
export const WALLET_FORMS =
  'keystore:<file>, file:<key file>, env:<variable>, agentcash, or the address of a remote signer'
