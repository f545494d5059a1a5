import { inspect } from 'node:util'
import { describe, expect, it, vi } from 'vitest'
import { printable, safeCause } from './base.js'
import * as errors from './index.js'

const {
  AuthorizationRequiredError,
  DeputizeError,
  findAuthorizationRequired,
  InboundAuthError,
  isDeputizeError,
  NetworkError,
  OAuthRefusedError,
  ServerResponseError,
  VaultUnavailableError,
} = errors

const challenge = {
  provider: 'google',
  scopes: ['a'],
  authorizationUrl: 'https://idp.example/authorize?state=x',
  sessionUri: 'urn:deputize:session:1',
  expiresAtMs: 1,
}
const consent = { provider: 'p', sessionUri: 's', reason: 'r' }

/** Every exported class, made once: name, code, retryable. A line that changes here breaks those who match on it. */
const pinned: Record<
  string,
  readonly [code: string, retryable: boolean, error: () => errors.DeputizeError]
> = {
  AccountAmbiguousError: [
    'ERR_ACCOUNT_AMBIGUOUS',
    false,
    () => new errors.AccountAmbiguousError({ provider: 'p', accounts: ['a', 'b'] }),
  ],
  AuthorizationRequiredError: [
    'ERR_AUTHORIZATION_REQUIRED',
    false,
    () => new AuthorizationRequiredError(challenge),
  ],
  AwsCredentialsError: [
    'ERR_AWS_CREDENTIALS',
    false,
    () => new errors.AwsCredentialsError({ what: 'w', reason: 'r' }),
  ],
  ConfigurationError: ['ERR_CONFIGURATION', false, () => new errors.ConfigurationError('x')],
  ConsentDeniedError: ['ERR_CONSENT_DENIED', false, () => new errors.ConsentDeniedError(consent)],
  ConsentExpiredError: [
    'ERR_CONSENT_EXPIRED',
    false,
    () => new errors.ConsentExpiredError(consent),
  ],
  ConsentFailedError: ['ERR_CONSENT_FAILED', false, () => new errors.ConsentFailedError(consent)],
  ConsentSessionError: ['ERR_CONSENT_SESSION', false, () => new errors.ConsentSessionError()],
  ConsentWrongUserError: [
    'ERR_CONSENT_WRONG_USER',
    false,
    () => new errors.ConsentWrongUserError(consent),
  ],
  InboundAuthError: [
    'ERR_TOKEN_EXPIRED',
    false,
    () => new InboundAuthError('ERR_TOKEN_EXPIRED', { reason: 'r' }),
  ],
  KeyUnavailableError: [
    'ERR_KEY_UNAVAILABLE',
    false,
    () => new errors.KeyUnavailableError({ reason: 'r' }),
  ],
  NetworkError: [
    'ERR_NETWORK',
    true,
    () => new NetworkError({ url: 'u', reason: 'timeout', detail: 'd' }),
  ],
  NoActingContextError: [
    'ERR_NO_ACTING_CONTEXT',
    false,
    () => new errors.NoActingContextError('x'),
  ],
  ServerUnavailableError: [
    'ERR_SERVER_UNAVAILABLE',
    true,
    () => new errors.ServerUnavailableError({ provider: 'p', reason: 'r', retryAfterMs: 1 }),
  ],
  NoUserError: ['ERR_NO_USER', false, () => new errors.NoUserError({ provider: 'p', flow: 'f' })],
  OAuthRefusedError: [
    'ERR_OAUTH_REFUSED',
    false,
    () => new OAuthRefusedError({ provider: 'p', oauthError: 'invalid_grant', status: 400 }),
  ],
  OriginNotAllowedError: [
    'ERR_ORIGIN_NOT_ALLOWED',
    false,
    () =>
      new errors.OriginNotAllowedError({ provider: 'p', origin: 'o', allowed: [], reason: 'r' }),
  ],
  ScopeNotGrantedError: [
    'ERR_SCOPE_NOT_GRANTED',
    false,
    () =>
      new errors.ScopeNotGrantedError({
        provider: 'p',
        missingScopes: ['s'],
        askedScopes: ['r', 's'],
        grantedScopes: ['r'],
      }),
  ],
  ServerResponseError: [
    'ERR_SERVER_RESPONSE',
    false,
    () => new ServerResponseError({ what: 'w', detail: 'd', reason: 'r' }),
  ],
  VaultCorruptError: [
    'ERR_VAULT_CORRUPT',
    false,
    () => new errors.VaultCorruptError({ reason: 'r' }),
  ],
  VaultUnavailableError: [
    'ERR_VAULT_UNAVAILABLE',
    true,
    () => new VaultUnavailableError({ operation: 'get', reason: 'r' }),
  ],
}

describe('the family', () => {
  it('is all pinned here', () => {
    const classes = Object.entries(errors)
      .filter(
        ([name, value]) =>
          typeof value === 'function' &&
          /Error$/.test(name) &&
          name !== 'DeputizeError' &&
          !/^is/.test(name),
      )
      .map(([name]) => name)
    expect(classes.sort()).toEqual(Object.keys(pinned).sort())
  })

  it.each(Object.entries(pinned))(
    '%s keeps its name, code and advice',
    (name, [code, retryable, make]) => {
      const error = make()
      expect(error).toMatchObject({ name, code, retryable })
      expect(error).toBeInstanceOf(Error)
      expect(error).toBeInstanceOf(DeputizeError)
      expect(isDeputizeError(error)).toBe(true)
      expect(isDeputizeError(error, code)).toBe(true)
      expect(isDeputizeError(error, 'ERR_OTHER')).toBe(false)
      expect(error.message.length).toBeGreaterThan(0)
      expect(error.stack).toContain(
        name === 'ConfigurationError' ? 'x' : error.message.slice(0, 20),
      )
    },
  )

  it.each([
    [
      'NetworkError unreachable',
      new NetworkError({ url: 'u', reason: 'unreachable', detail: 'd' }),
      true,
    ],
    [
      'NetworkError redirected',
      new NetworkError({ url: 'u', reason: 'redirected', detail: 'd' }),
      false,
    ],
    [
      'NetworkError too_large',
      new NetworkError({ url: 'u', reason: 'too_large', detail: 'd' }),
      false,
    ],
    ['NetworkError aborted', new NetworkError({ url: 'u', reason: 'aborted', detail: 'd' }), false],
    [
      'OAuthRefusedError 429',
      new OAuthRefusedError({ provider: 'p', oauthError: 'x', status: 429 }),
      true,
    ],
    [
      'OAuthRefusedError 503',
      new OAuthRefusedError({ provider: 'p', oauthError: 'x', status: 503 }),
      true,
    ],
    [
      'OAuthRefusedError 401',
      new OAuthRefusedError({ provider: 'p', oauthError: 'x', status: 401 }),
      false,
    ],
    [
      'ServerResponseError 502',
      new ServerResponseError({ what: 'w', detail: 'd', reason: 'r', status: 502 }),
      true,
    ],
    [
      'ServerResponseError 200',
      new ServerResponseError({ what: 'w', detail: 'd', reason: 'r', status: 200 }),
      false,
    ],
    ['keys unavailable', new InboundAuthError('ERR_KEYS_UNAVAILABLE', { reason: 'r' }), true],
  ] as const)('%s says whether to try again', (_, error, retryable) => {
    expect(error.retryable).toBe(retryable)
  })

  it.each([
    ['ERR_NO_CREDENTIALS', 'no_credentials', 401],
    ['ERR_INSUFFICIENT_SCOPE', 'insufficient_scope', 403],
    ['ERR_KEYS_UNAVAILABLE', 'temporarily_unavailable', 503],
    ['ERR_BAD_SIGNATURE', 'invalid_token', 401],
    ['ERR_UNKNOWN_ISSUER', 'invalid_token', 401],
    ['ERR_AMBIGUOUS_PATH', 'invalid_token', 401],
    ['ERR_CLIENT_NOT_ALLOWED', 'forbidden', 403],
    ['ERR_CLAIM_RULE', 'forbidden', 403],
    ['ERR_USER_NOT_ALLOWED', 'forbidden', 403],
    ['ERR_AUDIENCE_MISMATCH', 'invalid_token', 401],
  ] as const)('%s is told to the caller as %s', (code, refusal, status) => {
    const error = new InboundAuthError(code, { reason: 'the private reason' })
    expect(error).toMatchObject({ refusal, status, reason: 'the private reason' })
    expect(error.message).not.toContain('private')
  })

  it('gives all bad credentials one message', () => {
    const messages = (
      ['ERR_BAD_SIGNATURE', 'ERR_TOKEN_EXPIRED', 'ERR_AUDIENCE_MISMATCH'] as const
    ).map((code) => new InboundAuthError(code, { reason: code }).message)
    expect(new Set(messages).size).toBe(1)
  })
})

describe('isDeputizeError', () => {
  it('knows errors of another copy of the library', async () => {
    vi.resetModules()
    const other = await import('./index.js')
    const theirs = new other.VaultUnavailableError({ operation: 'get', reason: 'r' })
    expect(theirs).not.toBeInstanceOf(DeputizeError)
    expect(isDeputizeError(theirs, 'ERR_VAULT_UNAVAILABLE')).toBe(true)
    expect(
      other.isDeputizeError(new VaultUnavailableError({ operation: 'get', reason: 'r' })),
    ).toBe(true)
    const ask = new other.AuthorizationRequiredError(challenge)
    expect(findAuthorizationRequired(new Error('x', { cause: ask }))).toBe(ask)
    expect(safeCause(theirs)).toBe(theirs)
  })

  const hostile = new Proxy(
    {},
    {
      get: () => {
        throw new Error('s3cr3t')
      },
    },
  )
  it.each<[string, unknown]>([
    ['an Error', new Error('x')],
    ['an Error with a code', Object.assign(new Error('x'), { code: 'ERR_NETWORK' })],
    ['a literal', { name: 'NetworkError', code: 'ERR_NETWORK' }],
    ['parsed JSON', JSON.parse(JSON.stringify(pinned.NetworkError![2]()))],
    ['null', null],
    ['a string', 'ERR_NETWORK'],
    ['what throws when it is looked at', hostile],
  ])('does not take %s', (_, value) => {
    expect(isDeputizeError(value)).toBe(false)
    expect(isDeputizeError(value, 'ERR_NETWORK')).toBe(false)
  })
})

describe('findAuthorizationRequired', () => {
  const ask = new AuthorizationRequiredError({ ...challenge, account: 'me' })
  const wrap = (error: unknown, times: number): unknown =>
    times === 0 ? error : new Error(`level ${times}`, { cause: wrap(error, times - 1) })

  it.each<[string, unknown]>([
    ['the error itself', ask],
    ['a cause', wrap(ask, 1)],
    ['a cause of a cause, 15 deep', wrap(ask, 15)],
    ['an AggregateError', new AggregateError([new Error('a'), ask])],
    ['an AggregateError in a cause', wrap(new AggregateError([wrap(ask, 2)]), 2)],
    [
      'a cycle beside it',
      (() => {
        const error: Error & { errors?: unknown[] } = new Error('x')
        error.cause = error
        error.errors = [error, ask]
        return error
      })(),
    ],
    [
      'a hostile neighbour',
      new AggregateError([
        new Proxy(
          {},
          {
            get: () => {
              throw new Error('no')
            },
          },
        ),
        ask,
      ]),
    ],
  ])('finds it in %s', (_, error) => {
    expect(findAuthorizationRequired(error)).toBe(ask)
  })

  it('finds it after JSON, with everything that is needed to go on', () => {
    const found = findAuthorizationRequired({ cause: JSON.parse(JSON.stringify(ask)) })
    expect(found).toMatchObject({ ...challenge, account: 'me', code: 'ERR_AUTHORIZATION_REQUIRED' })
    expect(JSON.parse(JSON.stringify(ask))).toMatchObject({ name: ask.name, message: ask.message })
    expect(
      JSON.parse(JSON.stringify(new AuthorizationRequiredError(challenge))),
    ).not.toHaveProperty('account')
  })

  const cyclic: Error = new Error('x')
  cyclic.cause = cyclic
  const plain = { ...challenge, code: 'ERR_AUTHORIZATION_REQUIRED' }
  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['a string', 'ERR_AUTHORIZATION_REQUIRED'],
    ['another error', new Error('x')],
    ['a cycle', cyclic],
    ['more than 16 levels', wrap(ask, 16)],
    ['a bare code', { code: 'ERR_AUTHORIZATION_REQUIRED' }],
    ['an object without link', { ...plain, authorizationUrl: undefined }],
    ['scopes that are no list', { ...plain, scopes: 'a' }],
    ['a time that is no number', { ...plain, expiresAtMs: '1' }],
    ['a link that would run a script', { ...plain, authorizationUrl: 'javascript:alert(1)' }],
    ['a link to data', { ...plain, authorizationUrl: 'data:text/html,x' }],
    [
      'a getter that throws',
      Object.defineProperty({}, 'cause', {
        get: () => {
          throw new Error('s3cr3t')
        },
      }),
    ],
    [
      'a Proxy that throws',
      new Proxy(
        {},
        {
          get: () => {
            throw new Error('s3cr3t')
          },
        },
      ),
    ],
    [
      'a revoked Proxy',
      (() => {
        const { proxy, revoke } = Proxy.revocable({}, {})
        revoke()
        return proxy
      })(),
    ],
  ])('finds none in %s', (_, error) => {
    expect(findAuthorizationRequired(error)).toBeUndefined()
  })

  it('stays small on a wide tree', () => {
    const wide = (depth: number): unknown =>
      depth === 0
        ? new Error('leaf')
        : { errors: Array.from({ length: 40 }, () => wide(depth - 1)) }
    let looks = 0
    const counted = new Proxy(
      { errors: [wide(2), wide(2)] },
      {
        get: (target, key) => {
          looks++
          return Reflect.get(target, key)
        },
      },
    )
    expect(findAuthorizationRequired(counted)).toBeUndefined()
    expect(looks).toBeLessThan(20)
  })
})

describe('a cause', () => {
  const canary = 'canary-55aa'
  const system = Object.assign(new Error(`connect ECONNREFUSED ${canary}`), {
    code: 'ECONNREFUSED',
    syscall: 'connect',
    address: canary,
    path: `/${canary}`,
  })

  it.each<[string, unknown, unknown]>([
    ['a system error', system, { name: 'SystemError', code: 'ECONNREFUSED', syscall: 'connect' }],
    [
      'a fetch error',
      new TypeError('fetch failed', { cause: system }),
      { name: 'SystemError', code: 'ECONNREFUSED', syscall: 'connect' },
    ],
    ['a code in words', { code: `no ${canary}` }, undefined],
    [
      'a syscall in words',
      { code: 'EPIPE', syscall: `write ${canary}` },
      { name: 'SystemError', code: 'EPIPE' },
    ],
    ['a plain error', new Error(canary), undefined],
    [
      'a syntax error',
      (() => {
        try {
          return JSON.parse(canary)
        } catch (error) {
          return error
        }
      })(),
      undefined,
    ],
    ['a string', canary, undefined],
    ['a response', { code: 5, body: canary }, undefined],
    [
      'a getter that throws',
      Object.defineProperty({}, 'code', {
        get: () => {
          throw new Error(canary)
        },
      }),
      undefined,
    ],
  ])('W05 keeps only system facts of %s', (_, cause, kept) => {
    expect(safeCause(cause)).toEqual(kept)
    const error = new VaultUnavailableError({ operation: 'get', reason: 'r', cause })
    expect(error.cause).toEqual(kept)
    expect(Object.hasOwn(error, 'cause')).toBe(kept !== undefined)
    expect(inspect(error, { depth: null, showHidden: true })).not.toContain(canary)
  })
})

describe('printable', () => {
  it.each([
    ['a line break', 'a\r\nb', 'a\\r\\nb'],
    ['ANSI', '\u001b[31mred', '\\u001b[31mred'],
    ['a C1 control', 'a\u009bb', 'a\\u009bb'],
    ['DEL', 'a\u007f', 'a\\u007f'],
    ['NUL', 'a\0', 'a\\u0000'],
    ['a bidi override', 'a\u202eb', 'a\\u202eb'],
    ['a bidi isolate', 'a\u2066b\u2069', 'a\\u2066b\\u2069'],
    ['an Arabic letter mark', 'a\u061cb', 'a\\u061cb'],
    ['zero width', 'a\u200bb\u200d\u2060', 'a\\u200bb\\u200d\\u2060'],
    ['a soft hyphen', 'pay\u00adpal', 'pay\\u00adpal'],
    ['a line separator', 'a\u2028\u2029', 'a\\u2028\\u2029'],
    ['a byte order mark', '\ufeffa', '\\ufeffa'],
    ['tag letters', 'a\u{e0041}', 'a\\udb40\\udc41'],
    ['a lone surrogate', 'a\ud800', 'a\\ud800'],
    ['quotes and backslashes', '"\\', '\\"\\\\'],
    ['text', 'Grüße, 世界 \u{1F600}', 'Grüße, 世界 \u{1F600}'],
    ['a number', 5, '5'],
    ['undefined', undefined, 'undefined'],
    ['a symbol', Symbol('x'), 'Symbol(x)'],
    ['an object without prototype', Object.create(null), 'object'],
  ])('D12 escapes %s', (_, text, shown) => {
    expect(printable(text)).toBe(shown)
  })

  it('D12 cuts, and not through a character', () => {
    expect(printable('x'.repeat(200))).toBe(`${'x'.repeat(120)}…`)
    expect(printable('\u{1F600}\u{1F600}', 3)).toBe('\u{1F600}…')
    expect(printable('abc', 3)).toBe('abc')
  })
})
