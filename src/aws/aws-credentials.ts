const inspect = Symbol.for('nodejs.util.inspect.custom')

/** AWS credentials as the SDKs shape them. */
export interface AwsCredentialsLike {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
  readonly expiration?: Date | undefined
}

/** How options take AWS credentials: themselves, or a function that gives them, as the SDKs have it. */
export type AwsCredentialsInput = AwsCredentialsLike | (() => Promise<AwsCredentialsLike>)

/**
 * AWS credentials that an SDK client takes and that do not print: `secretAccessKey` and `sessionToken` are getters on
 * the prototype, so that logs, JSON, spreading and cloning show `[redacted]` or nothing.
 */
export interface AwsCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  readonly expiration?: Date
}

class RedactedCredentials {
  readonly #secretAccessKey: string
  readonly #sessionToken: string | undefined
  readonly accessKeyId: string
  readonly expiration?: Date

  constructor(from: AwsCredentialsLike) {
    this.accessKeyId = from.accessKeyId
    this.#secretAccessKey = from.secretAccessKey
    this.#sessionToken = from.sessionToken
    if (from.expiration !== undefined) this.expiration = new Date(from.expiration)
  }

  get secretAccessKey(): string {
    return this.#secretAccessKey
  }

  get sessionToken(): string | undefined {
    return this.#sessionToken
  }

  toString(): string {
    return `AwsCredentials ${this.accessKeyId} [redacted]`
  }

  toJSON(): object {
    const { accessKeyId, expiration } = this
    return { accessKeyId, secretAccessKey: '[redacted]', expiration }
  }

  [inspect](): string {
    return this.toString()
  }
}

/**
 * The same credentials, so that they do not print.
 *
 * @throws `TypeError` Something is missing or of the wrong kind.
 */
export function redactedCredentials(from: AwsCredentialsLike): AwsCredentials {
  const { accessKeyId, secretAccessKey, sessionToken, expiration } = from ?? {}
  if (!isText(accessKeyId) || !isText(secretAccessKey)) {
    throw new TypeError('AWS credentials have an accessKeyId and a secretAccessKey.')
  }
  if (sessionToken !== undefined && !isText(sessionToken)) {
    throw new TypeError('The sessionToken of AWS credentials is a string that is not empty.')
  }
  if (expiration !== undefined && Number.isNaN(new Date(expiration).getTime())) {
    throw new TypeError('The expiration of AWS credentials is a Date.')
  }
  const redacted = new RedactedCredentials({
    accessKeyId,
    secretAccessKey,
    sessionToken,
    expiration,
  })
  return redacted as unknown as AwsCredentials // a getter of undefined is an absent property to whoever reads it
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}
