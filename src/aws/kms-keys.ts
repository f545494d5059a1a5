import { base64url, fromBase64url } from '../bytes.js'
import { type Clock, DAY_MS, MINUTE_MS, readClock, SECOND_MS } from '../clock.js'
import { KeyUnavailableError } from '../errors/vault.js'
import { checkOptionNames } from '../option-names.js'
import { SharedWork } from '../shared-work.js'
import type { KeyRing, KeyUse, VaultKey } from '../vault/key-ring.js'
import { DataKeyCache } from './data-key-cache.js'
import type { KmsClient } from './kms-client.js'
import { kmsFailure } from './kms-failure.js'

/** How long one data key seals, and is kept in clear, by default. */
export const DATA_KEY_MAX_AGE_MS = 5 * MINUTE_MS
/** How many data keys are kept in clear by default. */
export const MAX_DATA_KEYS = 1_000
/** How many rows one data key seals by default. */
export const DATA_KEY_MAX_ROWS = 2 ** 20
/** AES-GCM with random nonces (NIST SP 800-38D §8.3). */
const MOST_ROWS = 2 ** 32
const KMS_DEADLINE_MS = 5 * SECOND_MS
const DATA_KEY_BYTES = 32
/** So that the key id of a row stays within 1,024 bytes. KMS wraps 32 bytes in some 170. */
const MAX_WRAPPED_BYTES = 700
const PREFIX = 'aws-kms'
const VAULT = 'deputize:vault'

/** What {@link kmsKeys} takes. */
export interface KmsKeysOptions {
  /** `new KMS({ region })` of `@aws-sdk/client-kms`. It needs `kms:GenerateDataKey` and `kms:Decrypt` on the keys. */
  readonly client: KmsClient
  /** The id or ARN of a symmetric KMS key. No alias: one can be led elsewhere, and rows would no longer open. */
  readonly keyId: string
  /** KMS keys that rows were sealed under before. They open until `rewrap()` has brought all rows to `keyId`. */
  readonly olderKeyIds?: readonly string[]
  /** More pairs for the encryption context. They stand in CloudTrail in clear. The vault's name is always in it. */
  readonly encryptionContext?: Readonly<Record<string, string>>
  /** How long a data key seals rows, and is kept in clear. 1 s to 1 day; default 5 minutes. */
  readonly dataKeyMaxAgeMs?: number
  /** How many rows a data key seals. At most 2^32; default 2^20. */
  readonly dataKeyMaxRows?: number
  /** How many data keys are kept in clear at the most. Default 1,000. */
  readonly maxDataKeys?: number
  /** Milliseconds since the epoch. For tests. */
  readonly clock?: Clock
}

/**
 * Data keys of AWS KMS: rows are sealed with a data key that KMS made and wrapped, and carry it wrapped. While KMS
 * cannot be reached, keys that are still kept serve until their time is up; then `KeyUnavailableError`.
 *
 * Every row that was sealed with a data key which is not kept costs a call of KMS when it is opened.
 *
 * @throws `TypeError` An option is wrong.
 */
export function kmsKeys(options: KmsKeysOptions): KeyRing {
  checkOptionNames(options, 'kmsKeys()', {
    client: true,
    keyId: true,
    olderKeyIds: true,
    encryptionContext: true,
    dataKeyMaxAgeMs: true,
    dataKeyMaxRows: true,
    maxDataKeys: true,
    clock: true,
  })
  const { client, encryptionContext = {} } = options
  const clock = readClock(options.clock)
  if (typeof client?.generateDataKey !== 'function' || typeof client.decrypt !== 'function') {
    throw new TypeError('client must be a KMS client: new KMS({ region }) of @aws-sdk/client-kms.')
  }
  const newestId = keyIdOf(options.keyId, 'keyId')
  const keyIds = new Map([[newestId, options.keyId]])
  for (const older of options.olderKeyIds ?? []) keyIds.set(keyIdOf(older, 'olderKeyIds'), older)
  checkContext(encryptionContext)
  const maxAgeMs = wholeNumber(options, 'dataKeyMaxAgeMs', DATA_KEY_MAX_AGE_MS, SECOND_MS, DAY_MS)
  const maxRows = wholeNumber(options, 'dataKeyMaxRows', DATA_KEY_MAX_ROWS, 1, MOST_ROWS)
  const maxKeys = wholeNumber(options, 'maxDataKeys', MAX_DATA_KEYS, 1, 1_000_000)

  const kept = new DataKeyCache({ maxAgeMs, maxKeys, clock })
  const flights = new SharedWork<VaultKey>()
  /** By vault: the data key that seals. */
  const sealing = new Map<string, { readonly id: string; rows: number }>()
  // A row of another vault asks with another context, so what is kept is kept by vault.
  const nameOf = (use: KeyUse, id: string) => JSON.stringify([use.vault, id])
  const contextOf = (use: KeyUse) => ({ ...encryptionContext, [VAULT]: use.vault })

  async function generate(use: KeyUse): Promise<VaultKey> {
    const answer = await ask((signal) =>
      client.generateDataKey(
        {
          KeyId: options.keyId,
          NumberOfBytes: DATA_KEY_BYTES,
          EncryptionContext: contextOf(use),
        },
        { abortSignal: signal },
      ),
    )
    const wrapped = answer.CiphertextBlob
    if (
      !(wrapped instanceof Uint8Array) ||
      wrapped.length < 1 ||
      wrapped.length > MAX_WRAPPED_BYTES
    ) {
      throw new KeyUnavailableError({
        reason: 'KMS gave a data key that is not wrapped as it should be',
      })
    }
    const key = {
      id: `${PREFIX}:${newestId}:${base64url(wrapped)}`,
      bytes: plainKey(answer, newestId),
    }
    kept.set(nameOf(use, key.id), key)
    sealing.set(use.vault, { id: key.id, rows: 0 })
    return key
  }

  async function unwrap(
    use: KeyUse,
    id: string,
    keyId: string,
    wrapped: Uint8Array,
  ): Promise<VaultKey> {
    const answer = await ask((signal) =>
      client.decrypt(
        {
          KeyId: keyIds.get(keyId)!,
          CiphertextBlob: wrapped,
          EncryptionContext: contextOf(use),
        },
        { abortSignal: signal },
      ),
    )
    const key = { id, bytes: plainKey(answer, keyId) }
    kept.set(nameOf(use, id), key)
    return key
  }

  return {
    newest(use) {
      const now = sealing.get(use.vault)
      const key = now && now.rows < maxRows && kept.get(nameOf(use, now.id))
      if (!key) return flights.run(nameOf(use, 'newest'), () => generate(use))
      now.rows += 1
      return key
    },

    find(id, use) {
      const parts = id.split(':')
      const [prefix, keyId = '', wrapped = ''] = parts
      if (parts.length !== 3 || prefix !== PREFIX || !keyIds.has(keyId)) return undefined
      const name = nameOf(use, id)
      const key = kept.get(name)
      if (key) return key
      const bytes = fromBase64url(wrapped)
      if (!bytes || bytes.length < 1 || bytes.length > MAX_WRAPPED_BYTES) return undefined
      return flights.run(name, () => unwrap(use, id, keyId, bytes))
    },

    // Data keys come and go; what matters is the KMS key that they are wrapped under.
    isCurrent: (id) => id.startsWith(`${PREFIX}:${newestId}:`),
  }
}

/** One call of KMS within its time, its failure put into our words. */
async function ask<T>(run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const reason = `KMS gave no answer in ${KMS_DEADLINE_MS} ms`
      reject(new KeyUnavailableError({ reason, retryable: true }))
      controller.abort()
    }, KMS_DEADLINE_MS)
  })
  try {
    return await Promise.race([run(controller.signal), deadline])
  } catch (error) {
    throw kmsFailure(error)
  } finally {
    clearTimeout(timer)
  }
}

/** A copy of the data key that is ours to wipe; the client's is wiped now. */
function plainKey(
  answer: { readonly Plaintext?: Uint8Array | undefined; readonly KeyId?: string | undefined },
  keyId: string,
): Uint8Array {
  const { Plaintext: plain } = answer
  if (!(plain instanceof Uint8Array) || plain.length !== DATA_KEY_BYTES) {
    throw new KeyUnavailableError({ reason: 'KMS gave a data key that is not 32 bytes' })
  }
  const bytes = new Uint8Array(plain)
  plain.fill(0)
  if (answer.KeyId !== undefined && bareId(answer.KeyId) !== keyId) {
    bytes.fill(0)
    throw new KeyUnavailableError({ reason: 'KMS answered with another key than it was asked for' })
  }
  return bytes
}

const bareId = (keyId: string) => keyId.replace(/^.*:key\//, '')

function keyIdOf(keyId: string, option: string): string {
  const bare = typeof keyId === 'string' ? bareId(keyId) : ''
  if (!/^[A-Za-z0-9-]{1,256}$/.test(bare)) {
    throw new TypeError(
      `${option} must be the id or the ARN of a KMS key, not an alias; see: aws kms describe-key --key-id alias/…`,
    )
  }
  return bare
}

function checkContext(context: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(context)) {
    if (typeof value !== 'string' || value === '' || name === '' || name.startsWith('deputize:')) {
      throw new TypeError(
        'encryptionContext must hold pairs of non-empty strings; names that start with "deputize:" are taken.',
      )
    }
  }
}

function wholeNumber<K extends keyof KmsKeysOptions>(
  options: KmsKeysOptions,
  name: K,
  fallback: number,
  least: number,
  most: number,
): number {
  const value = options[name] ?? fallback
  if (!Number.isSafeInteger(value) || (value as number) < least || (value as number) > most) {
    throw new TypeError(`${name} must be a whole number of ${least} to ${most}.`)
  }
  return value as number
}
