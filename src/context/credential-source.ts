import type { AccessToken } from '../access-token.js'
import type { AwsCredentials } from '../aws/aws-credentials.js'
import type { AuthorizationRequiredError } from '../errors/consent.js'
import type { Flow, Provider } from '../providers/provider.js'
import type { Secret } from '../secret.js'
import type { Acting } from '../workload/acting.js'

/**
 * What happens when the user has to consent first. `throw`: {@link AuthorizationRequiredError}. `wait`: the call goes
 * on once the consent was finished, in whichever process. A function is told, so that it can show the user the link;
 * then the call waits, unless the function throws.
 */
export type OnAuthorizationRequired =
  | 'throw'
  | 'wait'
  | ((challenge: AuthorizationRequiredError) => void | Promise<void>)

/** Which token. */
export interface TokenRequest {
  /** A name of the option `providers`. */
  readonly provider: string
  /** Scopes that the token must have. A token serves any subset of what was granted. */
  readonly scopes?: readonly string[] | undefined
  /**
   * Default: the provider's `defaultFlow`, else `M2M` for `actAsSelf()` and `USER_FEDERATION` for all others: a caller
   * that has no user is refused with `NoUserError`, and does not get the agent's own token.
   */
  readonly flow?: Flow | undefined
  /** Resource indicator (RFC 8707). Default: the provider's. */
  readonly resource?: string | undefined
  /** Which of the user's accounts. Default: the only one. */
  readonly account?: string | undefined
  /** Default: that of the `OutboundCredentialProvider`. */
  readonly onAuthorizationRequired?: OnAuthorizationRequired | undefined
  /** Where the user goes after a consent; one of the workload's `allowedReturnUrls`. Default: a plain page. */
  readonly returnUrl?: string | undefined
  /** A token that the resource refused: it is not served again, a newer one is. */
  readonly rejected?: AccessToken | undefined
  /** Ends this caller's waiting; the request to the server, which others may share, goes on. */
  readonly signal?: AbortSignal | undefined
}

/** Which AWS credentials. */
export interface AwsCredentialsRequest {
  /** A name of the option `providers`, made by `awsIam()`. */
  readonly provider: string
  /**
   * What the session of the assumed role may do at most: a policy document, or its JSON text. Instead of the provider's.
   */
  readonly policy?: string | Readonly<Record<string, unknown>> | undefined
}

/** Where credentials come from. Implemented by `OutboundCredentialProvider`. */
export interface CredentialSource {
  getToken(acting: Acting, request: TokenRequest): Promise<AccessToken>
  getApiKey(acting: Acting, request: { readonly provider: string }): Promise<Secret>
  getAwsCredentials(acting: Acting, request: AwsCredentialsRequest): Promise<AwsCredentials>
  /** The provider of that name. @throws {@link ConfigurationError} There is none. */
  provider(name: string): Provider
}
