import { AccessToken } from '../access-token.js'
import { checkIssuerUrl, checkUrl, describeAddress } from '../address.js'
import { Audit, type AuditSink } from '../audit.js'
import { isWellFormed } from '../bytes.js'
import { type Clock, readClock } from '../clock.js'
import { printable } from '../errors/base.js'
import { ConfigurationError } from '../errors/outbound.js'
import type { SigningKey } from '../jwt/sign.js'
import {
  checkFunction,
  checkOptionNames,
  checkWebRequest,
  type KnownOptions,
  kindOf,
} from '../option-names.js'
import { isPrincipal, type Principal, type TokenVerifier, type UserRef } from '../principal.js'
import { type Acting, auditActing, makeActing, type WorkloadRef } from './acting.js'
import { publish } from './publication.js'
import { type SigningKeys, signingKeys } from './signing-keys.js'
import {
  mintWorkloadToken,
  verifyWorkloadToken,
  WORKLOAD_TOKEN_LIFETIME_MS,
  type WorkloadAccess,
} from './workload-token.js'

/** What a {@link WorkloadIdentity} takes. */
export interface WorkloadIdentityOptions {
  /** 3 to 255 of `A-Z a-z 0-9 _ . -`. */
  readonly name: string
  /** Where keys and metadata are published (serve {@link WorkloadIdentity.handler} there); needed to mint a token. */
  readonly issuer?: string
  /** Default: one ES256 key generated at first use, which dies with the process. */
  readonly keys?: SigningKeys
  /** Where a user may be sent after a consent; compared exactly. */
  readonly allowedReturnUrls?: readonly string[]
  /** Permits http and loopback addresses for 127.0.0.1, [::1] and localhost. */
  readonly allowInsecureLoopback?: boolean
  readonly audit?: AuditSink
  /** For tests. */
  readonly clock?: Clock
}

const known: KnownOptions<WorkloadIdentityOptions> = {
  name: true,
  issuer: true,
  keys: true,
  allowedReturnUrls: true,
  allowInsecureLoopback: true,
  audit: true,
  clock: true,
}

/** The identity of one agent. It says for whom the agent acts, mints tokens that say so, and publishes its keys. */
export class WorkloadIdentity {
  readonly name: string
  declare readonly issuer?: string
  readonly #keys: SigningKeys
  readonly #returnUrls: readonly string[]
  readonly #audit: Audit
  readonly #clock: Clock

  /** @throws `TypeError` An option is wrong; it is named. */
  constructor(options: WorkloadIdentityOptions) {
    checkOptionNames(options, 'WorkloadIdentity', known)
    const { name, issuer, allowedReturnUrls = [], allowInsecureLoopback = false } = options
    if (typeof name !== 'string' || !/^[A-Za-z0-9_.-]{3,255}$/.test(name)) {
      throw new TypeError(
        `name must be 3 to 255 characters of A-Z, a-z, 0-9, "_", "." and "-"; got ${printable(name)}.`,
      )
    }
    this.name = name
    if (issuer !== undefined) {
      this.issuer = checkIssuerUrl(issuer, 'issuer', allowInsecureLoopback)
      refuseMended(issuer, 'issuer')
    }
    if (!Array.isArray(allowedReturnUrls)) {
      throw new TypeError('allowedReturnUrls must be an array of URLs.')
    }
    this.#returnUrls = Object.freeze(
      allowedReturnUrls.map((url) => checkReturnUrl(url, allowInsecureLoopback)),
    )
    if (options.keys !== undefined && typeof options.keys?.load !== 'function') {
      throw new TypeError('keys must be made by signingKeys().')
    }
    checkFunction(options.audit, 'audit')
    this.#keys = options.keys ?? signingKeys()
    this.#clock = readClock(options.clock)
    this.#audit = new Audit(options.audit, this.#clock)
  }

  /** Serves `/.well-known/openid-configuration` and `/.well-known/jwks.json` below the issuer; 404 for all else. */
  readonly handler = async (request: Request): Promise<Response> => {
    checkWebRequest(request, 'handler()')
    if (this.issuer === undefined) return new Response('Not found', { status: 404 })
    return publish(request, this.issuer, async () => (await this.#load()).map((key) => key.public))
  }

  /**
   * Acts for the user behind a verified call. A caller without a user, a client with a token of its own, gets no token of
   * the agent unless flow `M2M` is named: in the call, in `requireToken()`, or as `defaultFlow` of the provider.
   *
   * @throws `TypeError` `principal` was not made by an `InboundVerifier`.
   */
  actFor(principal: Principal): Acting {
    if (!isPrincipal(principal)) {
      throw new TypeError(
        'actFor() takes a Principal as an InboundVerifier returned it; a copy or a literal is refused. For a user whom your own code authenticated there is unverifiedUser().',
      )
    }
    return this.#act({
      user: principal.user,
      userKnown: principal.userKnown ?? 'verified',
      actor: principal.actor,
    })
  }

  /**
   * Verifies a user's token and acts for that user.
   *
   * @throws {@link InboundAuthError} The verifier refuses the token.
   */
  async actForToken(token: string, verifier: TokenVerifier): Promise<Acting> {
    if (typeof (verifier as TokenVerifier | undefined)?.verifyToken !== 'function') {
      throw new TypeError(
        `actForToken() takes a token and the InboundVerifier that judges it; got ${kindOf(verifier)}.`,
      )
    }
    return this.actFor(await verifier.verifyToken(token))
  }

  /**
   * Acts for a user whom your own code authenticated: a queue worker, a command line. Audit events say `asserted`.
   * Never pass anything that a model or a request said.
   *
   * @throws `TypeError` Issuer or subject is not a non-empty string.
   */
  unverifiedUser(user: UserRef): Acting {
    const { issuer, subject }: Partial<UserRef> = user ?? {} // read once: a getter could answer otherwise later
    for (const [field, value] of Object.entries({ issuer, subject })) {
      if (
        typeof value !== 'string' ||
        value.trim() === '' ||
        value.length > 2048 ||
        !isWellFormed(value)
      ) {
        throw new TypeError(
          `unverifiedUser() takes { issuer, subject }; ${field} must be a non-empty string of at most 2048 characters.`,
        )
      }
    }
    return this.#act({ user: { issuer: issuer!, subject: subject! }, userKnown: 'asserted' })
  }

  /** Acts in the agent's own name. */
  actAsSelf(): Acting {
    return this.#act({ self: true })
  }

  /**
   * Verifies a workload access token that this workload minted.
   *
   * @param options.audience What the token must be for.
   * @throws {@link InboundAuthError} It is not one, is for another audience, or is expired.
   */
  async verifyWorkloadAccessToken(
    token: string,
    options: { readonly audience: string },
  ): Promise<WorkloadAccess> {
    checkOptionNames(
      options,
      'verifyWorkloadAccessToken()',
      { audience: true },
      'a token and { audience }',
    )
    const issuer = this.#needIssuer()
    return verifyWorkloadToken(token, {
      issuer,
      name: this.name,
      audience: options.audience,
      keys: (await this.#load()).map((key) => key.public),
      nowMs: this.#clock(),
    })
  }

  #act(
    facts: Pick<Parameters<typeof makeActing>[0], 'user' | 'userKnown' | 'actor'> & {
      readonly self?: true
    },
  ): Acting {
    const acting = makeActing({
      workload: this.#ref(),
      self: facts.self ?? false,
      user: facts.user,
      userKnown: facts.user ? facts.userKnown : undefined,
      actor: facts.actor,
      allowedReturnUrls: this.#returnUrls,
      mint: (who, audience) => this.#mint(who, audience),
    })
    this.#audit.emit({ type: 'acting_started', ...auditActing(acting) })
    return acting
  }

  async #mint(acting: Acting, audience: string): Promise<AccessToken> {
    const issuer = this.#needIssuer()
    if (typeof audience !== 'string' || audience === '') {
      throw new TypeError(
        'workloadAccessToken() takes { audience }, the service that is to accept the token.',
      )
    }
    const nowMs = this.#clock()
    const [key] = await this.#load()
    const token = await mintWorkloadToken({ issuer, acting, audience, key: key!, nowMs })
    this.#audit.emit({ type: 'workload_token_issued', audience, ...auditActing(acting) })
    return new AccessToken(token, {
      tokenType: 'Bearer',
      expiresAtMs: nowMs + WORKLOAD_TOKEN_LIFETIME_MS,
      scopes: [],
      missingScopes: [],
      provider: this.name,
    })
  }

  #ref(): WorkloadRef {
    return this.issuer === undefined
      ? { name: this.name }
      : { issuer: this.issuer, name: this.name }
  }

  #load(): Promise<readonly SigningKey[]> {
    return this.#keys.load(this.#ref())
  }

  #needIssuer(): string {
    if (this.issuer !== undefined) return this.issuer
    throw new ConfigurationError(
      `WorkloadIdentity "${this.name}" has no issuer, so nobody could verify its tokens. Set the option issuer and serve agent.handler there.`,
    )
  }
}

function checkReturnUrl(value: unknown, allowInsecureLoopback: boolean): string {
  if (typeof value === 'string' && /^[^?#]*\*/.test(value)) {
    throw new TypeError(
      `allowedReturnUrls ${describeAddress(value)} has a wildcard. Return URLs are compared as a whole; list each of them.`,
    )
  }
  const url = checkUrl(value, 'allowedReturnUrls', allowInsecureLoopback)
  refuseMended(url, 'allowedReturnUrls')
  return url
}

/** The URL parser would mend these, and what it mends differs from what is compared. */
function refuseMended(url: string, option: string): void {
  if (!/[\\\s]/.test(url)) return
  throw new TypeError(`${option} ${describeAddress(url)} has a backslash or white space.`)
}
