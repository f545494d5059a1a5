import { base64url, equalBytes, fromBase64url, sha256, tuple, utf8 } from '../bytes.js'
import { MINUTE_MS, SECOND_MS } from '../clock.js'
import { InboundAuthError } from '../errors/inbound.js'
import { jwsAlgorithms } from '../jwt/algorithm.js'
import type { KeyLookup } from '../jwt/key-list.js'
import { PublicKey } from '../jwt/public-key.js'
import { type ParsedJws, parseJws } from '../jwt/strict-parse.js'
import { verifyJws } from '../jwt/verify.js'
import { checkOptionNames } from '../option-names.js'
import { checkSecretInput, hideSecret, Secret, type SecretInput } from '../secret.js'
import { isJsonObject, type JsonObject, parseStrictJson } from '../strict-json.js'
import type { AuthenticatorContext, InboundRequest } from './authenticator.js'
import { checkNonceSecret, DpopNonces } from './dpop-nonces.js'
import { sameResource } from './dpop-url.js'
import { checkBoolean } from './option-checks.js'
import { checkReplayGuard, claimOnce, memoryReplayGuard, type ReplayGuard } from './replay-guard.js'
import { mediaType } from './token-profile.js'

/** How DPoP proofs ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)) are taken. The verifier needs `resource`. */
export interface DpopOptions {
  /** Refuses tokens that are bound to no DPoP key. Default `false`: both kinds are accepted. */
  readonly required?: boolean | undefined
  /** Where used proofs are remembered. Default: in this process; with several processes, share one. */
  readonly replayGuard?: ReplayGuard | undefined
  /** At least 32 characters, the same in every process. With it, every proof must carry a nonce of ours, which is good for 2 to 4 minutes. */
  readonly nonceSecret?: SecretInput | undefined
}

/** How long ago a proof may have been made, besides the clock tolerance. */
const MAX_PROOF_AGE_MS = MINUTE_MS
const MAX_PROOF_BYTES = 8192
const MAX_JTI_LENGTH = 256

/** The members that a thumbprint is made of, in its order ([RFC 7638 §3.2](https://www.rfc-editor.org/rfc/rfc7638#section-3.2)). */
const thumbprintMembers: ReadonlyMap<unknown, readonly string[]> = new Map([
  ['EC', ['crv', 'kty', 'x', 'y']],
  ['OKP', ['crv', 'kty', 'x']],
  ['RSA', ['e', 'kty', 'n']],
])

/** A request whose token is bound to a key, by the key's thumbprint. */
interface BoundRequest {
  readonly request: InboundRequest
  readonly token: string
  readonly thumbprint: string
  /** Whose the token is: issuer and subject, or the key where the token does not say. */
  readonly holder: readonly string[]
  readonly context: AuthenticatorContext
}

/** Checks the proof beside a token: the twelve rules of [RFC 9449 §4.3](https://www.rfc-editor.org/rfc/rfc9449#section-4.3). */
export class DpopVerifier {
  readonly required: boolean
  readonly #clockToleranceMs: number
  readonly #nonces: DpopNonces | undefined
  #guard: ReplayGuard | undefined

  /** @throws `TypeError` naming the option. */
  constructor(options: DpopOptions, clockToleranceMs: number) {
    checkOptionNames(options, 'dpop', { required: true, replayGuard: true, nonceSecret: true })
    const { required, replayGuard, nonceSecret } = options
    checkBoolean('dpop.required', required)
    if (replayGuard !== undefined) checkReplayGuard(replayGuard, 'dpop.replayGuard')
    if (nonceSecret !== undefined) {
      checkSecretInput(nonceSecret, 'dpop.nonceSecret')
      const secret = hideSecret(nonceSecret)
      if (secret instanceof Secret) checkNonceSecret(secret.reveal())
      this.#nonces = new DpopNonces(secret)
    }
    this.required = required ?? false
    this.#guard = replayGuard
    this.#clockToleranceMs = clockToleranceMs
  }

  /** @throws {@link InboundAuthError} `ERR_BAD_PROOF`, `ERR_NONCE_REQUIRED`, `ERR_REPLAYED`, `ERR_GUARD_UNAVAILABLE`. */
  async verify(bound: BoundRequest): Promise<void> {
    const { request, token, thumbprint, holder, context } = bound
    const nowMs = context.clock()
    const proof = readProof(request)
    const jwk = keyOf(proof)
    // First: whoever sends a proof chooses the size of its key, and so what it costs to verify.
    if (!equalText(await thumbprintOf(jwk), thumbprint)) {
      throw bad('the token is bound to another key')
    }
    await checkSignature(proof, jwk, context)
    const { htm, htu, ath, iat, jti, nonce } = proof.payload
    if (htm !== request.method) throw bad('htm is another method')
    if (!sameResource(htu, context.resource, request.target)) throw bad('htu is another address')
    const hash = base64url(await sha256(utf8(token)))
    if (typeof ath !== 'string' || !equalText(ath, hash)) throw bad('ath is of another token')
    if (typeof jti !== 'string' || jti === '' || jti.length > MAX_JTI_LENGTH) {
      throw bad(`jti is not a string of 1 to ${MAX_JTI_LENGTH} characters`)
    }
    if (typeof iat !== 'number' || !(Math.abs(iat) <= Number.MAX_SAFE_INTEGER)) {
      throw bad('iat is not a time')
    }
    const madeAtMs = Math.floor(iat * SECOND_MS)
    const untilMs = madeAtMs + MAX_PROOF_AGE_MS + this.#clockToleranceMs
    if (nowMs < madeAtMs - this.#clockToleranceMs) throw bad('iat lies in the future')
    if (nowMs >= untilMs) throw bad('the proof is too old')
    await this.#checkNonce(nonce, nowMs)
    // Last, so that only a proof that is good in every other way takes a place. The proof's own text is not its
    // identity: an ECDSA signature can be rewritten by anybody.
    const id = base64url(await sha256(tuple('dpop', thumbprint, jti)))
    const caller = base64url(await sha256(tuple('dpop holder', ...holder)))
    this.#guard ??= memoryReplayGuard({ clock: context.clock })
    await claimOnce(this.#guard, id, untilMs, caller)
  }

  async #checkNonce(nonce: unknown, nowMs: number): Promise<void> {
    if (!this.#nonces) return
    if (typeof nonce === 'string' && (await this.#nonces.accepts(nonce, nowMs))) return
    throw new InboundAuthError('ERR_NONCE_REQUIRED', {
      reason: 'the proof carries no nonce of ours that is still good',
      dpopNonce: await this.#nonces.current(nowMs),
    })
  }
}

function readProof(request: InboundRequest): ParsedJws {
  const [value, ...more] = request.headers.filter(([name]) => name.toLowerCase() === 'dpop')
  if (!value) throw bad('the header DPoP is missing')
  if (more.length > 0) throw bad('the header DPoP is there more than once')
  // A Web Request joins several headers with a comma, which no compact JWS can hold.
  const proof = asBadProof(() => parseJws(value[1], MAX_PROOF_BYTES))
  if (mediaType(proof.header.typ) !== 'dpop+jwt') throw bad('typ is not dpop+jwt')
  return proof
}

/** The key in the proof's header, the one place where a key is taken from a token: its thumbprint is what counts. */
function keyOf(proof: ParsedJws): JsonObject {
  const bytes = fromBase64url(proof.signingInput.split('.', 1)[0]!)
  const header = bytes ? parseStrictJson(bytes) : undefined
  const jwk = header?.ok && isJsonObject(header.value) ? header.value.jwk : undefined
  if (!isJsonObject(jwk)) throw bad('jwk is not an object')
  return jwk
}

async function checkSignature(proof: ParsedJws, jwk: JsonObject, { clock }: AuthenticatorContext) {
  const key = PublicKey.read(jwk)
  if (typeof key === 'string') throw bad(`jwk ${key}`)
  const find: KeyLookup['find'] = async ({ alg }) => {
    if (!key.fits(alg)) throw bad('jwk does not fit alg')
    return key
  }
  try {
    await verifyJws(proof, { find }, jwsAlgorithms, clock)
  } catch (error) {
    if (error instanceof InboundAuthError) throw bad(error.reason ?? error.code)
    throw error
  }
}

async function thumbprintOf(jwk: JsonObject): Promise<string> {
  const members = thumbprintMembers.get(jwk.kty) ?? []
  const text = JSON.stringify(Object.fromEntries(members.map((name) => [name, jwk[name]])))
  return base64url(await sha256(utf8(text)))
}

function asBadProof<T>(run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (error instanceof InboundAuthError) throw bad(error.reason ?? error.code)
    throw error
  }
}

function equalText(a: string, b: string): boolean {
  return equalBytes(utf8(a), utf8(b))
}

function bad(reason: string): InboundAuthError {
  return new InboundAuthError('ERR_BAD_PROOF', { reason })
}
