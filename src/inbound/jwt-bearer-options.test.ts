import { describe, expect, it } from 'vitest'
import { makeKey, startIssuer } from '../../test/support/issuer.js'
import { jwtBearer } from './jwt-bearer.js'
import type { JwtBearerOptions } from './jwt-bearer-options.js'

const { jwk } = makeKey()
const good: JwtBearerOptions = {
  issuer: 'https://idp.example',
  jwks: { keys: [jwk] },
  allowedAudience: ['agent'],
}
const make = (changes: Record<string, unknown>) => () =>
  jwtBearer({ ...good, ...changes } as JwtBearerOptions)

describe('options of jwtBearer', () => {
  it('give a frozen object with all that an authenticator has of its own', () => {
    const bearer = jwtBearer(good)
    expect(Object.isFrozen(bearer)).toBe(true)
    expect(Object.keys({ ...bearer }).sort()).toEqual(['advertise', 'issuers', 'name', 'recognise'])
    expect(bearer.issuers).toEqual(['https://idp.example'])
  })

  it.each<[string, Record<string, unknown>, RegExp]>([
    ['J40', { allowedAudience: undefined }, /allowedAudience is missing/],
    ['J40', { allowedAudience: null }, /allowedClients is required/],
    ['J40', { allowedAudience: undefined, allowedClients: ['web'] }, /allowedAudience is missing/],
    ['J40', { allowedAudience: [] }, /allowedAudience/],
    ['J40', { allowedAudience: [''] }, /allowedAudience/],
    ['J40', { allowedAudience: 'agent' }, /allowedAudience .*"agent"/],
    ['J40', { allowedAudience: [7] }, /allowedAudience .*7/],
    ['J04', { algorithms: [] }, /algorithms/],
    ['J04', { algorithms: ['none'] }, /algorithms .*"none"/],
    ['J04', { algorithms: ['ES256', 'HS256'] }, /algorithms .*"HS256"/],
    ['J04', { algorithms: ['es256'] }, /algorithms .*"es256"/],
    ['J04', { algorithms: 'ES256' }, /algorithms/],
    ['J37', { clockToleranceMs: Number.NaN }, /clockToleranceMs .*NaN/],
    ['J37', { clockToleranceMs: -1 }, /clockToleranceMs .*-1/],
    ['J37', { clockToleranceMs: 300_001 }, /clockToleranceMs .*300001/],
    ['J37', { clockToleranceMs: Number.POSITIVE_INFINITY }, /clockToleranceMs/],
    ['J37', { clockToleranceMs: '30' }, /clockToleranceMs/],
    ['J35', { maxTokenAgeMs: 0 }, /maxTokenAgeMs/],
    ['J35', { maxTokenAgeMs: Number.NaN }, /maxTokenAgeMs/],
    ['J30', { maxTokenBytes: 131_073 }, /maxTokenBytes/],
    ['J30', { maxTokenBytes: 0 }, /maxTokenBytes/],
    ['J13', { jwks: { keys: [{ ...jwk, d: 'AAAA' }] } }, /jwks\.keys\[0\]/],
    ['J13', { jwks: { keys: [] } }, /jwks/],
    ['J13', { jwks: 'keys' }, /jwks/],
    ['J46', { issuer: 'https://login.example/{tenantid}', jwks: undefined, jwksUri: 7 }, /jwksUri/],
    ['J48', { jwks: undefined, jwksUri: 'http://idp.example/jwks' }, /jwksUri .*not https/],
    ['J48', { jwks: undefined, jwksUri: 'https://10.1.2.3/jwks' }, /jwksUri .*private/],
    ['J48', { jwks: undefined, jwksUri: 'https://127.0.0.1/jwks' }, /jwksUri .*loopback/],
    ['J48', { jwks: undefined, issuer: 'http://idp.example' }, /issuer .*not https/],
    ['J48', { jwks: undefined, issuer: 'https://idp.example?x=1' }, /issuer .*query/],
    ['J48', { jwks: undefined, issuer: 'accounts.example' }, /issuer .*URL/],
    ['J59', { customClaims: [] }, /customClaims/],
    [
      'J59',
      { customClaims: [{ name: 'g', operator: 'MATCHES', value: '.*' }] },
      /customClaims\[0\]\.operator .*"MATCHES"/,
    ],
    [
      'J59',
      { customClaims: [{ name: 'g', operator: 'CONTAINS_ANY', value: 'x' }] },
      /customClaims\[0\]\.value/,
    ],
    [
      'J59',
      { customClaims: [{ name: '', operator: 'EQUALS', value: 'x' }] },
      /customClaims\[0\]\.name/,
    ],
    [
      'J59',
      { customClaims: [{ name: 'g', operator: 'EQUALS', value: Number.NaN }] },
      /customClaims\[0\]\.value/,
    ],
    [
      'J59',
      { customClaims: [{ name: 'g', operator: 'CONTAINS', value: ['x'] }] },
      /customClaims\[0\]\.value/,
    ],
    ['J59', { customClaims: [null] }, /customClaims\[0\]/],
    ['J74', { allowedScopes: ['a"b'] }, /allowedScopes .*a/],
    ['J74', { allowedScopes: ['a\r\nb'] }, /allowedScopes/],
    ['J58', { allowedScopes: ['a b'] }, /allowedScopes .*"a b"/],
    ['J58', { allowedScopes: [] }, /allowedScopes/],
    ['', { allowedClients: [] }, /allowedClients/],
    ['', { issuer: undefined }, /issuer is missing; jwks/],
    ['', { issuer: '' }, /issuer/],
    ['', { issuer: ['https://idp.example', 7] }, /issuer/],
    ['', { issuer: undefined, jwks: undefined }, /issuer is missing/],
    ['', { jwksUri: 'https://idp.example/jwks' }, /jwksUri and jwks/],
    [
      '',
      { discoveryUrl: 'https://idp.example/.well-known/openid-configuration' },
      /discoveryUrl and jwks/,
    ],
    [
      '',
      { issuer: undefined, jwks: undefined, discoveryUrl: 'https://idp.example/meta' },
      /discoveryUrl .*issuer/,
    ],
    ['', { jwks: undefined, discoveryUrl: 'idp.example' }, /discoveryUrl .*URL/],
    ['', { allowInsecureLoopback: 'yes' }, /allowInsecureLoopback/],
    ['', { fetch: true }, /fetch/],
    ['', { allowedScope: ['a'] }, /no option "allowedScope"/],
  ])('%s refuse %j with a TypeError that names it', (_, changes, message) => {
    expect(make(changes)).toThrow(TypeError)
    expect(make(changes)).toThrow(message)
  })

  it('J40 allow no audience when it is spelled out, with clients', () => {
    expect(make({ allowedAudience: null, allowedClients: ['web'] })).not.toThrow()
  })

  it('are copied: changing them later changes nothing', async () => {
    const allowedAudience = ['agent']
    const bearer = jwtBearer({ ...good, allowedAudience })
    allowedAudience.push('other')
    expect(bearer.issuers).toEqual(['https://idp.example'])
  })

  it('cause no request', async () => {
    await using issuer = await startIssuer()
    const common = { allowedAudience: ['agent'], allowInsecureLoopback: true }
    jwtBearer({ ...common, issuer: issuer.origin })
    jwtBearer({ ...common, discoveryUrl: `${issuer.origin}/.well-known/openid-configuration` })
    jwtBearer({ ...common, issuer: issuer.origin, jwksUri: `${issuer.origin}/jwks` })
    await new Promise((done) => setImmediate(done))
    expect(issuer.hits).toEqual([])
  })
})
