import { DeputizeError } from './base.js'

/** There are no AWS credentials to be had: the chain found none, or STS does not let us assume the role. */
export class AwsCredentialsError extends DeputizeError {
  override readonly name = 'AwsCredentialsError'
  readonly code = 'ERR_AWS_CREDENTIALS'

  constructor(init: { what: string; reason: string; retryable?: boolean }) {
    super(
      `${init.what} failed (${init.reason}). Check that credentials can be found where this runs, and that the role trusts them.`,
      { reason: init.reason, retryable: init.retryable },
    )
  }
}
