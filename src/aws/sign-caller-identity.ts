import { base64url, utf8 } from '../bytes.js'
import { type Clock, readClock } from '../clock.js'
import { checkOptionNames } from '../option-names.js'
import type { AwsCredentialsInput } from './aws-credentials.js'
import { AwsCredentialSource } from './credential-source.js'
import { checkHeaderValue, SERVER_ID_HEADER, USER_ID_HEADER } from './identity-headers.js'
import { loadSigner } from './load.js'
import { IDENTITY_HEADER, IDENTITY_REQUEST, IDENTITY_TOKEN_PREFIX } from './signed-identity.js'
import { type StsFlavour, stsHost } from './sts-hosts.js'
import { WebSha256 } from './web-sha256.js'

/** How long a presigned URL is good for, in seconds. */
const PRESIGNED_SECONDS = 300

/** What {@link signCallerIdentity} takes. */
export interface SignCallerIdentityOptions {
  /** The `serverId` of the server that is called: the signature is good for no other. */
  readonly serverId: string
  /** Default: the chain of `@aws-sdk/credential-providers`. */
  readonly credentials?: AwsCredentialsInput | undefined
  /** The region whose STS endpoint the server will ask. Default `us-east-1`. */
  readonly region?: string | undefined
  /** Default `regional`. */
  readonly endpoint?: StsFlavour | undefined
  /** `header`: `X-Deputize-Iam-Request`. `presigned`: a bearer token. Default `header`. */
  readonly form?: 'header' | 'presigned' | undefined
  /** The user whom the caller acts for; the server may refuse it. */
  readonly userId?: string | undefined
  /** As the server has it. Default `X-Deputize-Server-Id`. */
  readonly serverIdHeader?: string | undefined
  /** As the server has it. Default `X-Amzn-Bedrock-AgentCore-Runtime-User-Id`. */
  readonly userIdHeader?: string | undefined
  /** For tests. */
  readonly clock?: Clock | undefined
}

/** Headers for the request to the server, good for five minutes. */
export type CallerIdentityHeaders = Readonly<Record<string, string>>

/**
 * Proves to a server with `stsIdentity()` which IAM user or role calls: signs an `sts:GetCallerIdentity` that the server
 * sends on. No secret leaves, and no server but `serverId` can use it. Sign anew for each request, or at least every few
 * minutes.
 *
 * @throws {@link ConfigurationError} `@smithy/signature-v4` is not installed.
 * @throws {@link AwsCredentialsError} There are no credentials.
 * @throws `TypeError` An option is wrong.
 */
export async function signCallerIdentity(
  options: SignCallerIdentityOptions,
): Promise<CallerIdentityHeaders> {
  checkOptionNames(options, 'signCallerIdentity()', {
    serverId: true,
    credentials: true,
    region: true,
    endpoint: true,
    form: true,
    userId: true,
    serverIdHeader: true,
    userIdHeader: true,
    clock: true,
  })
  const { region = 'us-east-1', endpoint, form = 'header', userId } = options
  const clock = readClock(options.clock)
  const { host } = stsHost(region, endpoint)
  const serverIdHeader = (options.serverIdHeader ?? SERVER_ID_HEADER).toLowerCase()
  const userIdHeader = options.userIdHeader ?? USER_ID_HEADER
  checkHeaderValue(options.serverId, 'serverId')
  if (userId !== undefined) checkHeaderValue(userId, 'userId')
  if (form !== 'header' && form !== 'presigned') {
    throw new TypeError('form must be "header" or "presigned".')
  }
  const bound = {
    [serverIdHeader]: options.serverId,
    ...(userId === undefined ? {} : { [userIdHeader.toLowerCase()]: userId }),
  }
  const source = new AwsCredentialSource({ region, credentials: options.credentials })
  const credentials = await source.get({ sessionName: 'caller', clock })
  const { SignatureV4 } = await loadSigner()
  const signer = new SignatureV4({ region, service: 'sts', credentials, sha256: WebSha256 })
  const at = { protocol: 'https:', hostname: host, path: '/' }
  const signingDate = new Date(clock())
  const outer = userId === undefined ? {} : { [userIdHeader]: userId }

  if (form === 'presigned') {
    const query = Object.fromEntries(new URLSearchParams(IDENTITY_REQUEST))
    const { query: signed } = await signer.presign(
      { method: 'GET', ...at, query, headers: { host, ...bound } },
      {
        signingDate,
        expiresIn: PRESIGNED_SECONDS,
        unhoistableHeaders: new Set(Object.keys(bound)),
      },
    )
    const search = Object.entries(signed ?? {}).map(
      ([name, value]) => `${encode(name)}=${encode(String(value))}`,
    )
    const token = base64url(utf8(`https://${host}/?${search.join('&')}`))
    return Object.freeze({ Authorization: `Bearer ${IDENTITY_TOKEN_PREFIX}${token}`, ...outer })
  }
  const { headers } = await signer.sign(
    {
      method: 'POST',
      ...at,
      headers: { host, 'content-type': 'application/x-www-form-urlencoded', ...bound },
      body: IDENTITY_REQUEST,
    },
    { signingDate },
  )
  const json = JSON.stringify(headers)
  return Object.freeze({ [spelled(IDENTITY_HEADER)]: base64url(utf8(json)), ...outer })
}

function spelled(name: string): string {
  return name.replace(/(^|-)[a-z]/g, (start) => start.toUpperCase())
}

function encode(text: string): string {
  const hex = (c: string) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`
  return encodeURIComponent(text).replace(/[!'()*]/g, hex)
}
