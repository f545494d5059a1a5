/**
 * The `InboundVerifier` of all tests of refusals. Whatever it refuses is presented twice more: at once, when keys and
 * answers are at hand, and after a caller that it let in. A refusal that does not hold each time fails the test.
 */
import type { AuditEvent } from '../../src/audit.js'
import { InboundAuthError } from '../../src/errors/inbound.js'
import type { RawRequest } from '../../src/inbound/authenticator.js'
import {
  type InboundVerifierOptions,
  InboundVerifier as Verifier,
} from '../../src/inbound/verifier.js'
import type { Principal } from '../../src/principal.js'

/** A bearer token or a request that is let in, made anew each time. */
type Good = () => string | RawRequest | Promise<string | RawRequest>

type Attempt = () => Promise<Principal>

export class InboundVerifier extends Verifier {
  readonly #quiet: { count: number }
  #good: Attempt | undefined

  /** @param good Default: the last that was let in, if there was one. */
  constructor(options: InboundVerifierOptions, good?: Good) {
    const quiet = { count: 0 }
    super(withoutEvents(options, quiet))
    this.#quiet = quiet
    this.#good = good && (() => this.#letIn(good))
  }

  override verify(request: Request | RawRequest): Promise<Principal> {
    const attempt = () => super.verify(request)
    return canBeSentAgain(request) ? this.#present(attempt) : attempt()
  }

  override verifyToken(token: string): Promise<Principal> {
    return this.#present(() => super.verifyToken(token))
  }

  async #letIn(good: Good): Promise<Principal> {
    const credential = await good()
    return typeof credential === 'string' ? super.verifyToken(credential) : super.verify(credential)
  }

  #present(attempt: Attempt): Promise<Principal> {
    const first = attempt()
    return first.then(
      () => {
        this.#good ??= attempt
        return first
      },
      async (refusal: unknown) => {
        if (isVerdict(refusal)) await this.#presentAgain(attempt, refusal)
        throw refusal
      },
    )
  }

  /** Without an event: tests count those of what they do themselves. */
  async #presentAgain(attempt: Attempt, refusal: InboundAuthError): Promise<void> {
    this.#quiet.count++
    try {
      await mustRefuse(attempt, refusal, 'at the second time')
      // It may be refused itself: one that serves once, or under the options of this test.
      await this.#good?.().catch(() => {})
      await mustRefuse(attempt, refusal, 'after another caller')
    } finally {
      this.#quiet.count--
    }
  }
}

function withoutEvents(
  options: InboundVerifierOptions,
  quiet: { readonly count: number },
): InboundVerifierOptions {
  const { audit } = options
  if (typeof audit !== 'function') return options
  return { ...options, audit: (event: AuditEvent) => (quiet.count > 0 ? undefined : audit(event)) }
}

/** A body that is a stream is gone. */
function canBeSentAgain(request: Request | RawRequest): boolean {
  const body: unknown = request?.body
  const isRaw = typeof request === 'object' && request !== null && 'target' in request
  return !isRaw || typeof body !== 'object' || body === null || !(Symbol.asyncIterator in body)
}

/** Who cannot be judged now may be judged otherwise a moment later. */
function isVerdict(error: unknown): error is InboundAuthError {
  return error instanceof InboundAuthError && error.refusal !== 'temporarily_unavailable'
}

async function mustRefuse(attempt: Attempt, refusal: InboundAuthError, when: string) {
  const again: unknown = await attempt().then(
    () => 'let in',
    (error: unknown) => (error instanceof InboundAuthError ? error.code : error),
  )
  // A signature that proved right has served, whatever was refused about its caller.
  if (again === refusal.code || again === 'ERR_REPLAYED') return
  throw new Error(
    `A caller was refused with ${refusal.code} (${refusal.reason}), ${when}: ${again}`,
  )
}
