import { DeputizeError, isDeputizeError } from './base.js'

/**
 * The store did not answer, or refused. It is never taken for a miss: no consent is asked for and no refresh token is
 * spent while the vault cannot be read and written.
 */
export class VaultUnavailableError extends DeputizeError {
  override readonly name = 'VaultUnavailableError'
  readonly code = 'ERR_VAULT_UNAVAILABLE'

  constructor(init: { operation: string; reason: string; cause?: unknown }) {
    super(
      `The vault's store failed at "${init.operation}" (${init.reason}). Nothing was lost: check that the store is up and reachable, then try again.`,
      { reason: init.reason, cause: init.cause, retryable: true },
    )
  }
}

/** A row does not open: it was changed, cut, moved to another owner's place, or written by something else. */
export class VaultCorruptError extends DeputizeError {
  override readonly name = 'VaultCorruptError'
  readonly code = 'ERR_VAULT_CORRUPT'

  constructor(init: { reason: string }) {
    super(
      `A vault row does not open (${init.reason}). If the vault's name or keys were changed, put the old ones back; otherwise delete the row and let the user consent again.`,
      { reason: init.reason },
    )
  }
}

/** The key that a row was sealed with is not in the key ring. */
export class KeyUnavailableError extends DeputizeError {
  override readonly name = 'KeyUnavailableError'
  readonly code = 'ERR_KEY_UNAVAILABLE'

  constructor(init: { reason: string; cause?: unknown; retryable?: boolean }) {
    super(
      `A vault row is sealed with a key that is not at hand (${init.reason}). Add the old key to the key ring; rows open with any key of the ring and are sealed with the newest.`,
      { reason: init.reason, cause: init.cause, retryable: init.retryable },
    )
  }
}

/** Whether the store, or the key ring, failed in a way that may pass. */
export function isVaultHiccup(error: unknown): boolean {
  return (
    isDeputizeError(error) &&
    error.retryable &&
    (error.code === 'ERR_VAULT_UNAVAILABLE' || error.code === 'ERR_KEY_UNAVAILABLE')
  )
}
