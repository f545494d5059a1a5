import type { Clock } from '../clock.js'
import { printable } from '../errors/base.js'
import { ConfigurationError } from '../errors/outbound.js'
import { AuthorizationServer } from '../oauth/server.js'
import { kindOf } from '../option-names.js'
import type {
  ApiKeyProvider,
  AwsIamProvider,
  OAuth2Provider,
  Provider,
} from '../providers/provider.js'
import { checkRedirectUris } from './redirect-uri.js'

/** An OAuth 2 provider and the server behind it. */
export interface RegisteredOAuth2 {
  readonly name: string
  readonly provider: OAuth2Provider
  readonly server: AuthorizationServer
}

/** The configured providers by name, in a Map: a provider may be called `constructor`. */
export class ProviderRegistry {
  readonly #providers: ReadonlyMap<string, Provider>
  readonly #servers = new Map<string, AuthorizationServer>()

  /** @throws `TypeError` A name cannot be part of a redirect URI, or a value was not made by a provider function. */
  constructor(providers: Readonly<Record<string, Provider>>, clock: Clock) {
    if (typeof providers !== 'object' || providers === null || Array.isArray(providers)) {
      throw new TypeError('providers must be an object such as { google: oauth2({ … }) }.')
    }
    this.#providers = new Map(Object.entries(providers))
    for (const [name, provider] of this.#providers) {
      if (!/^[A-Za-z0-9_-]{1,64}$/.test(name)) {
        throw new TypeError(
          `providers: a name is 1 to 64 characters of A-Z, a-z, 0-9, "_" and "-", since it ends the redirect URI; got ${printable(name)}.`,
        )
      }
      if (!['oauth2', 'api-key', 'aws-iam'].includes(provider?.kind)) {
        throw new TypeError(`providers.${name} must be made by oauth2(), apiKey() or awsIam().`)
      }
      if (provider.kind !== 'oauth2') continue
      this.#servers.set(name, new AuthorizationServer({ ...provider, name, clock }))
    }
    checkRedirectUris(this.#providers)
  }

  /** @throws {@link ConfigurationError} There is no provider of that name. */
  get(name: string): Provider {
    const provider = this.#providers.get(name)
    if (provider) return provider
    const known = [...this.#providers.keys()].join(', ') || 'none'
    throw new ConfigurationError(
      typeof name === 'string'
        ? `No provider named "${printable(name, 64)}". Known: ${known}. Add it to the option providers.`
        : `The option provider must be the name of one; got ${kindOf(name)}. Known: ${known}.`,
    )
  }

  /** @throws {@link ConfigurationError} There is none of that name, or it is of another kind. */
  oauth2(name: string): RegisteredOAuth2 {
    const provider = this.get(name)
    if (provider.kind !== 'oauth2') {
      throw new ConfigurationError(
        `Provider "${name}" ${gives[provider.kind]}, not tokens. ${instead[provider.kind]}`,
      )
    }
    return { name, provider, server: this.#servers.get(name)! }
  }

  /** The same, or `undefined`. */
  findOAuth2(name: string): RegisteredOAuth2 | undefined {
    return this.#servers.has(name) ? this.oauth2(name) : undefined
  }

  /** @throws {@link ConfigurationError} There is none of that name, or it is of another kind. */
  apiKey(name: string): ApiKeyProvider {
    const provider = this.get(name)
    if (provider.kind === 'api-key') return provider
    throw new ConfigurationError(
      `Provider "${name}" ${gives[provider.kind]}, not an API key. ${instead[provider.kind]}`,
    )
  }

  /** @throws {@link ConfigurationError} There is none of that name, or it is of another kind. */
  awsIam(name: string): AwsIamProvider {
    const provider = this.get(name)
    if (provider.kind === 'aws-iam') return provider
    throw new ConfigurationError(
      `Provider "${name}" ${gives[provider.kind]}, not AWS credentials. ${instead[provider.kind]}`,
    )
  }
}

const gives: Readonly<Record<Provider['kind'], string>> = {
  oauth2: 'gives tokens',
  'api-key': 'holds an API key',
  'aws-iam': 'gives AWS credentials',
}

const instead: Readonly<Record<Provider['kind'], string>> = {
  oauth2: 'Use requireToken() or getToken().',
  'api-key': 'Use requireApiKey() or getApiKey().',
  'aws-iam': 'Use requireAwsCredentials() or getAwsCredentials().',
}
