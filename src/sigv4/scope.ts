import { InboundAuthError } from '../errors/inbound.js'
import { isPlain } from './header-fields.js'
import { malformed } from './refusal.js'

/** Who signed for what, and what is signed: the same in all requests that a caller makes in a day. */
export interface Scope {
  readonly accessKeyId: string
  /** `YYYYMMDD`. */
  readonly date: string
  readonly region: string
  readonly service: string
  /** Lower case, sorted, each once; `host` among them. */
  readonly signedHeaders: string
  readonly signedNames: readonly string[]
}

/** How many scopes are remembered. They are not checked against anything yet, so anybody can fill the memory. */
const MAX_SCOPES = 256
/** Longer ones are not remembered. */
const MAX_REMEMBERED_LENGTH = 1_024

// Separators are a comma and a space, or commas alone, as the documentation of Amazon S3 has it; never a mixture.
const ahead = /^AWS4-HMAC-SHA256 Credential=([^,]*)(, ?)SignedHeaders=([^\s,=]+)\2Signature=$/
const credential = /^([^\s,/=]+)\/(\d{8})\/([^\s,/=]+)\/([^\s,/=]+)\/aws4_request$/

/** Reads scopes, and remembers what it read: a function of the text, and the longest part of reading a signature. */
export class ScopeReader {
  #read = new Map<string, Scope>()
  #lastText = ''
  #last: Scope | undefined
  #timestamp = ''
  #scope: Scope | undefined
  #atMs = 0
  #ahead = ''

  /**
   * @param value An `Authorization` header.
   * @param length How much of it stands ahead of the signature.
   * @returns `undefined` when that is not of the form it should have.
   * @throws `InboundAuthError`
   */
  ofHeader(value: string, length: number): Scope | undefined {
    const text = value.slice(0, length)
    // Callers often come several times in a row, and to compare is ten times as quick as to look up.
    if (text === this.#lastText) return this.#last
    const known = this.#read.get(text)
    if (known) {
      this.#lastText = text
      this.#last = known
      return known
    }
    isPlain(text)
    const match = ahead.exec(text)
    if (!match) return undefined
    const scope = readScope(match[1] ?? '', match[3] ?? '')
    if (scope && text.length <= MAX_REMEMBERED_LENGTH) {
      if (this.#read.size >= MAX_SCOPES) this.#read = new Map()
      this.#read.set(text, scope)
    }
    return scope
  }

  /**
   * The moment of a timestamp, in milliseconds. Of many requests a second only the first is read.
   *
   * @throws `InboundAuthError`
   */
  timeOf(timestamp: string, scope: Scope): number {
    if (timestamp !== this.#timestamp || scope !== this.#scope) {
      const { date, region, service } = scope
      this.#atMs = readTimestamp(timestamp, date)
      this.#ahead = `AWS4-HMAC-SHA256\n${timestamp}\n${date}/${region}/${service}/aws4_request\n`
      this.#timestamp = timestamp
      this.#scope = scope
    }
    return this.#atMs
  }

  /** What is signed at the moment that {@link timeOf} was asked for last, up to the hash of the request. */
  get ahead(): string {
    return this.#ahead
  }
}

/**
 * @returns `undefined` when the credential is not of five parts.
 * @throws `InboundAuthError` when the list of signed headers is not in order.
 */
export function readScope(text: string, signedHeaders: string): Scope | undefined {
  const match = credential.exec(text)
  if (!match) return undefined
  const [, accessKeyId = '', date = '', region = '', service = ''] = match
  const signedNames = signedHeaders.split(';')
  checkNames(signedNames)
  return { accessKeyId, date, region, service, signedHeaders, signedNames }
}

function checkNames(names: readonly string[]): void {
  let before = ''
  for (const name of names) {
    if (name <= before) throw malformed('SignedHeaders is not sorted, or has a name twice')
    if (name === 'authorization') throw malformed('SignedHeaders names the signature itself')
    before = name
  }
  if (!names.includes('host')) {
    throw new InboundAuthError('ERR_UNSIGNED_HEADER', { reason: 'the host is not signed' })
  }
}

function readTimestamp(timestamp: string, date: string): number {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(timestamp)
  if (!match) throw malformed('the date is not of the form YYYYMMDDTHHMMSSZ')
  if (!timestamp.startsWith(date)) throw malformed('the day of the scope is not that of the date')
  const year = Number(match[1])
  const month = Number(match[2])
  const day = Number(match[3])
  const [hour, minute, second] = [Number(match[4]), Number(match[5]), Number(match[6])]
  const atMs = Date.UTC(year, month - 1, day, hour, minute, second)
  const told = new Date(atMs)
  // Date.UTC takes the 31st of June for the 1st of July, and the year 15 for 1915.
  const exact =
    told.getUTCFullYear() === year && told.getUTCMonth() === month - 1 && told.getUTCDate() === day
  if (!exact || hour > 23 || minute > 59 || second > 59) {
    throw malformed('the date is none of the calendar')
  }
  return atMs
}
