import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { InboundVerifier } from '../../test/support/inbound-verifier.js'
import {
  codeOf,
  fakeClock,
  makeKey,
  type SigningKey,
  signToken,
} from '../../test/support/issuer.js'
import type { AuditEvent } from '../audit.js'
import { InboundAuthError } from '../errors/inbound.js'
import { PublicKey } from '../jwt/public-key.js'
import type { RawRequest } from './authenticator.js'
import type { DpopOptions } from './dpop.js'
import { jwtBearer } from './jwt-bearer.js'
import { memoryReplayGuard } from './replay-guard.js'
import { InboundVerifier as PlainVerifier } from './verifier.js'

const issuer = 'https://idp.example'
const resource = 'https://agent.example/mcp'
const key = makeKey()
const holder = makeKey('ES256', 'holder')
const clock = fakeClock()
const now = () => Math.floor(clock() / 1000)
const digest = (text: string) => createHash('sha256').update(text).digest('base64url')

function publicJwk({ jwk }: SigningKey): Record<string, unknown> {
  const { kid: _, ...rest } = jwk
  return rest as Record<string, unknown>
}

function thumbprint(of: SigningKey): string {
  const { crv, kty, x, y, e, n } = publicJwk(of)
  return digest(
    JSON.stringify(
      kty === 'RSA' ? { e, kty, n } : kty === 'OKP' ? { crv, kty, x } : { crv, kty, x, y },
    ),
  )
}

const tokenFor = (cnf: unknown = { jkt: thumbprint(holder) }, changes: object = {}) =>
  signToken(key, {
    iss: issuer,
    sub: 'u1',
    aud: 'agent',
    client_id: 'web',
    exp: now() + 300,
    ...(cnf === null ? {} : { cnf }),
    ...changes,
  })

let count = 0
const proofFor = (token: string, changes: object = {}, header: object = {}, by = holder) =>
  signToken(
    by,
    {
      jti: `p${count++}`,
      htm: 'POST',
      htu: 'https://agent.example/mcp/tools',
      iat: now(),
      ath: digest(token),
      ...changes,
    },
    { typ: 'dpop+jwt', kid: undefined, jwk: publicJwk(by), ...header },
  )

const request = (
  token: string,
  proofs: string | readonly string[],
  changes: Partial<RawRequest> & { scheme?: string } = {},
): RawRequest => ({
  method: 'POST',
  target: '/mcp/tools?x=1',
  headers: [
    ['Host', 'somewhere-else.example'],
    ['Authorization', `${changes.scheme ?? 'DPoP'} ${token}`],
    ...[proofs].flat().map((proof): [string, string] => ['DPoP', proof]),
  ],
  ...changes,
})

const verifierOf = (dpop: DpopOptions | undefined = {}, audit?: (event: AuditEvent) => void) =>
  new InboundVerifier(
    {
      authenticators: [
        jwtBearer({ issuer, jwks: { keys: [key.jwk] }, allowedAudience: ['agent'], dpop }),
      ],
      resource,
      audit,
      clock,
    },
    () => request(token, proofFor(token)),
  )
const verifier = verifierOf()
const token = tokenFor()
const outcome = (changes: object, header: object = {}, more: Partial<RawRequest> = {}) =>
  codeOf(verifier.verify(request(token, proofFor(token, changes, header), more)))

describe('dpop', () => {
  it.each(['ES256', 'ES384', 'EdDSA', 'RS256', 'PS256'])(
    'J67 accepts a proof by %s',
    async (alg) => {
      const by = makeKey(alg, 'other')
      const bound = tokenFor({ jkt: thumbprint(by) })
      const principal = await verifier.verify(request(bound, proofFor(bound, {}, {}, by)))
      expect(principal.subject).toBe('u1')
    },
  )

  it.each<[string, object, object?]>([
    ['typ JWT', {}, { typ: 'JWT' }],
    ['no typ', {}, { typ: undefined }],
    ['alg none', {}, { alg: 'none' }],
    ['alg HS256', {}, { alg: 'HS256' }],
    ['another alg than the key', {}, { alg: 'ES384' }],
    ['no jwk', {}, { jwk: undefined }],
    ['jwk as a text', {}, { jwk: 'x' }],
    ['a private jwk', {}, { jwk: { ...publicJwk(holder), d: 'AAAA' } }],
    ['a symmetric jwk', {}, { jwk: { kty: 'oct', k: 'AAAA' } }],
    ['a jwk that is no key', {}, { jwk: { find: 1 } }],
    ['a jwk with more than a key', {}, { jwk: { ...publicJwk(holder), use: 'enc' } }],
    ['a jwk with another coordinate', {}, { jwk: { ...publicJwk(holder), x: publicJwk(key).x } }],
    ['crit', {}, { crit: ['x'], x: 1 }],
    ['no htm', { htm: undefined }],
    ['htm of another method', { htm: 'GET' }],
    ['htm in lower case', { htm: 'post' }],
    ['no htu', { htu: undefined }],
    ['htu as a list', { htu: ['https://agent.example/mcp/tools'] }],
    ['htu of another path', { htu: 'https://agent.example/mcp/tools/' }],
    ['htu with a path in another case', { htu: 'https://agent.example/MCP/tools' }],
    ['htu of another host', { htu: 'https://evil.example/mcp/tools' }],
    ['htu of the Host header', { htu: 'https://somewhere-else.example/mcp/tools' }],
    ['htu by http', { htu: 'http://agent.example/mcp/tools' }],
    ['htu at another port', { htu: 'https://agent.example:8443/mcp/tools' }],
    ['htu with user info', { htu: 'https://u@agent.example/mcp/tools' }],
    ['htu with an escaped slash', { htu: 'https://agent.example/mcp%2Ftools' }],
    ['htu as a path', { htu: '/mcp/tools' }],
    ['no iat', { iat: undefined }],
    ['iat as a text', { iat: String(now()) }],
    ['iat beyond all numbers', { iat: 1e300 }],
    ['iat as a fraction, too far ahead', { iat: now() + 30.5 }],
    ['iat too far ahead', { iat: now() + 31 }],
    ['iat too long ago', { iat: now() - 90 }],
    ['no jti', { jti: undefined }],
    ['an empty jti', { jti: '' }],
    ['a jti that is a number', { jti: 7 }],
    ['a jti without end', { jti: 'x'.repeat(257) }],
    ['no ath', { ath: undefined }],
    ['ath of another token', { ath: digest('other') }],
    ['ath in hexadecimal', { ath: createHash('sha256').update(token).digest('hex') }],
  ])('J67 refuses %s', async (_, changes, header) => {
    expect(await outcome(changes, header)).toBe('ERR_BAD_PROOF')
  })

  it.each<[string, object]>([
    ['another case and port', { htu: 'HTTPS://AGENT.example:443/mcp/tools' }],
    ['a query and a fragment', { htu: 'https://agent.example/mcp/tools?y=2#z' }],
    ['needless escapes', { htu: 'https://agent.example/%6dcp/tool%73' }],
    ['a clock that is behind', { iat: now() - 89 }],
    ['a clock that is ahead', { iat: now() + 30 }],
  ])('J67 accepts %s', async (_, changes) => {
    expect(await outcome(changes)).toBeUndefined()
  })

  it('J67 compares escapes of the target without regard to their case', async () => {
    const htu = 'https://agent.example/a%c3%A4'
    expect(await outcome({ htu }, {}, { target: '/a%C3%a4' })).toBeUndefined()
    expect(await outcome({ htu }, {}, { target: '/aä' })).toBeUndefined()
    expect(await outcome({ htu }, {}, { target: 'http://other.example/a%C3%A4' })).toBeUndefined()
    expect(await outcome({ htu }, {}, { target: '*' })).toBe('ERR_BAD_PROOF')
    const cased = 'https://agent.example/Mcp'
    expect(await outcome({ htu: cased }, {}, { target: '/Mcp' })).toBeUndefined()
  })

  it.each([
    '/admin/../mcp/tools',
    '/x/%2e%2E/mcp/tools',
    '/./mcp/tools',
    '/x%2F..%2Fmcp/tools',
    '/x\\..\\mcp/tools',
    '\\mcp/tools',
    '/mcp/tools/x/..',
  ])('J67 refuses %s as a path, called or proved', async (path) => {
    const elsewhere = `http://other.example${path}?x=1`
    for (const target of [path, `${path}?x=1`, elsewhere]) {
      if (!/^(\/|http)/.test(target)) continue
      expect(await outcome({}, {}, { target })).toBe('ERR_AMBIGUOUS_PATH')
      const htu = `https://agent.example${path}`
      expect(await outcome({ htu }, {}, { target })).toBe('ERR_AMBIGUOUS_PATH')
    }
    expect(await outcome({ htu: `https://agent.example${path}` })).toBe('ERR_AMBIGUOUS_PATH')
  })

  it('J67 takes slashes, dots and queries that are no such path as they are', async () => {
    for (const path of [
      '/a//b',
      '//a',
      '/.well-known/x..y/...',
      '/models:run',
      '/a%2Fb',
      '/%252e%252e/a',
    ]) {
      const htu = `https://agent.example${path}`
      expect(await outcome({ htu }, {}, { target: `${path}?a=/../b` })).toBeUndefined()
      expect(await outcome({ htu: `${htu}?a=/../b` }, {}, { target: path })).toBeUndefined()
    }
    expect(await outcome({ htu: 'https://agent.example' }, {}, { target: '/' })).toBeUndefined()
    expect(
      await outcome({ htu: 'https://agent.example' }, {}, { target: 'http://x' }),
    ).toBeUndefined()
    expect(await outcome({}, {}, { target: '/mcp/tools#/../../admin' })).toBe('ERR_BAD_PROOF')
  })

  it('J67 verifies no signature by a key that the token is not bound to', async () => {
    const read = vi.spyOn(PublicKey, 'read')
    onTestFinished(() => read.mockRestore())
    // One that presents nothing again.
    const plain = new PlainVerifier({
      authenticators: [
        jwtBearer({ issuer, jwks: { keys: [key.jwk] }, allowedAudience: ['agent'], dpop: {} }),
      ],
      resource,
      clock,
    })
    read.mockClear()
    const other = makeKey('RS256', 'other', 2048)
    expect(await codeOf(plain.verify(request(token, proofFor(token, {}, {}, other))))).toBe(
      'ERR_BAD_PROOF',
    )
    expect(read).not.toHaveBeenCalled()
    expect(await codeOf(plain.verify(request(token, proofFor(token))))).toBeUndefined()
    expect(read).toHaveBeenCalledTimes(1)
  })

  it('J67 wants one proof, and one only', async () => {
    const proof = () => proofFor(token)
    expect(await codeOf(verifier.verify(request(token, [])))).toBe('ERR_BAD_PROOF')
    expect(await codeOf(verifier.verify(request(token, [proof(), proof()])))).toBe('ERR_BAD_PROOF')
    const web = new Request(resource, {
      method: 'POST',
      headers: { authorization: `DPoP ${token}` },
    })
    web.headers.append('dpop', proof())
    web.headers.append('dpop', proof())
    expect(await codeOf(verifier.verify(web))).toBe('ERR_BAD_PROOF')
    const flipped = `${proof().slice(0, -4)}AAAA`
    expect(await codeOf(verifier.verify(request(token, flipped)))).toBe('ERR_BAD_PROOF')
    expect(await codeOf(verifier.verify(request(token, 'x'.repeat(8193))))).toBe('ERR_BAD_PROOF')
  })

  it('J67 answers whatever a proof holds with a typed refusal', async () => {
    const strict = verifierOf({ nonceSecret: 'n'.repeat(32) })
    const anything = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom('\ud800', 'https://\ud800', 1e308, -0),
    )
    const members = fc.constantFrom('jti', 'htm', 'htu', 'iat', 'ath', 'nonce', 'jwk', 'typ', 'kid')
    await fc.assert(
      fc.asyncProperty(members, anything, async (member, value) => {
        const isHeader = ['jwk', 'typ', 'kid'].includes(member)
        const change = { [member]: value }
        const proof = isHeader ? proofFor(token, {}, change) : proofFor(token, change)
        const error = await strict.verify(request(token, proof)).catch((e: unknown) => e)
        expect(error).toBeInstanceOf(InboundAuthError)
      }),
      { numRuns: 300 },
    )
  })

  it('J67 takes the request of a Web server', async () => {
    const proof = proofFor(token, { htu: resource })
    const headers = { authorization: `dpop ${token}`, dpop: proof }
    const web = new Request('http://10.0.0.7:8080/mcp?x=1', { method: 'POST', headers })
    expect((await verifier.verify(web)).subject).toBe('u1')
  })

  it('J67 refuses the proof of another key, and the key of another proof', async () => {
    const thief = makeKey('ES256', 'thief')
    const own = proofFor(token, {}, {}, thief)
    expect(await codeOf(verifier.verify(request(token, own)))).toBe('ERR_BAD_PROOF')
    const borrowed = proofFor(token, {}, { jwk: publicJwk(holder) }, thief)
    expect(await codeOf(verifier.verify(request(token, borrowed)))).toBe('ERR_BAD_PROOF')
  })

  it('J67 takes a proof once, and never remembers one that was refused', async () => {
    const proof = proofFor(token)
    const other = request(token, proof, { target: '/other' })
    expect(await codeOf(verifier.verify(other))).toBe('ERR_BAD_PROOF')
    const twice = [request(token, proof), request(token, proof)]
    const codes = await Promise.all(twice.map((one) => codeOf(verifier.verify(one))))
    expect(codes.sort()).toEqual(['ERR_REPLAYED', undefined])
  })

  it('J18 knows a used jti again behind the other signature of the same proof', async () => {
    const proof = proofFor(token)
    const [head, body, tail] = proof.split('.') as [string, string, string]
    const order = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551')
    const signature = Buffer.from(tail, 'base64url')
    const s = order - BigInt(`0x${signature.subarray(32).toString('hex')}`)
    const other = Buffer.concat([
      signature.subarray(0, 32),
      Buffer.from(s.toString(16).padStart(64, '0'), 'hex'),
    ])
    const twin = `${head}.${body}.${other.toString('base64url')}`
    expect(await codeOf(verifierOf().verify(request(token, twin)))).toBeUndefined() // sound by itself
    expect(await codeOf(verifier.verify(request(token, proof)))).toBeUndefined()
    expect(await codeOf(verifier.verify(request(token, twin)))).toBe('ERR_REPLAYED')
  })

  it('J67 lets two holders use the same jti', async () => {
    const other = makeKey('ES256', 'other')
    const theirs = tokenFor({ jkt: thumbprint(other) })
    const requests = [
      request(token, proofFor(token, { jti: 'same' })),
      request(theirs, proofFor(theirs, { jti: 'same' }, {}, other)),
    ]
    for (const one of requests) expect(await codeOf(verifier.verify(one))).toBeUndefined()
  })

  it('J66 keeps one user from filling the guard of all, with however many keys', async () => {
    const shared = verifierOf({ replayGuard: memoryReplayGuard({ maxEntries: 20, clock }) })
    const other = makeKey('ES256', 'other')
    const codes = []
    for (let n = 0; n < 20; n++) {
      const by = n % 2 ? holder : other
      const theirs = tokenFor({ jkt: thumbprint(by) }, { sub: 'greedy' })
      codes.push(await codeOf(shared.verify(request(theirs, proofFor(theirs, {}, {}, by)))))
    }
    expect(codes.filter((code) => code === undefined)).toHaveLength(15)
    expect(codes.at(-1)).toBe('ERR_GUARD_UNAVAILABLE')
    expect(await codeOf(shared.verify(request(token, proofFor(token))))).toBeUndefined()
  })

  it('J66 answers 503 when the replay guard is full, or fails', async () => {
    const full = verifierOf({ replayGuard: memoryReplayGuard({ maxEntries: 1, clock }) })
    expect(await codeOf(full.verify(request(token, proofFor(token))))).toBeUndefined()
    expect(await codeOf(full.verify(request(token, proofFor(token))))).toBe('ERR_GUARD_UNAVAILABLE')
    const broken = verifierOf({ replayGuard: { claim: () => Promise.reject(new Error('c4nary')) } })
    const answer = (await broken.authenticate(request(token, proofFor(token)))) as Response
    expect(answer.status).toBe(503)
    expect(await answer.text()).not.toContain('c4nary')
    const odd = verifierOf({ replayGuard: { claim: async () => 'yes' as never } })
    expect(await codeOf(odd.verify(request(token, proofFor(token))))).toBe('ERR_REPLAYED')
  })

  it('J68 refuses a bound token without a proof of its own kind', async () => {
    const bearer = request(token, proofFor(token), { scheme: 'Bearer' })
    expect(await codeOf(verifier.verify(bearer))).toBe('ERR_PROOF_REQUIRED')
    expect(await codeOf(verifier.verifyToken(token))).toBe('ERR_PROOF_REQUIRED')
    const without = new InboundVerifier({
      authenticators: [
        jwtBearer({ issuer, jwks: { keys: [key.jwk] }, allowedAudience: ['agent'] }),
      ],
      clock,
    })
    expect(await codeOf(without.verify(bearer))).toBe('ERR_PROOF_REQUIRED')
    expect(await codeOf(without.verify(request(token, proofFor(token))))).toBe('ERR_NO_CREDENTIALS')
  })

  it.each([
    { jkt: 'x' },
    { jkt: 7 },
    { jkt: thumbprint(holder), kid: 'k' },
    { jkt: thumbprint(holder), osc: thumbprint(holder) },
    { jwk: {} },
    {},
    [],
    'x',
  ])('J68 refuses cnf %j', async (cnf) => {
    const bound = tokenFor(cnf)
    const sent = request(bound, proofFor(bound))
    expect(await codeOf(verifier.verify(sent))).toBe('ERR_PROOF_REQUIRED')
  })

  it('J68 refuses a proof beside a token that is bound to nothing', async () => {
    const free = tokenFor(null)
    expect(await codeOf(verifier.verify(request(free, proofFor(free))))).toBe('ERR_BAD_PROOF')
    const bearer = request(free, [], { scheme: 'Bearer' })
    expect(await codeOf(verifier.verify(bearer))).toBeUndefined()
    expect(await codeOf(verifier.verify(request(free, proofFor(free))))).toBe('ERR_BAD_PROOF')
    const strict = verifierOf({ required: true })
    expect(await codeOf(strict.verify(bearer))).toBe('ERR_PROOF_REQUIRED')
    expect(await codeOf(strict.verify(bearer))).toBe('ERR_PROOF_REQUIRED')
    expect(await codeOf(strict.verifyToken(free))).toBe('ERR_PROOF_REQUIRED')
  })

  it('J68 asks for the client certificate that a token is bound to', async () => {
    const print = digest('certificate')
    const bound = tokenFor({ 'x5t#S256': print })
    const by = (clientCertificateThumbprint?: string) =>
      codeOf(verifier.verify(request(bound, [], { scheme: 'Bearer', clientCertificateThumbprint })))
    expect(await by(print)).toBeUndefined()
    expect(await by()).toBe('ERR_PROOF_REQUIRED')
    expect(await by(digest('other'))).toBe('ERR_PROOF_REQUIRED')
    expect(await by('')).toBe('ERR_PROOF_REQUIRED')
    const both = tokenFor({ 'x5t#S256': print, jkt: thumbprint(holder) })
    const sent = (clientCertificateThumbprint?: string) =>
      codeOf(verifier.verify(request(both, proofFor(both), { clientCertificateThumbprint })))
    expect(await sent(print)).toBeUndefined()
    expect(await sent()).toBe('ERR_PROOF_REQUIRED')
  })

  describe('with nonces', () => {
    const secret = 'n'.repeat(32)
    const strict = verifierOf({ nonceSecret: secret })
    const refusal = async (changes: object) => {
      const sent = request(token, proofFor(token, changes))
      return strict.verify(sent).catch((error) => error) as Promise<InboundAuthError>
    }

    it('J67 gives one, takes it, and lets it go stale', async () => {
      const first = await refusal({})
      expect(first).toBeInstanceOf(InboundAuthError)
      expect(first).toMatchObject({ code: 'ERR_NONCE_REQUIRED', status: 401 })
      const nonce = first.dpopNonce
      const sent = () => {
        const fresh = tokenFor()
        return request(fresh, proofFor(fresh, { nonce, iat: now() }))
      }
      expect(await codeOf(strict.verify(sent()))).toBeUndefined()
      expect(await codeOf(verifierOf({ nonceSecret: secret }).verify(sent()))).toBeUndefined()
      clock.advance(120_000)
      expect(await codeOf(strict.verify(sent()))).toBeUndefined()
      clock.advance(120_000)
      expect(await codeOf(strict.verify(sent()))).toBe('ERR_NONCE_REQUIRED')
      expect((await refusal({ iat: now() })).dpopNonce).not.toBe(nonce)
    })

    it.each([undefined, '', 'x', 7, ['x']])('J67 refuses the nonce %j', async (nonce) => {
      expect((await refusal({ nonce, iat: now() })).code).toBe('ERR_NONCE_REQUIRED')
    })

    it('challenges with DPoP-Nonce', async () => {
      const fresh = tokenFor()
      const answer = (await strict.authenticate(
        request(fresh, proofFor(fresh, { iat: now() })),
      )) as Response
      expect(answer.status).toBe(401)
      expect(answer.headers.get('dpop-nonce')).toMatch(/^[\w-]{43}$/)
      expect(answer.headers.get('www-authenticate')).toMatch(
        /^Bearer realm="api", resource_metadata="[^"]*", DPoP realm="api", error="use_dpop_nonce", .*algs="RS256 .*EdDSA Ed25519"/,
      )
    })
  })

  it('tells the error beside the scheme that was used', async () => {
    const challengeOf = async (sent: RawRequest) =>
      ((await verifier.authenticate(sent)) as Response).headers.get('www-authenticate') ?? ''
    const bound = tokenFor()
    expect(await challengeOf(request(bound, [], { scheme: 'Bearer' }))).toMatch(
      /^Bearer realm="api", error="invalid_token".*DPoP realm="api", algs/,
    )
    expect(await challengeOf(request(bound, []))).toMatch(
      /^Bearer realm="api", resource.*DPoP realm="api", error="invalid_dpop_proof"/,
    )
    const other = tokenFor(undefined, { aud: 'other' })
    expect(await challengeOf(request(other, proofFor(other)))).toMatch(
      /^Bearer realm="api", resource.*DPoP realm="api", error="invalid_token"/,
    )
  })

  it.each<[unknown, RegExp]>([
    [true, /dpop takes an object/],
    [{ require: true }, /dpop has no option "require"/],
    [{ required: 'yes' }, /dpop\.required/],
    [{ replayGuard: {} }, /dpop\.replayGuard/],
    [{ nonceSecret: '' }, /dpop\.nonceSecret/],
    [{ nonceSecret: 'short' }, /dpop\.nonceSecret .*32/],
  ])('refuses the options %j', (dpop, message) => {
    expect(() => verifierOf(dpop as DpopOptions)).toThrow(TypeError)
    expect(() => verifierOf(dpop as DpopOptions)).toThrow(message)
  })

  it('needs the address of the service', () => {
    const bearer = jwtBearer({
      issuer,
      jwks: { keys: [key.jwk] },
      allowedAudience: ['agent'],
      dpop: {},
    })
    expect(() => new InboundVerifier({ authenticators: [bearer] })).toThrow(/resource is missing/)
  })
})
