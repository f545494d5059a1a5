import { printable } from '../../errors/base.js'
import { findAuthorizationRequired } from '../../errors/consent.js'

/** What a client is asked to open. */
export interface UrlElicitation {
  mode: 'url'
  /** The `sessionUri` of the consent, for `server.createElicitationCompletionNotifier()`. */
  elicitationId: string
  url: string
  message: string
}

/** `UrlElicitationRequiredError` of `@modelcontextprotocol/sdk/types.js`. */
export type UrlElicitationRequired = new (elicitations: UrlElicitation[]) => Error

/** Wraps the callback of a tool; its arguments and result stay the same. */
export type WithConsent = <This, A extends unknown[], R>(
  tool: (this: This, ...args: A) => R,
) => (this: This, ...args: A) => Promise<Awaited<R>>

/**
 * Lets tools ask for a consent through the client: where a tool throws `AuthorizationRequiredError`, its caller gets the
 * SDK's error -32042 with the link
 * ([URL mode elicitation](https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation#url-mode-elicitation-request-for-sensitive-data)).
 * Without it the SDK keeps the message of the error alone. For clients that declare `elicitation.url`.
 */
export function consentElicitation(
  UrlElicitationRequiredError: UrlElicitationRequired,
): WithConsent {
  if (typeof UrlElicitationRequiredError !== 'function') {
    throw new TypeError(
      'consentElicitation takes the class UrlElicitationRequiredError of @modelcontextprotocol/sdk/types.js.',
    )
  }
  return <This, A extends unknown[], R>(tool: (this: This, ...args: A) => R) =>
    async function (this: This, ...args: A): Promise<Awaited<R>> {
      try {
        return (await tool.apply(this, args)) as Awaited<R>
      } catch (error) {
        const consent = findAuthorizationRequired(error)
        if (!consent) throw error
        throw new UrlElicitationRequiredError([
          {
            mode: 'url',
            elicitationId: consent.sessionUri,
            url: consent.authorizationUrl,
            message: `Connect your account at "${printable(consent.provider)}" to go on.`,
          },
        ])
      }
    }
}
