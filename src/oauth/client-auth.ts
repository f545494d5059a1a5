import { isWellFormed } from '../bytes.js'
import { printable } from '../errors/base.js'
import { checkSecretInput, hideSecret, resolveSecret, type SecretInput } from '../secret.js'

/**
 * How a client proves to a server who it is
 * ([RFC 6749 §2.3](https://www.rfc-editor.org/rfc/rfc6749#section-2.3)): by HTTP Basic, by its secret in the body, or not
 * at all. Exactly one method is used.
 */
export type ClientAuthMethod = 'client_secret_basic' | 'client_secret_post' | 'none'

/** The options that say as which client a server is asked. */
export interface ClientOptions {
  readonly clientId: string
  readonly clientSecret?: SecretInput | undefined
  readonly clientAuth?: ClientAuthMethod | undefined
}

/** A client, checked: with `none` it has no secret, otherwise it has one. */
export interface ClientIdentity {
  readonly clientId: string
  readonly clientAuth: ClientAuthMethod
  readonly clientSecret?: SecretInput | undefined
}

/** The parts of a request that client authentication writes to. */
export interface UnauthenticatedRequest {
  readonly body: URLSearchParams
  readonly headers: Headers
}

/**
 * Reads the options of a client. Without `clientAuth` it is `client_secret_basic` with a secret, and `none` without.
 * `clientSecret: undefined` that is spelled out is refused, so that an unset variable makes no public client.
 *
 * @throws `TypeError` naming the option that is wrong.
 */
export function checkClient(options: ClientOptions): ClientIdentity {
  const { clientId, clientSecret, clientAuth = defaultMethod(options) } = options
  if (
    typeof clientId !== 'string' ||
    clientId === '' ||
    clientId.length > 2048 ||
    !isWellFormed(clientId)
  ) {
    throw new TypeError(
      `clientId must be a non-empty string of at most 2048 characters; got ${clientId === '' ? 'an empty one' : typeof clientId}.`,
    )
  }
  switch (clientAuth) {
    case 'none':
      if (clientSecret !== undefined) {
        throw new TypeError('clientAuth "none" takes no clientSecret; leave one of them out.')
      }
      return { clientId, clientAuth }
    case 'client_secret_basic':
    case 'client_secret_post':
      checkSecretInput(clientSecret, 'clientSecret')
      return { clientId, clientAuth, clientSecret: hideSecret(clientSecret) }
    default:
      throw unknownMethod(clientAuth)
  }
}

/**
 * Gives a function that puts the client's credentials into a request. The secret is asked for now, and not when that
 * function runs.
 *
 * @param option How a message names the option that holds the secret.
 * @throws {@link ConfigurationError} The function that gives the secret failed.
 * @throws `TypeError` It gave no non-empty string.
 */
export async function clientAuthenticator(
  { clientId, clientAuth, clientSecret }: ClientIdentity,
  option = 'clientSecret',
): Promise<(request: UnauthenticatedRequest) => void> {
  if (clientAuth === 'none') return ({ body }) => body.set('client_id', clientId)
  const secret = await resolveSecret(clientSecret ?? '', option)
  switch (clientAuth) {
    case 'client_secret_basic':
      return ({ headers }) => {
        const credentials = `${formEncode(clientId)}:${formEncode(secret.reveal())}`
        headers.set('authorization', `Basic ${btoa(credentials)}`)
      }
    case 'client_secret_post':
      return ({ body }) => {
        body.set('client_id', clientId)
        body.set('client_secret', secret.reveal())
      }
    default:
      throw unknownMethod(clientAuth)
  }
}

function defaultMethod(options: ClientOptions): ClientAuthMethod {
  return Object.hasOwn(options, 'clientSecret') ? 'client_secret_basic' : 'none'
}

/** A method that is added to the type and forgotten in a `switch` does not compile. */
function unknownMethod(method: never): TypeError {
  return new TypeError(
    `clientAuth must be "client_secret_basic", "client_secret_post" or "none"; got ${printable(method)}.`,
  )
}

/**
 * The encoding of [RFC 6749 Appendix B](https://www.rfc-editor.org/rfc/rfc6749#appendix-B): letters, digits and `-._*`
 * stay as they are, a space is `+`. Many servers never decode what they get, so nothing more may be encoded.
 */
function formEncode(text: string): string {
  return new URLSearchParams({ '': text }).toString().slice(1)
}
