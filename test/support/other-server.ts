import type { OAuth2Options } from '../../src/providers/index.js'

/** An authorization server that npm offers, as the tests of them see it. */
export interface OtherServer extends AsyncDisposable {
  readonly issuer: string
  /** What `oauth2()` is told of it, besides its issuer. */
  readonly provider: Omit<OAuth2Options, 'issuer'>
  /** How its access tokens are checked where they come in. */
  readonly inbound:
    | { readonly kind: 'jwt'; readonly audience: string }
    | {
        readonly kind: 'introspection'
        readonly endpoint: string
        readonly clientId: string
        readonly clientSecret: string
        readonly clientAuth?: 'client_secret_basic' | 'client_secret_post'
      }
  /** Whether a refresh brings a new refresh token. */
  readonly rotates: boolean
  /** Opens the link as a user who is signed in and agrees. @returns Where the browser is sent back to. */
  approve(link: string): Promise<string>
  /** Makes every refresh token of before unusable. */
  endGrants(): void | Promise<void>
  /** The tokens that were given back. */
  revoked(): readonly string[]
}
