import type { Clock } from '../clock.js'
import { isJsonObject, type JsonObject, parseOpenText } from '../strict-json.js'
import { retryAfter } from './retry-after.js'

/** Why a body is not one JSON object of which every reader sees the same. */
export type BodyFault =
  | 'empty answer'
  | 'not JSON'
  | 'broken JSON'
  | 'no JSON object'
  | 'a member twice'
  | 'JSON that readers disagree on'

/** What an endpoint answered, read in full. Holds secrets. */
export interface ServerAnswer {
  readonly provider: string
  /** How a message names the request, such as `refresh request`. */
  readonly what: string
  readonly status: number
  /** Milliseconds that the server asked us to wait. */
  readonly retryAfterMs?: number
  /** The body. What is no UTF-8 in it is replaced. */
  readonly text: string
  /** The members of the JSON object in the body. One that is `null` is absent. */
  readonly members?: JsonObject
  /** Why there are no members. */
  readonly fault?: BodyFault
}

/**
 * Reads the body of an answer strictly: one JSON object without duplicate members. The content type is not looked at:
 * servers mislabel what they send.
 */
export async function readServerAnswer(
  response: Pick<Response, 'status' | 'headers' | 'arrayBuffer'>,
  context: { readonly provider: string; readonly what: string; readonly clock: Clock },
): Promise<ServerAnswer> {
  const { provider, what, clock } = context
  const body = readBody(new Uint8Array(await response.arrayBuffer()))
  return {
    provider,
    what,
    status: response.status,
    ...retryAfter(response.headers, clock),
    ...body,
  }
}

function readBody(bytes: Uint8Array): Pick<ServerAnswer, 'text' | 'members' | 'fault'> {
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
  if (text.trim() === '') return { text, fault: 'empty answer' }
  const json = parseOpenText(text.includes('\ufffd') ? undefined : text)
  if (json.ok) {
    if (!isJsonObject(json.value)) return { text, fault: 'no JSON object' }
    const members = Object.create(null) as Record<string, unknown>
    for (const [name, value] of Object.entries(json.value)) {
      if (value !== null) members[name] = value
    }
    return { text, members }
  }
  if (json.reason === 'duplicate_key') return { text, fault: 'a member twice' }
  if (json.reason !== 'not_json') return { text, fault: 'JSON that readers disagree on' }
  return { text, fault: text.trimStart().startsWith('{') ? 'broken JSON' : 'not JSON' }
}

const quoted = /"[^"\\]*(?:\\.[^"\\]*)*"/sy
const colon = /\s*:\s*/y

/**
 * The value of the member `name` at the top of a JSON object whose other members may be in any state: broken off, there
 * twice. `undefined` unless the member is there exactly once and is a string.
 */
export function soleMember(text: string, name: string): string | undefined {
  let found: string | undefined
  let times = 0
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!
    if (character === '{' || character === '[') depth++
    if (character === '}' || character === ']') depth--
    if (character !== '"') continue
    const key = matchAt(quoted, text, at)
    if (key === undefined) break
    at += key.length - 1
    if (depth !== 1 || decoded(key) !== name) continue
    const between = matchAt(colon, text, at + 1)
    if (between === undefined) continue
    times++
    const value = matchAt(quoted, text, at + 1 + between.length)
    found = value === undefined ? undefined : decoded(value)
  }
  return times === 1 ? found : undefined
}

function matchAt(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at
  return pattern.exec(text)?.[0]
}

function decoded(json: string): string | undefined {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}
