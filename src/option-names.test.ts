import { describe, expect, it } from 'vitest'
import { loopbackCallback } from './adapters/node/loopback-callback.js'
import { checkOptionNames } from './option-names.js'
import { OutboundCredentialProvider } from './outbound/credential-provider.js'
import { apiKey } from './providers/api-key.js'
import { oauth2 } from './providers/oauth2.js'
import { requireToken } from './tools/require-token.js'
import { memoryStore } from './vault/memory-store.js'
import { tokenVault } from './vault/token-vault.js'
import { WorkloadIdentity } from './workload/identity.js'

const oauth = { issuer: 'https://idp.example', clientId: 'c' }

describe('options that are wrong', () => {
  it.each<[string, () => unknown, RegExp]>([
    ['oauth2 without any', () => oauth2(undefined as never), /oauth2\(\) takes an object/],
    ['oauth2', () => oauth2({ ...oauth, client_secret: 'x' } as never), /"client_secret"/],
    [
      'a secret whose variable is not set',
      () => oauth2({ ...oauth, clientSecret: undefined } as never),
      /clientSecret .*environment variable/,
    ],
    ['apiKey', () => apiKey({ key: 'k', name: 'x' } as never), /"name"/],
    ['tokenVault', () => tokenVault({ key: 'x' } as never), /"key"/],
    ['WorkloadIdentity', () => new WorkloadIdentity({ name: 'abc', url: 'x' } as never), /"url"/],
    ['keys', () => new WorkloadIdentity({ name: 'abc', keys: 'pem' as never }), /signingKeys/],
    [
      'return URLs',
      () => new WorkloadIdentity({ name: 'abc', allowedReturnUrls: 'https://a.example' as never }),
      /must be an array/,
    ],
    ['requireToken', () => requireToken({ provider: 'a', scope: ['x'] } as never), /"scope"/],
    [
      'OutboundCredentialProvider',
      () => new OutboundCredentialProvider({ providers: {}, callbackURL: 'x' } as never),
      /"callbackURL".*Known: providers, vault/,
    ],
    [
      'a store for a vault',
      () => new OutboundCredentialProvider({ providers: {}, vault: memoryStore() as never }),
      /tokenVault\(/,
    ],
    [
      'a sink that is none',
      () => new OutboundCredentialProvider({ providers: {}, audit: console as never }),
      /audit must be a function/,
    ],
    [
      'a list of providers',
      () => new OutboundCredentialProvider({ providers: [oauth2(oauth)] as never }),
      /providers must be an object/,
    ],
  ])('%s: a TypeError names them', (_, make, message) => {
    expect(make).toThrow(TypeError)
    expect(make).toThrow(message)
  })

  it('loopbackCallback takes no text for a port: it would listen on a file', async () => {
    await expect(loopbackCallback({ port: '8080' as never })).rejects.toThrow(TypeError)
  })
})

it('nobody is connected where the agent acts for nobody', async () => {
  const credentials = new OutboundCredentialProvider({ providers: {} })
  const self = new WorkloadIdentity({ name: 'agent' }).actAsSelf()
  expect(await credentials.connections(self)).toEqual([])
})

it('an inherited option is read like any other, so it must be known too', () => {
  const defaults: object = { guards: [] }
  const options: { readonly guard?: unknown } = Object.create(defaults)
  expect(() => checkOptionNames(options, 'f()', { guard: true })).toThrow(
    'f() has no option "guards". Known: guard.',
  )
  const named: { readonly guard?: unknown } = { toString: 1 } as never
  expect(() => checkOptionNames(named, 'f()', { guard: true })).toThrow('"toString"')
})
