/** The parts of oidc-provider that the examples and tests use; the package brings no types. */
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http'

  export default class Provider {
    constructor(issuer: string, configuration: Record<string, unknown>)
    readonly issuer: string
    proxy: boolean
    callback(): (request: IncomingMessage, response: ServerResponse) => Promise<void>
    on(event: string, listener: (...args: readonly unknown[]) => void): this
    registerGrantType(
      name: string,
      handler: (ctx: unknown, next: () => Promise<void>) => Promise<void>,
      parameters?: string | readonly string[],
    ): void
  }

  export const errors: {
    readonly InvalidTarget: new (description?: string) => Error
    readonly InvalidGrant: new (description?: string) => Error
  }
}
