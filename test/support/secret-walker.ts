/**
 * Looks for secrets in whatever an object shows of itself. Every secret is a canary: a random text that stands nowhere
 * else, sought as it is and in the encodings that something might put it into.
 */
import { Console } from 'node:console'
import { randomBytes } from 'node:crypto'
import { Writable } from 'node:stream'
import { format, inspect } from 'node:util'
import { serialize } from 'node:v8'

/** Where one canary was seen. */
export interface Leak {
  readonly canary: string
  readonly scene: string
  readonly how: string
}

export class Canaries {
  readonly #needles = new Map<string, readonly string[]>()

  /** A new secret of that kind. */
  make(kind: string): string {
    return this.add(kind, `canary-${randomBytes(18).toString('hex')}`)
  }

  /** A secret that something else made. */
  add<T extends string | Uint8Array>(kind: string, secret: T): T {
    const bytes = Buffer.from(secret as Uint8Array)
    const needles = new Set([
      bytes.toString('latin1'),
      bytes.toString('hex'),
      bytes.toString('base64').replace(/=+$/, ''),
      bytes.toString('base64url'),
    ])
    if (typeof secret === 'string') {
      for (const text of [
        secret,
        encodeURIComponent(secret),
        JSON.stringify(secret).slice(1, -1),
      ]) {
        needles.add(text)
      }
    } else {
      // As a list of numbers, and as Node prints a Buffer.
      needles.add([...bytes.subarray(0, 8)].join(', '))
      needles.add([...bytes.subarray(0, 8)].join(','))
      needles.add(
        bytes
          .subarray(0, 8)
          .toString('hex')
          .replace(/..(?=.)/g, '$& '),
      )
    }
    this.#needles.set(`${kind} ${this.#needles.size + 1}`, [...needles])
    return secret
  }

  get size(): number {
    return this.#needles.size
  }

  /** The kinds of secret that `text` holds. */
  in(text: string): string[] {
    const kinds: string[] = []
    for (const [kind, needles] of this.#needles) {
      if (needles.some((needle) => text.includes(needle))) kinds.push(kind)
    }
    return kinds
  }
}

/** Prints `value` in every way, and gives what was printed. A way that refuses the value prints nothing. */
export function* printings(value: unknown): Generator<readonly [how: string, text: string]> {
  const everything = {
    depth: null,
    showHidden: true,
    getters: true,
    maxStringLength: null,
    maxArrayLength: null,
  } as const
  const spread = () => ({ ...(value as object) })
  const ways: Record<string, () => string> = {
    String: () => String(value),
    template: () => `${value}`,
    concatenation: () => `Bearer ${value as string}`,
    'JSON.stringify': () => JSON.stringify(value),
    'JSON.stringify, as a member': () => JSON.stringify({ a: [{ value }] }),
    inspect: () => inspect(value),
    'inspect everything': () => inspect(value, everything),
    'inspect, as a member': () => inspect({ a: [value], b: new Map([['k', value]]) }, everything),
    'inspect without hooks': () =>
      inspect(value, { ...everything, getters: false, customInspect: false }),
    console: () => printedBy((console) => console.log(value)),
    'console with text': () =>
      printedBy((console) => console.error('got %s %o %j', value, value, value)),
    // console.dir leaves hooks out, and so would call the getters of the prototype: as much as asking for `.value`.
    'console.dir': () =>
      printedBy((console) => console.dir(value, { ...everything, getters: false })),
    'console.table': () => printedBy((console) => console.table([value])),
    format: () => format('%s %O', value, value),
    'Object.entries': () => inspect(Object.entries(value as object), everything),
    'own descriptors': () => walk(value),
    spread: () => inspect(spread(), everything) + walk(spread()),
    'Object.assign': () => inspect(Object.assign({}, value), everything),
    'for in': () => {
      const seen: unknown[] = []
      for (const name in value as object) seen.push(name, (value as Record<string, unknown>)[name])
      return inspect(seen, everything)
    },
    structuredClone: () => inspect(structuredClone(value), everything),
    'v8.serialize': () =>
      serialize(value).toString('latin1') + serialize(value).toString('utf16le'),
    cause: () => printedBy((console) => console.error(new Error('x', { cause: value }))),
    'AggregateError member': () => inspect(new AggregateError([value]), everything),
    'stacks and messages': () => chainOf(value),
  }
  for (const [how, print] of Object.entries(ways)) {
    let text: unknown
    try {
      text = print()
    } catch (error) {
      text = chainOf(error) // the refusal must not quote it either
    }
    yield [how, String(text)]
  }
}

function printedBy(print: (console: Console) => void): string {
  let out = ''
  const stream = new Writable({
    write(chunk, _encoding, done) {
      out += String(chunk)
      done()
    },
  })
  print(new Console({ stdout: stream, stderr: stream }))
  return out
}

/** Everything that can be reached through own properties, as one text. Own getters are called. */
function walk(value: unknown, seen = new Set<unknown>()): string {
  if (typeof value === 'string') return `${value}\n`
  if (value instanceof Uint8Array) {
    return `${Buffer.from(value).toString('latin1')}\n`
  }
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) {
    return `${String(value)}\n`
  }
  if (seen.has(value)) return ''
  seen.add(value)
  let out = ''
  for (const key of Reflect.ownKeys(value)) {
    out += `${String(key)}\n`
    try {
      out += walk(Reflect.get(value, key), seen)
    } catch {
      // a getter that throws shows nothing
    }
  }
  if (value instanceof Map || value instanceof Set) {
    for (const entry of value) out += walk(entry, seen)
  }
  return out
}

/** Name, message, stack and fields of an error and of its causes. */
function chainOf(error: unknown): string {
  let out = ''
  let at = error
  for (let depth = 0; depth < 8 && at instanceof Error; depth++) {
    out += `${at.name} ${at.message} ${at.stack} ${at}\n`
    at = at.cause
  }
  return out + (at === undefined ? '' : walk(at))
}

/** The secrets that `value` shows, and in which way. */
export function leaksOf(
  canaries: Canaries,
  scene: string,
  value: unknown,
): { readonly leaks: readonly Leak[]; readonly prints: number } {
  const leaks: Leak[] = []
  let prints = 0
  for (const [how, text] of printings(value)) {
    prints++
    for (const canary of canaries.in(text)) leaks.push({ canary, scene, how })
  }
  return { leaks, prints }
}
