import { base64url, sha256, tuple } from '../bytes.js'
import { type Clock, MINUTE_MS } from '../clock.js'
import { AwsCredentialsError } from '../errors/aws.js'
import { isDeputizeError } from '../errors/base.js'
import { SharedWork } from '../shared-work.js'
import {
  type AwsCredentials,
  type AwsCredentialsInput,
  type AwsCredentialsLike,
  redactedCredentials,
} from './aws-credentials.js'
import { loadProviders } from './load.js'

/** Credentials are renewed when they have less than this to live. */
const RENEW_BEFORE_MS = 5 * MINUTE_MS
/** While a renewal fails, the old ones are served as long as they have this to live. */
const LAST_MINUTE_MS = MINUTE_MS
/** Assumed roles, one a session name and policy, that are kept. */
const MAX_CACHED = 500

/** Where AWS credentials come from. */
export interface AwsCredentialSourceOptions {
  readonly region: string
  /** Default: the chain of `@aws-sdk/credential-providers`. */
  readonly credentials?: AwsCredentialsInput | undefined
  /** A role that is assumed with them. */
  readonly roleArn?: string | undefined
  readonly externalId?: string | undefined
  /** Where the role is assumed. Default: the regional endpoint of STS. */
  readonly stsEndpoint?: string | undefined
}

/** Which credentials. */
export interface AwsCredentialRequest {
  readonly sessionName: string
  /** An inline session policy as JSON text. */
  readonly policy?: string | undefined
  readonly clock: Clock
}

/** Gives AWS credentials that have at least five minutes to live, and assumes a role where one is configured. */
export class AwsCredentialSource {
  readonly #options: AwsCredentialSourceOptions
  readonly #fixed: AwsCredentials | undefined
  readonly #flights = new SharedWork<AwsCredentials>()
  readonly #held = new Map<string, AwsCredentials>()
  #chain: (() => Promise<AwsCredentialsLike>) | undefined

  constructor(options: AwsCredentialSourceOptions) {
    const { credentials } = options
    this.#options = options
    this.#fixed = typeof credentials === 'object' ? redactedCredentials(credentials) : undefined
  }

  /**
   * @throws {@link AwsCredentialsError} There are none.
   * @throws {@link ConfigurationError} An optional package is missing.
   */
  async get(request: AwsCredentialRequest): Promise<AwsCredentials> {
    const { roleArn } = this.#options
    const key = await keyOf(roleArn, request)
    const held = this.#held.get(key)
    const leftMs = held?.expiration ? held.expiration.getTime() - request.clock() : 0
    if (held && leftMs >= RENEW_BEFORE_MS) return held
    try {
      return await this.#flights.run(key, async () => {
        const fresh = roleArn === undefined ? await this.#base() : await this.#assume(request)
        this.#keep(key, fresh)
        return fresh
      })
    } catch (error) {
      if (held && leftMs >= LAST_MINUTE_MS && !isDeputizeError(error, 'ERR_CONFIGURATION')) {
        return held
      }
      throw error
    }
  }

  #keep(key: string, credentials: AwsCredentials): void {
    if (!credentials.expiration) return
    this.#held.delete(key)
    this.#held.set(key, credentials)
    const [oldest] = this.#held.keys()
    if (this.#held.size > MAX_CACHED && oldest !== undefined) this.#held.delete(oldest)
  }

  async #base(): Promise<AwsCredentials> {
    if (this.#fixed) return this.#fixed
    const { credentials } = this.#options
    const what = 'Getting AWS credentials'
    if (typeof credentials === 'function') return checked(what, credentials)
    if (!this.#chain) {
      const { fromNodeProviderChain } = await loadProviders()
      this.#chain ??= fromNodeProviderChain({ clientConfig: { region: this.#options.region } })
    }
    return checked(what, this.#chain)
  }

  async #assume({ sessionName, policy }: AwsCredentialRequest): Promise<AwsCredentials> {
    const { region, roleArn, externalId, stsEndpoint } = this.#options
    const { fromTemporaryCredentials } = await loadProviders()
    const provider = fromTemporaryCredentials({
      params: {
        RoleArn: roleArn,
        RoleSessionName: sessionName,
        ...(policy === undefined ? {} : { Policy: policy }),
        ...(externalId === undefined ? {} : { ExternalId: externalId }),
      },
      masterCredentials: () => this.#base(),
      clientConfig: { region, ...(stsEndpoint === undefined ? {} : { endpoint: stsEndpoint }) },
    })
    return checked(`Assuming the role ${roleArn}`, () => provider())
  }
}

/** Of a foreign error nothing is kept but its name: its message, and its fields, can hold an answer of STS. */
async function checked(
  what: string,
  get: () => Promise<AwsCredentialsLike>,
): Promise<AwsCredentials> {
  try {
    return redactedCredentials(await get())
  } catch (error) {
    if (isDeputizeError(error)) throw error
    const { name, $fault, $retryable } = (error ?? {}) as Record<string, unknown>
    const shown = typeof name === 'string' && /^\w{1,64}$/.test(name) ? name : 'unknown'
    const retryable = $fault === 'server' || Boolean($retryable) || shown === 'TimeoutError'
    throw new AwsCredentialsError({ what, reason: shown, retryable })
  }
}

async function keyOf(roleArn: string | undefined, request: AwsCredentialRequest): Promise<string> {
  if (roleArn === undefined) return ''
  return base64url(await sha256(tuple(roleArn, request.sessionName, request.policy)))
}
