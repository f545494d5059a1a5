import { type Clock, systemClock } from '../clock.js'
import { InboundAuthError } from '../errors/inbound.js'
import { isPromise } from '../maybe-promise.js'
import { isJwsAlgorithm, type JwsAlgorithm } from './algorithm.js'
import type { KeyLookup, WantedKey } from './key-list.js'
import { PublicKey } from './public-key.js'
import type { ParsedJws } from './strict-parse.js'

/**
 * Verifies the signature of a parsed JWS. The claims are not looked at.
 *
 * @param keys Where to look the key up, or the key itself as a public JWK.
 * @param algorithms The algorithms that may have been used; compared letter by letter.
 * @param clock For `keys` that are fetched and kept.
 * @throws {@link InboundAuthError} `ERR_ALG_NOT_ALLOWED` before any key is looked up, `ERR_UNKNOWN_KEY`,
 *   `ERR_KEYS_UNAVAILABLE`, `ERR_BAD_SIGNATURE`.
 */
export async function verifyJws(
  jws: ParsedJws,
  keys: KeyLookup | JsonWebKey,
  algorithms: readonly JwsAlgorithm[],
  clock: Clock = systemClock,
): Promise<void> {
  const key = keyFor(jws, keys, algorithms, clock)
  const checked = checkSignature(jws, isPromise(key) ? await key : key)
  if (checked) await checked
}

/** What a token says about its key. Whether `alg` is one is for {@link keyFor} to see. */
export function wantedKey(jws: ParsedJws): WantedKey {
  return jws.header as WantedKey
}

/**
 * The key that must have signed: at once when it is held, or a promise of it.
 *
 * @throws {@link InboundAuthError} As {@link verifyJws}, but for `ERR_BAD_SIGNATURE`.
 */
export function keyFor(
  jws: ParsedJws,
  keys: KeyLookup | JsonWebKey,
  algorithms: readonly JwsAlgorithm[],
  clock: Clock,
): PublicKey | Promise<PublicKey> {
  const wanted = wantedKey(jws)
  if (!isJwsAlgorithm(wanted.alg) || !algorithms.includes(wanted.alg)) {
    throw new InboundAuthError('ERR_ALG_NOT_ALLOWED', { reason: 'alg is not an allowed one' })
  }
  if (!('find' in keys)) return readKey(keys, wanted.alg)
  return keys.peek?.(wanted, clock) ?? keys.find(wanted, clock)
}

/**
 * Checks the signature with the key of {@link keyFor}: done when it returns, or when its promise fulfils.
 *
 * @throws {@link InboundAuthError} `ERR_BAD_SIGNATURE`, `ERR_UNKNOWN_KEY`.
 */
export function checkSignature(jws: ParsedJws, key: PublicKey): undefined | Promise<void> {
  const check = key.verifier(jws.header.alg as JwsAlgorithm)
  if (isPromise(check)) return check.then(async (ready) => judge(await ready(jws)))
  const verdict = check(jws)
  if (isPromise(verdict)) return verdict.then(judge)
  judge(verdict)
  return undefined
}

function judge(verifies: boolean): void {
  if (!verifies) {
    throw new InboundAuthError('ERR_BAD_SIGNATURE', { reason: 'the signature does not verify' })
  }
}

function readKey(jwk: JsonWebKey, alg: JwsAlgorithm): PublicKey {
  const key = PublicKey.read(jwk)
  if (typeof key === 'string' || !key.fits(alg)) {
    const why = typeof key === 'string' ? key : 'does not fit alg'
    throw new InboundAuthError('ERR_UNKNOWN_KEY', { reason: `the key ${why}` })
  }
  return key
}
