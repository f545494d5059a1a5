import { base64url } from '../bytes.js'
import { type Clock, systemClock } from '../clock.js'
import { InboundAuthError } from '../errors/inbound.js'
import { isJwsAlgorithm, type JwsAlgorithm } from './algorithm.js'
import type { KeyLookup } from './key-list.js'
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
  const { alg, kid } = jws.header
  if (!isJwsAlgorithm(alg) || !algorithms.includes(alg)) {
    throw new InboundAuthError('ERR_ALG_NOT_ALLOWED', { reason: 'alg is not an allowed one' })
  }
  const key =
    'find' in keys
      ? await keys.find({ alg, ...(kid === undefined ? {} : { kid }) }, clock)
      : readKey(keys, alg)
  const verifies = await key.verifier(alg)
  if (!(await verifies(`${jws.signingInput}.${base64url(jws.signature)}`))) {
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
