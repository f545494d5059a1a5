import { DeputizeError } from './base.js'

/** Nobody said who acts: a protected function was called outside `runAs()` and without the options `acting` and `credentials`. */
export class NoActingContextError extends DeputizeError {
  override readonly name = 'NoActingContextError'
  readonly code = 'ERR_NO_ACTING_CONTEXT'

  constructor(what: string) {
    super(
      `${what} needs to know who acts and where credentials come from. Call it inside credentials.runAs(acting, fn), keep callbacks in the scope with credentials.bind(acting, fn), or pass the options acting and credentials.`,
    )
  }
}

/** The flow needs a user, and the agent acts for none. */
export class NoUserError extends DeputizeError {
  override readonly name = 'NoUserError'
  readonly code = 'ERR_NO_USER'

  constructor(init: { provider: string; flow: string }) {
    super(
      `${init.flow} for provider "${init.provider}" needs a user, but the agent acts for none: the caller is a client without a user, or the agent acts as itself. Have the call made with a user's token. If this caller may use the agent's own access, name it: flow "M2M".`,
    )
  }
}
