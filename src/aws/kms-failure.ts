import { isDeputizeError } from '../errors/base.js'
import { KeyUnavailableError, VaultCorruptError } from '../errors/vault.js'

/** Answers that stay the same until somebody changes something at KMS or in the configuration. */
const lasting = new Set([
  'AccessDeniedException',
  'DisabledException',
  'InvalidGrantTokenException',
  'InvalidKeyUsageException',
  'KMSInvalidStateException',
  'NotFoundException',
  'UnrecognizedClientException',
  'ValidationException',
])
/** The wrapped key was changed, or is not for this encryption context or KMS key. */
const garbled = new Set(['InvalidCiphertextException', 'IncorrectKeyException'])

/** What an error of KMS means for the vault. Of the error itself only its name is kept, and what the system said. */
export function kmsFailure(error: unknown): Error {
  if (isDeputizeError(error)) return error
  const name = nameOf(error)
  if (garbled.has(name)) {
    return new VaultCorruptError({
      reason: `KMS refuses the wrapped key in its header (${name}): it was changed, or is another vault's`,
    })
  }
  return new KeyUnavailableError({
    reason: `KMS: ${name}`,
    cause: error,
    retryable: !lasting.has(name),
  })
}

function nameOf(error: unknown): string {
  try {
    const { name } = error as { name?: unknown }
    if (typeof name === 'string' && /^[A-Za-z]{1,60}$/.test(name)) return name
  } catch {
    // A getter threw, or there is no object: it has no name either.
  }
  return 'it failed'
}
