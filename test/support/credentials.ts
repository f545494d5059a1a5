/** Credentials for tests of what stands in front of them: each token says for whom and for what it was asked. */
import { AccessToken } from '../../src/access-token.js'
import type { CredentialSource, TokenRequest } from '../../src/context/credential-source.js'
import { runInScope } from '../../src/context/run-context.js'
import { apiKey } from '../../src/providers/api-key.js'
import { oauth2 } from '../../src/providers/oauth2.js'
import type { Provider } from '../../src/providers/provider.js'
import { Secret } from '../../src/secret.js'
import type { Acting } from '../../src/workload/acting.js'
import { WorkloadIdentity } from '../../src/workload/identity.js'

export const agent = new WorkloadIdentity({ name: 'test-agent' })

export const actingFor = (subject: string): Acting =>
  agent.unverifiedUser({ issuer: 'https://idp.example', subject })

/** Gives at once, or after `wait`; counts what it was asked for. */
export class FakeCredentials implements CredentialSource {
  readonly asked: (TokenRequest & { readonly subject: string })[] = []
  keysAsked = 0
  wait: () => Promise<unknown> = async () => {}
  readonly #origins: readonly string[]
  /** Set: every request for a credential fails with it. */
  refuse: Error | undefined

  constructor(origins: readonly string[] = []) {
    this.#origins = origins
  }

  async getAwsCredentials(): Promise<never> {
    throw new TypeError('There are no AWS credentials here.')
  }

  async getToken(acting: Acting, request: TokenRequest): Promise<AccessToken> {
    const subject = acting.user?.subject ?? 'nobody'
    this.asked.push({ ...request, subject })
    await this.wait()
    if (this.refuse) throw this.refuse
    const { provider, scopes = [], account } = request
    const round = this.asked.filter((one) => one.rejected !== undefined).length
    return new AccessToken(`${subject}.${provider}.${scopes.join('+')}.${round}`, {
      tokenType: 'Bearer',
      scopes,
      missingScopes: [],
      provider,
      account: account ?? (acting.user ? 'main' : undefined),
    })
  }

  async getApiKey(acting: Acting, request: { readonly provider: string }): Promise<Secret> {
    this.keysAsked++
    await this.wait()
    if (this.refuse) throw this.refuse
    return new Secret(`key.${acting.user?.subject ?? 'nobody'}.${request.provider}`)
  }

  provider(name: string): Provider {
    const shared = { origins: this.#origins, allowInsecureLoopback: true }
    if (name === 'keyed') return apiKey({ key: 'unused', ...shared })
    return oauth2({
      issuer: 'https://idp.example',
      clientId: 'c',
      clientSecret: 's',
      ...shared,
    })
  }

  runAs<T>(acting: Acting, fn: () => T): T {
    return runInScope({ acting, credentials: this }, fn)
  }
}

/** A sequence of numbers below 1 that a seed decides. */
export function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}
