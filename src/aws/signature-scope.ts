import { InboundAuthError, type InboundAuthErrorCode } from '../errors/inbound.js'
import type { StsHost } from './sts-hosts.js'

/** The parts of a signature, checked for form. */
export interface Signature {
  readonly accessKeyId: string
  readonly day: string
  readonly region: string
  readonly signedHeaders: readonly string[]
}

/** @throws {@link InboundAuthError} */
export function readAuthorization(text: string): Signature {
  const [, credential = '', names = '', signature = ''] =
    /^AWS4-HMAC-SHA256 Credential=([^, ]+), ?SignedHeaders=([^, ]+), ?Signature=([^, ]+)$/.exec(
      text,
    ) ?? []
  return readSignature(credential, names, signature)
}

/** @throws {@link InboundAuthError} */
export function readSignature(credential: string, names: string, signature: string): Signature {
  const [, accessKeyId, day, region] =
    /^(\w{1,128})\/(\d{8})\/([a-z0-9-]{1,32})\/sts\/aws4_request$/.exec(credential) ?? []
  if (accessKeyId === undefined || day === undefined || region === undefined) {
    throw malformed('the credential is not one for STS')
  }
  if (!/^[0-9a-f]{64}$/.test(signature)) throw malformed('the signature is not one')
  const signedHeaders = names.split(';')
  for (const [place, name] of signedHeaders.entries()) {
    const before = signedHeaders[place - 1]
    if (!/^[a-z0-9-]+$/.test(name) || (before !== undefined && before >= name)) {
      throw malformed('the signed headers are not sorted names')
    }
  }
  return { accessKeyId, day, region, signedHeaders }
}

/**
 * Checks what the signature is for, and when it was made. Gives the latter.
 *
 * @throws {@link InboundAuthError}
 */
export function checkScope(
  { day, region }: Signature,
  date: string,
  endpoint: StsHost,
  maxAgeMs: number,
  nowMs: number,
): number {
  const signedAtMs = readDate(date)
  if (signedAtMs === undefined || !date.startsWith(day)) throw malformed('the date is not one')
  if (region !== endpoint.region) throw malformed('the region is not that of the host')
  if (nowMs - signedAtMs > maxAgeMs) throw refuse('ERR_TOKEN_EXPIRED', 'signed too long ago')
  if (signedAtMs - nowMs > maxAgeMs) {
    throw refuse('ERR_TOKEN_NOT_YET_VALID', 'signed in the future')
  }
  return signedAtMs
}

function readDate(text: string): number | undefined {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text)
  if (!parts) return undefined
  const [, year, month, date, hours, minutes, seconds] = parts
  const iso = `${year}-${month}-${date}T${hours}:${minutes}:${seconds}.000Z`
  const ms = Date.parse(iso)
  return Number.isNaN(ms) || new Date(ms).toISOString() !== iso ? undefined : ms
}

export function unsigned(name: string): InboundAuthError {
  return refuse('ERR_MALFORMED_TOKEN', `${name} is not signed`)
}

export function malformed(reason: string): InboundAuthError {
  return refuse('ERR_MALFORMED_TOKEN', reason)
}

export function refuse(code: InboundAuthErrorCode, reason: string): InboundAuthError {
  return new InboundAuthError(code, { reason })
}
