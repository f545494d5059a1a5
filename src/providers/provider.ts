import type { AwsCredentials } from '../aws/aws-credentials.js'
import type { SignedRequest, UnsignedRequest } from '../aws/sign-request.js'
import type { Clock } from '../clock.js'
import type { Fetch } from '../http.js'
import type { ClientAuthMethod } from '../oauth/client-auth.js'
import type { ServerEndpoints } from '../oauth/server.js'
import type { SecretInput } from '../secret.js'

/** How a credential is had; the field's names. `M2M` never uses the user. */
export type Flow = 'M2M' | 'USER_FEDERATION'

/** A server that issues OAuth 2 tokens, and where they may go. Made by {@link oauth2}. */
export interface OAuth2Provider {
  readonly kind: 'oauth2'
  readonly issuer: string
  readonly endpoints?: ServerEndpoints | undefined
  readonly clientId: string
  readonly clientAuth: ClientAuthMethod
  readonly clientSecret?: SecretInput | undefined
  readonly scopes: readonly string[]
  readonly origins: readonly string[]
  readonly resource?: string | undefined
  readonly defaultFlow?: Flow | undefined
  readonly authorizationParameters: Readonly<Record<string, string>>
  readonly revocation: 'token' | 'grant'
  readonly tokenParameters: Readonly<Record<string, string>>
  readonly redirectUri?: string | undefined
  readonly issuerTemplate?: string | undefined
  readonly scopeSeparator?: string | undefined
  readonly scopeAliases?: Readonly<Record<string, string>> | undefined
  readonly refreshWithScope: boolean
  readonly idTokenNonce: boolean
  readonly allowInsecureLoopback: boolean
  readonly timeoutMs?: number | undefined
  readonly fetch?: Fetch | undefined
}

/** A fixed key for one service. Made by {@link apiKey}. */
export interface ApiKeyProvider {
  readonly kind: 'api-key'
  readonly key: SecretInput
  readonly header: string
  readonly origins: readonly string[]
  readonly allowInsecureLoopback: boolean
}

/** AWS credentials, and how requests are signed with them. Made by {@link awsIam}. */
export interface AwsIamProvider {
  readonly kind: 'aws-iam'
  readonly region: string
  readonly service: string
  readonly roleArn?: string | undefined
  readonly origins: readonly string[]
  readonly allowInsecureLoopback: boolean
  readonly credentials: (request: {
    readonly workload: string
    readonly policy?: string | Readonly<Record<string, unknown>> | undefined
    readonly clock: Clock
  }) => Promise<AwsCredentials>
  readonly sign: (request: UnsignedRequest, credentials: AwsCredentials) => Promise<SignedRequest>
}

/** Where one kind of credential comes from. */
export type Provider = OAuth2Provider | ApiKeyProvider | AwsIamProvider
