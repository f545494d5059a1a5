import { fromBase64url, textOf } from '../bytes.js'
import { isJsonObject, type JsonObject, parseOpenText } from '../strict-json.js'
import { idTokenError, notInProtocol } from './refusal.js'
import type { AuthorizationServerOptions, ServerCall } from './server.js'
import type { ServerAnswer } from './server-answer.js'

/** What stands for the tenant in an issuer template. */
export const TENANT = '{tenantid}'

/** Who an ID token says the provider's user is. */
export interface Account {
  readonly subject: string
  /** What a person would call the account. */
  readonly label: string
}

/**
 * Reads the ID token of an answer: issuer, audience, times and nonce are checked. Its signature is not, since it came
 * straight from the server (OpenID Connect Core §3.1.3.7).
 *
 * @param options.issuerTemplate The issuer must be this, with the token's own `tid` in it.
 * @param nonce What it must hold. `undefined`: none was sent, so that one is refused. `'any'` at a refresh, whose ID token may
 *   repeat the first one's or have none (§12.2).
 * @throws {@link ServerResponseError}
 */
export async function readIdToken(
  answer: ServerAnswer,
  { lib, as, client }: ServerCall,
  options: Pick<AuthorizationServerOptions, 'issuerTemplate'>,
  nonce: string | undefined | 'any',
): Promise<Account> {
  const id_token = answer.members?.id_token
  if (typeof id_token !== 'string') throw notInProtocol(answer, 'no ID token')
  const claims = claimsOf(id_token)
  if (claims === undefined) throw notInProtocol(answer, 'malformed ID token')
  const subject = subjectOf(claims, options)
  if (subject === undefined) throw notInProtocol(answer, 'malformed ID token')
  const { issuerTemplate } = options
  const issuer = issuerTemplate ? issuerTemplate.replace(TENANT, tenantOf(claims)!) : as.issuer
  // The library reads ID tokens only as part of an answer; the rest of this one was read already.
  const body = JSON.stringify({ access_token: '-', token_type: 'bearer', id_token })
  const response = new Response(body, { headers: { 'content-type': 'application/json' } })
  try {
    const expectedNonce = nonce ?? lib.expectNoNonce
    const from = { ...as, issuer }
    await (nonce === 'any'
      ? lib.processRefreshTokenResponse(from, client, response)
      : lib.processAuthorizationCodeResponse(from, client, response, {
          expectedNonce,
          requireIdToken: true,
        }))
  } catch (error) {
    throw idTokenError(error, answer)
  }
  return { subject, label: accountLabel(claims) ?? subject }
}

/**
 * Whose account an ID token is of, before it is checked: at a server with many tenants, each tenant's subjects are its own.
 * `undefined`: it cannot be read.
 */
export function subjectIn(
  idToken: string,
  options: Pick<AuthorizationServerOptions, 'issuerTemplate'>,
): string | undefined {
  const claims = claimsOf(idToken)
  return claims && subjectOf(claims, options)
}

function subjectOf(
  { sub, ...claims }: JsonObject,
  options: Pick<AuthorizationServerOptions, 'issuerTemplate'>,
): string | undefined {
  if (typeof sub !== 'string' || sub === '' || sub.length > 255) return undefined // OIDC Core §2
  if (options.issuerTemplate === undefined) return sub
  const tid = tenantOf(claims)
  return tid && `${tid}/${sub}`
}

/** Letters, digits and hyphens: what cannot change the meaning of a URL. */
const tenant = /^[A-Za-z0-9][A-Za-z0-9-]{0,63}$/

function tenantOf({ tid }: JsonObject): string | undefined {
  return typeof tid === 'string' && tenant.test(tid) ? tid : undefined
}

/** Whether `issuer` is of some tenant of a server with many. */
export function fitsTemplate(issuer: string | null, template: string): boolean {
  const [before = '', after = ''] = template.split(TENANT)
  if (!issuer?.startsWith(before) || !issuer.endsWith(after)) return false
  return tenant.test(issuer.slice(before.length, issuer.length - after.length))
}

/** Claims that two readers could read as two values are refused. */
function claimsOf(token: string): JsonObject | undefined {
  const payload = fromBase64url(token.split('.')[1] ?? '')
  const json = parseOpenText(payload && textOf(payload))
  return json.ok && isJsonObject(json.value) ? json.value : undefined
}

/** What a person would call the account: its e-mail address or user name. */
function accountLabel({ email, preferred_username }: JsonObject): string | undefined {
  return [email, preferred_username].find(
    (value): value is string => typeof value === 'string' && /^[\x21-\x7e]{1,254}$/.test(value),
  )
}
