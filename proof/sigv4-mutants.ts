/**
 * Signed requests, changed in every way that we could think of: none is accepted, but those that say the same.
 *
 *   npm run proof sigv4-mutants
 *
 * Mutants that are the same request to SigV4 (another order of parameters, another case of a header's name …) are
 * counted apart and must be accepted. The replay guard is off: it would refuse every mutant but the first.
 * PROOF_COUNT=small takes fewer random mutants.
 */
import { isDeputizeError } from '../src/errors/index.js'
import type { RawRequest } from '../src/inbound/index.js'
import {
  accessKeyId,
  headerOf,
  host,
  region,
  secretAccessKey,
  service,
  smithy,
  type Unsigned,
  verifierOf,
  viaAws4,
  viaAws4fetch,
  withHeader,
} from '../test/support/aws-signers.js'

const RANDOM_MUTANTS = process.env.PROOF_COUNT === 'small' ? 200 : 5_000
const MIN_MUTANTS = 60
const sessionToken = 'FwoGZXIvYXdzEXAMPLE//+token=='

interface Mutant {
  readonly name: string
  readonly request: RawRequest
  /** The same request to SigV4. */
  readonly same?: boolean
}

const flip = (text: string, at: number): string => {
  const code = text.charCodeAt(at)
  // Another printable character: what is none is refused for that alone.
  return (
    text.slice(0, at) + String.fromCharCode(code === 0x7a ? 0x79 : code + 1) + text.slice(at + 1)
  )
}
const shuffledCase = (text: string) =>
  [...text].map((c, at) => (at % 2 ? c.toLowerCase() : c.toUpperCase())).join('')

/** Changes that fit either form. */
function* common(base: RawRequest): Iterable<Mutant> {
  const { target, headers, method } = base
  const [path = '', query = ''] = target.split('?')
  const pieces = query === '' ? [] : query.split('&')
  const withQuery = (parts: readonly string[]) => ({
    ...base,
    target: `${path}?${parts.join('&')}`,
  })

  for (const other of ['PUT', 'DELETE', 'PATCH', method.toLowerCase(), `${method}S`, '']) {
    yield { name: `method ${other}`, request: { ...base, method: other } }
  }
  for (const other of [
    `${path}x`,
    `${path}/x`,
    `/x${path}`,
    path.toUpperCase(),
    '/',
    `${path}%00`,
    `${path}%20`,
    `${path};x`,
    path.slice(0, -1) || '/y',
  ]) {
    if (other !== path)
      yield {
        name: `path ${other}`,
        request: { ...base, target: target.replace(path, () => other) },
      }
  }
  for (let at = 1; at < path.length; at++) {
    if (/[A-Za-z0-9]/.test(path[at]!)) {
      yield { name: `path, character ${at}`, request: { ...base, target: flip(target, at) } }
    }
  }
  if (/[a-z]/.test(path)) {
    const spelled = path.replace(/[a-z]/, (c) => `%${c.charCodeAt(0).toString(16)}`)
    yield {
      name: 'path in another spelling',
      request: { ...base, target: target.replace(path, () => spelled) },
    }
  }
  yield { name: 'path //', request: { ...base, target: `/${target}` } }
  yield { name: 'path /./', request: { ...base, target: `/.${target}` } }
  yield { name: 'path /x/../', request: { ...base, target: `/x/..${target}` } }
  for (const prefix of ['/x/%2e%2E', '/x%2F..', '/x\\..', '/x%5c..', '/%2e', '/.%2e', '/..']) {
    yield { name: `path ${prefix}`, request: { ...base, target: `${prefix}${target}` } }
  }
  yield { name: 'absolute form', request: { ...base, target: `https://${host}${target}` } }
  yield { name: 'fragment', request: { ...base, target: `${target}#x` } }
  yield { name: 'parameter added', request: withQuery([...pieces, 'zz=1']) }
  yield { name: 'parameter without value added', request: withQuery([...pieces, 'zz']) }
  yield { name: 'parameter without name added', request: withQuery([...pieces, '=zz']) }
  yield { name: 'question mark in the query', request: withQuery([...pieces, '?']) }
  yield { name: 'empty piece', request: withQuery([...pieces, '']), same: true }
  for (const [at, piece] of pieces.entries()) {
    const without = pieces.filter((_, other) => other !== at)
    const name = piece.split('=')[0]!
    yield { name: `parameter ${name} dropped`, request: withQuery(without) }
    yield { name: `parameter ${name} twice`, request: withQuery([...pieces, piece]) }
    yield { name: `parameter ${name} emptied`, request: withQuery([...without, `${name}=`]) }
    yield {
      name: `parameter ${name} in another case`,
      request: withQuery([...without, piece.replace(name, shuffledCase(name))]),
    }
    yield {
      name: `parameter ${name} twice in two cases`,
      request: withQuery([...pieces, piece.replace(name, shuffledCase(name))]),
    }
    for (let place = name.length + 1; place < piece.length; place += 3) {
      if (!/[A-Za-z0-9]/.test(piece[place]!) || /%.?$/.test(piece.slice(0, place))) continue
      const other = flip(piece, place)
      yield {
        name: `parameter ${name}, character ${place}`,
        request: withQuery([...without, other]),
      }
    }
    const spelled = piece.replace(
      /=([A-Za-z0-9])/,
      (_, c: string) => `=%${c.charCodeAt(0).toString(16)}`,
    )
    if (spelled !== piece) {
      yield {
        name: `parameter ${name} in another spelling`,
        request: withQuery([...without, spelled]),
        same: true,
      }
    }
  }
  if (pieces.length > 1) {
    yield { name: 'parameters reversed', request: withQuery([...pieces].reverse()), same: true }
  }
  for (const [name, value] of headers) {
    const lower = name.toLowerCase()
    if (lower === 'authorization') continue
    const to = (changed: string) => withHeader(base, name, changed)
    yield {
      name: `header ${lower} dropped`,
      request: withHeader(base, name, undefined),
      same: !isSigned(base, lower),
    }
    yield {
      name: `header ${lower} emptied`,
      request: to(''),
      same: !isSigned(base, lower) && value === '',
    }
    yield {
      name: `header ${lower}, text behind`,
      request: to(`${value}x`),
      same: !isSigned(base, lower),
    }
    yield { name: `header ${lower}, CR LF`, request: to(`${value}\r\nx: y`) }
    yield { name: `header ${lower}, NUL`, request: to(`${value}\0`) }
    yield {
      name: `header ${lower} twice`,
      request: { ...base, headers: [...headers, [name, value]] },
      same: !isSigned(base, lower) && lower !== 'content-type',
    }
    if (!isSigned(base, lower)) continue
    for (let at = 0; at < value.length; at += 3) {
      if (/[A-Za-z0-9]/.test(value[at]!) && lower !== 'host') {
        yield { name: `header ${lower}, character ${at}`, request: to(flip(value, at)) }
      }
    }
    yield { name: `header ${lower}, blanks around`, request: to(`  ${value}\t`), same: true }
    yield {
      name: `header ${shuffledCase(name)}`,
      request: rename(base, name, shuffledCase(name)),
      same: true,
    }
    yield {
      name: `header ${lower} with underscores`,
      request: rename(base, name, name.replaceAll('-', '_')),
      same: !name.includes('-'),
    }
  }
  yield {
    name: 'headers reversed',
    request: { ...base, headers: [...headers].reverse() },
    same: true,
  }
  for (const name of [
    'x-amz-acl',
    'X-Amz-Meta-Z',
    'x_amz_acl',
    'x-amz-target',
    'X-Amzn-Bedrock-AgentCore-Runtime-User-Id',
  ]) {
    yield {
      name: `header ${name} added`,
      request: { ...base, headers: [...headers, [name, 'eve']] },
    }
  }
  for (const other of ['evil.example', `${host}:443`, `${host}.`, `x.${host}`, '']) {
    yield { name: `host ${other}`, request: withHeader(base, 'host', other) }
  }
  yield {
    name: 'a forwarded host',
    request: { ...base, headers: [...headers, ['X-Forwarded-Host', 'evil.example']] },
    same: true,
  }
  const body = base.body as Uint8Array | undefined
  if (body === undefined) {
    yield { name: 'body added', request: { ...base, body: Buffer.from('x') } }
  } else {
    yield { name: 'body dropped', request: { ...base, body: undefined } }
    yield {
      name: 'body longer',
      request: { ...base, body: Buffer.concat([body, Buffer.from('\0')]) },
    }
    yield { name: 'body shorter', request: { ...base, body: body.subarray(1) } }
    for (let bit = 0; bit < 8; bit++) {
      const other = Uint8Array.from(body)
      other[other.length >> 1]! ^= 1 << bit
      yield { name: `body, bit ${bit}`, request: { ...base, body: other } }
    }
  }
}

function isSigned(request: RawRequest, name: string): boolean {
  const list =
    /SignedHeaders=([^,&]+)/.exec(headerOf(request, 'authorization') || request.target)?.[1] ?? ''
  return decodeURIComponent(list).split(';').includes(name)
}

function rename(request: RawRequest, from: string, to: string): RawRequest {
  return {
    ...request,
    headers: request.headers.map(([name, value]) => [name === from ? to : name, value]),
  }
}

/** Changes of the Authorization header. */
function* ofHeader(base: RawRequest): Iterable<Mutant> {
  const value = headerOf(base, 'authorization')
  const to = (changed: string) => withHeader(base, 'authorization', changed)
  for (let at = 0; at < value.length; at++) {
    yield { name: `Authorization, character ${at}`, request: to(flip(value, at)) }
    yield {
      name: `Authorization without character ${at}`,
      request: to(value.slice(0, at) + value.slice(at + 1)),
    }
    yield {
      name: `Authorization, blank at ${at}`,
      request: to(`${value.slice(0, at)} ${value.slice(at)}`),
    }
  }
  const [scheme = '', ...fields] = value.split(/,? (?=[CS])/)
  yield { name: 'fields reversed', request: to(`${scheme} ${fields.reverse().join(', ')}`) }
  yield { name: 'lower case', request: to(value.toLowerCase()) }
  yield {
    name: 'signature in upper case',
    request: to(value.replace(/[0-9a-f]{64}$/, (hex) => `F${hex.slice(1).toUpperCase()}`)),
  }
  yield { name: 'SigV4A', request: to(value.replace('HMAC-SHA256', 'ECDSA-P256-SHA256')) }
  yield {
    name: 'twice',
    request: { ...base, headers: [...base.headers, ['Authorization', value]] },
  }
  yield { name: 'joined', request: to(`${value}, ${value}`) }
  yield { name: 'none', request: to('') }
  const presigned = `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${accessKeyId}`
  const mark = base.target.includes('?') ? '&' : '?'
  yield {
    name: 'query form as well',
    request: { ...base, target: `${base.target}${mark}${presigned}` },
  }
  yield* ofScope((from, into) => to(value.replace(from, into)), '/')
  yield { name: 'separators without blanks', request: to(value.replaceAll(', ', ',')), same: true }
}

/** Changes of the parameters of a presigned URL. */
function* ofQuery(base: RawRequest): Iterable<Mutant> {
  const to = (from: string, into: string) => ({ ...base, target: base.target.replace(from, into) })
  yield* ofScope(to, '%2F')
  yield { name: 'a life of a week', request: to('Expires=300', 'Expires=604800') }
  yield {
    name: 'an Authorization header',
    request: { ...base, headers: [...base.headers, ['authorization', 'Basic x']] },
  }
  yield {
    name: 'a date header',
    request: { ...base, headers: [...base.headers, ['x-amz-date', '20260101T000000Z']] },
  }
}

function* ofScope(
  change: (from: string, to: string) => RawRequest,
  slash: string,
): Iterable<Mutant> {
  const parts = { [`${slash}${region}${slash}`]: 'us-east-1', [`${slash}${service}${slash}`]: 's3' }
  for (const [part, other] of Object.entries(parts)) {
    yield { name: `scope ${other}`, request: change(part, `${slash}${other}${slash}`) }
    yield { name: `scope without ${part}`, request: change(part, slash) }
    yield { name: `scope ${part} twice`, request: change(part, part + part.slice(slash.length)) }
  }
  yield { name: 'another key', request: change(accessKeyId, 'AKIAEXAMPLEKEY000002') }
  yield { name: 'terminator', request: change('aws4_request', 'aws4_requests') }
}

/** One byte of the text of the request, anywhere, to anything printable. */
function* random(base: RawRequest, count: number): Iterable<Mutant> {
  for (let n = 0; n < count; n++) {
    const char = String.fromCharCode(33 + Math.floor(Math.random() * 94))
    const signed = base.headers.filter(
      ([name]) => name.toLowerCase() === 'authorization' || isSigned(base, name.toLowerCase()),
    )
    const which = Math.floor(Math.random() * (signed.length + 1))
    const text = which === signed.length ? base.target : signed[which]![1]
    const at = Math.floor(Math.random() * text.length)
    if (text[at] === char) continue
    const changed = text.slice(0, at) + char + text.slice(at + 1)
    const name = `random: ${which === signed.length ? 'target' : signed[which]![0]}, ${at} to ${char}`
    const request =
      which === signed.length
        ? { ...base, target: changed }
        : withHeader(base, signed[which]![0], changed)
    if (
      which < signed.length &&
      signed[which]![0].toLowerCase() === 'host' &&
      changed.toLowerCase() === text.toLowerCase()
    )
      continue
    // %2f for %2F in the query: the case of an escape says nothing.
    const respelled =
      changed.toLowerCase() === text.toLowerCase() && /\?.*%.?$/.test(text.slice(0, at))
    yield { name, request, same: respelled }
  }
}

const post = {
  method: 'POST',
  body: '{"day":"2026-11-23"}',
  headers: { 'content-type': 'application/json', 'x-amz-meta-a': 'one two' },
}
const calls: Record<string, Unsigned> = {
  plain: { target: '/invoke' },
  query: { target: '/runtimes/a%2Fb/invoke?b=2&a=1&a=3&c=d%20e' },
  post: { ...post, target: '/invoke?qualifier=DEFAULT' },
  token: { ...post, target: '/invoke', sessionToken },
}
const signers = { smithy, aws4: viaAws4, aws4fetch: viaAws4fetch }

let total = 0
let accepted = 0
let same = 0
let sameRefused = 0
let fewest = Number.POSITIVE_INFINITY
let untyped = 0
for (const [signerName, sign] of Object.entries(signers)) {
  for (const [callName, call] of Object.entries(calls)) {
    for (const presign of [false, true]) {
      const { headers: _, ...bare } = call
      const base = await sign({ ...(presign ? bare : call), presign })
      const verifier = verifierOf({
        hosts: [host],
        replay: null,
        credentials: (id) =>
          id === accessKeyId
            ? { secretAccessKey, ...(call.sessionToken ? { sessionToken } : {}) }
            : undefined,
        mayActForUser: () => true,
      })
      await verifier.verify(base)
      let count = 0
      const all = [
        common(base),
        presign ? ofQuery(base) : ofHeader(base),
        random(base, RANDOM_MUTANTS),
      ]
      for (const mutants of all) {
        for (const { name, request, same: alike = false } of mutants) {
          let good = true
          try {
            await verifier.verify(request)
          } catch (error) {
            good = false
            if (!isDeputizeError(error)) {
              untyped++
              console.log(`UNTYPED  ${signerName} ${callName} ${presign}: ${name}: ${error}`)
            }
          }
          if (alike) {
            same++
            if (!good) {
              sameRefused++
              console.log(`REFUSED  ${signerName} ${callName} ${presign}: ${name}`)
            }
          } else {
            count++
            if (good) {
              accepted++
              console.log(`ACCEPTED ${signerName} ${callName} ${presign}: ${name}`)
            }
          }
        }
      }
      total += count
      fewest = Math.min(fewest, count)
    }
  }
}
console.log(`${same} mutants that are the same request: ${sameRefused} refused`)
console.log(
  `at least ${fewest} mutants a request (goal: ${MIN_MUTANTS}); errors that are not ours: ${untyped}`,
)
console.log(
  `${total} mutants of ${Object.keys(signers).length * Object.keys(calls).length * 2} signed requests: ${accepted} accepted (goal: 0)`,
)
if (accepted > 0 || sameRefused > 0 || untyped > 0 || fewest < MIN_MUTANTS) process.exitCode = 1
