import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { Secret } from '../secret.js'
import { type ApiKeyOptions, apiKey } from './api-key.js'
import { type OAuth2Options, oauth2 } from './oauth2.js'

const canary = 'canary-e7c1'
const base = { issuer: 'https://idp.example', clientId: 'agent', clientSecret: canary }
const make = (options: object) => oauth2({ ...base, ...options } as OAuth2Options)
const key = (options: object) => apiKey({ key: canary, ...options } as ApiKeyOptions)

function messageOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError)
    expect((error as Error).message).not.toContain('canary')
    return (error as Error).message
  }
  return 'nothing was thrown'
}

const urls: [string, unknown][] = [
  ['undefined', undefined],
  ['text', 'idp'],
  ['an empty string', ''],
  ['a number', 5],
  ['an object without prototype', Object.create(null)],
  ['http', 'http://idp.example'],
  ['loopback', 'https://127.0.0.1'],
  ['a private address', 'https://10.0.0.1'],
  ['cloud metadata', 'https://169.254.169.254'],
  ['user info', 'https://user:canary@idp.example'],
  ['user info and no host', 'https://user:canary@:x'],
  ['a fragment', 'https://idp.example/#canary'],
  ['javascript', 'javascript:alert(1)'],
]

describe('oauth2', () => {
  it('gives frozen options with the defaults filled in', () => {
    const provider = make({ scopes: ['a', 'a', 'b'], origins: ['https://API.example:443/'] })
    expect(provider).toMatchObject({
      kind: 'oauth2',
      issuer: base.issuer,
      clientId: 'agent',
      clientAuth: 'client_secret_basic',
      scopes: ['a', 'b'],
      origins: ['https://api.example'],
      allowInsecureLoopback: false,
    })
    for (const part of [
      provider,
      provider.scopes,
      provider.origins,
      provider.authorizationParameters,
    ]) {
      expect(Object.isFrozen(part)).toBe(true)
    }
    expect(oauth2({ issuer: base.issuer, clientId: 'agent' }).clientAuth).toBe('none')
  })

  it.each(urls)('O37 names issuer: %s', (_, issuer) => {
    expect(messageOf(() => make({ issuer }))).toMatch(/^issuer /)
  })
  it.each(urls)('O37 names endpoints.token: %s', (_, token) => {
    expect(messageOf(() => make({ endpoints: { token } }))).toMatch(/^endpoints\.token /)
  })
  it.each(urls.slice(1))('O37 names endpoints.authorization: %s', (_, authorization) => {
    const endpoints = { token: 'https://idp.example/token', authorization }
    expect(messageOf(() => make({ endpoints }))).toMatch(/^endpoints\.authorization /)
  })

  it.each<[string, object, RegExp]>([
    ['an empty clientId', { clientId: '' }, /^clientId /],
    ['no clientId', { clientId: undefined }, /^clientId /],
    ['a long clientId', { clientId: 'x'.repeat(2049) }, /^clientId /],
    ['a clientId with a lone surrogate', { clientId: '\ud800' }, /^clientId /],
    ['an empty clientSecret', { clientSecret: '' }, /^clientSecret /],
    ['a null clientSecret', { clientSecret: null }, /^clientSecret /],
    ['a number for clientSecret', { clientSecret: 5 }, /^clientSecret /],
    [
      'a method that needs a secret',
      { clientSecret: undefined, clientAuth: 'client_secret_post' },
      /^clientSecret /,
    ],
    ['a secret with none', { clientAuth: 'none' }, /^clientAuth /],
    ['an unknown clientAuth', { clientAuth: 'private_key_jwt' }, /^clientAuth /],
    ['scopes as text', { scopes: 'a b' }, /^scopes /],
    ['two scopes in one', { scopes: ['a b'] }, /^scopes /],
    ['an empty scope', { scopes: [''] }, /^scopes /],
    ['a quote in a scope', { scopes: ['a"'] }, /^scopes /],
    ['a backslash in a scope', { scopes: ['a\\'] }, /^scopes /],
    ['a line break in a scope', { scopes: ['a\nb'] }, /^scopes /],
    ['a number for a scope', { scopes: [5] }, /^scopes /],
    ['a relative resource', { resource: '/api' }, /^resource /],
    ['a resource with a fragment', { resource: 'https://a.example/#canary' }, /^resource /],
    ['a number for resource', { resource: 5 }, /^resource /],
    ['an unknown defaultFlow', { defaultFlow: 'IMPLICIT' }, /^defaultFlow /],
    ['the password grant', { defaultFlow: 'PASSWORD' }, /^defaultFlow /],
    ['timeoutMs 99', { timeoutMs: 99 }, /^timeoutMs /],
    ['timeoutMs 60001', { timeoutMs: 60_001 }, /^timeoutMs /],
    ['timeoutMs NaN', { timeoutMs: Number.NaN }, /^timeoutMs /],
    ['timeoutMs in text', { timeoutMs: '500' }, /^timeoutMs /],
    ['a flag in text', { allowInsecureLoopback: 'false' }, /^allowInsecureLoopback /],
    ['a fetch that is none', { fetch: 'https://proxy.example' }, /^fetch /],
    [
      'parameters in text',
      { authorizationParameters: 'prompt=consent' },
      /^authorizationParameters /,
    ],
    ['parameters in a list', { authorizationParameters: ['prompt'] }, /^authorizationParameters /],
    ['token parameters in text', { tokenParameters: 'a=b' }, /^tokenParameters /],
    ['a reserved token parameter', { tokenParameters: { Scope: 'x' } }, /^tokenParameters may not/],
    ['a number for a token parameter', { tokenParameters: { a: 5 } }, /^tokenParameters\.a /],
    ['a relative redirect URI', { redirectUri: '/cb' }, /^redirectUri /],
    ['a redirect URI with a fragment', { redirectUri: 'https://a.example/#x' }, /^redirectUri /],
    [
      'a redirect URI with a code',
      { redirectUri: 'https://a.example/?code=1' },
      /^redirectUri .*code/,
    ],
    ['a template without tenant', { issuerTemplate: base.issuer }, /^issuerTemplate .*tenantid/],
    [
      'a template with two tenants',
      { issuerTemplate: `${base.issuer}/{tenantid}/{tenantid}` },
      /^issuerTemplate /,
    ],
    [
      'a template of another origin',
      { issuerTemplate: 'https://evil.example/{tenantid}' },
      /^issuerTemplate .*origin/,
    ],
    ['a tenant in the host', { issuerTemplate: 'https://{tenantid}.example/' }, /^issuerTemplate /],
    ['a separator of two', { scopeSeparator: ', ' }, /^scopeSeparator /],
    ['a separator that scopes have', { scopeSeparator: ':' }, /^scopeSeparator /],
    ['an alias that is no scope', { scopeAliases: { a: 'b c' } }, /^scopeAliases /],
    ['an alias that is no text', { scopeAliases: { a: 7 } }, /^scopeAliases\.a /],
    ['aliases in a list', { scopeAliases: ['a'] }, /^scopeAliases /],
    ['a flag in text', { refreshWithScope: 'no' }, /^refreshWithScope /],
    ['another flag in text', { idTokenNonce: 'false' }, /^idTokenNonce /],
    [
      '1,001 scopes',
      { scopes: Array.from({ length: 1_001 }, (_, n) => `s${n}`) },
      /^scopes .*1000/,
    ],
    [
      'a number for a parameter',
      { authorizationParameters: { max_age: 5 } },
      /^authorizationParameters\.max_age /,
    ],
  ])('O60 names the option: %s', (_, options, message) => {
    expect(messageOf(() => make(options))).toMatch(message)
  })

  const reserved = [
    'client_id',
    'client_secret',
    'client_assertion',
    'client_assertion_type',
    'redirect_uri',
    'response_type',
    'response_mode',
    'state',
    'nonce',
    'scope',
    'code',
    'code_challenge',
    'code_challenge_method',
    'code_verifier',
    'grant_type',
    'refresh_token',
    'request',
    'request_uri',
    'resource',
    'dpop_jkt',
    '__proto__',
  ]
  it.each(reserved)('O16 refuses the parameter %s, in any case', (name) => {
    for (const spelled of [name, name.toUpperCase(), `${name[0]?.toUpperCase()}${name.slice(1)}`]) {
      const authorizationParameters = JSON.parse(`{${JSON.stringify(spelled)}: "canary"}`)
      expect(messageOf(() => make({ authorizationParameters }))).toContain(`may not set ${spelled}`)
    }
  })

  it('O16 V14 takes other parameters, and none from a prototype', () => {
    const { authorizationParameters } = make({
      authorizationParameters: Object.assign(Object.create({ state: 'x' }), {
        prompt: 'consent',
        constructor: 'y',
      }),
    })
    expect({ ...authorizationParameters }).toEqual({ prompt: 'consent', constructor: 'y' })
    expect(Object.getPrototypeOf(authorizationParameters)).toBe(null)
  })

  it('keeps copies of lists and endpoints', () => {
    const scopes = ['a']
    const endpoints = { token: 'https://idp.example/token' }
    const provider = make({ scopes, endpoints })
    scopes.push('admin')
    endpoints.token = 'https://evil.example/token'
    expect(provider.scopes).toEqual(['a'])
    expect(provider.endpoints?.token).toBe('https://idp.example/token')
  })

  it('takes loopback with allowInsecureLoopback, for issuer, endpoints and origins', () => {
    const local = 'http://127.0.0.1:8080'
    const options = {
      issuer: local,
      endpoints: { token: `${local}/t` },
      origins: [local],
      allowInsecureLoopback: true,
    }
    expect(make(options).origins).toEqual([local])
    expect(messageOf(() => make({ ...options, issuer: 'http://idp.example' }))).toMatch(/^issuer /)
    expect(messageOf(() => make({ ...options, origins: ['http://api.example'] }))).toMatch(
      /^origins /,
    )
  })
})

const origins: [string, unknown][] = [
  ['text', 'https://api.example'],
  ['a path', ['https://api.example/v1']],
  ['a query', ['https://api.example/?canary']],
  ['user info', ['https://u:canary@api.example']],
  ['a wildcard', ['https://*.example']],
  ['http', ['http://api.example']],
  ['no URL', ['api.example']],
  ['null', ['null']],
  ['an empty string', ['']],
  ['a number', [5]],
  ['data', ['data:text/plain,x']],
  ['file', ['file:///']],
  ['loopback http', ['http://127.0.0.1']],
  ['an object', {}],
]
describe('origins', () => {
  it.each(origins)('W02 O56 is named when it holds %s', (_, value) => {
    expect(messageOf(() => make({ origins: value }))).toMatch(/^origins /)
    expect(messageOf(() => key({ origins: value }))).toMatch(/^origins /)
  })
})

describe('apiKey', () => {
  it('has the header X-Api-Key unless it is told another', () => {
    expect(key({})).toMatchObject({ kind: 'api-key', header: 'X-Api-Key', origins: [] })
    expect(key({ header: 'Authorization' }).header).toBe('Authorization')
    expect(Object.isFrozen(key({}))).toBe(true)
  })

  it.each([undefined, null, '', 5, {}])('O56 names the key: %j', (value) => {
    expect(messageOf(() => key({ key: value }))).toMatch(/^key /)
  })

  it.each([
    '',
    'X Key',
    'X-Key:',
    'X-Key\r\nX-Other',
    'Authorization: Bearer canary',
    'x'.repeat(65),
    'Kéy',
    5,
    {},
  ])('O56 names the header: %j', (header) => {
    expect(messageOf(() => key({ header }))).toMatch(/^header /)
  })

  it.each([
    'Host',
    'COOKIE',
    'content-length',
    'Content-Type',
    'Transfer-Encoding',
    'Connection',
    'TE',
    'Upgrade',
    'Origin',
    'Referer',
  ])('O56 refuses the header %s, which means something else', (header) => {
    expect(messageOf(() => key({ header }))).toMatch(/^header /)
  })

  it('names allowInsecureLoopback', () => {
    expect(messageOf(() => key({ allowInsecureLoopback: 'false' }))).toMatch(
      /^allowInsecureLoopback /,
    )
  })
})

describe('a provider printed', () => {
  const providers = [
    make({}),
    make({ clientSecret: new Secret(canary) }),
    make({ clientSecret: () => canary }),
    key({}),
    key({ key: new Secret(canary) }),
  ]
  it('W05 shows no secret', () => {
    for (const provider of providers) {
      const all = { depth: null, showHidden: true, getters: true } as const
      for (const shown of [
        JSON.stringify(provider),
        inspect(provider, all),
        inspect({ ...provider }, { ...all, customInspect: false }),
        inspect(Object.entries(provider), all),
        inspect(Object.getOwnPropertyDescriptors(provider), all),
      ]) {
        expect(shown.replace('() => canary', '')).not.toContain('canary')
      }
    }
  })
})
